"""
What nodes may ask each other, as the cluster listener is told; and who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from streamline.api.call import Later
from streamline.raft import ReplicaKey
from streamline.values import frozen
from streamline.wire.header import RequestHeader
from streamline.wire.schema import Message


@frozen
class Guest:
    """
    Who asks.

    @ivar cluster_id: of which cluster it said it is; empty where it has none.
    @ivar address: its host.
    """

    key: ReplicaKey
    cluster_id: str
    address: str


Answer = Callable[[Guest, Any], "Message | Later | Deferred[Any]"]


class Waiting(Protocol):
    """What waits to be answered."""

    def cancel(self) -> None:
        """Hear that nobody waits for it any more."""


Take = Callable[[Guest, Any, int, bytes, int], "Waiting | None"]
"""
Takes a request from its frame, where it is of the most usual kind; its answer goes past the Deferreds.

It is given the connection (L{streamline.api.lone_fetch.Asker}), the request's number, the frame, and where the body
begins; returns what waits or has been answered, or None where the request has to be read.
"""


@frozen(kw_only=True)
class PeerApi:
    """
    One request between nodes.

    @ivar answer: gives the response, or a L{Deferred} of it; or L{Later}, which makes it when the pass over the socket
        is done.
    @ivar for_guests: whether a node that is in no cluster may ask it.
    @ivar take: takes those that need not be read, and are not for guests.
    """

    request: type[Message]
    response: type[Message]
    answer: Answer
    for_guests: bool = False
    take: Take | None = None


class Usual(NamedTuple):
    """
    Requests of one connection whose frames begin as one did that was read, but for their numbers.

    @ivar api: what comes before the number.
    @ivar rest: what comes behind it, up to the body.
    @ivar header: of the one that was read.
    """

    api: bytes
    rest: bytes
    header: RequestHeader
    take: Take
