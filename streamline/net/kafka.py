"""
Makes connections for clients, and keeps what they share: routes, limits, and the account of what they hold.

It is given providers of interfaces through L{BrokerServices}, never concrete
storage or consensus.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from streamline.api.call import BrokerServices
from streamline.net.accounts import Accounts
from streamline.net.connection import KafkaConnection
from streamline.net.limits import Limits, Turnstile
from streamline.net.routes import Routes
from streamline.services.deadlines import Deadlines
from streamline.services.sharing import Shared

log = Logger()

TURN_BYTES = 8 << 20
"""What all together may bring in one turn of the reactor of requests that have begun."""
FIRST_BYTES = 16 << 20
"""What all together may begin with."""

COMPLAINTS_PER_LOOK = 10
"""Closed connections that are logged one by one between two looks of the watchman; more are only counted."""


class KafkaFactory(Factory):
    """
    Makes connections for clients.

    @ivar connections: those that are open, in the order in which they came.
    @ivar turned_away: how many were not let in; C{ended} how many were closed because of what they did.
    @ivar is_serving: whether anything but ApiVersions is answered.
    """

    noisy = False

    def __init__(self, broker: BrokerServices, limits: Limits) -> None:
        self.broker = broker
        self.limits = limits
        self.accounts = Accounts(limits)
        self.routes = Routes(limits.elements_max)
        self.connections: dict[KafkaConnection, None] = {}
        self.turned_away = 0
        self.ended = 0
        self.is_serving = False
        self.leaves = broker.host.whim("connection-closed")
        self._turnstile = Turnstile(limits, broker.host.clock)
        self._complaints = 0
        self._relief: IDelayedCall | None = None
        self._empty: Shared[None] = Shared()

    def finish(self, deadlines: Deadlines, timeout_s: float) -> Deferred[None]:
        """End every connection once it has been answered, or when the time is up; fires when all have gone."""
        for connection in list(self.connections):
            connection.finish()
        if not self.connections:
            return succeed(None)
        deadline = deadlines.after(timeout_s, self._time_is_up)
        return self._empty.wait().addBoth(lambda _: deadline.cancel())

    def _time_is_up(self) -> None:
        for connection in list(self.connections):
            connection.drop("the node stops")

    def buildProtocol(self, addr: IAddress | None) -> KafkaConnection | None:  # type: ignore[override]
        """Let a client in, or close its connection at once where a limit is reached."""
        address = getattr(addr, "host", "")
        refusal = self._turnstile.enter(address)
        if refusal is not None:
            self.turned_away += 1
            self._complain("a connection from {address} was turned away: {why}", address, refusal)
            return None
        return KafkaConnection(self, address)

    def served(self) -> Iterator[tuple[str, int, int]]:
        """Yield (API, version, requests so far)."""
        return self.routes.served()

    def receive_bytes(self, missing_bytes: int) -> int:
        """
        Return how much a connection may receive at once.

        All are read in one turn of the reactor, and what they send takes memory before anybody can say that it is
        too much: where there are many of them, each gets less at a time.

        @param missing_bytes: what is still to come of the frame that it is sending.
        """
        if missing_bytes:
            return TURN_BYTES // (self.accounts.holders + 1)
        return FIRST_BYTES // (len(self.connections) + 1)

    # What connections say

    def opened(self, connection: KafkaConnection) -> None:
        """Take a connection into account."""
        self.connections[connection] = None

    def closed(self, connection: KafkaConnection) -> None:
        """Take it out again."""
        if self.connections.pop(connection, self) is None:
            self._turnstile.leave(connection.address)
            self.relieved()
            if not self.connections:
                self._empty.tell(None)

    def refused(self, connection: KafkaConnection, why: str) -> None:
        """Say why a connection is being ended."""
        self.ended += 1
        self._complain("closing the connection of {address}: {why}", connection.address, why)

    def relieved(self) -> None:
        """Hear that there may be room for connections that are not read; they look in a turn of their own."""
        if self._relief is None and self.accounts.inbound_bytes:
            self._relief = self.broker.host.clock.callLater(0, self._relieve)

    def _relieve(self) -> None:
        self._relief = None
        for connection in self.accounts.held_up():
            connection.look_again()

    def _complain(self, message: str, address: str, why: str) -> None:
        self._complaints += 1
        if self._complaints <= COMPLAINTS_PER_LOOK:
            log.info(message, address=address, why=why)

    def looked(self) -> None:
        """Hear that the watchman has been round."""
        unsaid = self._complaints - COMPLAINTS_PER_LOOK
        if unsaid > 0:
            log.info("{unsaid} more connections were closed or turned away", unsaid=unsaid)
        self._complaints = 0
