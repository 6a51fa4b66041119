"""
A replica while it runs: the Raft core decides, this obeys.

It does with each L{Ready} what that says, and in which order: sends messages, has the
rest written, applies what is committed, tells who waits.  All rules about terms, votes and
majorities are in L{streamline.raft}; those about files, in L{streamline.services.raftwriter}.

# Note [What is committed is told later]

The others come to know what is committed by the next message that goes to them anyway, and where commands follow on
each other that is the next one's entry: a message for it alone would be half of all that is sent.  So nobody is told
for a moment, unless somebody has to be told anything at all; whoever asks what may be read is (RF11).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.interfaces import Host, IInbox, IMessenger, fires
from streamline.raft import (
    BadMessage,
    CommitTimes,
    Configuration,
    InvariantBroken,
    Message,
    NotProposed,
    Proposal,
    RaftNode,
    Ready,
    ReplicaKey,
    Snapshot,
)
from streamline.raft.messages import FROM_LEADER
from streamline.services.raftapplying import Applied
from streamline.services.raftowner import Limits, Listener
from streamline.services.raftstore import RaftStore
from streamline.services.raftticks import Ticks
from streamline.services.raftwaiting import Proposals, Reads
from streamline.services.raftwriter import RaftWriter

WAIT_S = 60.0
"""How long anybody waits for the quorum; longer than clients do."""
ROOM_BYTES = 64 * 1024
"""Space that a disk must have beyond a command's own length for it to be proposed."""
STUCK_S = 10.0
"""A leader whose disk has been silent for so long hands over (DK20)."""
HANDOVER_TICKS = 10
"""How long a leader that stops waits for another to take over; to who was not heard for so long it hands nothing."""
TOLD_S = 0.005
"""After what the others are told of what was committed, where nothing else was to be told to them meanwhile."""
TOLD_LATE_S = 0.5
"""The same, where a whim says so."""
APPLIED_S = 0.02
"""How long a follower whose disk is slow waits for it before it applies what is committed."""
KEPT_SHARE = 4
"""Of the entries that make a snapshot worth its while, one in so many is kept beside it."""


@implementer(IInbox)
class RaftReplica:
    """
    One replica, from its start to its end.

    @ivar node: its core.
    @ivar applied: its state machine.
    """

    log = Logger()

    def __init__(
        self,
        host: Host,
        node: RaftNode,
        store: RaftStore,
        applied: Applied,
        messenger: IMessenger | None,
        limits: Limits,
        listener: Listener,
    ) -> None:
        self.node = node
        self.applied = applied
        self._clock = host.clock
        self._saves_early = host.whim("early-snapshot")
        self._tells_late = host.whim("commit-told-late")
        self._applies_late = host.whim("metadata-applied-late")
        self._store = store
        self._messenger = messenger
        self._limits = limits
        self._listener = listener
        ticks_max = max(1, round(WAIT_S / limits.tick_s))
        self._writer = RaftWriter(store, host.clock, self)
        self._proposals = Proposals(ticks_max)
        self._reads = Reads(host.rng, ticks_max, node.read)
        self._running = True
        self._ticks = 0
        self._stopping_tick: int | None = None
        self._pumping: IDelayedCall | None = None
        self._telling: IDelayedCall | None = None
        self._applying: IDelayedCall | None = None
        self._unapplied: deque[Ready] = deque()
        self._is_pumping = False
        self._is_saving = False
        self._is_installing = False
        self._keep_entries = 0
        self._known: Configuration | None = None
        self._led: tuple[int | None, int] = (None, 0)
        if messenger is not None:
            messenger.attach(self)
        self._ticking = Ticks(host.clock, limits.tick_s, self._tick, lambda: self._may_rest)
        self._pump_soon()

    def hand_over(self) -> None:
        """Prepare to stop: let another lead."""
        self.node.resign()
        self._stopping_tick = self._ticks + HANDOVER_TICKS
        self._pump_soon()

    def end(self, refusal: Refused) -> None:
        """Do nothing any more, and say why to whoever waits."""
        if not self._running:
            return
        self._running = False
        self._ticking.stop()
        for call in (self._pumping, self._telling, self._applying):
            if call is not None and call.active():
                call.cancel()
        if self._messenger is not None:
            self._messenger.detach()
        self._writer.stop()
        self._listener.leader_changed(None, self.node.term)
        self._proposals.fail(refusal)
        self._reads.fail(refusal)

    @property
    def commit_times(self) -> CommitTimes:
        """How long it took to agree on what was proposed here."""
        return self._proposals.times

    # What is asked for

    def propose(self, command: bytes) -> Deferred[Any]:
        """
        Have a command agreed on.

        @raise NotProposed: it is not the core's time for it.
        @raise Refused: too much is under way, or there is no room on the disk.
        """
        if len(self._proposals) >= self._limits.proposals_max:
            raise Refused(ErrorCode.THROTTLING_QUOTA_EXCEEDED, f"{len(self._proposals)} changes are under way")
        if not self._store.has_room(len(command) + ROOM_BYTES):
            raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, "there is no space for it on the disk of the metadata")
        return self.proposed(self.node.propose(command))

    def proposed(self, proposal: Proposal) -> Deferred[Any]:
        """Return what fires with what becomes of a proposal that the core has taken."""
        self._pump_soon()
        return self._proposals.add(proposal, self._ticks, self._clock.seconds())

    def read_barrier(self) -> Deferred[None]:
        """Return what fires once all is applied that is committed by now."""
        self._pump_soon()
        return self._reads.add(self._ticks)

    def transfer_leadership(self, target: ReplicaKey) -> None:
        """
        Begin to hand over to somebody.

        @raise NotProposed: that cannot be.
        """
        self.node.transfer_leadership(target)
        self._pump_soon()

    # IInbox

    def received(self, message: Message) -> None:
        """Take a message."""
        if self._running:
            try:
                self.node.step(message)
            except BadMessage as error:
                raise ProtocolError(str(error)) from error
            except InvariantBroken as error:
                self._broken(error)
            if isinstance(message, FROM_LEADER):
                self._ticking.leader_heard()
            self._pump()  # at once: a turn of the reactor more would be a good part of the time that agreeing takes

    def connection_lost(self, key: ReplicaKey) -> None:
        """Hear that something may not have arrived."""
        if self._running:
            self.node.connection_lost(key)
            self._pump_soon()

    def peer_gone(self, key: ReplicaKey) -> None:
        """Hear that a process is no more."""
        if self._running:
            self.node.peer_gone(key)
            self._pump_soon()

    # Time

    @property
    def _may_rest(self) -> bool:
        return self.node.leader is not None and not self.node.is_leader and self._stopping_tick is None

    def _tick(self, ticks: int) -> None:
        self._ticks += ticks
        for _ in range(ticks):
            self.node.tick()
        self._writer.rest()
        self._proposals.expire(self._ticks)
        self._reads.tick(self._ticks)
        if self._writer.busy_s >= STUCK_S and self.node.is_leader:
            self._let_another_lead()
        self._pump()
        if self._stopping_tick is not None and (not self.node.is_leader or self._ticks >= self._stopping_tick):
            self._stopping_tick = None
            self._listener.handed_over()

    def _let_another_lead(self) -> None:
        """Hand over to somebody whose disk works (DK20)."""
        status = self.node.describe()
        me, heard_after = self.node.key, status.tick - HANDOVER_TICKS
        others = [one for one in status.voters if one.key != me and one.heard_tick > heard_after]
        if others:
            try:
                self.node.transfer_leadership(max(others, key=lambda one: one.end_offset).key)
            except NotProposed as reason:
                self.log.debug("the metadata are not handed over: {why}", why=str(reason))

    # Doing what the core wants

    def _pump_soon(self) -> None:
        """What is asked for in one turn of the reactor is written and sent together."""
        if self._pumping is None and not self._is_pumping and self._running:
            self._pumping = self._clock.callLater(0, self._pump_now)

    def _pump_now(self) -> None:
        self._pumping = None
        self._pump()

    def _tell_soon(self) -> None:
        """See Note [What is committed is told later]."""
        after_s = TOLD_LATE_S if fires(self._tells_late) else TOLD_S
        if self._telling is not None and self._telling.active():
            self._telling.reset(after_s)
        elif self._messenger is not None and self._running:
            self._telling = self._clock.callLater(after_s, self._pump, tells=True)

    def _pump(self, *, tells: bool = False) -> None:
        if self._is_pumping:
            return  # whoever pumps goes on until nothing is left
        self._is_pumping = True
        try:
            while self._running and (ready := self.node.ready(tells=tells)) is not None:
                self._carry_out(ready)
                self._look_around()
        except Exception as error:
            self._broken(error)
        finally:
            self._is_pumping = False

    def _carry_out(self, ready: Ready) -> None:
        """
        The order is that of L{Ready}'s docstring, and what somebody waits for comes first.

        What is to be written goes to the others before, as their disks can work while ours does.  Where a leader has
        nothing to write, those who proposed are told first.  Nobody waits for what a follower applies, but for what it
        writes and says; so it applies while its disk works, or when it has said that it is done.
        """
        self._unapplied.append(ready)
        if ready.must_write:
            self._send(ready.messages)
            self._is_installing |= ready.snapshot is not None
            self._writer.write(ready)
            if self.node.is_leader:
                self._apply_all()
            elif self._applying is None:
                self._applying = self._clock.callLater(APPLIED_S, self._apply_now)
        elif self.node.is_leader:
            self._apply_all()
            self._send(ready.messages)
        else:
            self._send(ready.messages)
            if self._applying is None and fires(self._applies_late):
                self._applying = self._clock.callLater(APPLIED_S, self._apply_now)
            else:
                self._apply_all()

    def _apply_now(self) -> None:
        self._applying = None
        try:
            self._apply_all()
        except Exception as error:
            self._broken(error)

    def _apply_all(self) -> None:
        while self._unapplied and self._running:
            self._apply(self._unapplied.popleft())

    def _send(self, messages: Sequence[Message]) -> None:
        if self._messenger is not None and self._running:
            for message in messages:
                self._messenger.send(message)

    def _apply(self, ready: Ready) -> None:
        now_s = self._clock.seconds()
        results = self.applied.apply(ready.committed, self._proposals)
        if ready.committed and self.node.is_leader:
            self._tell_soon()
        for outcome in ready.outcomes:
            self._proposals.settle(outcome, results.get(outcome.proposal), now_s)
        for state in ready.reads:
            self._reads.answer(state)
        self._reads.applied(self.applied.index)
        if self._running and not self._is_saving and not self._is_installing:
            self._save_if_worthwhile()

    def _look_around(self) -> None:
        """Notice who leads, and who takes part."""
        if not self._running:
            return
        self._ticking.look()
        node = self.node
        if self._messenger is not None and node.configuration is not self._known:
            self._known = known = node.configuration
            others = {one.key: one for one in (*known.outgoing, *known.voters, *known.learners) if one.key != node.key}
            self._messenger.know(list(others.values()))
        leader = node.leader
        if node.is_leader and self.applied.term != node.term:
            leader = None  # it may not have applied yet what was committed before its term
        led = None if leader is None else leader.node_id, node.term
        if led != self._led:
            self._led = led
            self._listener.leader_changed(*led)

    def _broken(self, error: Exception) -> None:
        """Whatever it is, it is not known what of it was done: to go on would be a state of our own."""
        if self._running:
            self.log.failure("the metadata cannot go on", failure=Failure(error))
            why = f"the metadata cannot go on behind entry {self.applied.index}: {error}"
            self._fail(Refused(ErrorCode.UNKNOWN_SERVER_ERROR, why))

    def _fail(self, refusal: Refused) -> None:
        """End; what was in flight may yet take effect by the others (RF17)."""
        self.end(Refused(ErrorCode.REQUEST_TIMED_OUT, refusal.message))
        self._listener.replica_failed(refusal)

    # Snapshots

    def _save_if_worthwhile(self) -> None:
        applied, limits = self.applied, self._limits
        is_long = applied.bytes_since >= limits.snapshot_bytes
        is_worthwhile = is_long or applied.entries_since >= limits.snapshot_entries
        if is_worthwhile or (self._saves_early is not None and applied.entries_since and self._saves_early()):
            self._is_saving = True
            # Some are kept for replicas that are a little behind, if they are short.
            self._keep_entries = 0 if is_long else limits.snapshot_entries // KEPT_SHARE
            self._writer.save(self.node.snapshot_at(applied.index, applied.take_snapshot()))

    # What the writer says

    def written(self, readies: Sequence[Ready]) -> None:
        """Hear what is durable."""
        try:
            for ready in readies:
                if ready.snapshot is not None:
                    self._apply_all()  # what was handed out before it
                    self.applied.restore(ready.snapshot)
                    self._is_installing = False
                self.node.advance(ready)
            self._pump()
            self._apply_all()
        except Exception as error:
            self._broken(error)

    def snapshot_saved(self, snapshot: Snapshot) -> int:
        """Hear that a snapshot is durable."""
        self._is_saving = False
        return self.node.snapshot_taken(snapshot, self._keep_entries)

    def snapshot_not_saved(self) -> None:
        """Hear that one is not; the entries hold everything."""
        self._is_saving = False

    def writing_failed(self, failure: Failure) -> None:
        """Hear that nothing can be made durable any more; a sync is never tried again (DK12)."""
        self.log.error("the metadata cannot be written: {why}", why=failure.getErrorMessage())
        why = f"the metadata cannot be written: {failure.getErrorMessage()}"
        self._fail(Refused(ErrorCode.KAFKA_STORAGE_ERROR, why))
