"""The Raft service: what is durable before what, what a start believes, and who is told what."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

REPLICA = "streamline/services/raftreplica.py"
TICKS = "streamline/services/raftticks.py"
WRITER = "streamline/services/raftwriter.py"
STORE = "streamline/services/raftstore.py"
RECORDS = "streamline/services/raftrecords.py"
WAITING = "streamline/services/raftwaiting.py"
FOUNDING = "streamline/services/raftfounding.py"
SINGLE = "streamline/services/single.py"

ALONE = "tests/services/test_raft_contract.py::RaftConsensusContractTests::"
THREE = "tests/services/test_raft_contract.py::RaftQuorumContractTests::"
MEMBERS = "tests/services/test_raft_contract.py::RaftMembersContractTests::"
QUEUE = "tests/services/test_raftwriter.py::WriterTests::"
RECORD = "tests/services/test_raftrecords.py::"
FILES = "tests/services/test_raft_files.py::FilesTests::"
TAKING = "tests/services/test_raft_files.py::TakingOverTests::"

DURABLE = (
    Mutant(
        "RF1",
        "Terms and votes are synced before anybody hears of them.",
        WRITER,
        "await self._store.sync()",
        "pass",
        [f"{MEMBERS}test_no_vote_from_a_disk_that_fails", f"{QUEUE}test_nothing_is_told_before_it_is_durable"],
    ),
    Mutant(
        "RF1",
        "A term and a vote stay in the log when it is cut.",
        STORE,
        "return self.records.whole(self.beginning, self.hard_state, self.entries)",
        "return self.records.whole(self.beginning, HardState(), self.entries)",
        [f"{QUEUE}test_saving"],
    ),
    Mutant(
        "RF1",
        "A log that is gone is not begun anew beside its snapshot: the vote was in it.",
        STORE,
        "if self._disk.exists(self.snapshot_path):\n    raise StartRefused(f\"{self.log_path} is missing;"
        ' restore it from a backup, together with {SNAPSHOT_NAME}")',
        "pass",
        [f"{FILES}test_a_snapshot_without_its_log"],
    ),
    Mutant(
        "RF2",
        "What is read at a start is written anew, because the page cache may hold what the device does not.",
        STORE,
        "self._disk.replace_file(self.log_path, log.whole())\nself._open(log)",
        "log.whole()\nself._open(log)",
        [f"{FILES}test_bytes_that_only_the_page_cache_has"],
    ),
    Mutant(
        "DK14",
        "A replica whose disk fails has the process end.",
        "streamline/services/raft.py",
        "self._failure.tell(refusal.message)",
        "pass",
        [f"{MEMBERS}test_a_disk_that_fails"],
    ),
    Mutant(
        "DK10",
        "A command that has no room on the disk is not proposed.",
        REPLICA,
        "if not self._store.has_room(len(command) + ROOM_BYTES):",
        "if False:",
        [f"{ALONE}test_a_full_disk"],
    ),
    Mutant(
        "DK10",
        "Half of what does not fit on the disk is taken off again.",
        STORE,
        "self._file.truncate(self._end)  # half of a record is none (RC11); where this fails, too, it is the disk",
        "pass",
        [f"{FILES}test_a_write_that_half_fits"],
    ),
    Mutant(
        "DK10",
        "Records that could not be written leave no gap in the numbers.",
        STORE,
        "self._opened().records.rewind(len(parts))",
        "pass",
        [f"{QUEUE}test_what_waited_for_space"],
    ),
    Mutant(
        "DK20",
        "A leader whose disk does not answer hands over.",
        REPLICA,
        "self._let_another_lead()",
        "pass",
        [f"{MEMBERS}test_a_leader_with_a_stuck_disk"],
    ),
)

SNAPSHOTS = (
    Mutant(
        "RF12",
        "A leader's snapshot is durable before the log that it replaces goes.",
        WRITER,
        "await self._with_space(self._store.put_snapshot, snapshot)",
        "self._store.snapshot_index = snapshot.index",
        [f"{MEMBERS}test_a_replica_that_was_away_for_long", f"{QUEUE}test_a_snapshot_takes_the_place_of_the_log"],
    ),
    Mutant(
        "RF12",
        "A replica's own snapshot is durable before the entries that it stands for go.",
        WRITER,
        "await self._store.put_snapshot(snapshot)",
        "self._store.snapshot_index = snapshot.index",
        [f"{ALONE}test_many_commands", f"{QUEUE}test_saving"],
    ),
    Mutant(
        "RF12",
        "A snapshot of one's own does not take the place of a later one of the leader's.",
        WRITER,
        "if snapshot.index <= self._store.snapshot_index:",
        "if False:",
        [f"{QUEUE}test_a_snapshot_of_before"],
    ),
    Mutant(
        "RF13",
        "A log that begins behind its snapshot is refused.",
        STORE,
        "if snapshot.index < beginning.boundary_index:",
        "if False:",
        [f"{FILES}test_a_log_without_its_snapshot", f"{FILES}test_a_snapshot_of_before"],
    ),
    Mutant(
        "RF12",
        "A snapshot that is damaged is refused.",
        STORE,
        "if len(data) < at or crc32c(data[_CRC.size :]) != _CRC.unpack_from(data)[0]:",
        "if len(data) < at:",
        [f"{FILES}test_a_damaged_snapshot"],
    ),
)

DAMAGE = (
    Mutant(
        "RF14",
        "A record counts if its checksum is right.",
        RECORDS,
        "if crc32c(memoryview(data)[at + _CHECKED_AT : end]) != crc:",
        "if False:",
        [f"{RECORD}DamagedTests::test_every_byte_that_was_durable"],
    ),
    Mutant(
        "RF14",
        "A bad record that was durable is no torn tail: such a replica must not vote.",
        RECORDS,
        "durable = max((record.synced for record in _records_behind(data, at + 1)), default=0)",
        "durable = 0",
        [f"{RECORD}DamagedTests::test_every_byte_that_was_durable", f"{FILES}test_a_damaged_log"],
    ),
    Mutant(
        "RF14",
        "A file that was put in place whole and has lost some of it is not torn.",
        RECORDS,
        "if len(records) < max(durable, _count(records)):",
        "if len(records) < max(durable, 1):",
        [f"{RECORD}DamagedTests::test_what_was_put_in_place"],
    ),
    Mutant(
        "RF14",
        "A record whose number does not follow on the one before is cut off.",
        RECORDS,
        "if record.number != len(records) + 1:",
        "if False:",
        [f"{RECORD}TornTests::test_a_gap"],
    ),
    Mutant(
        "RF14",
        "A mark says that the last record is durable.",
        WRITER,
        "self._store.mark()",
        "pass",
        [f"{FILES}test_damage_of_the_last_command"],
    ),
    Mutant(
        "RF15",
        "A log that another replica wrote is not one's own.",
        STORE,
        "if beginning.owner != owner:",
        "if False:",
        [f"{MEMBERS}test_the_data_of_somebody_else"],
    ),
)

TELLING = (
    Mutant(
        "RF11",
        "A reader waits until what was committed has been applied here.",
        WAITING,
        "safe = [read for read in self._answered if read.index is not None and read.index <= index]",
        "safe = list(self._answered)",
        [f"{THREE}test_a_read_barrier_waits_for_the_own_disk"],
    ),
    Mutant(
        "RF11",
        "A leader that has not applied what was committed before its term is none yet.",
        REPLICA,
        "if node.is_leader and self.applied.term != node.term:",
        "if False:",
        [f"{THREE}test_a_new_leader_knows_all"],
    ),
    Mutant(
        "RF17",
        "Only what the core knows to be dropped is said to be.",
        WAITING,
        "elif outcome.fate is Fate.DROPPED:",
        "elif outcome.fate is not Fate.COMMITTED:",
        [f"{THREE}test_a_proposal_that_a_snapshot_stands_for"],
    ),
    Mutant(
        "RF17",
        "What a replica had proposed when its disk failed may take effect by the others.",
        REPLICA,
        "self.end(Refused(ErrorCode.REQUEST_TIMED_OUT, refusal.message))",
        "self.end(refusal)",
        [f"{MEMBERS}test_a_disk_that_fails"],
    ),
    Mutant(
        "RF17",
        "Nobody waits for ever for what a leader that was cut off will never hear.",
        REPLICA,
        "self._proposals.expire(self._ticks)",
        "pass",
        [f"{THREE}test_a_proposal_that_nobody_hears_of"],
    ),
    Mutant(
        "RF18",
        "However late a tick comes, it is one tick.",
        TICKS,
        "passed = self._passed()",
        "passed = self._passed() + int((self._clock.seconds() - self._timer.getTime()) / self._tick_s)",
        [f"{THREE}test_a_stall_is_no_election"],
    ),
    Mutant(
        "RF18",
        "A follower's tick stands for as many as it was set for at most.",
        TICKS,
        "return min(self._set_for, max(1, silent))",
        "return max(1, silent)",
        ["tests/services/test_raftticks.py::TicksTests::test_a_stall"],
    ),
)

TAKING_OVER = (
    Mutant(
        "DK5",
        "What was taken over from consensus of one is not taken over twice, with half of the old files gone.",
        FOUNDING,
        "if not self._disk.exists(self.store.log_path):",
        "if True:",
        [f"{TAKING}test_crashes"],
    ),
    Mutant(
        "DK16",
        "Consensus of one does not begin anew where a replica's log is.",
        SINGLE,
        'if self._disk.exists(f"{self._directory}/{RAFT_LOG_NAME}"):',
        "if False:",
        [f"{TAKING}test_there_is_no_way_back"],
    ),
)

MUTANTS = (*DURABLE, *SNAPSHOTS, *DAMAGE, *TELLING, *TAKING_OVER)
