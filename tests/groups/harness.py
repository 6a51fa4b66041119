"""A service for one shard of groups: carries out what it decides, on a clock that a test moves."""

from __future__ import annotations

from typing import Any

from streamline.config import BrokerConfig
from streamline.errors import ErrorCode
from streamline.groups.entries import Entry
from streamline.groups.messages import (
    Answer,
    CancelTimer,
    Decision,
    DescribedGroup,
    Heartbeat,
    HeartbeatAnswer,
    Join,
    JoinAnswer,
    Leave,
    LeaveAnswer,
    Leaving,
    Protocol,
    SetTimer,
    Store,
    Sync,
    SyncAnswer,
    Timer,
)
from streamline.groups.offsets import Commit, NewOffset
from streamline.groups.shard import GroupShard
from streamline.groups.states import GroupState
from streamline.model import TopicPartition

GROUP = "readers"
RANGE = Protocol("range", b"range-metadata")
STICKY = Protocol("sticky", b"sticky-metadata")


def subscription(*topics: str, version: int = 0, rest: bytes = b"\xff\xff\xff\xff") -> bytes:
    """Return a subscription as a consumer writes it; C{rest} is what its version adds."""
    names = [topic.encode() for topic in topics]
    body = b"".join(len(name).to_bytes(2, "big") + name for name in names)
    return version.to_bytes(2, "big") + len(names).to_bytes(4, "big") + body + rest


class Harness:
    """
    One shard with its timers, its answers and its log.

    @ivar log: the entries that were stored, in order.
    @ivar now_ms: what a clock shows that does not step; it times the timers.
    @ivar step_ms: by how much the date is off.
    @ivar pending: what was to be stored and waits for the test to say how that went.
    """

    def __init__(self, **config: Any) -> None:
        self.config = BrokerConfig(**config)
        self.shard = GroupShard(self.config)
        self.now_ms = 1_000_000
        self.step_ms = 0
        self.timers: dict[Timer, int] = {}
        self.answers: dict[object, Any] = {}
        self.pending: list[Store] = []
        self.log: list[Entry] = []
        self._suffixes = 0

    @property
    def date_ms(self) -> int:
        """The date as the shard is told it."""
        return self.now_ms + self.step_ms

    # What a service does.

    def carry_out(self, decisions: list[Decision] | tuple[Decision, ...]) -> None:
        for decision in decisions:
            if isinstance(decision, Answer):
                assert decision.token not in self.answers, f"answered twice: {decision}"
                self.answers[decision.token] = decision.body
            elif isinstance(decision, SetTimer):
                self.timers[decision.timer] = self.now_ms + decision.delay_ms
            elif isinstance(decision, CancelTimer):
                del self.timers[decision.timer]
            else:
                self.pending.append(decision)

    def store(self) -> None:
        """The log takes everything that waits for it."""
        pending, self.pending = self.pending, []
        for store in pending:
            self.log.append(store.entry)
            self.shard.applied(store.entry)
            self.carry_out(self.shard.stored(store, self.date_ms))

    def fail_store(self, error: ErrorCode) -> None:
        """The log takes nothing of what waits for it."""
        pending, self.pending = self.pending, []
        for store in pending:
            self.shard.not_applied(store.entry)
            self.carry_out(self.shard.store_failed(store, error, self.date_ms))

    def advance(self, elapsed_ms: int) -> None:
        """Let time pass; timers go off at their deadlines, in order."""
        end_ms = self.now_ms + elapsed_ms
        while due := [item for item in self.timers.items() if item[1] <= end_ms]:
            timer, deadline_ms = min(due, key=lambda item: item[1])
            del self.timers[timer]
            self.now_ms = max(self.now_ms, deadline_ms)
            self.carry_out(self.shard.timer_expired(timer, self.date_ms))
        self.now_ms = end_ms

    def reload(self) -> None:
        """Another node takes over: all that is left is the log."""
        self.pending.clear()
        self.carry_out(self.shard.unloaded(self.date_ms))
        assert not self.timers, f"left behind: {self.timers}"
        self.shard = GroupShard(self.config)
        for entry in self.log:
            self.shard.replay(entry)
        self.carry_out(self.shard.loaded(self.date_ms))

    # What clients do.  Each returns the token of the request, to look up its answer.

    def join(self, member_id: str = "", **fields: Any) -> str:
        self._suffixes += 1
        settled: dict[str, Any] = {
            "token": f"join-{self._suffixes}",
            "group_id": GROUP,
            "member_id": member_id,
            "member_id_suffix": str(self._suffixes),
            "client_id": "client",
            "client_host": "/127.0.0.1",
            "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 60_000,
            "protocol_type": "consumer",
            "protocols": (RANGE,),
        } | fields
        request = Join(**settled)
        self.carry_out(self.shard.join_received(request, self.date_ms))
        return str(request.token)

    def sync(self, member_id: str, generation_id: int, assignments: Any = (), **fields: Any) -> str:
        self._suffixes += 1
        token = f"sync-{self._suffixes}"
        settled: dict[str, Any] = {
            "token": token,
            "group_id": GROUP,
            "member_id": member_id,
            "generation_id": generation_id,
            "assignments": dict(assignments),
        } | fields
        request = Sync(**settled)
        self.carry_out(self.shard.sync_received(request, self.date_ms))
        return token

    def heartbeat(self, member_id: str, generation_id: int, **fields: Any) -> ErrorCode:
        token = object()
        settled: dict[str, Any] = {
            "token": token,
            "group_id": GROUP,
            "member_id": member_id,
            "generation_id": generation_id,
        } | fields
        request = Heartbeat(**settled)
        self.carry_out(self.shard.heartbeat_received(request, self.date_ms))
        answer = self.answers.pop(token)
        assert isinstance(answer, HeartbeatAnswer)
        return answer.error

    def leave(self, *members: Leaving | str, group_id: str = GROUP) -> LeaveAnswer:
        token = object()
        leaving = tuple(Leaving(member) if isinstance(member, str) else member for member in members)
        request = Leave(token=token, group_id=group_id, members=leaving)
        self.carry_out(self.shard.leave_received(request, self.date_ms))
        answer = self.answers.pop(token)
        assert isinstance(answer, LeaveAnswer)
        return answer

    def commit(self, offsets: dict[tuple[str, int], int], **fields: Any) -> tuple[ErrorCode, ...]:
        """Commit and have it stored at once."""
        new = tuple(
            NewOffset(partition=TopicPartition(*partition), offset=offset) for partition, offset in offsets.items()
        )
        decided = self.shard.commit_received(Commit(**{"group_id": GROUP, "offsets": new} | fields), self.date_ms)
        self.carry_out(decided.decisions)
        for entry in decided.entries:
            self.log.append(entry)
            self.shard.applied(entry)
        return decided.errors

    # What a test looks at.

    def joined(self, token: str) -> JoinAnswer:
        answer = self.answers[token]
        assert isinstance(answer, JoinAnswer)
        return answer

    def synced(self, token: str) -> SyncAnswer:
        answer = self.answers[token]
        assert isinstance(answer, SyncAnswer)
        return answer

    def group(self, group_id: str = GROUP) -> DescribedGroup:
        described = self.shard.describe(group_id)
        assert described is not None
        return described

    @property
    def state(self) -> GroupState:
        return self.group().state

    @property
    def member_ids(self) -> list[str]:
        return [member.member_id for member in self.group().members]

    # Shortcuts to states that many tests begin in.

    def new_member(self, **fields: Any) -> tuple[str, str]:
        """Get a member id and join with it; return (member id, token)."""
        asked = self.joined(self.join(**fields))
        assert asked.error is ErrorCode.MEMBER_ID_REQUIRED, asked
        return asked.member_id, self.join(asked.member_id, **fields)

    def joined_group(self, count: int = 2, **fields: Any) -> list[str]:
        """Make a group whose members have their first generation; return their ids, the leader's first."""
        members = [self.new_member(**fields) for _ in range(count)]
        self.advance(self.config.group_initial_rebalance_delay_ms * (count + 1))
        assert [self.joined(token).error for _, token in members] == [ErrorCode.NONE] * count
        return [member_id for member_id, _ in members]

    def stable_group(self, count: int = 2, **fields: Any) -> list[str]:
        """Make a group at work; return the members' ids, the leader's first."""
        members = self.joined_group(count, **fields)
        self.sync_all(members)
        assert self.state is GroupState.STABLE
        return members

    def sync_all(self, members: list[str], generation_id: int = 1) -> list[str]:
        """Let the first, who leads, assign to each its own id, and the others ask; return the tokens."""
        plan = {member: f"for {member}".encode() for member in members}
        tokens = [self.sync(members[0], generation_id, plan)]
        tokens += [self.sync(member, generation_id) for member in members[1:]]
        self.store()
        return tokens
