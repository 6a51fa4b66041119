"""
One partition as its leader sees it: who has what, what is committed, and which ISR to ask for.

This is what moves the high watermark.  It is told what happens (an append that
counts, a follower's fetch, new metadata, an answer of the controller, time that
passes) and says what is committed and what to ask the controller for; it asks
nobody and waits for nothing.  It lives as long as one leader epoch: with another
epoch everything that was known of followers is void (KR14).

# Note [What is committed]

A record is committed once every member of the maximal ISR has it (see Note
[Maximal ISR]), as long as the ISR that is agreed on has at least
min.insync.replicas members (KR19); below that the high watermark stands still,
whoever has what.  A replica outside the ISR that keeps up holds it back as well:
under a constant stream of records it could never reach it otherwise.  One that
may not join, being fenced or about to stop, holds nothing back (KR17).

The high watermark is never taken back.  After an election it begins where this
replica had heard it to be, which may be less than what was told to others; until
it has reached the first offset of this epoch, nobody is told of it as the end of
the log (KR9).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH, NO_OFFSET, Broker, PartitionState, quorum_of
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.followers import NEVER, Follower, FollowerFetch
from streamline.replication.isr_changes import IsrAsk, IsrChanges, IsrMember
from streamline.replication.reading import check_leader_epoch
from streamline.replication.truncation import Divergence, LogRange, find_divergence


class LedPartition:
    """
    A partition that this node leads, in one leader epoch.

    @ivar high_watermark: everything below is committed; it never falls.
    @ivar end_offset: everything below counts in our own log: flushed, or synced where the topic asks for that.
    @ivar epoch_start_offset: the first offset of this leader epoch.
    @ivar followers: the other replicas, by node id.
    """

    def __init__(
        self,
        node_id: int,
        state: PartitionState,
        min_isr: int,
        brokers: Mapping[int, Broker],
        *,
        end_offset: int,
        high_watermark: int,
        lag_max_s: float,
        now_s: float,
    ) -> None:
        """
        Begin to lead.

        @param min_isr: min.insync.replicas as agreed on; with fewer replicas, all of them are enough.
        @param brokers: those of the same metadata as C{state}.
        @param high_watermark: what this replica knows to be committed.
        @param lag_max_s: replica.lag.time.max.ms.
        """
        self._node_id = node_id
        self._lag_max_s = lag_max_s
        self._state = state
        self._min_isr = min_isr
        self._brokers = brokers
        self._changes = IsrChanges(state)
        self.end_offset = end_offset
        self.epoch_start_offset = end_offset
        self.high_watermark = min(high_watermark, end_offset)
        self.followers: dict[int, Follower] = {}
        self._follow_replicas(now_s)
        self._advance(now_s)

    # What is the case

    @property
    def leader_epoch(self) -> int:
        """The epoch that this is about."""
        return self._state.leader_epoch

    @property
    def isr(self) -> tuple[int, ...]:
        """The ISR that is agreed on, as far as we have heard."""
        return self._state.isr

    @property
    def maximal_isr(self) -> tuple[int, ...]:
        """Everybody who may be in the ISR by now.  See Note [Maximal ISR]."""
        joining = (node for node in self.followers if node not in self._state.isr and self._changes.counts(node))
        return (*self._state.isr, *joining)

    @property
    def min_isr(self) -> int:
        """How many members committing takes."""
        return quorum_of(self._min_isr, self._state.replicas)

    @property
    def has_enough(self) -> bool:
        """Whether the ISR is large enough to commit anything (KR19)."""
        return len(self._state.isr) >= self.min_isr

    @property
    def latest_offset(self) -> int:
        """
        What may be told as the end of the log.

        @raise Refused: OFFSET_NOT_AVAILABLE as long as more may have been committed than we know of (KR9).
        """
        if self.high_watermark < self.epoch_start_offset:
            raise Refused(
                ErrorCode.OFFSET_NOT_AVAILABLE,
                f"leads since offset {self.epoch_start_offset}, and knows of {self.high_watermark} as committed",
            )
        return self.high_watermark

    def low_watermark(self, start_offset: int) -> int:
        """
        Return where the log begins of whoever keeps most of those that live or may lead; L{NO_OFFSET} while one has not
        said so.

        Stricter than Kafka, who is in the ELR counts even where its node is gone: it may be the next leader, and what
        was said to be deleted would be back.

        @param start_offset: where ours begins.
        """
        for node, follower in self.followers.items():
            broker = self._brokers.get(node)
            counts = (broker is not None and broker.is_active) or node in self._state.elr
            if counts and follower.start_offset < start_offset:
                start_offset = follower.start_offset
        return start_offset

    # What happens

    def appended(self, end_offset: int, now_s: float) -> None:
        """Hear that our own log counts up to C{end_offset}; the high watermark may move before this returns."""
        if end_offset > self.end_offset:
            for follower in self.followers.values():
                follower.left_behind(self.end_offset, now_s)
            self.end_offset = end_offset
            self._advance(now_s)

    def fetched(self, fetch: FollowerFetch, epochs: LeaderEpochs, log: LogRange, now_s: float) -> Divergence | None:
        """
        Hear that a follower fetches; the high watermark may move before this returns.

        @param log: what followers may read, which may reach beyond what counts.
        @return: where its log and ours part; then it is given no records, and nothing that it says counts.
        @raise Refused: it may not fetch, or cannot be given what it asks for.
        """
        follower = self._follower_of(fetch)
        divergence = find_divergence(epochs, log, fetch.offset, fetch.last_epoch)
        if divergence is not None:
            return divergence
        follower.fetched(fetch, self.end_offset, now_s)
        self._advance(now_s)
        return None

    def metadata_changed(
        self, state: PartitionState, min_isr: int, brokers: Mapping[int, Broker], now_s: float
    ) -> None:
        """
        Follow the metadata, in their order; the leader epoch must still be ours.

        It is called for every change of the partition, of its settings or of any broker.
        """
        assert state.leader_epoch == self._state.leader_epoch and state.leader == self._node_id
        self._state = state
        self._min_isr = min_isr
        self._brokers = brokers
        self._changes.metadata_changed(state, brokers)
        self._follow_replicas(now_s)
        self._advance(now_s)

    def answered(self, ask: IsrAsk, code: ErrorCode, partition_epoch: int, now_s: float) -> None:
        """Take the controller's answer; what it agreed to comes with the metadata."""
        self._changes.answered(ask, code, partition_epoch, now_s)
        self._advance(now_s)

    def unanswered(self, ask: IsrAsk, now_s: float) -> None:
        """Hear that no answer will come: the outcome is unknown."""
        self._changes.unanswered(ask, now_s)

    def next_ask(self, now_s: float) -> IsrAsk | None:
        """
        Return what to ask the controller for, if anything; L{answered} or L{unanswered} must follow.

        It is called after anything has happened, and now and then where nothing does: replicas become late by silence.
        """
        self._advance(now_s)
        if not self._changes.may_ask(now_s):
            return None
        state = self._state
        if state.is_recovering:
            # Elected uncleanly, it says first that it knows what that means; others join later (KIP-704).
            return self._ask(state.isr)
        isr = state.isr
        for node, follower in self.followers.items():
            if self._is_wanted(node, follower, now_s) != (node in isr):
                return self._ask(self._wanted_isr(now_s))
        return self._ask(isr) if self._changes.is_unsettled else None

    @property
    def retry_s(self) -> float:
        """Until when L{next_ask} has nothing to say, because the controller did not agree, or did not answer."""
        return self._changes.retry_s

    # Details

    def _follow_replicas(self, now_s: float) -> None:
        """
        Know of the replicas that there are.

        Those in sync are taken to have been so until now; of others nothing is known until they fetch (KR14).
        """
        known, self.followers = self.followers, {}
        for node in self._state.replicas:
            if node != self._node_id:
                self.followers[node] = known.get(node) or Follower(node, now_s if node in self._state.isr else NEVER)

    def _follower_of(self, fetch: FollowerFetch) -> Follower:
        """Return who fetches, if it is one of the replicas, in our epoch, and no earlier process than we know of."""
        if fetch.leader_epoch == NO_EPOCH:
            raise Refused(ErrorCode.FENCED_LEADER_EPOCH, f"node {fetch.node_id} does not say whom it follows")
        check_leader_epoch(fetch.leader_epoch, self._state.leader_epoch)
        follower = self.followers.get(fetch.node_id)
        if follower is None:
            raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"node {fetch.node_id} has no replica of this")
        broker = self._brokers.get(fetch.node_id)
        if fetch.broker_epoch < follower.broker_epoch or (broker is not None and fetch.broker_epoch < broker.epoch):
            raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"node {fetch.node_id} has registered again since")
        return follower

    def _advance(self, now_s: float) -> None:
        """Commit what can be.  See Note [What is committed]."""
        if not self.has_enough:
            return
        committed = self.end_offset
        for node, follower in self.followers.items():
            if follower.end_offset < committed and self._holds_back(node, follower, now_s):
                committed = follower.end_offset
        if committed > self.high_watermark:
            self.high_watermark = committed

    def _holds_back(self, node: int, follower: Follower, now_s: float) -> bool:
        if node in self._state.isr or self._changes.counts(node):
            return True
        return (
            follower.end_offset != NO_OFFSET
            and follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)
            and self._is_eligible(follower)
        )

    def _is_eligible(self, follower: Follower) -> bool:
        """Say whether it is there, as the process that fetched (KR16, KR18)."""
        broker = self._brokers.get(follower.node_id)
        return broker is not None and broker.is_active and broker.epoch == follower.broker_epoch

    def _ask(self, isr: Iterable[int]) -> IsrAsk:
        return self._changes.ask(IsrMember(node, self._brokers[node].epoch) for node in isr)

    def _wanted_isr(self, now_s: float) -> Iterator[int]:
        for node in self._state.replicas:
            if node == self._node_id or self._is_wanted(node, self.followers[node], now_s):
                yield node

    def _is_wanted(self, node: int, follower: Follower, now_s: float) -> bool:
        if node in self._state.isr:
            return follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)
        return (
            follower.end_offset >= max(self.high_watermark, self.epoch_start_offset)
            and follower.is_heard(self.end_offset, now_s, self._lag_max_s)
            and self._is_eligible(follower)
        )
