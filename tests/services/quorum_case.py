"""A quorum as a node sees it that does not lead it, and the way to the one that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import alsoProvides

from streamline.interfaces import IClock, IQuorum
from streamline.raft import Configuration, Replica, ReplicaKey
from streamline.services.forwarding import Forwarding
from streamline.services.peer_call import NoAnswer
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse


def key_of(node_id: int) -> ReplicaKey:
    """Return a node with its directory."""
    return ReplicaKey(node_id, bytes([node_id]) * 16)


class Watched:
    """
    As much of a quorum as those need who only want to know who leads.

    @ivar barriers: who waits to have applied what is committed; None where everything always is.
    """

    term = 1
    applied_index = 0

    def __init__(self, leader_id: int | None, *members: int) -> None:
        alsoProvides(self, IQuorum)
        self.leader_id = leader_id
        self.configuration = Configuration(tuple(Replica(key_of(node), f"h{node}:1") for node in members or (1, 2, 3)))
        self.barriers: list[Deferred[None]] | None = None
        self._listeners: list[Callable[[int | None, int], None]] = []

    def listen(self, listener: Callable[[int | None, int], None]) -> None:
        """Tell it of leaders."""
        self._listeners.append(listener)

    def lead(self, leader_id: int | None) -> None:
        """Have another leader, or none."""
        self.leader_id, self.term = leader_id, self.term + 1
        for listener in self._listeners:
            listener(leader_id, self.term)

    def read_barrier(self) -> Deferred[None]:
        """Fire at once, or when the test says so."""
        if self.barriers is None:
            return succeed(None)
        self.barriers.append(Deferred())
        return self.barriers[-1]


Door = Callable[[EnvelopeRequest], "EnvelopeResponse | Deferred[EnvelopeResponse]"]


class Courier:
    """
    Takes envelopes to other nodes.

    @ivar doors: what takes them there, by node; to others there is no connection.
    @ivar sent: to whom each went.
    """

    def __init__(self) -> None:
        self.doors: dict[int, Door] = {}
        self.sent: list[int] = []

    def ask(
        self, key: ReplicaKey, request: EnvelopeRequest, response: type[EnvelopeResponse], timeout_s: float
    ) -> Deferred[EnvelopeResponse]:
        """Take it there."""
        assert response is EnvelopeResponse
        assert timeout_s > 0
        door = self.doors.get(key.node_id)
        if door is None:
            return fail(NoAnswer("there is no connection"))
        self.sent.append(key.node_id)
        answer = door(request)
        return answer if isinstance(answer, Deferred) else succeed(answer)


def forwarding_of(clock: IClock, quorum: Watched, node_id: int, courier: Courier) -> Forwarding:
    """Return what a node passes on with."""
    return Forwarding(clock, cast(Any, quorum), node_id, cast(Any, courier))
