"""A connection: answers in order, room for what comes, and an end that comes after what was asked before."""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.logger import ILogObserver, globalLogPublisher

from streamline.api.call import Hold, Later, LaterBy, Parked
from streamline.errors import ProtocolError
from streamline.net.kafka import FIRST_BYTES, TURN_BYTES
from streamline.wire.messages.api_versions import ApiVersionsResponse
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from tests.broker import batch_of, fetch_request, joined, produce_request
from tests.net.connection_case import GARBAGE, PING, ConnectionCase


class OrderTests(ConnectionCase):
    """Answers leave in the order of the requests, however they come."""

    def test_all_in_one_pass(self) -> None:
        self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(50)))
        self.assertEqual(self.numbers(), list(range(1, 51)))

    def test_one_write_for_a_pass(self) -> None:
        writes: list[Any] = []
        self.client.wire.writeSequence = writes.append  # type: ignore[method-assign]
        self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(50)))
        self.assertEqual(len(writes), 1)

    def test_byte_by_byte(self) -> None:
        for byte in self.client.frame(PING, 0) + self.client.frame(PING, 3):
            self.client.give(bytes([byte]))
        self.assertEqual(self.numbers(), [1, 2])

    def test_a_slow_one_first(self) -> None:
        slow: Deferred[Any] = Deferred()
        self.answer_with(slow)
        self.ping()
        self.ping()
        self.assertEqual(self.numbers(), [])
        slow.callback(ApiVersionsResponse())
        self.assertEqual(self.numbers(), [1, 2])

    def test_what_waits_for_the_pass(self) -> None:
        """L{Later} is made when everything of the pass has been collected."""
        made: list[str] = []

        def later(name: str) -> Later:
            made.append(name)
            return LaterBy(lambda: made.append(f"{name} finished"))

        self.answer_with(lambda: later("a"), lambda: later("b"))
        self.client.give(self.client.frame(PING, 0) * 2)
        self.assertEqual(made, ["a", "b", "a finished", "b finished"])

    def test_what_must_be_worked_off_first(self) -> None:
        """L{Hold}: no other request is looked at, and nothing is read."""
        work: Deferred[Any] = Deferred()
        self.answer_with(Hold(work))
        self.client.give(self.client.frame(PING, 0) + self.client.frame(PING, 0))
        self.assertFalse(self.client.is_read)
        self.assertEqual(self.client.connection.finished, 1)
        work.callback(ApiVersionsResponse())
        self.assertEqual(self.numbers(), [1, 2])
        self.assertTrue(self.client.is_read)

    def test_no_answer(self) -> None:
        self.answer_with(lambda: None)
        self.client.give(self.client.frame(PING, 0) + self.client.frame(PING, 0))
        self.assertEqual(self.numbers(), [2])

    def test_correlation_ids_are_the_clients(self) -> None:
        """SE6: used twice, negative: they come back as they are."""
        for number in (7, 7, -1, 2**31 - 1):
            self.client._next_id = number - 1
            self.client.send(PING, 0)
            self.assertEqual(struct.unpack(">i", next(self.client.frames())[:4]), (number,))


class LargeTests(ConnectionCase):
    """A frame that is put together as it comes is a request like any other."""

    def test_produced_and_read_again(self) -> None:
        self.broker.create("large", max_message_bytes=str(16 << 20))
        value = bytes(range(256)) * (5 << 12)
        for number in (1, 2):
            frame = self.client.frame(produce_request("large", batch_of(value)), 9)
            for at in range(0, len(frame), 1 << 18):
                self.client.give(frame[at : at + (1 << 18)])
            self.broker.wait()
            self.assertEqual(self.numbers(), [number])
            found = joined(self.broker.fetch("large", number - 1, partition_max_bytes=1))
            self.assertIn(value, found)


    def test_what_is_still_to_come_is_said(self) -> None:
        """So that more is received at once."""
        said: list[int] = []
        self.client.connection._sender.expects = lambda *both: said.append(both[0])  # type: ignore[method-assign]
        frame = self.client.frame(produce_request("t", batch_of(bytes(300_000))), 9)
        for begin, end in ((0, 100_000), (100_000, 250_000), (250_000, len(frame))):
            self.client.give(frame[begin:end])
        self.assertEqual(said, [len(frame) - 100_000, len(frame) - 250_000, 0])

    def test_where_there_are_many_each_brings_less_at_once(self) -> None:
        """All are read in one turn, before anybody can say that it is too much (SE2)."""
        others = [self.broker.connect() for _ in range(29)]
        self.assertEqual(self.factory.receive_bytes(0), FIRST_BYTES // (len(self.factory.connections) + 1))
        self.assertEqual(self.factory.receive_bytes(1), TURN_BYTES)
        for one in others[:19]:
            one.give(one.frame(produce_request("t", batch_of(bytes(9_000))), 9)[:5000])
        self.assertEqual(self.factory.receive_bytes(1), TURN_BYTES // 20)
        said: list[int] = []
        self.client.connection._sender.expects = lambda *both: said.extend(both)  # type: ignore[method-assign]
        self.client.give(self.client.frame(PING, 0)[:-1])
        self.assertEqual(said, [1, TURN_BYTES // 20])


class LongTests(ConnectionCase):
    """What is of very many elements is read and written in several turns, and others are served meanwhile (SE11)."""

    def setUp(self) -> None:
        """Ask for very much; let others be served."""
        super().setUp()
        self.names = [f"t{number}" for number in range(5000)]
        topics = [MetadataRequestTopic(name=name) for name in self.names]
        self.request = MetadataRequest(topics=topics, allow_auto_topic_creation=False)
        self.other = self.broker.connect()

    def test_answered_as_ever(self) -> None:
        self.client.give(self.client.frame(self.request, 4) + self.client.frame(PING, 0))
        self.assertEqual(self.numbers(), [], "nothing long is done in one turn")
        self.ping(self.other)
        self.assertEqual(self.numbers(self.other), [1])
        self.broker.wait()
        (number, answer), (then, _) = self.client.answers()
        self.assertEqual((number, then), (1, 2))
        self.assertEqual([topic.name for topic in answer.topics], self.names)

    def test_read_and_written_in_steps(self) -> None:
        """Neither takes more than a little of a turn."""
        steps: list[int] = []
        work_off = self.factory.broker.turns.work_off

        def counted(work: Generator[None, None, Any]) -> Any:
            at = len(steps)
            steps.append(0)

            def counting() -> Generator[None, None, Any]:
                while True:
                    try:
                        next(work)
                    except StopIteration as done:
                        return done.value
                    steps[at] += 1
                    yield

            return work_off(counting())

        self.factory.broker.turns.work_off = counted  # type: ignore[method-assign]
        self.client.send(self.request, 4)
        self.broker.wait()
        self.assertEqual(len(self.client.answers()), 1)
        self.assertEqual(steps, [5, 5, 5], "read, answered, written")

    def test_malformed_in_the_end(self) -> None:
        """The connection ends, alone, and what it asked before is answered."""
        first, long, last = self.client.frame(PING, 0), self.client.frame(self.request, 4), self.client.frame(PING, 0)
        self.client.give(first + long[:-3] + b"\xff\xff\xff" + last)
        self.broker.wait()
        self.assertEqual(self.numbers(), [1])
        self.assertTrue(self.client.is_closed)
        self.assertEqual(self.factory.ended, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_kept_in_the_account_while_it_is_read(self) -> None:
        frame = self.client.frame(self.request, 4)
        self.client.give(frame)
        self.assertGreater(self.factory.accounts.waiting_bytes, len(frame))
        self.broker.wait()
        self.assertEqual(self.factory.accounts.waiting_bytes, 0)

    def test_gone_meanwhile(self) -> None:
        self.client.send(self.request, 4)
        self.client.hang_up()
        self.broker.wait()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.factory.accounts.waiting_bytes, 0)

    def test_before_the_node_serves(self) -> None:
        """It is judged by what was so when it came."""
        self.client.send(self.request, 4)
        self.factory.is_serving = False
        self.other.send(self.request, 4)
        self.broker.wait()
        self.assertEqual(len(self.client.answers()), 1)
        self.assertTrue(self.other.is_closed)


class PaceTests(ConnectionCase):
    """Nothing is read that there is no room for (SE12)."""

    limits = {"pending_max": 5, "unsent_bytes_max": 1000}

    def test_requests_that_wait(self) -> None:
        waiting: list[Deferred[Any]] = [Deferred() for _ in range(8)]
        self.answer_with(*waiting)
        self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(8)))
        self.assertEqual(self.client.connection.finished, 5)
        self.assertFalse(self.client.is_read)
        for number, one in enumerate(waiting, 1):
            one.callback(ApiVersionsResponse())
            self.assertEqual(self.numbers(), [number])
        self.assertEqual(self.client.connection.finished, 8)
        self.assertTrue(self.client.is_read)

    def test_a_client_that_does_not_read(self) -> None:
        self.client.stop_reading()
        self.client.connection.dataReceived(b"".join(self.client.frame(PING, 0) for _ in range(3)))
        self.assertEqual((self.client.connection.finished, self.numbers()), (0, []))
        self.assertFalse(self.client.is_read)
        self.client.read_on()
        self.assertEqual(self.numbers(), [1, 2, 3])
        self.assertTrue(self.client.is_read)

    def test_answers_of_one_pass(self) -> None:
        """They count before they leave: a pass of small requests could ask for any amount."""
        for number in range(20):
            self.broker.create(f"topic-with-a-long-name-{number}")
        sizes: list[int] = []
        self.client.wire.writeSequence = lambda parts: sizes.append(sum(map(len, parts)))  # type: ignore[method-assign]
        one = self.client.frame(MetadataRequest(topics=None), 1)
        self.client.give(one)
        self.client.give(one * 30)
        self.assertEqual(sum(sizes), 31 * sizes[0])
        self.assertLess(max(sizes), 1000 + 2 * sizes[0])

    def test_ten_thousand(self) -> None:
        """All are answered, in order, and no more than so many wait at a time."""
        frames = b"".join(self.client.frame(PING, 0) for _ in range(10_000))
        for at in range(0, len(frames), 65_536):
            self.client.give(frames[at : at + 65_536])
        self.assertEqual(self.numbers(), list(range(1, 10_001)))


class EndTests(ConnectionCase):
    """A connection that misbehaves ends alone, once what it asked before is answered."""

    def ends_with(self, *numbers: int) -> None:
        """Expect these answers, and then the end."""
        self.assertEqual(self.numbers(), list(numbers))
        self.assertTrue(self.client.is_closed)
        self.assertEqual(self.factory.ended, 1)
        self.broker.wait()
        self.assertNotIn(self.client.connection, self.factory.connections)

    def test_answers_before_a_bad_frame(self) -> None:
        self.client.give(self.client.frame(PING, 0) + GARBAGE + self.client.frame(PING, 0))
        self.ends_with(1)

    def test_answers_before_a_bad_body(self) -> None:
        good = self.client.frame(PING, 0)
        cut = self.client.frame(MetadataRequest(topics=None), 12)[4:-4]
        self.client.give(good + struct.pack(">i", len(cut)) + cut + self.client.frame(PING, 0))
        self.ends_with(1)

    def test_more_before_it_than_may_wait_at_once(self) -> None:
        self.factory.limits = evolve(self.factory.limits, pending_max=2)
        waiting: list[Deferred[Any]] = [Deferred() for _ in range(6)]
        self.answer_with(*waiting)
        self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(6)) + GARBAGE)
        for one in waiting:
            one.callback(ApiVersionsResponse())
        self.ends_with(1, 2, 3, 4, 5, 6)

    def test_produces_before_it_are_written_and_answered(self) -> None:
        frame = self.client.frame(produce_request("t", batch_of(b"v")), 9)
        self.client.give(frame + GARBAGE)
        self.ends_with(1)
        self.assertEqual(self.broker.fetch("t").high_watermark, 1)

    def test_what_waits_is_waited_for(self) -> None:
        slow: Deferred[Any] = Deferred()
        self.answer_with(slow)
        self.client.give(self.client.frame(PING, 0) + GARBAGE)
        self.assertFalse(self.client.is_closed)
        self.assertFalse(self.client.is_read)
        slow.callback(ApiVersionsResponse())
        self.ends_with(1)

    def test_parked_fetches_are_hurried(self) -> None:
        self.client.give(self.client.frame(fetch_request("t", min_bytes=1, max_wait_ms=60_000), 12) + GARBAGE)
        self.ends_with(1)

    def test_others_do_not_notice(self) -> None:
        other = self.broker.connect()
        self.client.give(GARBAGE)
        self.ping(other)
        self.assertEqual(self.numbers(other), [1])

    def test_a_request_that_fails(self) -> None:
        """A mistake of ours is logged, and ends the connection rather than to leave it without an answer."""
        for failing in (KeyError("ours"), lambda: fail(KeyError("ours")), lambda: LaterBy(self.fails)):
            self.client = self.broker.connect()
            self.factory.ended = 0
            self.answer_with(ApiVersionsResponse(), failing)
            self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(3)))
            self.ends_with(1)
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def fails(self) -> Any:
        """Fail."""
        raise KeyError("ours")

    def test_an_answer_that_cannot_be_written(self) -> None:
        slow: Deferred[Any] = Deferred()
        self.answer_with(slow)
        self.ping()
        slow.callback(ApiVersionsResponse(error_code=1 << 40))
        self.ends_with()
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_bad_requests_that_a_handler_finds(self) -> None:
        self.answer_with(ApiVersionsResponse(), ProtocolError("no"))
        self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(3)))
        self.ends_with(1)

    def test_client_that_went_away(self) -> None:
        """Everything that waits on its behalf is cancelled."""
        cancelled: list[Any] = []
        self.answer_with(Deferred(cancelled.append), Parked(Deferred(cancelled.append), lambda: None))
        self.client.give(b"".join(self.client.frame(PING, 0) for _ in range(2)))
        self.client.hang_up()
        self.broker.wait()
        self.assertEqual(len(cancelled), 2)
        self.assertEqual(self.factory.accounts.waiting_bytes, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_complaints_are_bounded(self) -> None:
        """SE18: a thousand bad connections are a few lines in the log, and a number."""
        lines: list[Any] = []
        globalLogPublisher.addObserver(cast(ILogObserver, lines.append))
        self.addCleanup(globalLogPublisher.removeObserver, cast(ILogObserver, lines.append))
        for number in range(1000):
            self.broker.connect(f"10.0.1.{number % 200}").give(GARBAGE)
            if number % 400 == 399:
                self.broker.wait(1)
        self.assertEqual(self.factory.ended, 1000)
        self.assertLess(len(lines), 100)
