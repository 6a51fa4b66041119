"""What is passed on to the leader, and how (PF1-PF5)."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

LANES = "streamline/services/lanes.py"
PRODUCE = "streamline/api/produce.py"
RELAYED = "streamline/api/relayed.py"
RELAYING = "streamline/services/relaying.py"
TAKING = "streamline/services/taking.py"

CASES = "tests/api/test_relaying.py::"
FAULTS = f"{CASES}FaultTests::"
IDENTITY = f"{CASES}IdentityTests::"
LEADER = f"{CASES}AtTheLeaderTests::"
OLD = f"{CASES}OldVersionTests::"
ROOM = f"{CASES}RoomTests::"

MUTANTS = (
    Mutant(
        "PF1", "A leader takes requests of one node one after the other.", RELAYED,
        "if self._is_collecting:", "if False:",
        [f"{LEADER}test_one_after_the_other"],
    ),
    Mutant(
        "PF1", "Nothing is taken by an earlier connection than the latest.", RELAYED,
        "if line < self._line:", "if False:",
        [f"{LEADER}test_late_by_an_old_connection"],
    ),
    Mutant(
        "PF1", "What comes by the next connection is told apart.", RELAYING,
        "self.lane.number += 1", "",
        [f"{FAULTS}test_leader_dies"],
    ),
    Mutant(
        "PF1", "A request that waits for room holds up those behind it.", PRODUCE,
        "return Hold(done) if isinstance(done, Deferred) else done", "return produced",
        [f"{ROOM}test_waits_for_room"],
    ),
    Mutant(
        "PF2", "A batch is taken in the epoch that it was meant for.", TAKING,
        "if leader_epoch is not None and leader_epoch != self.state.leader_epoch:", "if False:",
        [f"{LEADER}test_its_own_epoch_only"],
    ),
    Mutant(
        "PF2", "Who can be told who leads is told so.", PRODUCE,
        "if relay is not None and call.version < relay.below_version:", "if relay is not None:",
        [f"{OLD}test_new_version"],
    ),
    Mutant(
        "PF3", "What was sent and not answered may have been kept.", RELAYING,
        'self._refuse(ErrorCode.REQUEST_TIMED_OUT, "the leader did not answer")',
        'self._refuse(ErrorCode.NOT_LEADER_OR_FOLLOWER, "the leader did not answer")',
        [f"{FAULTS}test_leader_dies"],
    ),
    Mutant(
        "PF3", "What could not be sent was not.", RELAYING,
        'if isinstance(getattr(answer, "result", None), Failure):', "if False:",
        [f"{FAULTS}test_leader_cannot_be_reached"],
    ),
    Mutant(
        "PF3", "A leader that leads no more is not waited for.", RELAYING,
        "self._relay.deadlines.after(PARTING_S, self._give_up)", "",
        [f"{FAULTS}test_leader_stands_still"],
    ),
    Mutant(
        "PF3", "Who wants no answer learns from a closed connection that a leader refused.", PRODUCE,
        "self.passing.when_over(self._close_if_refused)", "pass",
        [f"{OLD}test_no_answer_wanted_and_refused"],
    ),
    Mutant(
        "PF4", "There is a limit to what is on its way to one leader.", LANES,
        "if not self._waiting and self._has_room(size_bytes):", "if True:",
        [f"{ROOM}test_waits_for_room"],
    ),
    Mutant(
        "PF4", "A client that goes while it waits for room takes none.", LANES,
        "self._waiting = deque(entry for entry in self._waiting if entry[0] is not given_up)", "pass",
        [f"{ROOM}test_hangs_up_while_it_waits"],
    ),
    Mutant(
        "PF4", "What waits for followers at the leader takes none.", RELAYING,
        "self.lane.leave(self.size_bytes, 0)", "",
        [f"{ROOM}test_waits_for_others"],
    ),
    Mutant(
        "PF5", "A leader sees the client, not the node between.", RELAYED,
        "caller.principal = request.principal", "",
        [f"{IDENTITY}test_who_it_is"],
    ),
    Mutant(
        "PF5", "What is from nobody is not taken.", RELAYED,
        "if not request.principal:", "if False:",
        [f"{IDENTITY}test_nobody"],
    ),
    Mutant(
        "PF5", "Batches are taken from brokers, known by node and by disk.", RELAYED,
        "if known is None or known.directory_id != sender.directory_id:", "if False:",
        [f"{IDENTITY}test_from_no_broker"],
    ),
)
