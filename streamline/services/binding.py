"""Binds listeners, and says in one sentence why one cannot be bound."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from streamline.errors import StartRefused
from streamline.interfaces import INetwork
from streamline.model import Endpoint


def bind(network: INetwork, endpoint: str, factory: IProtocolFactory, option: str) -> Deferred[IListeningPort]:
    """
    Listen on an endpoint.

    @param option: how the endpoint is chosen on the command line, for the message.
    @raise StartRefused: through the Deferred.
    """
    return Deferred.fromCoroutine(_bind(network, endpoint, factory, option))


async def _bind(network: INetwork, endpoint: str, factory: IProtocolFactory, option: str) -> IListeningPort:
    try:
        return await network.listen(endpoint, factory)
    except (CannotListenError, OSError) as error:
        raise cannot_listen(endpoint, error, option) from None


def cannot_listen(endpoint: str, error: BaseException | None, option: str) -> StartRefused:
    """Say why an endpoint cannot be listened on, and what to do."""
    reason: Any = getattr(error, "socketError", error)
    return StartRefused(
        f"cannot listen on {endpoint}: {getattr(reason, 'strerror', None) or reason}; "
        f"stop what uses it or choose another with {option}"
    )


def address_of(port: IListeningPort) -> Endpoint:
    """Return where a port listens; the number that the system chose where the endpoint said 0."""
    host: Any = port.getHost()
    return Endpoint(getattr(host, "host", ""), getattr(host, "port", 0))
