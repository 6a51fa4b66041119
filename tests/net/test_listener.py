"""A node that stops: pending answers leave, nothing new is taken, and nobody waits for what may never come."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.net.listener import DRAIN_S
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.groups import JoinGroupRequest, JoinGroupRequestProtocol
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest
from tests.broker import Broker, Client, batch_of, produce_request


class StopCase(SynchronousTestCase):
    """A node on a disk that can be made slow."""

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(storage="segments").start()
        self.broker.create("t", flush_messages="1")
        self.client = self.broker.connect()

    def stick(self, seconds: float) -> None:
        """Let no sync end for a while."""
        self.broker.machine.platter.faults.stuck_until = self.broker.simulation.now + seconds

    def stop(self) -> Deferred[Any]:
        """Begin to stop."""
        return self.broker.node.stopService()

    def stopped_after(self, stopping: Deferred[Any]) -> float:
        """Wait for the stop; return how long it took."""
        before = self.broker.simulation.now
        done: list[Any] = []
        stopping.addBoth(done.append)
        self.broker.until(lambda: bool(done), 700)
        self.assertEqual(done, [None])
        return self.broker.simulation.now - before

    def codes(self, client: Client) -> list[int]:
        """Return the errors of the produces that were answered."""
        return [answer.responses[0].partition_responses[0].error_code for _, answer in client.answers()]


class StopTests(StopCase):
    """What was done is answered."""

    def test_nothing_to_do(self) -> None:
        self.assertLess(self.stopped_after(self.stop()), 1)
        self.assertTrue(self.client.is_closed)

    def test_pending_produces_are_answered(self) -> None:
        self.stick(2)
        self.client.send(produce_request("t", batch_of(b"v")), 9)
        stopping = self.stop()
        self.broker.wait(1)
        self.assertFalse(self.client.is_closed)
        self.assertLess(self.stopped_after(stopping), 2)
        self.assertEqual(self.codes(self.client), [ErrorCode.NONE])
        self.assertTrue(self.client.is_closed)

    def test_not_for_ever(self) -> None:
        self.stick(600)
        self.client.send(produce_request("t", batch_of(b"v")), 9)
        stopping = self.stop()
        self.broker.wait(DRAIN_S - 0.5)
        self.assertFalse(self.client.wire.aborted)
        self.broker.wait(1)
        self.assertTrue(self.client.wire.aborted)
        self.assertGreater(self.stopped_after(stopping), 500, "the log itself is closed in good order")

    def test_pending_changes_are_answered(self) -> None:
        self.stick(2)
        topic = CreatableTopic(name="new", num_partitions=1, replication_factor=1)
        self.client.send(CreateTopicsRequest(topics=[topic], timeout_ms=10_000), 7)
        self.stopped_after(self.stop())
        ((_, answer),) = self.client.answers()
        self.assertEqual(answer.topics[0].error_code, ErrorCode.NONE)

    def test_parked_fetches_do_not_delay_it(self) -> None:
        """They are answered with what there is, so that what waits behind them leaves too."""
        self.stick(1)
        self.broker.fetch_later("t", client=self.client, max_wait_ms=600_000)
        self.client.send(produce_request("t", batch_of(b"v")), 9)
        self.assertLess(self.stopped_after(self.stop()), 2)
        self.assertEqual([number for number, _ in self.client.answers()], [1, 2])

    def test_members_that_wait_do_not_delay_it(self) -> None:
        join = JoinGroupRequest(
            group_id="g", session_timeout_ms=10_000, rebalance_timeout_ms=600_000, protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=b"")],
        )  # fmt: skip
        self.broker.ask(FindCoordinatorRequest(key="g"), 0)
        self.client.send(join, 3)
        self.broker.wait(0.1)
        self.assertEqual(self.client.answers(), [])
        self.assertLess(self.stopped_after(self.stop()), 1)

    def test_nothing_new_is_taken(self) -> None:
        self.stick(2)
        self.client.send(produce_request("t", batch_of(b"v")), 9)
        other = self.broker.connect()
        self.stop()
        self.assertFalse(self.client.is_read)
        late = self.broker.connect()
        late.send(produce_request("t", batch_of(b"v")), 9)
        self.assertTrue(late.is_closed)
        self.broker.wait(1)
        self.assertTrue(other.is_closed)
        self.assertEqual(self.broker.machine.ports, {}, "nobody can connect any more")

    def test_what_was_acknowledged_is_there_after_it(self) -> None:
        for _ in range(10):
            self.client.send(produce_request("t", batch_of(b"v")), 9)
        self.stopped_after(self.stop())
        answered = len(self.codes(self.client))
        self.assertEqual(answered, 10)
        self.broker.crash(power=True)
        self.broker.start()
        self.assertEqual(self.broker.fetch("t").high_watermark, 10)

    def test_stopping_twice(self) -> None:
        first, second = self.stop(), self.stop()
        self.stopped_after(first)
        self.stopped_after(second)

    def test_a_client_that_does_not_close(self) -> None:
        self.client.wire.is_stuck = True
        self.client.send(ApiVersionsRequest(), 0)
        took = self.stopped_after(self.stop())
        self.assertLess(took, DRAIN_S + 0.5)
        self.assertTrue(self.client.wire.aborted)
