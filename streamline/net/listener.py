"""
The Kafka listener: bound early, serving late, and closed politely.

It is bound before anything is recovered, so that a taken port is known at once.
Until the node serves, it answers ApiVersions only; any other request closes the
connection, which every client tries again.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from streamline.interfaces import INetwork
from streamline.model import Endpoint
from streamline.net.kafka import KafkaFactory
from streamline.services.binding import address_of, bind
from streamline.services.deadlines import Deadlines

log = Logger()

DRAIN_S = 5.0
"""How long a stopping node waits for its clients to be answered."""


class KafkaListener(Service):
    """
    Listens for clients.

    @ivar address: where, once it is bound; the port that the system chose where the endpoint says 0.
    """

    def __init__(self, network: INetwork, endpoint: str, factory: KafkaFactory, deadlines: Deadlines) -> None:
        self._network = network
        self._endpoint = endpoint
        self._factory = factory
        self._deadlines = deadlines
        self._port: IListeningPort | None = None
        self.address = Endpoint("", 0)

    def startService(self) -> Deferred[None]:
        """Bind."""
        Service.startService(self)
        return bind(self._network, self._endpoint, self._factory, "--listen").addCallback(self._bound)

    def _bound(self, port: IListeningPort) -> None:
        self._port = port
        self.address = address_of(port)
        log.info("listening for clients on {address}", address=str(self.address))

    def stopService(self) -> Deferred[None]:
        """Stop listening and end every connection."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._close())

    async def close_port(self) -> None:
        """Let nobody in any more; fine where that is so already."""
        port, self._port = self._port, None
        if port is not None:
            stopped = port.stopListening()
            if stopped is not None:
                await stopped

    async def _close(self) -> None:
        await self.close_port()
        await self._factory.finish(self._deadlines, 0.0)


class Serving(Service):
    """The last step of a node's start and the first of its stop: requests are served in between."""

    def __init__(self, listener: KafkaListener, factory: KafkaFactory, deadlines: Deadlines) -> None:
        self._listener = listener
        self._factory = factory
        self._deadlines = deadlines

    def startService(self) -> None:
        """Serve."""
        Service.startService(self)
        self._factory.is_serving = True

    def stopService(self) -> Deferred[None]:
        """Take no new connections or requests, send the answers that are pending, and close."""
        Service.stopService(self)
        self._factory.is_serving = False
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        await self._listener.close_port()
        await self._factory.finish(self._deadlines, DRAIN_S)
