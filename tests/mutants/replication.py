"""What holds of replication on one node already: epochs, fences, and what may be read."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

EPOCHS = "streamline/replication/epochs.py"
READING = "streamline/replication/reading.py"
PARTITION = "streamline/services/partition.py"
TAKING = "streamline/services/taking.py"
OPENING = "streamline/services/opening.py"
BOOKS = "streamline/services/bookkeeping.py"
FETCHING = "streamline/api/fetching.py"

ASSIGN = "tests/replication/test_epochs.py::AssignTests::"
END = "tests/replication/test_epochs.py::EndTests::"
CUT = "tests/replication/test_epochs.py::CuttingTests::"
SAVED = "tests/replication/test_epochs.py::CheckpointTests::"
FETCH = "tests/api/test_fetch.py::"
OFFSETS = "tests/api/test_list_offsets.py::"
LISTING = f"{OFFSETS}ErrorTests::"
ENDING = f"{OFFSETS}EpochEndTests::"
OLDER = "test_an_older_epoch_is_fenced"
NEWER = "test_a_newer_epoch_is_not_known_yet"
IDEMPOTENCE = "tests/services/test_idempotence.py::"

EPOCH_CACHE = (
    Mutant(
        "KR4",
        "Opening takes no batch for the first of its epoch whose epoch is known from before.",
        OPENING,
        "if header.base_offset >= from_epochs:  # before that they are known, and this may begin within one",
        "if True:",
        ["tests/services/test_replica.py::CuttingTests::test_opened_within_an_epoch"],
    ),
    Mutant(
        "KR2",
        "Every batch carries its leader's epoch.",
        "streamline/wire/batch.py",
        "return stamp(base_offset, self.batch_length, leader_epoch)",
        "return stamp(base_offset, self.batch_length, 0)",
        ["tests/services/test_housekeeping.py::LeadingTests::test_a_new_epoch_survives_with_its_first_record"],
    ),
    Mutant(
        "KR3",
        "Asked for an epoch, the leader answers with the largest one that is not beyond it.",
        EPOCHS,
        "at = bisect_right(self._epochs, epoch)",
        "at = bisect_left(self._epochs, epoch)",
        [f"{END}test_known"],
    ),
    Mutant(
        "KR3",
        "An epoch that the log does not know has no end.",
        EPOCHS,
        "if not self._epochs or epoch > self.latest or epoch < 0:",
        "if not self._epochs or epoch < 0:",
        [f"{END}test_beyond_the_latest"],
    ),
    Mutant(
        "KR3",
        "Before the first epoch, the reader goes to where that one begins.",
        EPOCHS,
        "if at == 0:\n    return epoch, self._starts[0]",
        "",
        [f"{END}test_before_the_first"],
    ),
    Mutant(
        "KR4",
        "Epochs rise with offsets; what a new entry contradicts goes.",
        EPOCHS,
        "keep = min(bisect_left(self._epochs, epoch), bisect_left(self._starts, start_offset))",
        "keep = len(self._epochs)",
        [f"{ASSIGN}test_earlier_offset_drops_what_it_contradicts", f"{ASSIGN}test_earlier_epoch_drops_later_ones"],
    ),
    Mutant(
        "KR4",
        "A log that is cut forgets the epochs that began behind the cut.",
        EPOCHS,
        "keep = bisect_left(self._starts, end_offset)",
        "keep = len(self._starts)",
        [f"{CUT}test_end"],
    ),
    Mutant(
        "KR4",
        "A start that moves takes the epochs before it along.",
        EPOCHS,
        "self._starts[0] = start_offset\nreturn True",
        "return True",
        [f"{CUT}test_start"],
    ),
    Mutant(
        "KR4",
        "Retention says so to the epochs.",
        "streamline/services/housekeeping.py",
        "if partition.epochs.truncate_start(partition.log.start_offset):",
        "if False:",
        ["tests/services/test_housekeeping.py::RetentionTests::test_epochs_begin_where_the_log_does"],
    ),
    Mutant(
        "KR4",
        "Epochs are written down before the recovery point passes them.",
        BOOKS,
        "self.save_epochs()\nif self.unsaved_batches >= SNAPSHOT_AFTER_BATCHES or "
        "self.unsaved_bytes >= SNAPSHOT_AFTER_BYTES:",
        "if self.unsaved_batches >= SNAPSHOT_AFTER_BATCHES:",
        [f"{IDEMPOTENCE}BookkeepingTests::test_epochs_are_written_with_the_checkpoint"],
    ),
    Mutant(
        "KR4",
        "What a cut leaves of the epochs is written down at once.",
        "streamline/services/replica.py",
        """
        self.epochs.truncate_end(end_offset if keeps_epochs else NO_OFFSET)
        try:
            self.books.write_epochs()
        except StorageFailed as error:
            raise self._broken(error) from error
        """,
        "self.epochs.truncate_end(end_offset if keeps_epochs else NO_OFFSET)",
        ["tests/services/test_replica.py::CuttingTests::test_epochs_are_written_down"],
    ),
    Mutant(
        "KR1",
        "What a leader may yet lose is not left to the kernel to send, when something else may be in its place.",
        "streamline/services/partition.py",
        "if isinstance(found, Deferred) or found.lent is None or found.next_offset <= committed:\n    return found",
        "return found",
        ["tests/services/test_replica.py::ServingTests::test_what_is_committed"],
    ),
    Mutant(
        "KR11",
        "Producers hear of what is committed first, then followers.",
        "streamline/services/partition.py",
        """
        self._for_commit.advance(high_watermark)
        if self._copiers:
            tell(self._copiers, lambda copier: copier.committed(), self)
        """,
        """
        if self._copiers:
            tell(self._copiers, lambda copier: copier.committed(), self)
        self._for_commit.advance(high_watermark)
        """,
        ["tests/services/test_replica.py::ServingTests::test_acknowledged_first"],
    ),
    Mutant(
        "KR4",
        "Where they cannot be, nothing is copied.",
        "streamline/services/replica.py",
        "self.books.write_epochs()",
        "self.books.save_epochs()",
        ["tests/services/test_replica.py::CuttingTests::test_a_full_disk"],
    ),
    Mutant(
        "KR4",
        "Epochs that begin beyond the end of a log that is opened are forgotten on disk, too, before it grows.",
        OPENING,
        "if written and written[-1][1] > kept.end_offset:",
        "if False:",
        ["tests/services/test_replica.py::CuttingTests::test_a_full_disk"],
    ),
    Mutant(
        "KR4",
        "Epochs are rebuilt from the batches.",
        OPENING,
        "epochs.assign(header.partition_leader_epoch, header.base_offset)",
        "pass",
        [f"{IDEMPOTENCE}BookkeepingTests::test_epochs_are_rebuilt"],
    ),
    Mutant(
        "KR4",
        "A checkpoint of epochs that makes no sense is rebuilt.",
        OPENING,
        "except ValueError:\n    written = None",
        "except ZeroDivisionError:\n    written = None",
        [f"{IDEMPOTENCE}BookkeepingTests::test_epochs_are_rebuilt"],
    ),
    Mutant(
        "KR4",
        "So is one of epochs that begin behind the log's end.",
        OPENING,
        "epochs.truncate_end(log.end_offset)",
        "",
        [f"{IDEMPOTENCE}BookkeepingTests::test_epochs_are_rebuilt"],
    ),
    Mutant(
        "KR4",
        "Nor is one with an epoch that left no record, where a record of an earlier one has come in its place.",
        OPENING,
        "_forget_the_unwritten(epochs, log)",
        "pass",
        ["tests/services/test_replica.py::CuttingTests::test_opened_with_an_epoch_that_is_none"],
    ),
    Mutant(
        "KR4",
        "A checkpoint of epochs has as many entries as it says.",
        EPOCHS,
        'if version != "0" or int(count) != len(lines):',
        'if version != "0":',
        [f"{SAVED}test_damage"],
    ),
)

FENCES = (
    Mutant(
        "KR5",
        "A client with an older epoch than ours is fenced.",
        READING,
        'raise Refused(ErrorCode.FENCED_LEADER_EPOCH, f"the leader epoch is {known}, not {claimed} any more")',
        "pass",
        [f"{FETCH}EpochTests::test_current_epoch", f"{LISTING}{OLDER}", f"{ENDING}{OLDER}"],
    ),
    Mutant(
        "KR5",
        "A client with a newer epoch than ours is told so.",
        PARTITION,
        "check_leader_epoch(current_leader_epoch, self.state.leader_epoch)",
        """
        if current_leader_epoch <= self.state.leader_epoch:
            check_leader_epoch(current_leader_epoch, self.state.leader_epoch)
        """,
        [f"{FETCH}EpochTests::test_current_epoch", f"{LISTING}{NEWER}", f"{ENDING}{NEWER}"],
    ),
    Mutant(
        "KR5",
        "Fetch looks at the epoch.",
        FETCHING,
        "partition.check_epoch(wanted.current_leader_epoch)",
        "",
        [f"{FETCH}EpochTests::test_current_epoch"],
    ),
    Mutant(
        "KR5",
        "ListOffsets looks at the epoch.",
        "streamline/api/list_offsets.py",
        "partition.check_epoch(part.current_leader_epoch)",
        "",
        [f"{LISTING}{OLDER}", f"{LISTING}{NEWER}"],
    ),
    Mutant(
        "KR5",
        "OffsetForLeaderEpoch looks at the epoch.",
        "streamline/api/epochs.py",
        "partition.check_epoch(part.current_leader_epoch)",
        "",
        [f"{ENDING}{OLDER}", f"{ENDING}{NEWER}"],
    ),
    Mutant(
        "KR6",
        "A reader whose log is another one is told where the two part.",
        FETCHING,
        "if wanted.last_fetched_epoch >= 0:",
        "if False:",
        [f"{FETCH}EpochTests::test_divergence"],
    ),
    Mutant(
        "KR6",
        "It gets no records with that.",
        FETCHING,
        "if self._is_parted(partition, read):\n    return _NOTHING",
        "self._is_parted(partition, read)",
        [f"{FETCH}EpochTests::test_divergence"],
    ),
    Mutant(
        "KR6",
        "It is told at once, however long it would wait.",
        FETCHING,
        "if read.error != ErrorCode.NONE or read.diverging is not None:",
        "if read.error != ErrorCode.NONE:",
        [f"{FETCH}EpochTests::test_divergence"],
    ),
    Mutant(
        "KR6",
        "A reader ahead of the end of its epoch diverges.",
        PARTITION,
        "return find_divergence(self.epochs, self._range(), offset, last_fetched_epoch)",
        "return None",
        [f"{FETCH}EpochTests::test_divergence"],
    ),
    Mutant(
        "KR9",
        "Consumers read up to the high watermark.",
        PARTITION,
        "return read(offset, max_bytes, end_offset=self.high_watermark, at_least_one=at_least_one)",
        "return read(offset, max_bytes, end_offset=self.log.end_offset, at_least_one=at_least_one)",
        ["tests/services/test_durability.py::SyncEachTests::test_readers_are_told_when_it_is_synced"],
    ),
    Mutant(
        "KR9",
        "The end that consumers are told is the high watermark.",
        "streamline/api/list_offsets.py",
        "return NO_TIMESTAMP, partition.latest_offset",
        "return NO_TIMESTAMP, log.end_offset",
        [f"{OFFSETS}EndTests::test_uncommitted_records_are_not_the_end"],
    ),
    Mutant(
        "KR9",
        "Nor is a record that is not known to be committed yet taken for none.",
        "streamline/api/list_offsets.py",
        "_ = partition.latest_offset  # which is refused where there may well be one that is committed",
        "pass",
        ["tests/api/test_replication.py::NewLeaderTests::test_not_available"],
    ),
    Mutant(
        "KR9",
        "Clients that do not know OFFSET_NOT_AVAILABLE are told what they know.",
        "streamline/api/list_offsets.py",
        "code = ErrorCode.LEADER_NOT_AVAILABLE",
        "pass",
        ["tests/api/test_replication.py::NewLeaderTests::test_old_versions"],
    ),
    Mutant(
        "KR30",
        "A fetch by id never sees another topic of the same name.",
        FETCHING,
        "raise Refused(ErrorCode.UNKNOWN_TOPIC_ID)",
        'known = "t"',
        [f"{FETCH}WaitingTests::test_topic_deleted_and_made_again"],
    ),
    Mutant(
        "KR30",
        "The id of the log is looked at, not only that of the name.",
        FETCHING,
        "if partition.log.identity.topic_id != topic_id:",
        "if False:",
        [f"{FETCH}ReadingTests::test_log_of_another_topic"],
    ),
    Mutant(
        "AU6",
        "A client that passes for a replica is refused (CVE-2018-1288).",
        "streamline/api/fetch.py",
        "if replica_id >= 0:",
        "if False:",
        [f"{FETCH}ReadingTests::test_passing_for_a_replica"],
    ),
    Mutant(
        "AU7",
        "The flags of a batch are looked at, not only the request.",
        TAKING,
        "if header.is_transactional:",
        "if False:",
        ["tests/api/test_produce_batches.py::BatchTests::test_transactions_are_refused_plainly"],
    ),
    Mutant(
        "KR32",
        "A node that stops answers what it has taken.",
        "streamline/net/listener.py",
        "await self._factory.finish(self._deadlines, DRAIN_S)",
        "await self._factory.finish(self._deadlines, 0.0)",
        ["tests/net/test_listener.py::StopTests::test_pending_produces_are_answered"],
    ),
    Mutant(
        "KR32",
        "A node that stops takes no request any more.",
        "streamline/net/listener.py",
        "self._factory.is_serving = False",
        "",
        ["tests/net/test_listener.py::StopTests::test_nothing_new_is_taken"],
    ),
    Mutant(
        "KR32",
        "Nor a connection.",
        "streamline/net/listener.py",
        "await self._listener.close_port()",
        "",
        ["tests/net/test_listener.py::StopTests::test_nothing_new_is_taken"],
    ),
)

MUTANTS = (*EPOCH_CACHE, *FENCES)
