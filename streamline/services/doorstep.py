"""
Listens before there is anybody to answer.

A port that is taken should be known while the terminal that started us is still
there to be told: before a daemon forks, before privileges are shed, before
anything is recovered.  Connections that come meanwhile wait in the kernel.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, ILoggingContext, IProtocol, IProtocolFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.interfaces import INetwork
from streamline.services.binding import cannot_listen


@implementer(IProtocolFactory, ILoggingContext)
class _Vestibule:
    """Stands in for a factory that is still to come."""

    def __init__(self) -> None:
        self.factory: IProtocolFactory | None = None

    def logPrefix(self) -> str:
        """Return what Twisted logs the port's comings and goings under."""
        return "Listener"

    def doStart(self) -> None:
        """Pass it on; the one to come is started when it comes."""
        if self.factory is not None:
            self.factory.doStart()

    def doStop(self) -> None:
        """Pass it on."""
        if self.factory is not None:
            self.factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Pass it on; a connection before its time is closed."""
        if self.factory is None:
            return None
        return self.factory.buildProtocol(addr)  # type: ignore[arg-type]


@implementer(INetwork)
class Doorstep:
    """A network on which some endpoints have been taken before they are asked for."""

    def __init__(self, network: INetwork) -> None:
        self._network = network
        self._held: dict[str, list[tuple[_Vestibule, Any]]] = {}
        self.sockets_max = network.sockets_max

    def hold(self, endpoint: str, option: str) -> None:
        """
        Listen on an endpoint, accepting nobody yet.

        An endpoint that cannot say at once whether it listens is left for later.

        @param option: how the endpoint is chosen on the command line, for the message.
        @raise streamline.errors.StartRefused: it is taken, or not ours to take.
        """
        vestibule = _Vestibule()
        failures: list[Failure] = []

        def held(port: Any) -> None:
            self._held.setdefault(endpoint, []).append((vestibule, port))
            if hasattr(port, "stopReading"):
                port.stopReading()

        self._network.listen(endpoint, vestibule).addCallbacks(held, failures.append)
        if failures:
            failures[0].trap(CannotListenError, OSError)
            raise cannot_listen(endpoint, failures[0].value, option)

    def listen(self, endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen; where the endpoint is held, those who wait there are let in."""
        held = self._held.get(endpoint)
        if not held:
            return self._network.listen(endpoint, factory)
        vestibule, port = held.pop(0)
        factory.doStart()
        vestibule.factory = factory
        if hasattr(port, "startReading"):
            port.startReading()
        return succeed(port)

    def connect(self, host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Connect."""
        return self._network.connect(host, port, factory, timeout_s)
