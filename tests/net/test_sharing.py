"""Connections with much to do share the reactor, and one with little to do hardly notices them."""

from __future__ import annotations

from typing import Any

from streamline.services.turns import TURN_S
from streamline.wire.messages.api_versions import ApiVersionsResponse
from tests.broker import Client
from tests.net.connection_case import PING, ConnectionCase

STEP_S = TURN_S / 10


class SharingTests(ConnectionCase):
    """Each request takes a tenth of a turn."""

    def setUp(self) -> None:
        """Note whose requests are served, and let time pass with each."""
        super().setUp()
        self.served: list[str] = []
        self.now_s = 0.0

        def handler(call: Any, request: Any) -> ApiVersionsResponse:
            self.served.append(call.caller.address)
            self.now_s += STEP_S
            return ApiVersionsResponse()

        self.factory.routes.find(18, 0).handler = handler
        self.quiet = self.connect("10.0.0.1")

    def connect(self, address: str) -> Client:
        """Connect a client whose connection knows what time it is."""
        client = self.broker.connect(address)
        client.connection._seconds = lambda: self.now_s
        return client

    def busy(self, *addresses: str) -> list[Client]:
        """Let clients send a hundred requests each at once."""
        clients = [self.connect(address) for address in addresses]
        for client in clients:
            client.give(b"".join(client.frame(PING, 0) for _ in range(100)))
        return clients

    def test_one_has_a_turn_and_no_more(self) -> None:
        (client,) = self.busy("10.0.0.2")
        self.assertAlmostEqual(len(self.served), TURN_S / STEP_S, delta=1)
        self.assertFalse(client.is_read, "what it sent must be worked off first")
        self.broker.wait()
        self.assertEqual(self.numbers(client), list(range(1, 101)))
        self.assertTrue(client.is_read)

    def test_many_passes_in_one_turn(self) -> None:
        """Under TLS, what a socket brought in one turn of the reactor comes in pieces; they share that turn."""
        client = self.connect("10.0.0.2")
        for _ in range(100):
            client.connection.dataReceived(client.frame(PING, 0))
        self.assertAlmostEqual(len(self.served), TURN_S / STEP_S, delta=1)
        self.assertFalse(client.is_read)
        self.broker.wait()
        self.assertEqual(self.numbers(client), list(range(1, 101)))

    def test_a_turn_that_passed_is_not_held_against_the_next(self) -> None:
        """Whoever has little to do is served at once, however much was done in turns before."""
        client = self.connect("10.0.0.2")
        for number in range(1, 101):
            client.give(client.frame(PING, 0))
            self.assertEqual(len(self.served), number)
            self.broker.wait()

    def test_a_quiet_one_comes_next(self) -> None:
        """However many have much to do, it comes before what is left of them, and is not asked to wait in line."""
        self.busy(*(f"10.0.1.{number}" for number in range(20)))
        before = len(self.served)
        self.quiet.send(PING, 0)
        self.broker.wait()
        at = self.served.index("10.0.0.1")
        self.assertLess(at - before, 20 + TURN_S / STEP_S, "at most a share for each that came at the same time")
        self.assertEqual(len(self.served), 20 * 100 + 1)

    def test_they_get_on_together(self) -> None:
        """None is done long before another."""
        addresses = [f"10.0.1.{number}" for number in range(5)]
        self.busy(*addresses)
        self.broker.wait()
        ends = [max(at for at, served in enumerate(self.served) if served == address) for address in addresses]
        self.assertLess(max(ends) - min(ends), 100)
