"""
What a leader has asked the controller for, and what may have become of it (KIP-497).

# Note [Maximal ISR]

From the moment in which a leader asks for a replica to be in sync, the controller
may have agreed, and may elect that replica.  So the leader counts it from then on
(KR12), and goes on counting it until it is known that this will never come true:

 - the metadata show a later state of the partition, which says who is in sync;
 - the controller refused, and no other request of which we know no answer can
   still be on its way to some controller;
 - the metadata show another process under that node's id.  A replica is taken
   back only as the process that had caught up (KR18), so nobody will take it.

While a request without an answer may be under way and nothing else is wanted, the
leader asks for the ISR as it is.  The controller agrees by moving the partition's
epoch on, and what was asked of the state before is void from there on (KR13).

Answers decide nothing themselves: what was agreed on is taken from the metadata,
in their order, together with the settings that were agreed on before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamline.errors import ErrorCode
from streamline.model import Broker, PartitionState
from streamline.values import frozen

BACK_OFF_S = 0.05
BACK_OFF_MAX_S = 1.0

NOT_DONE = (ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED)
"""The controller knows the state that we know, and has not done what we asked for."""
OVERTAKEN = (
    ErrorCode.INVALID_UPDATE_VERSION,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.NEW_LEADER_ELECTED,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.UNKNOWN_TOPIC_ID,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
)
"""The partition is not as we know it any more; the metadata are about to say how it is."""


@frozen
class IsrMember:
    """A replica and the broker epoch under which it has what makes it in sync (KIP-903)."""

    node_id: int
    broker_epoch: int


@frozen(kw_only=True)
class IsrAsk:
    """
    One request for one partition.

    @ivar number: tells it from others of the same leader; answers are matched by it.
    @ivar partition_epoch: of the state that it is to replace.
    """

    number: int
    leader_epoch: int
    partition_epoch: int
    isr: tuple[IsrMember, ...]


class IsrChanges:
    """
    The requests of one leader for one partition: at most one whose answer may still come (KR13).

    @ivar retry_s: until then nothing is asked for, after an answer that settled nothing.
    """

    def __init__(self, state: PartitionState) -> None:
        self._state = state
        self._number = 0
        self._asked: IsrAsk | None = None
        self._joining: dict[int, int] = {}
        """Who may have joined since the state that we know, and under which broker epoch.  See Note [Maximal ISR]."""
        self._is_overtaken = False
        self._back_off_s = BACK_OFF_S
        self.retry_s = float("-inf")
        self._is_doubtful = False
        """Whether the outcome of some request is unknown, and will be until the metadata show a later state."""

    @property
    def is_unsettled(self) -> bool:
        """Whether somebody is counted who may never join, so that the controller has to say something definite."""
        return self._is_doubtful and bool(self._joining)

    def counts(self, node_id: int) -> bool:
        """Say whether a replica that is not in the ISR may be in it by now."""
        return node_id in self._joining

    def may_ask(self, now_s: float) -> bool:
        """Say whether to ask for anything now."""
        return self._asked is None and not self._is_overtaken and now_s >= self.retry_s

    def ask(self, members: Iterable[IsrMember]) -> IsrAsk:
        """Ask for an ISR; L{answered} or L{unanswered} must follow."""
        self._number += 1
        asked = IsrAsk(
            number=self._number,
            leader_epoch=self._state.leader_epoch,
            partition_epoch=self._state.partition_epoch,
            isr=tuple(members),
        )
        for member in asked.isr:
            if member.node_id not in self._state.isr:
                self._joining[member.node_id] = member.broker_epoch
        self._asked = asked
        return asked

    def answered(self, ask: IsrAsk, code: ErrorCode, partition_epoch: int, now_s: float) -> None:
        """
        Take the controller's answer.

        @param partition_epoch: that of the answer, where it is no error.
        """
        if self._asked is not ask:
            return
        self._asked = None
        if code in OVERTAKEN or (code is ErrorCode.NONE and partition_epoch > ask.partition_epoch):
            self._is_overtaken = True
            return
        if code not in NOT_DONE and code is not ErrorCode.NONE:
            self._is_doubtful = True
        if not self._is_doubtful:
            self._joining.clear()
        self._wait(now_s)

    def unanswered(self, ask: IsrAsk, now_s: float) -> None:
        """Hear that no answer will come; what was asked for may have happened, or may yet."""
        if self._asked is ask:
            self._asked = None
            self._is_doubtful = True
            self._wait(now_s)

    def metadata_changed(self, state: PartitionState, brokers: Mapping[int, Broker]) -> None:
        """Follow the metadata: a later state of the partition settles everything, another process its node."""
        if state.partition_epoch > self._state.partition_epoch:
            self._asked = None
            self._joining.clear()
            self._is_overtaken = self._is_doubtful = False
            self._back_off_s = BACK_OFF_S
        self.retry_s = float("-inf")
        self._state = state
        for node_id, epoch in list(self._joining.items()):
            broker = brokers.get(node_id)
            if broker is None or broker.epoch > epoch:
                del self._joining[node_id]

    def _wait(self, now_s: float) -> None:
        self.retry_s = now_s + self._back_off_s
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_MAX_S)
