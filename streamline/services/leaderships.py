"""
Partitions that this node leads, as their replicator sees them: alone, or with followers.

What is committed and which ISR to ask for is decided in L{streamline.replication.leading}; here that is told to whoever
waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from zope.interface import implementer

from streamline.cluster.altering import IsrChange, Member
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import ILeadership, IReplica
from streamline.model import Broker, LogIdentity, PartitionState
from streamline.replication.followers import NEVER, FollowerFetch
from streamline.replication.isr_changes import IsrAsk
from streamline.replication.leading import LedPartition
from streamline.replication.truncation import LogRange


class Surroundings(Protocol):
    """What a leadership needs of its replicator."""

    node_id: int
    lag_max_s: float

    @property
    def brokers(self) -> Mapping[int, Broker]:
        """All nodes, by the metadata that were applied last."""

    def now_s(self) -> float:
        """Return the time."""

    def consider(self, leadership: SharedLeadership) -> None:
        """See soon whether this one wants another ISR."""


@implementer(ILeadership)
class SoleLeadership:
    """A partition whose only replica is this node: what counts here is committed."""

    min_isr = 1

    def __init__(self, replica: IReplica, state: PartitionState, advanced: Callable[[int], None]) -> None:
        log = replica.log
        self._log = log
        self._advanced: Callable[[int], None] | None = advanced
        self.isr = state.isr
        # What recovery kept is on disk, and nobody else can have more of it.
        self.high_watermark = log.high_watermark = log.flushed_offset

    def latest_offset(self) -> int:
        """Everything is known here."""
        return self.high_watermark

    def appended(self, end_offset: int) -> None:
        """Commit up to here."""
        if self._advanced is not None and end_offset > self.high_watermark:
            self.high_watermark = self._log.high_watermark = end_offset
            self._advanced(end_offset)

    def fetched(self, follower: FollowerFetch) -> tuple[int, int] | None:
        """Nobody else has a replica."""
        raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"node {follower.node_id} has no replica of this")

    def low_watermark(self) -> int:
        """Where our own log begins."""
        return self._log.start_offset

    def lags(self) -> Mapping[int, int]:
        """There is nobody to lag."""
        return {}

    def changed(self, state: PartitionState, min_isr: int) -> None:
        """Follow the metadata."""
        self.isr = state.isr

    def close(self) -> None:
        """Report nothing any more."""
        self._advanced = None


@implementer(ILeadership)
class SharedLeadership:
    """
    A partition with followers.

    @ivar identity: which one.
    """

    def __init__(
        self,
        around: Surroundings,
        replica: IReplica,
        state: PartitionState,
        min_isr: int,
        advanced: Callable[[int], None],
    ) -> None:
        log = replica.log
        self.identity: LogIdentity = log.identity
        self._around = around
        self._replica = replica
        self._advanced: Callable[[int], None] | None = advanced
        self._led = led = LedPartition(
            around.node_id,
            state,
            min_isr,
            around.brokers,
            end_offset=replica.counted_offset,
            high_watermark=log.high_watermark,
            lag_max_s=around.lag_max_s,
            now_s=around.now_s(),
        )
        # What is here and does not count yet is of earlier leaders as well.
        led.epoch_start_offset = log.end_offset
        self.high_watermark = log.high_watermark = led.high_watermark
        self.isr, self.min_isr = led.isr, led.min_isr
        around.consider(self)

    @property
    def followers_out_of_sync(self) -> int:
        """How many replicas are not in the ISR."""
        return len(self._led.followers) + 1 - len(self.isr)

    def latest_offset(self) -> int:
        """Return what may be told as the end of the log."""
        return self._led.latest_offset

    def appended(self, end_offset: int) -> None:
        """Hear that our own copy counts up to here."""
        if self._advanced is not None:
            self._led.appended(end_offset, self._around.now_s())
            self._tell()

    def fetched(self, follower: FollowerFetch) -> tuple[int, int] | None:
        """Hear that a follower fetches."""
        log = self._replica.log
        readable = LogRange(log.start_offset, log.flushed_offset)
        divergence = self._led.fetched(follower, self._replica.epochs, readable, self._around.now_s())
        if divergence is not None:
            return divergence.epoch, divergence.end_offset
        self._tell()
        if follower.node_id not in self.isr:
            self._around.consider(self)
        return None

    def low_watermark(self) -> int:
        """Where the log begins of whoever keeps most."""
        return self._led.low_watermark(self._replica.log.start_offset)

    def lags(self) -> Mapping[int, int]:
        """Who has not fetched yet lacks everything."""
        start_offset, end_offset = self._replica.log.start_offset, self._led.end_offset
        return {
            node: max(0, end_offset - max(start_offset, follower.end_offset))
            for node, follower in self._led.followers.items()
        }

    def changed(self, state: PartitionState, min_isr: int) -> None:
        """Follow the metadata."""
        led = self._led
        led.metadata_changed(state, min_isr, self._around.brokers, self._around.now_s())
        self.isr, self.min_isr = led.isr, led.min_isr
        self._tell()
        self._around.consider(self)

    def close(self) -> None:
        """Report nothing any more."""
        self._advanced = None

    def _tell(self) -> None:
        """Tell of a new high watermark."""
        high_watermark = self._led.high_watermark
        if high_watermark > self.high_watermark and self._advanced is not None:
            self.high_watermark = self._replica.log.high_watermark = high_watermark
            self._advanced(high_watermark)

    # What to ask the controller for

    @property
    def retry_s(self) -> float:
        """Until when asking rests, after an answer that settled nothing."""
        return NEVER if self._advanced is None else self._led.retry_s

    def next_ask(self) -> IsrAsk | None:
        """Return what to ask for now, if anything; L{answered} or L{unanswered} must follow."""
        if self._advanced is None:
            return None
        ask = self._led.next_ask(self._around.now_s())
        self._tell()
        return ask

    def answered(self, ask: IsrAsk, code: ErrorCode, partition_epoch: int) -> None:
        """Take the controller's answer."""
        self._led.answered(ask, code, partition_epoch, self._around.now_s())
        self._tell()

    def unanswered(self, ask: IsrAsk) -> None:
        """Hear that there will be none."""
        self._led.unanswered(ask, self._around.now_s())

    def change_of(self, ask: IsrAsk) -> IsrChange:
        """Return what is asked for as the controller is told."""
        return IsrChange(
            topic_id=self.identity.topic_id,
            index=self.identity.partition,
            leader_epoch=ask.leader_epoch,
            partition_epoch=ask.partition_epoch,
            isr=[Member(member.node_id, member.broker_epoch) for member in ask.isr],
        )
