"""Any sequence of requests, time and failures keeps the promises of a group."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamline.errors import ErrorCode
from streamline.groups.group import AssignmentStore, Group, ReplacementStore
from streamline.groups.messages import Answer, JoinAnswer, Leaving, Protocol, SyncAnswer
from streamline.groups.states import GroupState
from tests.groups.harness import GROUP, RANGE, STICKY, Harness

HOUR_MS = 3_600_000
MENUS = [(RANGE,), (STICKY, RANGE), (RANGE, STICKY), (Protocol("range", b"other topics"),)]
TIMEOUTS_MS = [0, 1, 2_999, 3_000, 5_000, 6_000, 10_000, 30_000]
ERRORS = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.REQUEST_TIMED_OUT]

pick = st.integers(0, 11)
"""Which member acts, whatever their number."""

seldom = st.sampled_from([False, False, False, True])
"""Whether a step is taken that, taken often, would let nothing else happen."""


def identity(member_id: str) -> str:
    """Return who a member is: a static one is the same under each of its ids."""
    return member_id.rsplit("-", 1)[0] if member_id.startswith("static") else member_id


class CheckedHarness(Harness):
    """Looks at every answer as it is given."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.leaders: dict[int, str] = {}
        self.legacy: set[str] = set()
        self.asked: dict[str, tuple[str, int]] = {}

    def carry_out(self, decisions: Any) -> None:
        for decision in decisions:
            if isinstance(decision, Answer) and isinstance(decision.body, JoinAnswer):
                self.check_joined(str(decision.token), decision.body)
            if isinstance(decision, Answer) and isinstance(decision.body, SyncAnswer):
                self.check_synced(str(decision.token), decision.body)
        super().carry_out(decisions)

    def check_joined(self, token: str, answer: JoinAnswer) -> None:
        """A generation has one leader, and only the leader is told who is in it."""
        if answer.error is not ErrorCode.NONE:
            assert not answer.members
            return
        leads = answer.leader_id == answer.member_id
        assert bool(answer.members) == leads
        if token not in self.legacy:
            leader = self.leaders.setdefault(answer.generation_id, identity(answer.leader_id))
            assert leader == identity(answer.leader_id), "two leaders of one generation"
        assert answer.protocol in ("range", "sticky")

    def check_synced(self, token: str, answer: SyncAnswer) -> None:
        """An assignment goes to the member and the generation that it was made for."""
        if answer.error is ErrorCode.NONE and answer.assignment:
            member_id, generation_id = self.asked[token]
            assert answer.assignment.decode() == f"{generation_id}/{identity(member_id)}"

    def reload(self) -> None:
        self.leaders.clear()
        super().reload()


class GroupMachine(RuleBasedStateMachine):
    """Clients that do as they like, and a log that fails now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.known: list[str] = []

    @initialize(
        size=st.sampled_from([3, 4, 100]),
        delay_ms=st.sampled_from([0, 3_000]),
        instances=st.sampled_from([[], [None], [None, None], [None, "static-a"], ["static-a", "static-b", None]]),
        settled=st.booleans(),
    )
    def begin(self, size: int, delay_ms: int, instances: list[str | None], settled: bool) -> None:
        self.it = CheckedHarness(group_max_size=size, group_initial_rebalance_delay_ms=delay_ms)
        for instance in instances:
            self.newcomer_joins((STICKY, RANGE), instance, False, 20_000)
        if settled:
            self.members_do_as_told()
            self.it.store()

    # What happens.

    @rule(
        menu=st.sampled_from(MENUS),
        instance=st.sampled_from([None, None, "static-a", "static-b"]),
        modern=st.booleans(),
        rebalance_timeout_ms=st.sampled_from([3_000, 20_000]),
    )
    def newcomer_joins(
        self, menu: tuple[Protocol, ...], instance: str | None, modern: bool, rebalance_timeout_ms: int
    ) -> None:
        self.join(
            "",
            protocols=menu,
            instance_id=instance,
            rebalance_timeout_ms=rebalance_timeout_ms,
            requires_known_member_id=modern,
            supports_skipping_assignment=modern,
        )

    @precondition(lambda self: self.known)
    @rule(which=pick, menu=st.sampled_from(MENUS), named=st.booleans())
    def member_rejoins(self, which: int, menu: tuple[Protocol, ...], named: bool) -> None:
        member_id = self.member(which)
        static = named and member_id.startswith("static")
        self.join(member_id, protocols=menu, instance_id=identity(member_id) if static else None)

    @precondition(lambda self: self.known)
    @rule(which=pick, lag=st.sampled_from([0, 0, 0, 1]))
    def member_syncs(self, which: int, lag: int) -> None:
        if self.group is not None:
            self.sync(self.member(which), self.group.generation_id - lag)

    @precondition(lambda self: self.known)
    @rule(which=pick, lag=st.sampled_from([0, 0, 1]))
    def member_beats(self, which: int, lag: int) -> None:
        generation_id = self.group.generation_id if self.group else 0
        self.it.heartbeat(self.member(which), generation_id - lag)

    @precondition(lambda self: self.known)
    @rule(which=pick, really=seldom)
    def member_leaves(self, which: int, really: bool) -> None:
        if not really:
            return
        member_id = self.member(which)
        self.it.leave(Leaving("", identity(member_id)) if member_id.startswith("static") else member_id)

    @rule(elapsed_ms=st.sampled_from(TIMEOUTS_MS))
    def time_passes(self, elapsed_ms: int) -> None:
        self.it.advance(elapsed_ms)

    @precondition(lambda self: self.group is not None and self.group.roster.members)
    @rule()
    def members_do_as_told(self) -> None:
        """Everybody joins who is waited for, and then asks for an assignment: random clients hardly ever agree."""
        if self.group is None:
            return
        for key, member in list(self.group.roster.members.items()):
            if self.group.state is GroupState.PREPARING_REBALANCE and member.joining is None:
                self.join(key, protocols=member.protocols)
        if self.group.first_wait_left_ms is not None:
            self.it.advance(20_000)
        for key in list(self.group.roster.unsynced):
            self.sync(key, self.group.generation_id)

    @precondition(lambda self: self.group is not None and self.group.roster.members)
    @rule()
    def leader_syncs(self) -> None:
        assert self.group is not None
        self.sync(self.group.roster.leader_id, self.group.generation_id)

    @precondition(lambda self: self.it.pending)
    @rule()
    def log_takes_entries(self) -> None:
        self.it.store()

    @precondition(lambda self: self.it.pending)
    @rule(error=st.sampled_from(ERRORS))
    def log_fails(self, error: ErrorCode) -> None:
        self.it.fail_store(error)

    @rule(really=seldom)
    def coordinator_moves(self, really: bool) -> None:
        if really:
            self.it.reload()

    # What must hold.

    @invariant()
    def parked_requests_have_an_end(self) -> None:
        group = self.group
        if group is None:
            return
        pending = [store for store in group.stores.values() if store is not None]
        for member in group.roster.members.values():
            if member.joining is not None:
                replaced = [s.token for s in pending if isinstance(s, ReplacementStore)]
                assert group.join_timer in self.it.timers or member.joining in replaced
            if member.syncing is not None:
                stores = [s.generation_id for s in pending if isinstance(s, AssignmentStore)]
                assert group.state is GroupState.COMPLETING_REBALANCE
                assert group.sync_timer in self.it.timers or group.generation_id in stores

    @invariant()
    def everybody_else_has_a_session(self) -> None:
        group = self.group
        if group is not None:
            idle = [key for key, member in group.roster.members.items() if not member.is_waiting]
            for key in [*idle, *group.roster.pending]:
                assert group.session_timer(key) in self.it.timers, key

    @invariant()
    def timers_are_those_of_the_group(self) -> None:
        assert self.it.timers.keys() == (self.group.timers if self.group else {}).keys()

    @invariant()
    def roster_counts_right(self) -> None:
        group = self.group
        if group is None:
            return
        roster = group.roster
        members = roster.members.values()
        assert roster.joining_count == sum(member.joining is not None for member in members)
        assert (roster.leader_id in roster.members) == bool(roster.members)
        if group.state in (GroupState.EMPTY, GroupState.PREPARING_REBALANCE):
            assert not roster.unsynced and group.sync_timer not in self.it.timers
        if group.state is not GroupState.PREPARING_REBALANCE:
            assert group.join_timer not in self.it.timers and group.first_wait_left_ms is None
        assert all(key in roster.members for key in roster.unsynced)
        assert all(roster.members[key].member_id == key for key in roster.members)
        instances = {m.instance_id: m.member_id for m in members if m.instance_id is not None}
        assert roster._instances == instances
        names = [offer.name for member in members for offer in member.protocols]
        assert roster._supporters == {name: names.count(name) for name in names}
        assert bool(roster.members) <= (group.state is not GroupState.EMPTY)
        assert len(roster) <= self.it.config.group_max_size or group.state is GroupState.PREPARING_REBALANCE

    def teardown(self) -> None:
        """Left alone, a group answers every request and empties itself."""
        if not hasattr(self, "it"):
            return
        for _ in range(3):
            self.it.store()
            self.it.advance(HOUR_MS)
        self.it.store()
        assert self.it.timers == {}
        assert self.group is None or self.group.state is GroupState.EMPTY
        missing = [token for token in self.tokens if token not in self.it.answers]
        assert not missing, f"never answered: {missing}"

    # Steps.

    @property
    def group(self) -> Group | None:
        group = self.it.shard._groups.get(GROUP)
        return None if group is None else group._group

    def member(self, which: int) -> str:
        """Return somebody who is in the group, or now and then somebody who was."""
        present = list(self.group.roster.members) if self.group else []
        choice = present if present and which < 10 else self.known
        return choice[which % len(choice)]

    def sync(self, member_id: str, generation_id: int) -> None:
        members = self.group.roster.members if self.group else {}
        plan = {key: f"{generation_id}/{identity(key)}".encode() for key in members}
        token = f"sync/{len(self.tokens)}"
        self.it.asked[token] = member_id, generation_id
        self.it.sync(member_id, generation_id, plan, token=token)
        self.tokens.append(token)

    def join(self, member_id: str, **fields: Any) -> None:
        token = f"join/{len(self.tokens)}"
        if not fields.get("supports_skipping_assignment", True):
            self.it.legacy.add(token)
        self.it.join(member_id, token=token, **fields)
        self.tokens.append(token)
        answer = self.it.answers.get(token)
        seen = [answer.member_id] if isinstance(answer, JoinAnswer) else []
        seen += list(self.group.roster.members) if self.group else []
        self.known = list(dict.fromkeys([*seen, *self.known]))[:8]


GroupMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
GroupMachineTests = GroupMachine.TestCase
