"""
Each rule of reliability 3.3 with the line that keeps it, what stands there when it is broken, and the tests that fail.

C{python -m tests.raft.planted} breaks them one by one in a copy of the tree, and shows that
the simulator finds each, and with C{--tests} that the tests do.
"""

from __future__ import annotations

from textwrap import dedent

from attrs import field, frozen

RULES = "tests/raft/test_rules.py::"
SNAPSHOTS = "tests/raft/test_snapshot_rules.py::"


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dedent(text).strip("\n").splitlines())


@frozen
class Plant:
    """
    A rule with its guard taken away.

    @ivar rule: its number.
    @ivar says: what the guard sees to.
    @ivar file: where it is.
    @ivar guard: its lines, which stand there exactly once, however deep they are indented.
    @ivar instead: the lines that take their place.
    @ivar tests: the tests that fail then, each of them.
    @ivar simulated: whether the simulator is to find it too; where not, C{says} tells why.
    @ivar options: what the simulator is asked for beside the seeds.
    """

    rule: str
    says: str
    file: str
    guard: tuple[str, ...] = field(converter=_lines)
    instead: tuple[str, ...] = field(converter=_lines)
    tests: tuple[str, ...] = ()
    simulated: bool = True
    options: tuple[str, ...] = ()


CORE = "streamline/raft/core.py"
ELECTION = "streamline/raft/election.py"
FOLLOWING = "streamline/raft/following.py"
INSTALLING = "streamline/raft/installing.py"
LEADING = "streamline/raft/leading.py"
LOG = "streamline/raft/log.py"
MEMBERSHIP = "streamline/raft/membership.py"
NODE = "streamline/raft/node.py"
PROGRESS = "streamline/raft/progress.py"
READING = "streamline/raft/reading.py"
SETTINGS = "streamline/raft/settings.py"
DISK = "streamline/testing/simulation/cores/disk.py"

PLANTS = (
    Plant(
        "RF1",
        "what speaks of a term or a vote waits until it is durable",
        CORE,
        """
        if self.durable == self.hard_state:
            self.outbox.append(message)
        """,
        """
        if True:
            self.outbox.append(message)
        """,
        (
            f"{RULES}DurabilityTests::test_rf1_vote_waits_for_the_disk",
            f"{RULES}DurabilityTests::test_rf1_term_waits_for_the_disk",
        ),
    ),
    Plant(
        "RF1",
        "a candidate's own vote counts when it is durable; whatever it says waits all the same, so no run can fail",
        ELECTION,
        "core.role = Candidate(core.drawn_timeout(), transfer)",
        """
        core.role = Candidate(core.drawn_timeout(), transfer)
        core.role.votes[core.me] = True
        if core.configuration.voter_keys == (core.me,):
            leading.begin(core)
            return
        """,
        (f"{RULES}DurabilityTests::test_rf1_own_vote_waits_for_the_disk",),
        simulated=False,
    ),
    Plant(
        "RF1",
        "the report of an earlier term lets nothing of a later one go",
        CORE,
        """
        self.durable = hard_state
        if self.durable == self.hard_state:
        """,
        """
        self.durable = self.hard_state
        if self.durable == self.hard_state:
        """,
        (f"{RULES}DurabilityTests::test_rf1_older_report_does_not_do",),
    ),
    Plant(
        "RF2",
        "a follower acknowledges what is durable",
        FOLLOWING,
        "role.acknowledged_index = min(role.matched_index, core.log.persisted_index)",
        "role.acknowledged_index = role.matched_index",
        (f"{RULES}DurabilityTests::test_rf2_acknowledgement_waits_for_the_disk",),
    ),
    Plant(
        "RF2",
        "a leader counts of its own log what is durable",
        LEADING,
        "durable[core.me] = core.log.persisted_index",
        "durable[core.me] = core.log.last_index",
        (f"{RULES}DurabilityTests::test_rf2_leader_counts_its_own_disk",),
    ),
    Plant(
        "RF3",
        "the report of a write of another term is void",
        NODE,
        "if ready.written.term == core.term:",
        "if True:",
        (f"{RULES}DurabilityTests::test_rf3_report_of_a_replaced_write",),
        simulated=False,
    ),
    Plant(
        "RF3",
        "an entry that was replaced is durable no more",
        LOG,
        "self.persisted_index = min(self.persisted_index, index - 1)",
        "pass",
        (f"{RULES}DurabilityTests::test_rf3_cut_is_durable_no_more",),
    ),
    Plant(
        "RF3",
        "a report counts for the entry that it is about",
        LOG,
        "if index > self.persisted_index and self.term_at(index) == term:",
        "if index > self.persisted_index:",
        ("tests/raft/test_log.py::DurabilityTests::test_a_report_of_what_was_replaced",),
        simulated=False,
    ),
    Plant(
        "RF4",
        "a follower takes as committed what the message proves it to have",
        FOLLOWING,
        "core.log.commit_to(min(message.commit_index, proven))",
        "core.log.commit_to(min(message.commit_index, core.log.last_index))",
        (f"{RULES}DurabilityTests::test_rf4_commit_needs_proof",),
    ),
    Plant(
        "RF4",
        "what is applied is durable here",
        LOG,
        "return min(self.commit_index, self.persisted_index)",
        "return self.commit_index",
        (f"{RULES}DurabilityTests::test_rf4_applies_what_is_durable_here",),
    ),
    Plant(
        "RF5",
        "a hint is about what to send, not about what is there",
        PROGRESS,
        "self.next_index = max(min(rejection.rejected_index, hint + 1), self.matched_index + 1)",
        """
        self.matched_index = max(self.matched_index, rejection.hint_index)
        self.next_index = max(min(rejection.rejected_index, hint + 1), self.matched_index + 1)
        """,
        (f"{RULES}MatchTests::test_rf5_hints_prove_nothing",),
    ),
    Plant(
        "RF5",
        "a heartbeat during a snapshot proves nothing",
        LEADING,
        "_send_entries(core, leader, key, peer, (), prev_index=0)",
        """
        _send_entries(core, leader, key, peer, (), prev_index=0)
        peer.matched(core.log.boundary_index, core.log, core.ticks)
        """,
        (f"{RULES}MatchTests::test_rf5_heartbeat_proves_nothing",),
    ),
    Plant(
        "RF5",
        "a match never shrinks",
        PROGRESS,
        "self.matched_index = max(self.matched_index, index)",
        "self.matched_index = index",
        (f"{RULES}MatchTests::test_rf5_a_match_never_shrinks",),
        simulated=False,
    ),
    Plant(
        "RF6",
        "entries of earlier terms are not committed by counting",
        LEADING,
        "if core.log.term_at(index) != core.term:",
        "if core.log.term_at(index) is None:",
        (f"{RULES}MatchTests::test_rf6_entries_of_earlier_terms",),
    ),
    Plant(
        "RF6",
        "a leader begins with an entry of its own",
        LEADING,
        'core.append(EntryKind.NO_OP, b"")',
        "pass",
        (f"{RULES}MatchTests::test_rf6_a_leader_begins_with_an_entry_of_its_own",),
    ),
    Plant(
        "RF7",
        "one change of members at a time",
        MEMBERSHIP,
        "if latest.index > core.log.commit_index or latest.configuration.is_joint:",
        "if False:",
        (f"{RULES}MemberTests::test_rf7_one_change_at_a_time",),
        options=("--faults", "member,hasty,cut,kill,power,one-way,clog"),
    ),
    Plant(
        "RF7",
        "no change before the term is committed; joint changes are safe without it, so no run can fail",
        MEMBERSHIP,
        "if core.log.commit_index < leader.start_index:",
        "if False:",
        (f"{RULES}MemberTests::test_rf7_not_before_the_term_is_committed",),
        simulated=False,
    ),
    Plant(
        "RF7",
        "voters change by way of a joint configuration",
        MEMBERSHIP,
        "return Configuration(target.voters, target.learners, outgoing=configuration.voters)",
        "return target",
        (f"{RULES}MemberTests::test_rf7_changes_are_joint",),
        options=("--faults", "member,cut,transfer,break"),
    ),
    Plant(
        "RF8",
        "who hears a leader votes for nobody",
        ELECTION,
        "if _hears_leader(core) and not message.transfer:",
        "if False:",
        (f"{RULES}DisturbanceTests::test_rf8_no_vote_against_a_leader_that_is_heard",),
    ),
    Plant(
        "RF8",
        "who stands asks first, without a new term",
        ELECTION,
        """
        core.role = Prospective(core.drawn_timeout())
        _ask(core, core.role)
        _count_prospects(core, core.role)
        """,
        "campaign(core)",
        (f"{RULES}DisturbanceTests::test_rf8_terms_wait_for_a_majority",),
    ),
    Plant(
        "RF8",
        "a leader that no majority hears leads no longer",
        LEADING,
        "if not _hears_quorum(core, leader):",
        "if False:",
        (f"{RULES}DisturbanceTests::test_rf8_a_leader_that_hears_nobody_resigns",),
        simulated=False,
    ),
    Plant(
        "RF9",
        "an old leader is told of the newer term",
        NODE,
        "following.refuse_old_leader(core, message)",
        "pass",
        (f"{RULES}DisturbanceTests::test_rf9_stranded_peer",),
        options=("--faults", "transfer,ambush"),
    ),
    Plant(
        "RF10",
        "everybody votes who is asked",
        ELECTION,
        "if _hears_leader(core) and not message.transfer:",
        """
        if core.me not in core.configuration.voter_keys:
            return
        if _hears_leader(core) and not message.transfer:
        """,
        (f"{RULES}MemberTests::test_rf10_everybody_votes",),
        options=("--faults", "member,ambush,wipe", "--until", "90"),
    ),
    Plant(
        "RF11",
        "a read waits for a round that began after it",
        READING,
        "while leader.reads and leader.reads[0].round <= confirmed:",
        "while leader.reads:",
        (f"{RULES}ReadTests::test_rf11_a_deposed_leader_answers_nothing",),
    ),
    Plant(
        "RF11",
        "an earlier round does not do",
        READING,
        "leader.reads.append(PendingRead(asker, context, index, leader.round + 1))",
        "leader.reads.append(PendingRead(asker, context, index, leader.round))",
        (f"{RULES}ReadTests::test_rf11_an_earlier_round_does_not_do",),
    ),
    Plant(
        "RF11",
        "a new leader's read waits for its first entry",
        READING,
        "index = max(core.log.commit_index, leader.start_index)",
        "index = core.log.commit_index",
        (f"{RULES}ReadTests::test_rf11_a_new_leader_waits_for_its_first_entry",),
    ),
    Plant(
        "RF12",
        "nothing of a snapshot counts before it is durable",
        LOG,
        """
        self.persisted_index = min(self.persisted_index, self.commit_index)
        self._begin(index, term)
        """,
        """
        self.persisted_index = index
        self._begin(index, term)
        """,
        (f"{SNAPSHOTS}SnapshotTests::test_rf12_acknowledged_when_durable",),
    ),
    Plant(
        "RF12",
        "a snapshot that says nothing new changes nothing",
        INSTALLING,
        "if message.snapshot_index <= core.log.commit_index:",
        "if False:",
        (f"{SNAPSHOTS}SnapshotTests::test_rf12_doubles_and_old_ones",),
    ),
    Plant(
        "RF12",
        "what the log has of a snapshot stays, and what lies behind it",
        INSTALLING,
        "if core.log.term_at(index) == term:",
        "if False:",
        (f"{SNAPSHOTS}SnapshotTests::test_rf12_what_the_log_has_stays",),
        simulated=False,
    ),
    Plant(
        "RF12",
        "a follower that has the snapshot gets entries again",
        PROGRESS,
        "return sent is not None and self.matched_index >= min(sent.snapshot.index, log.boundary_index)",
        "return sent is not None and self.matched_index >= log.boundary_index",
        (f"{SNAPSHOTS}SnapshotTests::test_rf12_not_stuck_after_a_snapshot",),
    ),
    Plant(
        "RF12",
        "entries are superfluous when a durable snapshot holds them",
        NODE,
        "return min(core.log.boundary_index, snapshot.index)",
        "return core.log.boundary_index",
        (f"{SNAPSHOTS}SnapshotTests::test_rf12_own_snapshot_in_between",),
    ),
    Plant(
        "RF13",
        "the boundary keeps its term",
        LOG,
        "self.boundary_index, self.boundary_term = index, term",
        "self.boundary_index, self.boundary_term = index, 0",
        ("tests/raft/test_log.py::BoundaryTests::test_the_boundary_has_a_term",),
    ),
    Plant(
        "RF13",
        "after a restart the boundary is the snapshot's, or the first entry's that was kept",
        CORE,
        "log = Log(entries[0].index, entries[0].term, entries[1:])",
        "log = Log(snapshot.index, snapshot.term, entries[snapshot.index - entries[0].index :])",
        (f"{SNAPSHOTS}SnapshotTests::test_rf13_boundary_on_disk",),
    ),
    Plant(
        "RF14",
        "recovery cuts nothing that was acknowledged; planted in the simulated disk, as files are a service's",
        DISK,
        "return Recovered(snapshot=self.snapshot, hard_state=self.hard_state, entries=tuple(self.entries))",
        "return Recovered(snapshot=self.snapshot, hard_state=self.hard_state, entries=tuple(self.entries[:-1]))",
    ),
    Plant(
        "RF15",
        "what is meant for a node's earlier disk is not for the one it has now",
        NODE,
        """
        if message.to != core.me:
            return  # RF15: it is for somebody with another disk
        """,
        """
        if message.to.node_id != core.me.node_id:
            return
        core.me = message.to
        """,
        (f"{RULES}MemberTests::test_rf15_messages_for_another_disk",),
        options=("--faults", "wipe,member,kill,power,cut"),
    ),
    Plant(
        "RF16",
        "a configuration goes with the entry that set it; 60 runs were not enough to show it",
        CORE,
        "self.configurations.cut_back(changed)",
        "pass",
        (f"{RULES}MemberTests::test_rf16_the_latest_in_the_log_counts",),
        simulated=False,
    ),
    Plant(
        "RF16",
        "a leader that was removed leads no longer",
        MEMBERSHIP,
        "elif core.me not in latest.configuration.voter_keys:",
        "elif False:",
        (f"{RULES}MemberTests::test_rf16_a_leader_that_was_removed_steps_down",),
        options=("--faults", "member,kill"),
    ),
    Plant(
        "RF16",
        "who is going is needed until that is committed; one run in 400 showed it",
        CORE,
        "is_voter = any(self.me in one.voter_keys for one in self.configurations.since(self.log.commit_index))",
        "is_voter = self.me in self.configuration.voter_keys",
        (f"{RULES}MemberTests::test_rf16_who_is_going_is_needed_until_it_is_gone",),
        simulated=False,
    ),
    Plant(
        "RF17",
        "a leader that steps down says nothing of what it proposed",
        CORE,
        "self._leave_reads(self.role)",
        """
        self._leave_reads(self.role)
        for some in self._proposals.values():
            self._outcomes.extend(Outcome(one, Fate.DROPPED) for one in some)
        self._proposals.clear()
        """,
        (f"{RULES}OutcomeTests::test_rf17_unknown_until_its_place_is_taken",),
    ),
    Plant(
        "RF17",
        "a place that another took means that the proposal is dropped",
        CORE,
        "fate = Fate.COMMITTED if one.term == entry.term else Fate.DROPPED",
        "fate = Fate.COMMITTED",
        (f"{RULES}OutcomeTests::test_rf17_dropped_when_another_has_its_place",),
    ),
    Plant(
        "RF18",
        "an election waits for ten heartbeats, whatever the settings say",
        SETTINGS,
        "if ticks < needed:",
        "if False:",
        (f"{RULES}DisturbanceTests::test_rf18_timeouts",),
        simulated=False,
    ),
    Plant(
        "RF18",
        "a short stall, or a late heartbeat, is no reason for an election",
        CORE,
        "return self.settings.election_ticks + self._draw(self.settings.spread_ticks)",
        "return 2 * self.settings.heartbeat_ticks + self._draw(2)",
        (f"{RULES}DisturbanceTests::test_rf18_timeouts",),
    ),
)
