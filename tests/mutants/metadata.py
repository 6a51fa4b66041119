"""Metadata: the log of commands, the image that they make, and the directory that a node lives in."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SINGLE = "streamline/services/single.py"
COMMANDS = "streamline/services/commandlog.py"
DIRECTORY = "streamline/services/data_directory.py"

CONSENSUS = "tests/services/test_single.py::"
ENTRIES = "tests/services/test_commandlog.py::"
HOME = "tests/services/test_data_directory.py::"

AGREEING = (
    Mutant(
        "RF2",
        "A command is applied and answered once it is synced.",
        SINGLE,
        "self._file.sync_later().addCallbacks(self._synced, self._sync_failed, callbackArgs=(entry.index,))",
        "self._synced(None, entry.index)",
        [f"{CONSENSUS}AgreeingTests::test_nothing_is_applied_before_it_is_durable"],
    ),
    Mutant(
        "RF12",
        "A snapshot is durable under its name before the entries that it replaces go.",
        SINGLE,
        'self._disk.replace_file(f"{self._directory}/{SNAPSHOT_NAME}", crc32c(body).to_bytes(4, "big") + body)',
        "pass",
        [f"{CONSENSUS}CrashPointTests::test_kill"],
    ),
    Mutant(
        "RF12",
        "A snapshot that is damaged is refused.",
        COMMANDS,
        'if len(data) < 12 or crc32c(data[4:]) != int.from_bytes(data[:4], "big"):',
        "if len(data) < 12:",
        [f"{CONSENSUS}DamageTests::test_snapshot"],
    ),
    Mutant(
        "RF13",
        "A log that begins behind its snapshot is refused.",
        COMMANDS,
        "if (needed[0].index if needed else mark.index) > after + bool(needed):",
        "if False:",
        [
            f"{CONSENSUS}DamageTests::test_old_snapshot_put_back",
            f"{ENTRIES}ReadingTests::test_begins_behind_its_snapshot",
        ],
    ),
    Mutant(
        "RF13",
        "A log that is gone beside its snapshot is not taken for an empty one.",
        SINGLE,
        "elif has_snapshot:",
        "elif False:",
        [f"{CONSENSUS}DamageTests::test_log_is_missing"],
    ),
    Mutant(
        "RF14",
        "An entry counts if its checksum is right.",
        COMMANDS,
        "if crc32c(memoryview(data)[at + _CHECKED_AT : end]) != crc:",
        "if False:",
        [f"{ENTRIES}DamagedTests::test_every_bit_of_an_entry_that_is_known_to_be_synced"],
    ),
    Mutant(
        "RF14",
        "A bad entry that was acknowledged is no torn tail: the node does not start without it.",
        COMMANDS,
        "if mark is None or any(entry.synced > known for entry in _entries_behind(data, at + 1)):",
        "if mark is None:",
        [
            f"{CONSENSUS}DamageTests::test_middle_of_the_log",
            f"{ENTRIES}DamagedTests::test_every_bit_of_an_entry_that_is_known_to_be_synced",
        ],
    ),
    Mutant(
        "RF14",
        "A mark says so of the last entry.",
        SINGLE,
        "try:\n    self._write(encode_mark(self._synced_index))\nexcept OSError:\n"
        "    return  # it only helps to tell a damaged file from a torn one",
        "",
        [f"{CONSENSUS}DamageTests::test_last_entry"],
    ),
    Mutant(
        "RF14",
        "An entry that does not follow its neighbour is not one of these.",
        COMMANDS,
        "if mark is None or (entries and entry.index != entries[-1].index + 1):",
        "if mark is None:",
        [f"{ENTRIES}TornTests::test_an_older_file_shows_through"],
    ),
    Mutant(
        "DK10",
        "On a full disk, half of a command is taken off the file again.",
        SINGLE,
        "self._file.truncate(self._end)",
        "pass",
        [f"{CONSENSUS}FaultTests::test_full_in_the_middle"],
    ),
    Mutant(
        "DK10",
        "A full disk does not end the metadata log.",
        SINGLE,
        "if error.errno not in NO_SPACE:\n    self._fail(_not_written(error))\nraise",
        "self._fail(_not_written(error))\nraise",
        [f"{CONSENSUS}FaultTests::test_full"],
    ),
    Mutant(
        "DK14",
        "After a write that failed nothing more is agreed on.",
        SINGLE,
        "if error.errno not in NO_SPACE:\n    self._fail(_not_written(error))\nraise",
        "raise",
        [f"{CONSENSUS}FaultTests::test_write_fails"],
    ),
    Mutant(
        "DK14",
        "Whoever asked to be told of the failure is told.",
        SINGLE,
        "if self.leader_id is not None:\n    self._failure.tell(refusal.message)",
        "",
        [f"{CONSENSUS}FaultTests::test_write_fails", f"{CONSENSUS}FaultTests::test_sync_fails_once"],
    ),
    Mutant(
        "DK14",
        "A node that just stops has not failed.",
        SINGLE,
        "if self.leader_id is not None:\n    self._failure.tell(refusal.message)",
        "self._failure.tell(refusal.message)",
        [f"{CONSENSUS}AgreeingTests::test_stopped"],
    ),
    Mutant(
        "DK14",
        "The process ends with an error.",
        "streamline/tap.py",
        "self.exit_status = EXIT_FAILED\nself._stop_reactor()",
        "",
        ["tests/command/test_program.py::ProgramTests::test_a_node_that_cannot_go_on_ends_the_process"],
    ),
    Mutant(
        "DK12",
        "A command whose sync failed is neither applied nor answered with success.",
        SINGLE,
        'self._fail(Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be synced: {failure.value}"))',
        "self._synced(None, self._last_index)",
        [f"{CONSENSUS}FaultTests::test_sync_fails_once"],
    ),
    Mutant(
        "DK12",
        "What can be read at the start is written anew: a failed sync may have left it in memory only.",
        SINGLE,
        'self._put_in_place(encode_mark(self._snapshot_index) + b"".join(map(encode_entry, entries)))',
        "if entries:\n    self._file, self._end = self._disk.open(path), len(self._disk.read_file(path))\n"
        "else:\n    self._put_in_place(encode_mark(self._snapshot_index))",
        [f"{CONSENSUS}RestartTests::test_bytes_that_a_failed_sync_left_in_the_page_cache"],
    ),
    Mutant(
        "KR31",
        "A command that cannot be applied ends the log here, rather than to leave a state of its own.",
        SINGLE,
        "self._fail(refusal)\nproposal.outcome.errback(refusal.again())",
        "proposal.outcome.errback(refusal.again())",
        [f"{CONSENSUS}AgreeingTests::test_a_command_that_breaks_the_machine"],
    ),
    Mutant(
        "KR31",
        "A node that does not lead the metadata agrees on nothing.",
        SINGLE,
        'if self._file is None:\n    return fail(Refused(ErrorCode.NOT_CONTROLLER, "this node is not running"))',
        "",
        [f"{CONSENSUS}AgreeingTests::test_not_running"],
    ),
)

IMAGES = (
    Mutant(
        "KR30",
        "A topic made again has an id of its own.",
        "streamline/services/controller.py",
        "self._new_topic_id(),",
        "wanted.name.encode().ljust(16)[:16],",
        ["tests/api/test_topics.py::DeleteTests::test_made_again"],
    ),
)

AT_HOME = (
    Mutant(
        "DK16",
        "A data directory is locked while its node lives.",
        DIRECTORY,
        'release = self._disk.lock(f"{self._path}/{LOCK_NAME}")',
        "release = lambda: None  # noqa: E731",
        [f"{HOME}RefusalTests::test_in_use"],
    ),
    Mutant(
        "DK16",
        "A directory of another node is refused.",
        DIRECTORY,
        "if meta.node_id != self._node_id:",
        "if False:",
        [f"{HOME}RefusalTests::test_of_another_node"],
    ),
    Mutant(
        "DK16",
        "A directory of another cluster is refused.",
        DIRECTORY,
        "elif meta.cluster_id != cluster_id:",
        "elif False:",
        [f"{HOME}RefusalTests::test_of_another_cluster"],
    ),
    Mutant(
        "DK16",
        "Data without an identity is nobody's to take.",
        DIRECTORY,
        'if self._disk.exists(f"{self._path}/{METADATA_NAME}"):',
        "if False:",
        [f"{HOME}RefusalTests::test_data_without_an_identity"],
    ),
    Mutant(
        "DK16",
        "An identity that is not understood is refused.",
        DIRECTORY,
        "if not node_id.isdecimal() or not directory_id:",
        "if not node_id.isdecimal():",
        [f"{HOME}RefusalTests::test_not_understood"],
    ),
    Mutant(
        "DK17",
        "A directory that nothing can be written to is refused before anything else happens.",
        DIRECTORY,
        "self.meta = self._identify()\nself._probe()",
        "self.meta = self._identify()",
        [f"{HOME}RefusalTests::test_not_writable"],
    ),
    Mutant(
        "DK17",
        "A refusal holds nothing.",
        DIRECTORY,
        "except StartRefused:\n    release()\n    raise",
        "except StartRefused:\n    raise",
        [f"{HOME}RefusalTests::test_a_refusal_holds_nothing"],
    ),
    Mutant(
        "RF15",
        "A new disk has a new directory id, a known one keeps its own.",
        DIRECTORY,
        'text = urlsafe_b64encode(self._rng.randbytes(16)).decode("ascii").rstrip("=")',
        'text = f"directory-of-node-{self._node_id}"',
        [f"{HOME}OpeningTests::test_another_disk_has_another_id"],
    ),
)

MUTANTS = (*AGREEING, *IMAGES, *AT_HOME)
