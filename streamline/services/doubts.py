"""
Which nodes may be gone although the metadata still say that they lead.

# Note [Between a crash and what follows from it]

When a process dies, its clients' connections break in the same moment as those of the other nodes, and the clients ask
right away who leads now.  The controller is about to decide that.  A client that is told of the old leader once more
takes that for the answer: librdkafka asks again after a second.  So before a leader is named, it is asked whether it is
there: what answers was alive after the client asked, whatever this node has heard of it by then.  Where the connection
to it breaks, the client waits until the metadata say that it is fenced, or it is there again; for a moment only, as a
connection that broke says nothing about a process.  A leader that just does not answer is named.

Where connecting again was refused, it is known that the process is gone (Note [A crash is not a silence] in
L{streamline.services.peers}).  Until its session would have ended anyway, what it leads is said to have no leader, and
clients soon ask again; and it goes on to be listed among the brokers, although it is fenced.  Where the same answer
names the new leader and no longer lists the old one, librdkafka (2.16) loses the new one over putting the old one away,
and looks for it a second later.  Who is fenced because it was silent is listed no more: to put it away ends what its
clients still wait for.  Nor is who stopped in peace: librdkafka goes on to try whoever is listed, less and less often,
and would not notice for seconds that it is back, while others are stopped in their turn.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.image import MetadataImage
from streamline.interfaces import IClock
from streamline.raft import ReplicaKey
from streamline.services.deadlines import Deadlines
from streamline.services.metadata import Metadata
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers
from streamline.services.sharing import Shared
from streamline.services.turns import next_turn
from streamline.values import define

log = Logger()

ANSWER_S: Final = 0.1
"""How long a leader has to say that it is there."""
HOLD_S: Final = 0.5
"""How long after a connection broke clients wait at most."""


@define
class _Doubt:
    """
    What is known of a node whose connection broke.

    @ivar epoch: its broker epoch then.
    @ivar is_gone: whether connecting to it was refused since.
    """

    epoch: int
    since_s: float
    is_gone: bool = False


class Doubts:
    """
    Doubts that nodes are there, for as long as nobody has decided it.

    @param node_id: of this node, which is there.
    @param peers: the others; None where this node takes none.
    @param session_s: how long a node that is not heard of goes on to lead.
    """

    def __init__(
        self,
        clock: IClock,
        deadlines: Deadlines,
        node_id: int,
        metadata: Metadata,
        peers: Peers | None,
        session_s: float,
    ) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._node_id = node_id
        self._metadata = metadata
        self._peers = peers
        self._session_s = session_s
        self._doubts: dict[int, _Doubt] = {}
        self._changed: Shared[None] = Shared()
        self._asked: dict[int, None] = {}
        self._to_ask: dict[int, Shared[None]] = {}
        if peers is not None:
            peers.listen(self)
            metadata.listen(self._image_changed)

    @property
    def fresh(self) -> Collection[int]:
        """Those whose connections have just broken, and about whom nothing is decided yet."""
        if not self._doubts:
            return ()
        brokers = self._metadata.image.brokers
        return [node for node in self._younger_than(HOLD_S) if not brokers[node].fenced]

    @property
    def gone(self) -> Collection[int]:
        """Those whose processes are gone, fenced or not, for as long as their sessions would have lasted."""
        if not self._doubts:
            return ()
        return [node for node in self._younger_than(self._session_s) if self._doubts[node].is_gone]

    def _younger_than(self, age_s: float) -> list[int]:
        now_s = self._clock.seconds()
        return [node for node, doubt in self._doubts.items() if now_s - doubt.since_s < age_s]

    # For whoever is about to name leaders

    def when_sure(self, nodes: Collection[int]) -> Deferred[None] | None:
        """
        Return what fires once nodes can be named as leaders, or are none any more; at once when that is cancelled.

        None where they can be named now.  See Note [Between a crash and what follows from it].
        """
        others = [node for node in nodes if self._peers is not None and node != self._node_id]
        if not others:
            return None
        sure: Deferred[None] = Deferred(_fire)
        checks = gatherResults([Deferred.fromCoroutine(self._check(node)) for node in others])
        checks.addErrback(_failed).addCallback(lambda _: _fire(sure))
        return sure

    async def _check(self, node: int) -> None:
        broker = self._metadata.image.brokers.get(node)
        if broker is None or broker.fenced:
            return
        if node not in self.fresh:
            try:
                await self._answer_of(ReplicaKey(node, broker.directory_id))
            except NoAnswer:
                await next_turn(self._clock)  # whoever hears first that a connection has ended, all have heard of it
        while node in self.fresh:
            await self._changed.wait()

    def _answer_of(self, key: ReplicaKey) -> Deferred[None]:
        """Ask a node whether it is there; what is asked meanwhile is asked together, once that is answered."""
        answer = self._to_ask.setdefault(key.node_id, Shared()).wait()
        if key.node_id not in self._asked:
            self._ask(key)
        return answer

    def _ask(self, key: ReplicaKey) -> None:
        assert self._peers is not None, "nobody asks else"
        self._asked[key.node_id] = None
        waiting = self._to_ask.pop(key.node_id)
        self._peers.ping(key, ANSWER_S).addBoth(self._answered, key, waiting)

    def _answered(self, answer: Any, key: ReplicaKey, waiting: Shared[None]) -> None:
        del self._asked[key.node_id]
        if key.node_id in self._to_ask:
            self._ask(key)
        waiting.tell(answer if isinstance(answer, Failure) else None)

    # What connections say

    def peer_up(self, key: ReplicaKey) -> None:
        """It is there again, and leads or does not, as the metadata say."""
        self._doubts.pop(key.node_id, None)
        self._tell()

    def peer_down(self, key: ReplicaKey) -> None:
        """Begin to doubt, unless it was to be expected: who stops in peace leads nothing by then."""
        broker = self._metadata.image.brokers.get(key.node_id)
        if broker is not None and broker.is_active and broker.directory_id == key.directory_id:
            self._doubts[key.node_id] = _Doubt(broker.epoch, self._clock.seconds())
            self._deadlines.after(HOLD_S, self._tell)

    def peer_gone(self, key: ReplicaKey) -> None:
        """Be sure."""
        if key.node_id in self._doubts:
            self._doubts[key.node_id].is_gone = True

    def _image_changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if not self._doubts or old.brokers is new.brokers:
            return
        for node, doubt in list(self._doubts.items()):
            broker = new.brokers.get(node)
            if broker is None or broker.epoch != doubt.epoch:
                del self._doubts[node]
        self._tell()

    def _tell(self) -> None:
        """Let everybody look again who waits."""
        self._changed.tell(None)


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _failed(failure: Failure) -> None:
    log.failure("leaders cannot be asked whether they are there", failure)
