"""
Pushing: the controller tells brokers what was agreed on, right after it has applied it.

What is said to whom is decided in L{streamline.cluster.pushing}.  What comes together in one turn of the reactor is
pushed together.  Nobody waits for an answer, and nothing is sent twice: whatever is lost, the log brings.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from streamline.cluster.delta import difference
from streamline.cluster.image import MetadataImage
from streamline.cluster.pushing import Push, Pusher, pushes, unsettles
from streamline.interfaces import Host, fires
from streamline.raft import ReplicaKey
from streamline.services.controllership import Controllership
from streamline.services.metadata import Metadata
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers
from streamline.wire.messages import RESPONSES

ANSWER_S: Final = 2.0
UNDER_WAY_MAX: Final = 16
"""Pushes to one node that are not answered yet; beyond it, the log is as quick."""
HELD_S: Final = 0.1
"""How long what is to be pushed is held, where a whim says so, to go with what comes meanwhile."""


class Pushing:
    """
    Pushes wherever this node is the controller.

    @param peers: the connections to other nodes; None where this node takes none.
    """

    def __init__(
        self, host: Host, node_id: int, metadata: Metadata, controllership: Controllership, peers: Peers | None
    ) -> None:
        self._clock = host.clock
        self._holds = host.whim("push-held")
        self._skips = host.whim("push-left-out")
        self._node_id = node_id
        self._metadata = metadata
        self._controllership = controllership
        self._peers = peers
        self._settled_index = 0
        self._base: MetadataImage | None = None
        """What brokers have been told of, where something has come since."""
        self._waiting: IDelayedCall | None = None
        self._under_way: dict[ReplicaKey, int] = {}
        if peers is not None:
            metadata.listen(self._changed)
            controllership.add_duty(self)

    # Duty

    def took_over(self) -> None:
        """Push what is agreed on from now on; what was before, the log brings."""

    def resigned(self) -> None:
        """Push nothing any more."""
        self._base = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    # Doing it

    def _changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if unsettles(old, new):
            self._settled_index = new.index
        if self._controllership.is_active and self._base is None:
            self._base = old
            self._waiting = self._clock.callLater(0, self._push)

    def _push(self) -> None:
        self._waiting = None
        if fires(self._holds):
            self._waiting = self._clock.callLater(HELD_S, self._push)
            return
        base, self._base = self._base, None
        assert base is not None, "who resigns forgets what it was about to push"
        epoch = self._controllership.epoch
        pusher = Pusher(node_id=self._node_id, epoch=epoch, settled_index=self._settled_index)
        for node, push in pushes(difference(base, self._metadata.image), pusher):
            self._send(ReplicaKey(node, self._metadata.image.brokers[node].directory_id), push)

    def _send(self, key: ReplicaKey, push: Push) -> None:
        under_way = self._under_way.get(key, 0)
        if under_way >= UNDER_WAY_MAX or fires(self._skips):
            return
        assert self._peers is not None, "who has no peers pushes nothing"
        self._under_way[key] = under_way + 1
        answer = self._peers.ask(key, push, RESPONSES[push.KEY], ANSWER_S)
        answer.addBoth(self._answered, key)

    def _answered(self, answer: object, key: ReplicaKey) -> None:
        """Whatever it is: the log says the same."""
        under_way = self._under_way.pop(key) - 1
        if under_way:
            self._under_way[key] = under_way
        if isinstance(answer, Failure):
            answer.trap(NoAnswer)
