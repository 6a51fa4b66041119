"""
One partition of groups, while this node leads it: its log read, its decisions carried out.

The shard in C{groups} decides; this one waits.  It answers nothing before the
partition's log has been replayed to where it ended when the leadership began,
and it writes nothing once that leadership has ended: a commit is an append
that is fenced by the leader's epoch (KR29).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from streamline.config import BrokerConfig
from streamline.errors import ErrorCode, Refused
from streamline.groups.entries import Entry, GroupEntry
from streamline.groups.messages import (
    Answer,
    CancelTimer,
    Decision,
    Heartbeat,
    HeartbeatAnswer,
    Join,
    JoinAnswer,
    Leave,
    LeaveAnswer,
    SetTimer,
    Store,
    Sync,
    SyncAnswer,
    Timer,
)
from streamline.groups.offsets import Commit
from streamline.groups.records import to_record
from streamline.groups.shard import GroupShard
from streamline.groups.storing import APPEND_ERRORS
from streamline.interfaces import Host, fires
from streamline.model import OFFSETS_TOPIC
from streamline.replication.acks import ACKS_ALL
from streamline.services.deadlines import Deadline, Deadlines
from streamline.services.loading import load_entries
from streamline.services.partition import Partition
from streamline.services.receipts import Receipt, refused
from streamline.services.replicas import Replicas
from streamline.wire.records import Record, build_batch

log = Logger()

B = TypeVar("B")
R = TypeVar("R")

ENTRIES_PER_BATCH = 1000
"""How many entries of the node's own making go into one batch, so that it stays far below the largest allowed."""
LATE_S = 0.05
"""How late an answer may be where a whim says so."""


class Reply(Generic[B]):
    """The place of an answer: there at once, as most are, or later."""

    __slots__ = ("_body", "_waiting")

    def __init__(self) -> None:
        self._body: B | None = None
        self._waiting: Deferred[B] | None = None

    def tell(self, body: B) -> None:
        """The answer is here."""
        self._body = body
        if self._waiting is not None:
            self._waiting.callback(body)

    def then(self, translate: Callable[[B], R]) -> R | Deferred[R]:
        """Return the answer, translated, or a Deferred of it; to be asked once."""
        if self._body is not None:
            return translate(self._body)
        self._waiting = Deferred()
        return self._waiting.addCallback(translate)


class Once:
    """Tells an outcome; of several, the first counts."""

    __slots__ = ("_told",)

    def __init__(self, told: Callable[[ErrorCode], None]) -> None:
        self._told: Callable[[ErrorCode], None] | None = told

    def tell(self, error: ErrorCode) -> None:
        """This is the outcome, unless another one was."""
        told, self._told = self._told, None
        if told is not None:
            told(error)


class LedShard:
    """
    A partition of groups that this node coordinates for one leader epoch.

    @ivar groups: what is decided here; to be asked only while L{check} does not object.
    """

    def __init__(
        self, index: int, leader_epoch: int, host: Host, config: BrokerConfig, replicas: Replicas, deadlines: Deadlines
    ) -> None:
        self.index = index
        self.leader_epoch = leader_epoch
        self.groups = GroupShard(config)
        self._clock = host.clock
        self._answers_late = host.whim("group-answered-late")
        self._config = config
        self._replicas = replicas
        self._deadlines = deadlines
        self._timers: dict[Timer, Deadline] = {}
        self._todo: deque[Decision] = deque()
        self._is_busy = False
        self._partition: Partition | None = None
        self._error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS

    # Life

    @property
    def is_closed(self) -> bool:
        """Whether this leadership has ended."""
        return self._error is ErrorCode.NOT_COORDINATOR

    @property
    def is_loading(self) -> bool:
        """Whether its log is still being read."""
        return self._error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked."""
        return self._error is ErrorCode.NONE

    def check(self) -> None:
        """
        Make sure that the shard can be asked.

        @raise Refused: COORDINATOR_LOAD_IN_PROGRESS, or NOT_COORDINATOR where it cannot be read or is led no more.
        """
        if self._error is not ErrorCode.NONE:
            raise Refused(self._error)

    async def load(self) -> None:
        """Read the log, as far as it went when this was called; then begin."""
        try:
            partition = self._replicas.leading(OFFSETS_TOPIC, self.index)
            count = 0
            async for entry in load_entries(partition, self._clock):
                if self.is_closed:
                    return
                self.groups.replay(entry)
                count += 1
        except Refused as refusal:
            if not self.is_closed:
                self._error = ErrorCode.NOT_COORDINATOR
                log.error(
                    "the groups of {topic}-{index} cannot be loaded: {reason}",
                    topic=OFFSETS_TOPIC,
                    index=self.index,
                    reason=str(refusal),
                )
            return
        if self.is_closed:
            return
        self._partition = partition
        self._error = ErrorCode.NONE
        if count:
            log.info("{topic}-{index}: {count} entries loaded", topic=OFFSETS_TOPIC, index=self.index, count=count)
        self._carry_out(self.groups.loaded(self._clock.wall_ms()))

    def close(self) -> None:
        """The leadership ends: whoever waits is sent to look for the new coordinator."""
        if not self.is_closed:
            self._error = ErrorCode.NOT_COORDINATOR
            self._carry_out(self.groups.unloaded(self._clock.wall_ms()))

    # Requests; each is for a shard that check() has let pass.

    def join(self, request: Join, reply: Reply[JoinAnswer]) -> Reply[JoinAnswer]:
        """Take a JoinGroup."""
        self._carry_out(self.groups.join_received(request, self._clock.wall_ms()))
        return reply

    def sync(self, request: Sync, reply: Reply[SyncAnswer]) -> Reply[SyncAnswer]:
        """Take a SyncGroup."""
        self._carry_out(self.groups.sync_received(request, self._clock.wall_ms()))
        return reply

    def heartbeat(self, request: Heartbeat, reply: Reply[HeartbeatAnswer]) -> Reply[HeartbeatAnswer]:
        """Take a Heartbeat."""
        self._carry_out(self.groups.heartbeat_received(request, self._clock.wall_ms()))
        return reply

    def leave(self, request: Leave, reply: Reply[LeaveAnswer]) -> Reply[LeaveAnswer]:
        """Take a LeaveGroup."""
        self._carry_out(self.groups.leave_received(request, self._clock.wall_ms()))
        return reply

    def commit(self, request: Commit) -> Reply[tuple[ErrorCode, ...]]:
        """Take an OffsetCommit; the reply has an error, or none, for each of its offsets."""
        decided = self.groups.commit_received(request, self._clock.wall_ms())
        self._carry_out(decided.decisions)
        reply: Reply[tuple[ErrorCode, ...]] = Reply()

        def written(error: ErrorCode) -> None:
            reply.tell(tuple(one or error for one in decided.errors))

        if decided.entries:
            self._write(decided.entries, written)
        else:
            reply.tell(decided.errors)
        return reply

    def delete(self, group_id: str) -> Reply[ErrorCode]:
        """Take a DeleteGroups for one group."""
        ended = self.groups.delete_received(group_id, self._clock.wall_ms())
        self._carry_out(ended.decisions)
        reply: Reply[ErrorCode] = Reply()
        if ended.error is ErrorCode.NONE:
            self._write_all(ended.entries, reply.tell)
        else:
            reply.tell(ended.error)
        return reply

    # The node's own doing

    def expire(self) -> None:
        """Forget what nobody has needed for too long."""
        self._write_all(self.groups.expire(self._clock.wall_ms()), self._forgotten)

    def topics_deleted(self, topics: Sequence[str]) -> None:
        """Forget what was committed in topics that are gone."""
        self._write_all(self.groups.topics_deleted(topics), self._forgotten)

    # Carrying out

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        """
        Do what was decided, in the order in which it was.

        An answer may bring the next request, and a write may settle at once;
        what is decided then comes after what was decided before.
        """
        self._todo.extend(decisions)
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._todo:
                self._do(self._todo.popleft())
        finally:
            self._is_busy = False

    def _do(self, decision: Decision) -> None:
        if isinstance(decision, Answer):
            assert isinstance(decision.token, Reply)
            if fires(self._answers_late):
                self._deadlines.after(LATE_S, partial(decision.token.tell, decision.body))
            else:
                decision.token.tell(decision.body)
        elif isinstance(decision, SetTimer):
            self._set(decision.timer, decision.delay_ms)
        elif isinstance(decision, CancelTimer):
            self._timers.pop(decision.timer).cancel()
        else:
            self._write((decision.entry,), partial(self._told, decision))

    def _set(self, timer: Timer, delay_ms: int) -> None:
        before = self._timers.get(timer)
        if before is not None:
            before.cancel()
        self._timers[timer] = self._deadlines.after(delay_ms / 1000, partial(self._expired, timer))

    def _expired(self, timer: Timer) -> None:
        del self._timers[timer]
        self._carry_out(self.groups.timer_expired(timer, self._clock.wall_ms()))

    def _told(self, store: Store, error: ErrorCode) -> None:
        """Hear what became of a group's entry."""
        now_ms = self._clock.wall_ms()
        if error is ErrorCode.NONE:
            _note(store.entry)
            self._carry_out(self.groups.stored(store, now_ms))
        else:
            self._carry_out(self.groups.store_failed(store, error, now_ms))

    # Writing

    def _write_all(self, entries: Sequence[Entry], told: Callable[[ErrorCode], None]) -> None:
        """Append entries of our own making in batches of a bounded size; say the first error, or none, of them all."""
        firsts = range(0, len(entries), ENTRIES_PER_BATCH)
        outcomes: list[ErrorCode] = []

        def one(error: ErrorCode) -> None:
            outcomes.append(error)
            if len(outcomes) == len(firsts):
                told(next(filter(None, outcomes), ErrorCode.NONE))

        for first in firsts:
            self._write(entries[first : first + ENTRIES_PER_BATCH], one)

    def _forgotten(self, error: ErrorCode) -> None:
        if error is not ErrorCode.NONE:
            # They will be found again when expiry is next looked at.
            log.warn("{topic}-{index}: not written: {error}", topic=OFFSETS_TOPIC, index=self.index, error=error.name)

    def _write(self, entries: Sequence[Entry], told: Callable[[ErrorCode], None]) -> None:
        """
        Append entries as one batch; say what became of them within C{offsets.commit.timeout.ms}.

        The shard takes them over when every in-sync replica has them, even if that is after the time was up: what
        is in the log counts.
        """
        receipt = self._append(entries)
        if receipt.refusal is not None:
            self._give_up(entries)
            told(APPEND_ERRORS.get(receipt.refusal.code, receipt.refusal.code))
            return
        assert self._partition is not None
        if self._partition.is_settled(receipt, ACKS_ALL):
            told(self._settle(entries, receipt))
            return
        once = Once(told)
        late = partial(once.tell, ErrorCode.COORDINATOR_NOT_AVAILABLE)
        deadline = self._deadlines.after(self._config.offsets_commit_timeout_ms / 1000, late)

        def settled() -> None:
            deadline.cancel()
            once.tell(self._settle(entries, receipt))

        # Not as a producer waits, who is told early that there are too few replicas: the entries may yet be committed.
        self._partition.when_committed(receipt.next_offset).addCallback(lambda _: settled())

    def _append(self, entries: Sequence[Entry]) -> Receipt:
        """Append entries, unless the partition is led anew or not at all by now."""
        now_ms = self._clock.wall_ms()
        try:
            self._check_leadership()
        except Refused as refusal:
            return refused(refusal)
        records = [Record(value, key, now_ms) for key, value in map(to_record, entries)]
        return self._replicas.append_now(OFFSETS_TOPIC, self.index, build_batch(records), ACKS_ALL)

    def _check_leadership(self) -> None:
        """
        Make sure that what is appended now is appended in the epoch that this shard belongs to.

        @raise Refused: it is not.
        """
        self.check()
        if self._replicas.leading(OFFSETS_TOPIC, self.index).state.leader_epoch != self.leader_epoch:
            raise Refused(ErrorCode.NOT_COORDINATOR)

    def _settle(self, entries: Sequence[Entry], receipt: Receipt) -> ErrorCode:
        """Take over entries that the log has; return what to tell whoever waits for them."""
        assert self._partition is not None
        refusal = self._partition.verdict(receipt, ACKS_ALL)
        if refusal is not None:
            self._give_up(entries)
            return APPEND_ERRORS.get(refusal.code, refusal.code)
        for entry in entries:
            self.groups.applied(entry)
        return ErrorCode.NONE

    def _give_up(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.groups.not_applied(entry)


def _note(entry: GroupEntry) -> None:
    if entry.metadata is not None:
        log.info(
            "group {group}: generation {generation} has {members} members",
            group=entry.group_id,
            generation=entry.metadata.generation_id,
            members=len(entry.metadata.members),
        )
