"""
The line to whoever is the controller: where it is by what this node knows, and asking it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IClock, IConsensus, IQuorum
from streamline.raft import ReplicaKey
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers
from streamline.wire.schema import Message

R = TypeVar("R", bound=Message)
T = TypeVar("T")


class ControllerLine:
    """
    Asks the controller, when that is another node.

    @param peers: the connections to other nodes; None where this node takes none.
    """

    def __init__(self, clock: IClock, node_id: int, consensus: IConsensus, peers: Peers | None) -> None:
        self._clock = clock
        self._node_id = node_id
        self._consensus = consensus
        self._peers = peers
        self._asking: dict[Deferred[Any], IDelayedCall | None] = {}
        self._listeners: list[Callable[[], None]] = []
        if IQuorum.providedBy(consensus):
            consensus.listen(self._leader_changed)

    def listen(self, changed: Callable[[], None]) -> None:
        """Call this each time that another node leads, or none does."""
        self._listeners.append(changed)

    @property
    def is_here(self) -> bool:
        """Whether this node itself leads."""
        return self._consensus.leader_id == self._node_id

    @property
    def key(self) -> ReplicaKey | None:
        """The node that leads, where that is another one and known."""
        if self.is_here or not IQuorum.providedBy(self._consensus):
            return None
        voters = self._consensus.configuration.voter_keys
        return next((key for key in voters if key.node_id == self._consensus.leader_id), None)

    def ask(self, request: Message, response: type[R], timeout_s: float) -> Deferred[R]:
        """
        Ask it something.

        @raise Refused: through the Deferred: NOT_CONTROLLER where nobody is known to lead.
        @raise NoAnswer: through the Deferred: none came; at once where another node has come to lead.
        """
        key = self.key
        if key is None or self._peers is None:
            return fail(Refused(ErrorCode.NOT_CONTROLLER, "no controller is known"))
        return self.follow(self._peers.ask(key, request, response, timeout_s), None)

    def follow(self, asking: Deferred[T], timeout_s: float | None) -> Deferred[T]:
        """
        Wait for something that the controller was asked, be it this node; no longer than it is the controller.

        @param timeout_s: None where its time is seen to already.
        @raise NoAnswer: through the Deferred: another node has come to lead, or the time is up; what came of it is not
            known.
        """
        if asking.called:
            return asking
        self._asking[asking] = None if timeout_s is None else self._clock.callLater(timeout_s, asking.cancel)
        return asking.addBoth(self._came, asking)

    def _came(self, answer: T | Failure, asking: Deferred[Any]) -> T | Failure:
        timer = self._asking.pop(asking, None)
        if timer is not None and timer.active():
            timer.cancel()
        if isinstance(answer, Failure) and answer.check(CancelledError):
            return Failure(NoAnswer("it was not waited for any longer"))
        return answer

    def _leader_changed(self, leader_id: int | None, term: int) -> None:
        """Wait no longer for the last controller."""
        for asking in list(self._asking):
            asking.cancel()
        for changed in self._listeners:
            changed()
