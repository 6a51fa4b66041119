"""Hostile input, where it is long lists (SE11): each API goes through them a few at a time."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "SE11",
        "Offsets are looked up some at a time.",
        "streamline/api/offsets.py",
        "            parts.append(self._found(index, error, committed))\n            if self._pace.is_due():",
        "            parts.append(self._found(index, error, committed))\n            if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_offsets_are_looked_up_in_turns"],
    ),
    Mutant(
        "SE11",
        "Offsets are committed some at a time.",
        "streamline/api/offsets.py",
        "if count > PIECES_PER_TURN:",
        "if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_offsets_are_committed_in_turns"],
    ),
    Mutant(
        "SE11",
        "Coordinators are found some at a time.",
        "streamline/api/coordinators.py",
        "if len(found) % KEYS_PER_TURN == 0:",
        "if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_coordinators_are_found_in_turns"],
    ),
    Mutant(
        "SE11",
        "Members leave some at a time.",
        "streamline/api/groups.py",
        "if len(members) > LEAVES_PER_TURN:",
        "if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_members_leave_in_turns"],
    ),
    Mutant(
        "SE11",
        "Leaders are elected some at a time.",
        "streamline/api/reassignments.py",
        "if len(some) == ELECTIONS_PER_TURN:",
        "if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_leaders_are_elected_in_turns"],
    ),
    Mutant(
        "SE11",
        "Moves are decided some at a time.",
        "streamline/api/reassignments.py",
        "if len(some) == MOVES_PER_TURN:",
        "if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_moves_are_decided_in_turns"],
    ),
    Mutant(
        "SE11",
        "What else is asked of the quorum is answered some at a time.",
        "streamline/api/quorum.py",
        "            if pace.is_due():",
        "            if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_quorums_are_described_in_turns"],
    ),
    Mutant(
        "SE11",
        "More settings than there are for a resource are not looked at.",
        "streamline/api/config_changes.py",
        "if len(resource.configs) > SETTINGS_MAX:",
        "if False:",
        ["tests/api/test_long_lists.py::LongListTests::test_more_settings_than_there_are"],
    ),
    Mutant(
        "SE11",
        "What clients want agreed on is begun for so many at a time.",
        "streamline/services/gate.py",
        "if self._waiting or self.inside >= self._most():",
        "if False:",
        ["tests/services/test_gate.py::GateTests::test_so_many_at_a_time"],
    ),
    Mutant(
        "SE11",
        "Those that waited for that do not all begin in one turn.",
        "streamline/services/gate.py",
        "for _ in range(ENTERED_PER_TURN):",
        "while True:",
        ["tests/services/test_gate.py::GateTests::test_those_that_fail_at_once_do_not_all_begin_in_one_turn"],
    ),
)
