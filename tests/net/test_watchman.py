"""Who is ended for waiting, trickling or not taking answers, and who is not."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.net.accounts import Accounts
from streamline.net.watchman import STRETCH, TRICKLE_BYTES_PER_S
from streamline.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tests.broker import Broker, Client, batch_of, fetch_request, produce_request

PING = ApiVersionsRequest()


class WatchmanCase(SynchronousTestCase):
    """A node whose watchman goes round, and a client."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(broker=self.settings).start()
        self.factory = self.broker.node.factory
        self.broker.create("t")
        self.client = self.broker.connect()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.broker.wait(seconds)

    def ended(self, client: Client | None = None) -> bool:
        """Say whether a client's connection was ended at once."""
        return (client or self.client).wire.aborted

    def large(self, size: int = 8_000_000) -> bytes:
        """Return a large request."""
        return self.client.frame(produce_request("t", batch_of(bytes(size)), acks=1), 9)


class IdleTests(WatchmanCase):
    """connections.max.idle.ms."""

    settings = {"connections_max_idle_ms": 10_000}

    def test_silent(self) -> None:
        self.wait(9.5)
        self.assertFalse(self.ended())
        self.wait(2.6)
        self.assertTrue(self.ended())
        self.wait(0.1)
        self.assertEqual(len(self.factory.connections), 0)

    def test_each_request_counts(self) -> None:
        for _ in range(4):
            self.wait(8)
            self.client.send(PING, 0)
        self.assertFalse(self.ended())

    def test_it_is_our_turn(self) -> None:
        """A client that waits for an answer is not silent."""
        slow: Deferred[Any] = Deferred()
        self.factory.routes.find(18, 0).handler = lambda *_: slow
        self.client.send(PING, 0)
        self.wait(60)
        self.assertFalse(self.ended())
        slow.callback(ApiVersionsResponse())
        self.wait(5)
        self.assertFalse(self.ended())
        self.wait(9)
        self.assertTrue(self.ended())


class TrickleTests(WatchmanCase):
    """SE2: a request that does not get whole."""

    def test_a_byte_a_second(self) -> None:
        frame = self.large()
        self.client.give(frame[:10])
        for at in range(10, 40):
            self.wait(1)
            self.assertFalse(self.ended(), at)
            self.client.give(frame[at : at + 1])
        self.wait(3)
        self.assertTrue(self.ended())

    def test_only_a_beginning(self) -> None:
        self.client.give(self.large()[:10])
        self.wait(33)
        self.assertTrue(self.ended())

    def test_slow_but_steady(self) -> None:
        """A large request over a slow line takes its time."""
        frame, step = self.large(), 2 * TRICKLE_BYTES_PER_S
        for at in range(0, 100 * step, step):
            self.client.give(frame[at : at + step])
            self.wait(1)
        self.assertFalse(self.ended())

    def test_each_request_has_its_own_time(self) -> None:
        frame = self.client.frame(PING, 0)
        for _ in range(40):
            self.client.give(frame[-3:] + frame[:-3] if _ else frame[:-3])
            self.wait(2)
        self.assertFalse(self.ended())

    def test_it_is_we_who_do_not_read(self) -> None:
        """A client whose next request came in part, and whom we let wait, cannot go on."""
        self.factory.limits = evolve(self.factory.limits, pending_max=1)
        slow: Deferred[Any] = Deferred()
        self.factory.routes.find(18, 0).handler = lambda *_: slow
        frame = self.client.frame(PING, 0)
        self.client.give(frame + frame[:-1])
        self.assertFalse(self.client.is_read)
        self.wait(90)
        self.assertFalse(self.ended())
        slow.callback(ApiVersionsResponse())
        self.wait(20)
        self.assertFalse(self.ended())

    def test_nobody_is_kept_from_the_others_by_it(self) -> None:
        self.client.give(self.large()[:10])
        other = self.broker.connect()
        other.send(PING, 0)
        self.assertEqual(len(other.answers()), 1)


class FloodTests(WatchmanCase):
    """While memory is short, those that take long go first."""

    def setUp(self) -> None:
        """Let there be little memory."""
        super().setUp()
        limits = evolve(self.factory.limits, inbound_bytes_max=2_000_000, outbound_bytes_max=1_000_000)
        self.factory.limits = limits
        self.factory.accounts = Accounts(limits)

    def test_unfinished_requests(self) -> None:
        frame = self.large()
        slow = [self.broker.connect() for _ in range(20)]
        for client in slow:
            client.give(frame[:200_000])
        self.assertTrue(self.factory.accounts.is_flooded)
        self.wait(4)
        self.assertEqual([self.ended(client) for client in slow], [False] * 20)
        self.wait(3)
        self.assertFalse(self.factory.accounts.is_flooded)
        left = [client for client in slow if not self.ended(client)]
        self.assertGreater(len(left), 0, "no more are ended than needed")
        self.assertLess(len(left), 7)
        self.assertTrue(all(client.is_read for client in left), "and those that are left go on")

    def test_answers_that_nobody_takes(self) -> None:
        self.broker.create("large", max_message_bytes="2000000")
        self.broker.produce("large", batch_of(bytes(700_000)))
        slow = [self.broker.connect() for _ in range(3)]
        for client in slow:
            client.connection._sender.blocked()
            client.wire.is_stuck = True
            client.send(fetch_request("large"), 12)
        self.assertTrue(self.factory.accounts.is_choked)
        self.wait(4)
        self.assertFalse(any(self.ended(client) for client in slow))
        self.wait(4)
        self.assertFalse(self.factory.accounts.is_choked)
        self.assertLess(sum(self.ended(client) for client in slow), 3)


class StalledTests(WatchmanCase):
    """SE12: answers that are not taken."""

    def stall(self) -> None:
        """Let there be an answer that the client does not take."""
        self.client.connection._sender.blocked()
        self.client.wire.is_stuck = True
        self.client.send(PING, 0)
        self.assertGreater(self.client.connection.unsent_bytes, 0)

    def test_not_taken(self) -> None:
        self.stall()
        self.wait(59)
        self.assertFalse(self.ended())
        self.wait(4)
        self.assertTrue(self.ended())

    def test_taken_little_by_little(self) -> None:
        """What counts is that some was taken, not that less is left: there may always be more to take."""
        self.stall()
        sender = self.client.connection._sender
        for _ in range(100):
            sender._queued_bytes += 100
            sender.given_bytes += 101
            self.wait(1)
        self.assertFalse(self.ended())

    def test_a_refused_connection_that_does_not_close(self) -> None:
        """Under TLS, for one, closing takes two."""
        self.client.wire.is_stuck = True
        self.client.give(b"\xff\xff\xff\xff")
        self.assertTrue(self.client.is_closed)
        self.wait(29)
        self.assertFalse(self.ended())
        self.wait(4)
        self.assertTrue(self.ended())


class RoundTests(WatchmanCase):
    """Ten thousand connections are looked at without holding anybody up."""

    settings = {"max_connections": 5000, "max_connections_per_ip": 5000, "max_connection_creation_rate": 5000}

    def test_in_stretches(self) -> None:
        clients = [self.broker.connect() for _ in range(3 * STRETCH)]
        turns: list[int] = []
        looked: dict[Any, None] = {}
        for client in clients:
            connection = client.connection
            connection.look_again = lambda connection=connection: looked.setdefault(connection)  # type: ignore[method-assign, misc]
        simulation = self.broker.simulation
        simulation.run(simulation.now + 1.5, lambda: turns.append(len(looked)) or False)  # type: ignore[func-returns-value]
        steps = [after - before for before, after in zip(turns, turns[1:], strict=False) if after > before]
        self.assertEqual(sum(steps), 3 * STRETCH)
        self.assertLessEqual(max(steps), STRETCH)

    def test_connections_that_go_meanwhile(self) -> None:
        others = len(self.factory.connections)
        clients = [self.broker.connect() for _ in range(2 * STRETCH)]
        self.wait(0.9)
        for client in clients[::2]:
            client.hang_up()
        self.wait(2)
        self.assertEqual(len(self.factory.connections), STRETCH + others)
        self.assertEqual(self.flushLoggedErrors(), [])
