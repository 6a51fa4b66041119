"""Binds listeners, and says in one sentence why one cannot be bound."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from streamline.errors import StartRefused
from streamline.interfaces import INetwork
from streamline.model import Endpoint


def bind(network: INetwork, endpoint: str, factory: IProtocolFactory, option: str) -> Deferred[IListeningPort]:
    """
    Listen on an endpoint.

    @param option: how the endpoint is chosen on the command line, for the message.
    @raise StartRefused: through the Deferred.
    """
    return maybeDeferred(network.listen, endpoint, factory).addErrback(_explain, endpoint, option)


def _explain(failure: Failure, endpoint: str, option: str) -> None:
    failure.trap(CannotListenError, OSError)
    reason: Any = getattr(failure.value, "socketError", failure.value)
    raise StartRefused(
        f"cannot listen on {endpoint}: {getattr(reason, 'strerror', None) or reason}; "
        f"stop what uses it, or choose another endpoint with {option}"
    )


def address_of(port: IListeningPort) -> Endpoint:
    """Return where a port listens; the number that the system chose where the endpoint said 0."""
    host: Any = port.getHost()
    return Endpoint(getattr(host, "host", ""), getattr(host, "port", 0))
