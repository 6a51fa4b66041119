"""A connection: answers in order, room for what comes, and an end that comes after what was asked before."""

from __future__ import annotations

import struct
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from streamline.api.call import Hold, Later, Parked
from streamline.errors import ErrorCode, ProtocolError
from streamline.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from streamline.wire.messages.metadata import MetadataRequest
from tests.broker import Broker, Client, batch_of, fetch_request, produce_request

PING = ApiVersionsRequest()
GARBAGE = struct.pack(">i", -1)


class ConnectionCase(SynchronousTestCase):
    """A node with a topic, and a client."""

    limits: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker().start()
        self.factory = self.broker.node.factory
        self.factory.limits = evolve(self.factory.limits, **self.limits)
        self.factory.accounts._limits = self.factory.limits
        self.broker.create("t")
        self.client = self.broker.connect()

    def numbers(self, client: Client | None = None) -> list[int]:
        """Return the correlation ids of the answers that came."""
        return [number for number, _ in (client or self.client).answers()]

    def answer_with(self, *answers: Any) -> None:
        """Let the next ApiVersions requests be answered like this; a function is called, an exception raised."""
        given = list(answers)

        def handler(call: Any, request: Any) -> Any:
            answer = given.pop(0) if given else ApiVersionsResponse()
            if isinstance(answer, Exception):
                raise answer
            return answer() if callable(answer) else answer

        for version in range(5):
            self.factory.routes.find(18, version).handler = handler

    def ping(self, client: Client | None = None) -> int:
        """Send the shortest request; return its number."""
        return (client or self.client).send(PING, 0)


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
            return Later(lambda: made.append(f"{name} finished"))  # type: ignore[arg-type, func-returns-value]

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
        for failing in (KeyError("ours"), lambda: fail(KeyError("ours")), lambda: Later(self.fails)):
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
        for number in range(1000):
            self.broker.connect(f"10.0.1.{number % 200}").give(GARBAGE)
            if number % 400 == 399:
                self.broker.wait(1)
        self.assertEqual(self.factory.ended, 1000)
        self.assertLess(self.factory._complaints, 1000)


class AccountTests(ConnectionCase):
    """Connections say what they hold, and let it go."""

    limits = {"inbound_bytes_max": 10_000, "waiting_bytes_max": 20_000, "outbound_bytes_max": 10_000}

    def totals(self) -> tuple[int, int, int]:
        """Return the sums."""
        accounts = self.factory.accounts
        return accounts.inbound_bytes, accounts.waiting_bytes, accounts.outbound_bytes

    def large(self, client: Client) -> bytes:
        """Return a produce of 8 KB."""
        return client.frame(produce_request("t", batch_of(bytes(8000)), acks=1), 9)

    def test_parts_of_requests(self) -> None:
        frame = self.large(self.client)
        self.client.give(frame[:5000])
        self.assertEqual(self.totals(), (4996, 0, 0))
        self.client.give(frame[5000:])
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_connections_that_end(self) -> None:
        self.client.give(self.large(self.client)[:5000])
        self.client.hang_up()
        self.broker.wait()
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_a_flood_is_taken_one_after_another(self) -> None:
        """All have begun; there is room for one at a time; each is served in the end, by itself."""
        clients = [self.broker.connect() for _ in range(5)]
        frames = [self.large(client) for client in clients]
        for client, frame in zip(clients, frames, strict=True):
            client.give(frame[:4000])
        self.assertEqual([client.is_read for client in clients], [True, True, False, False, False])
        clients[1].connection.look_again()
        self.assertFalse(clients[1].is_read)
        for client, frame in zip(clients, frames, strict=True):
            self.assertTrue(client.is_read)
            client.give(frame[4000:])
            self.broker.wait()
            self.assertEqual(self.numbers(client), [1])
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_whole_requests_are_served_in_a_flood(self) -> None:
        for _ in range(3):
            client = self.broker.connect()
            client.give(self.large(client)[:4500])
        self.assertTrue(self.factory.accounts.is_flooded)
        self.ping()
        self.assertEqual(self.numbers(), [1])

    def test_crowded(self) -> None:
        """A connection may have one request waiting, and none in addition, while too many wait."""
        for _ in range(6):
            client = self.broker.connect()
            self.broker.fetch_later("t", client=client, max_wait_ms=60_000)
        self.assertTrue(self.factory.accounts.is_crowded)
        self.broker.fetch_later("t", client=self.client, max_wait_ms=500)
        frames = self.client.frame(PING, 0)
        self.client.connection.dataReceived(frames)
        self.assertEqual((self.client.connection.finished, self.client.is_read), (1, False))
        self.broker.wait(0.6)
        self.assertEqual(self.numbers(), [1, 2])

    def test_a_large_fetch_does_not_wait_in_a_crowd(self) -> None:
        self.broker.create("wide", 150)
        for _ in range(6):
            self.broker.fetch_later("t", client=self.broker.connect(), max_wait_ms=60_000)
        request = fetch_request("wide", min_bytes=1, max_wait_ms=60_000)
        request.topics[0].partitions = [
            evolve(request.topics[0].partitions[0], partition=index) for index in range(150)
        ]
        self.client.send(request, 12)
        self.assertEqual(self.numbers(), [1])

    def test_choked(self) -> None:
        """Answers that nobody takes leave no room for others; fetches wait instead of coming back empty-handed."""
        self.broker.produce("t", batch_of(bytes(8000)))
        slow = [self.broker.connect() for _ in range(3)]
        for client in slow:
            client.wire.is_stuck = True
            client.connection._sender.blocked()
            client.send(fetch_request("t"), 12)
        self.assertGreater(self.factory.accounts.outbound_bytes, 10_000)
        self.assertEqual(self.factory.accounts.room_bytes, 0)
        self.broker.fetch_later("t", client=self.client, max_wait_ms=500)
        self.assertEqual(self.numbers(), [])
        for client in slow:
            client.hang_up()
        self.broker.wait(0.6)
        ((_, answer),) = self.client.answers()
        self.assertGreater(len(answer.responses[0].partitions[0].records), 8000)

    def test_waiting_requests_let_their_records_go(self) -> None:
        """What a produce with acks=all holds while it waits does not depend on how large it was."""
        self.factory.routes.find(0, 9)
        for size in (10, 100_000):
            self.assertEqual(self.factory.routes.find(0, 9).waiting_bytes(size), 4096)
        self.assertGreater(self.factory.routes.find(1, 12).waiting_bytes(100_000), 500_000)


class LettingInTests(SynchronousTestCase):
    """SE13: connections beyond the limits are closed at once, and leave no trace."""

    def test_per_address_and_rate(self) -> None:
        broker = Broker(broker={"max_connections_per_ip": 3, "max_connection_creation_rate": 5}).start()
        clients = [broker.connect() for _ in range(4)]
        self.assertEqual([client.is_let_in for client in clients], [True, True, True, False])
        more = [broker.connect(f"10.0.1.{number}") for number in range(3)]
        self.assertEqual([client.is_let_in for client in more], [True, True, False])
        broker.wait(1)
        self.assertTrue(broker.connect("10.0.2.1").is_let_in)
        self.assertEqual((broker.node.factory.turned_away, len(broker.node.factory.connections)), (2, 6))

    def test_in_all(self) -> None:
        broker = Broker(broker={"max_connections": 2}).start()
        clients = [broker.connect() for _ in range(3)]
        self.assertEqual([client.is_let_in for client in clients], [True, True, False])
        clients[0].hang_up()
        broker.wait()
        self.assertTrue(broker.connect().is_let_in)


class BeforeServingTests(SynchronousTestCase):
    """A node that does not serve yet answers ApiVersions, and closes on anything else."""

    def test_forming(self) -> None:
        broker = Broker().start()
        broker.node.factory.is_serving = False
        client = broker.connect()
        client.send(PING, 0)
        self.assertEqual(client.answers()[0][1].error_code, ErrorCode.NONE)
        client.send(MetadataRequest(topics=None), 1)
        self.assertEqual((client.answers(), client.is_closed), ([], True))
