"""
What one classic group knows, and the small steps that every rule is made of.

Decides nothing by itself.  The rules are in C{joining}, C{rebalancing},
C{syncing} and C{storing}; C{classic} is the face that the outside sees.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import evolve

from streamline.config import BrokerConfig
from streamline.errors import ErrorCode
from streamline.groups.entries import GroupEntry, GroupMetadata
from streamline.groups.members import Member, Roster
from streamline.groups.messages import (
    NO_MEMBER_ID,
    Answer,
    AnswerBody,
    CancelTimer,
    Decision,
    JoinAnswer,
    SetTimer,
    Store,
    SyncAnswer,
    Timer,
    TimerKind,
    Token,
)
from streamline.groups.states import TRANSITIONS, Cause, GroupState
from streamline.values import frozen


@frozen
class AssignmentStore:
    """The leader's assignment is on its way to the log."""

    generation_id: int
    assignments: dict[str, bytes]


@frozen
class ReplacementStore:
    """
    A static member's new id is on its way to the log.

    @ivar token: its JoinGroup, which waits for that.
    @ivar before: the member as it was under its old id.
    @ivar leader_before: who led until then.
    """

    generation_id: int
    token: Token
    member_id: str
    before: Member
    leader_before: str
    supports_skipping_assignment: bool


PendingStore: TypeAlias = AssignmentStore | ReplacementStore | None
"""What waits for an entry; C{None} where nothing does."""


class Group:
    """
    One group's state, and what has been decided since the last L{take_decisions}.

    @ivar now_ms: the date of the input being worked on, for what is recorded; nothing is timed by it.
    @ivar generation_id: grows by one each time that the members of a generation are settled.
    @ivar state_timestamp_ms: when the state last changed.
    @ivar first_wait_left_ms: while an empty group waits for its first members, by how much that wait may still
        be extended; else C{None} (KIP-134).
    @ivar newcomers: whether somebody joined since that wait was last extended.
    @ivar timers: those that are set, and for how long.
    @ivar stores: entries not yet known to be in the log, and what waits for each.
    """

    def __init__(self, group_id: str, config: BrokerConfig, now_ms: int) -> None:
        self.group_id = group_id
        self.config = config
        self.now_ms = now_ms
        self.state = GroupState.EMPTY
        self.state_timestamp_ms = now_ms
        self.generation_id = 0
        self.protocol_type = ""
        self.protocol: str | None = None
        self.roster = Roster()
        self.first_wait_left_ms: int | None = None
        self.newcomers = False
        self.timers: dict[Timer, int] = {}
        self.stores: dict[Store, PendingStore] = {}
        self._decisions: list[Decision] = []

    def take_decisions(self) -> list[Decision]:
        """Return what was decided since the last call, in order."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def move(self, cause: Cause) -> None:
        """Change state along an edge of the table."""
        self.state = TRANSITIONS[self.state, cause]
        self.state_timestamp_ms = self.now_ms

    # Timers.

    def arm(self, timer: Timer, delay_ms: int) -> None:
        """Set a timer, or start it anew."""
        self.timers[timer] = delay_ms
        self._decisions.append(SetTimer(timer, delay_ms))

    def disarm(self, timer: Timer) -> None:
        """Cancel a timer if it is set."""
        if self.timers.pop(timer, None) is not None:
            self._decisions.append(CancelTimer(timer))

    def disarm_all(self) -> None:
        """Cancel every timer."""
        for timer in list(self.timers):
            self.disarm(timer)

    def has_expired(self, timer: Timer) -> bool:
        """Take note that a timer went off; say whether it was set, as one that was cancelled is not."""
        return self.timers.pop(timer, None) is not None

    @property
    def join_timer(self) -> Timer:
        """The timer that ends the wait for members to join."""
        return Timer(TimerKind.JOIN, self.group_id)

    @property
    def sync_timer(self) -> Timer:
        """The timer that ends the wait for members to sync."""
        return Timer(TimerKind.SYNC, self.group_id)

    def session_timer(self, member_id: str) -> Timer:
        """Return the timer that ends a member's, or a pending member's, session."""
        return Timer(TimerKind.SESSION, self.group_id, member_id)

    def renew_session(self, member: Member) -> None:
        """Count a member's session from now."""
        self.arm(self.session_timer(member.member_id), member.session_timeout_ms)

    # Answers.

    def answer(self, token: Token, body: AnswerBody) -> None:
        """Answer a request that is not parked."""
        self._decisions.append(Answer(token, body))

    def answer_join(self, member: Member, body: JoinAnswer) -> None:
        """Answer a member's parked JoinGroup, if there is one."""
        token = self.roster.park_join(member, None)
        if token is not None:
            self.answer(token, body)

    def answer_sync(self, member: Member, body: SyncAnswer) -> bool:
        """Answer a member's parked SyncGroup, if there is one; say whether there was."""
        token, member.syncing = member.syncing, None
        if token is None:
            return False
        self.answer(token, body)
        return True

    def park_join(self, member: Member, token: Token) -> None:
        """
        Let a JoinGroup wait.

        One that waited already lost its client: it is told to try again, as
        every request is answered, even where nobody listens any more.
        """
        before = self.roster.park_join(member, token)
        if before is not None:
            error = ErrorCode.REBALANCE_IN_PROGRESS
            self.answer(before, JoinAnswer(error=error, member_id=member.member_id))

    def park_sync(self, member: Member, token: Token) -> None:
        """Let a SyncGroup wait, taking the place of one that waited."""
        self.answer_sync(member, SyncAnswer(error=ErrorCode.REBALANCE_IN_PROGRESS))
        member.syncing = token

    def joined(self, member: Member) -> JoinAnswer:
        """Return what a member is told about the current generation."""
        return self.joined_as(member.member_id, with_members=self.roster.leader_id == member.member_id)

    def joined_as(self, member_id: str, *, with_members: bool) -> JoinAnswer:
        """Return the current generation in the words of a JoinGroup answer."""
        members = self.roster.members.values() if with_members else ()
        return JoinAnswer(
            member_id=member_id,
            generation_id=self.generation_id,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader_id=self.roster.leader_id,
            members=tuple(member.as_joined(self.protocol) for member in members),
        )

    def synced(self, member: Member) -> SyncAnswer:
        """Return a member's assignment in the words of a SyncGroup answer."""
        return SyncAnswer(protocol_type=self.protocol_type, protocol=self.protocol, assignment=member.assignment)

    # Members.

    def why_not_current(self, member_id: str, instance_id: str | None, generation_id: int) -> ErrorCode:
        """Return what to tell somebody who claims to be this member of this generation; NONE if it is."""
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        error = self.roster.why_not_member(member_id, instance_id)
        if error is ErrorCode.NONE and generation_id != self.generation_id:
            return ErrorCode.ILLEGAL_GENERATION
        return error

    def dismiss(self, member: Member, error: ErrorCode = ErrorCode.UNKNOWN_MEMBER_ID) -> None:
        """Remove a member; requests of its own that wait are answered with the error."""
        self.answer_join(member, JoinAnswer(error=error, member_id=NO_MEMBER_ID))
        self.answer_sync(member, SyncAnswer(error=error))
        self.roster.remove(member)
        self.disarm(self.session_timer(member.member_id))

    def forget_pending(self, member_id: str) -> None:
        """Take back a member id that was given out and not used."""
        self.roster.pending.pop(member_id, None)
        self.disarm(self.session_timer(member_id))

    # The log.

    def store(self, pending: PendingStore, assignments: dict[str, bytes]) -> None:
        """Have the group recorded, with these assignments, and remember what waits for it."""
        store = Store(GroupEntry(self.group_id, self.metadata(assignments)))
        self.stores[store] = pending
        self._decisions.append(store)

    def metadata(self, assignments: dict[str, bytes]) -> GroupMetadata:
        """Return the group as the log keeps it, with these assignments."""
        return GroupMetadata(
            generation_id=self.generation_id,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader_id=self.roster.leader_id or None,
            state_timestamp_ms=self.state_timestamp_ms,
            members=tuple(
                member.stored(self.protocol, assignments.get(member.member_id, b""))
                for member in self.roster.members.values()
            ),
        )

    def assignments(self) -> dict[str, bytes]:
        """Return the current assignment of each member."""
        return {key: member.assignment for key, member in self.roster.members.items()}

    def snapshot_of(self, member: Member) -> Member:
        """Return a copy of a member without its parked requests, to go back to."""
        return evolve(member, joining=None, syncing=None)
