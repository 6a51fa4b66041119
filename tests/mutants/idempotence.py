"""Idempotent producers, acknowledgements, and what a partition remembers: KR26, KR27, the acks, the sequences."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

PRODUCERS = "streamline/transactions/producers.py"
SNAPSHOTS = "streamline/transactions/snapshots.py"
PARTITION = "streamline/services/partition.py"
TAKING = "streamline/services/taking.py"
BOOKS = "streamline/services/bookkeeping.py"
REMEMBERING = "streamline/services/remembering.py"
OPENING = "streamline/services/opening.py"
PRODUCER_IDS = "streamline/services/producer_ids.py"

CORE = "tests/transactions/test_producers.py::"
SNAPSHOT = "tests/transactions/test_snapshots.py::SnapshotTests::"
SERVICE = "tests/services/test_idempotence.py::"
DURABLE = "tests/services/test_durability.py::"

SEQUENCES = (
    Mutant(
        "SQ1",
        "A batch comes right after the one before it.",
        PRODUCERS,
        "if known.batches and not follows(known.last_sequence, first_sequence):",
        "if False:",
        [f"{CORE}SequenceTests::test_gap", f"{SERVICE}WireTests::test_gap"],
    ),
    Mutant(
        "SQ1",
        "After 2^31 - 1 comes 0.",
        PRODUCERS,
        "return first == last + 1 or (first == 0 and last == SEQUENCE_MAX)",
        "return first == last + 1",
        [f"{CORE}SequenceTests::test_wraps"],
    ),
    Mutant(
        "SQ2",
        "A batch that is among the last five is answered as it was, not written again.",
        PRODUCERS,
        "if batch.first_sequence == first_sequence and batch.last_sequence == last_sequence:\n    return batch",
        "pass",
        [f"{CORE}DuplicateTests::test_each_of_the_last_five", f"{SERVICE}WireTests::test_last_five"],
    ),
    Mutant(
        "SQ2",
        "It is the same batch if both ends are the same.",
        PRODUCERS,
        "if batch.first_sequence == first_sequence and batch.last_sequence == last_sequence:",
        "if batch.first_sequence == first_sequence:",
        [f"{CORE}DuplicateTests::test_both_ends_must_match"],
    ),
    Mutant(
        "SQ2",
        "Five batches are remembered, as many as a producer has in flight.",
        PRODUCERS,
        "REMEMBERED_BATCHES = 5",
        "REMEMBERED_BATCHES = 4",
        [f"{SERVICE}WireTests::test_last_five"],
    ),
    Mutant(
        "SQ2",
        "No more than five are.",
        PRODUCERS,
        "batches = (*known.batches[1 - REMEMBERED_BATCHES :], batch)",
        "batches = (*known.batches, batch)",
        [f"{CORE}DuplicateTests::test_no_more_than_five"],
    ),
    Mutant(
        "SQ2",
        "A repeated batch is not answered before the first one is written.",
        TAKING,
        "if receipt.next_offset > self.log.flushed_offset:\n    self._unflushed.append(receipt)",
        "",
        [f"{SERVICE}WireTests::test_twice_in_one_pass_that_cannot_be_written"],
    ),
    Mutant(
        "SQ2",
        "With LogAppendTime it is told when the first one was appended.",
        TAKING,
        "timestamp_ms = known.timestamp_ms if self._stamps_time else NO_TIMESTAMP",
        "timestamp_ms = NO_TIMESTAMP",
        [f"{SERVICE}AppendTimeTests::test_same_time"],
    ),
    Mutant(
        "SQ3",
        "A producer with an older epoch is fenced.",
        PRODUCERS,
        "if epoch < known.epoch:",
        "if False:",
        [f"{CORE}EpochTests::test_old_epoch", f"{SERVICE}WireTests::test_fenced"],
    ),
    Mutant(
        "SQ3",
        "A new epoch begins at sequence 0.",
        PRODUCERS,
        "if first_sequence != 0 and known.epoch != NO_PRODUCER_EPOCH:",
        "if False:",
        [f"{CORE}EpochTests::test_new_epoch_begins_at_zero", f"{SERVICE}WireTests::test_fenced"],
    ),
    Mutant(
        "SQ3",
        "A new epoch knows no batch of the one before.",
        PRODUCERS,
        "if known is None or known.epoch != epoch:",
        "if known is None:",
        [f"{CORE}EpochTests::test_new_epoch_forgets_the_batches"],
    ),
    Mutant(
        "SQ4",
        "A batch that could not be written is not remembered.",
        PARTITION,
        "self.producers.take_back(kept)",
        "",
        [f"{SERVICE}WireTests::test_refused_batches_leave_no_trace"],
    ),
    Mutant(
        "SQ4",
        "What the log kept of a failed pass stays.",
        PRODUCERS,
        "if offset < end_offset:\n    break",
        "",
        [f"{CORE}TakingBackTests::test_what_was_kept_stays"],
    ),
    Mutant(
        "SQ4",
        "A batch that the roll wrote is acknowledged, though the pass failed behind it.",
        PARTITION,
        "if receipt.next_offset > kept:\n    receipt.refusal = refusal",
        "receipt.refusal = refusal",
        [f"{DURABLE}FullDiskTests::test_a_batch_that_the_roll_wrote_is_not_taken_back"],
    ),
    Mutant(
        "SQ5",
        "A producer id is given once: blocks of ids are agreed on.",
        "streamline/cluster/image.py",
        "return evolve(image, next_producer_id=first + command.count), first",
        "return image, first",
        [f"{SERVICE}InitProducerIdTests::test_never_twice"],
    ),
    Mutant(
        "SQ5",
        "All that wait for a block take it up one by one.",
        PRODUCER_IDS,
        "taken, self._left = self._left[0], self._left[1:]",
        "taken = self._left[0]",
        [f"{SERVICE}InitProducerIdTests::test_never_twice"],
    ),
    Mutant(
        "SQ6",
        "A producer that is silent for too long is forgotten.",
        "streamline/services/housekeeping.py",
        "partition.producers.expire(expired_ms)",
        "",
        [f"{SERVICE}WireTests::test_expired"],
    ),
    Mutant(
        "SQ6",
        "One that is restored counts as heard of now.",
        PRODUCERS,
        "self._producers = {producer.producer_id: evolve(producer, seen_ms=now_ms) for producer in producers}",
        "self._producers = {producer.producer_id: producer for producer in producers}",
        [f"{CORE}ForgettingTests::test_restored_producers_count_as_heard_of_now"],
    ),
)

REBUILDING = (
    Mutant(
        "KR27",
        "Producers are rebuilt from the batches of the log.",
        REMEMBERING,
        "producers.wrote(header.producer_id, header.producer_epoch, batch, now_ms)",
        "pass",
        [f"{SERVICE}CrashTests::test_from_the_log_alone", f"{SERVICE}CrashTests::test_epoch_after_a_crash"],
    ),
    Mutant(
        "KR27",
        "A batch that is in the snapshot does not count twice.",
        REMEMBERING,
        "if header.producer_id == NO_PRODUCER_ID or header.base_offset < from_offset or header.is_control:",
        "if header.producer_id == NO_PRODUCER_ID or header.is_control:",
        [f"{SERVICE}CrashTests::test_epochs_missing_and_a_start_that_has_moved"],
    ),
    Mutant(
        "KR27",
        "A snapshot that is damaged is passed over.",
        REMEMBERING,
        "except ValueError:\n    continue",
        "except ZeroDivisionError:\n    continue",
        [f"{SERVICE}CrashTests::test_snapshot_missing_or_damaged"],
    ),
    Mutant(
        "KR27",
        "A producer snapshot has a checksum.",
        SNAPSHOTS,
        "if version != _VERSION or crc != crc32c(snapshot[6:]):",
        "if version != _VERSION:",
        [f"{SNAPSHOT}test_damage"],
    ),
    Mutant(
        "KR27",
        "So do the batches that are remembered.",
        SNAPSHOTS,
        "if crc != crc32c(data[4:]):",
        "if False:",
        [f"{SNAPSHOT}test_damage"],
    ),
    Mutant(
        "KR27",
        "A snapshot counts beside the log that it was taken of.",
        SNAPSHOTS,
        "if (of_offset, of_crc) != (offset, last_crc):",
        "if False:",
        [f"{SNAPSHOT}test_of_another_log", f"{SERVICE}CrashTests::test_a_snapshot_of_more_than_the_log_holds"],
    ),
    Mutant(
        "KR27",
        "A snapshot of more than the log holds goes.",
        REMEMBERING,
        "if offset is not None and offset > log.end_offset:",
        "if False:",
        [f"{SERVICE}CrashTests::test_a_snapshot_of_more_than_the_log_holds"],
    ),
    Mutant(
        "KR27",
        "What is remembered besides the newest batch is restored too.",
        SNAPSHOTS,
        "batches = known if known is not None and known[-1] == newest else (newest,)",
        "batches = (newest,)",
        [f"{SERVICE}CrashTests::test_after_a_clean_stop"],
    ),
    Mutant(
        "KR27",
        "The batch that begins a segment is not in the snapshot that its roll takes.",
        TAKING,
        "if log.segment_offset != self._segment_offset:\n"
        "    self._segment_offset = log.segment_offset\n"
        "    self.books.rolled()  # which may close the log, and take what it had not written off its end\n"
        "if header.producer_id != NO_PRODUCER_ID:\n    self._remember(header)",
        "if header.producer_id != NO_PRODUCER_ID:\n    self._remember(header)\n"
        "if log.segment_offset != self._segment_offset:\n    self._segment_offset = log.segment_offset\n"
        "    self.books.rolled()",
        [f"{SERVICE}RollTests::test_just_behind_a_roll"],
    ),
    Mutant(
        "KR27",
        "What cannot be written down is in the log, and nobody is refused for it.",
        BOOKS,
        "except (StreamlineError, OSError) as error:",
        "except ZeroDivisionError as error:",
        [f"{SERVICE}BookkeepingTests::test_full_disk"],
    ),
    Mutant(
        "KR27",
        "A log that is cut takes its producers' batches along.",
        PRODUCERS,
        "kept = tuple(batch for batch in known.batches if batch.last_offset < end_offset)",
        "kept = known.batches",
        [f"{CORE}ForgettingTests::test_truncate"],
    ),
    Mutant(
        "KR27",
        "Where some of a producer's last batches are cut off, those before them are known again.",
        "streamline/services/replica.py",
        "if self.producers.truncate(self.log.end_offset, self._clock.wall_ms()):",
        """
        before = len(self.producers)
        self.producers.truncate(self.log.end_offset, self._clock.wall_ms())
        if len(self.producers) < before:
        """,
        ["tests/services/test_replica.py::CuttingTests::test_producers_are_known_as_far_back"],
    ),
    Mutant(
        "KR26",
        "Nothing that a new producer has sent is taken before what was refused a moment ago.",
        "streamline/services/taking.py",
        "self._passed_over(looked[0])",
        "pass",
        ["tests/services/test_replica.py::CuttingTests::test_who_was_refused"],
    ),
    Mutant(
        "KR26",
        "Of a new producer that another node passes on, the first batch comes first.",
        "streamline/services/taking.py",
        "if is_relayed and header.base_sequence and producers.get(header.producer_id) is None:",
        "if False:",
        ["tests/services/test_replica.py::CuttingTests::test_passed_on"],
    ),
    Mutant(
        "KR26",
        "Nor before what was cut.",
        PRODUCERS,
        "self.passed_over(producer_id, known.epoch, known.batches[0].first_sequence, now_ms)",
        "pass",
        ["tests/services/test_replica.py::CuttingTests::test_who_was_cut_off"],
    ),
    Mutant(
        "KR26",
        "But not for ever: what is not known may have been forgotten, and any sequence is the first then.",
        PRODUCERS,
        "if awaited[0] == epoch and awaited[1] < first_sequence and now_ms < awaited[2]:",
        "if awaited[0] == epoch and awaited[1] < first_sequence:",
        [f"{CORE}ForgettingTests::test_passed_over"],
    ),
)

ACKS = (
    Mutant(
        "AC1",
        "acks=all waits for the high watermark.",
        "streamline/replication/acks.py",
        "return acks == ACKS_ALL",
        "return False",
        ["tests/replication/test_acks.py::KafkaAcksTests::test_what_waits"],
    ),
    Mutant(
        "AC1",
        "Unknown acks are refused.",
        "streamline/replication/acks.py",
        "elif acks not in (ACKS_LEADER, ACKS_NONE):",
        "elif False:",
        ["tests/replication/test_acks.py::KafkaAcksTests::test_unknown_acks"],
    ),
    Mutant(
        "KR24",
        "Too few replicas before the append: nothing is written.",
        "streamline/replication/acks.py",
        "if isr_count < min_isr:",
        "if False:",
        [
            "tests/replication/test_acks.py::KafkaAcksTests::test_only_all_needs_replicas",
            "tests/api/test_produce.py::AcksTests::test_too_few_replicas",
        ],
    ),
    Mutant(
        "KR24",
        "Too few of them while the produce waited: it is told so.",
        "streamline/replication/acks.py",
        "if acks == ACKS_ALL and isr_count < min_isr:",
        "if False:",
        [
            "tests/replication/test_acks.py::KafkaAcksTests::test_replicas_lost_meanwhile",
            "tests/services/test_shards.py::WritingTests::test_replicas_lost_while_it_waits",
        ],
    ),
    Mutant(
        "AC2",
        "With flush.messages=1 a record counts once a sync has ended.",
        PARTITION,
        "if self._unsynced_records >= self.config.flush_messages:",
        "if False:",
        [f"{DURABLE}SyncEachTests::test_every_answer_waits"],
    ),
    Mutant(
        "AC2",
        "While a sync is under way nothing else counts.",
        PARTITION,
        "elif not self._syncs:",
        "else:",
        [f"{DURABLE}SyncSomeTests::test_the_fourth_waits"],
    ),
    Mutant(
        "AC2",
        "flush.ms syncs what no number of messages has.",
        PARTITION,
        "self._sync_timer = self._clock.callLater(self.config.flush_ms / 1000, self._sync_is_due)",
        "pass",
        [f"{DURABLE}SyncInTimeTests::test_synced_in_time"],
    ),
    Mutant(
        "AC2",
        "A time-out says that the outcome is unknown.",
        PARTITION,
        "refusal = refusal_of(self._acks, acks, receipt.next_offset, self._standing(leadership))",
        "refusal = None",
        [f"{DURABLE}SyncEachTests::test_time_is_up"],
    ),
    Mutant(
        "DK12",
        "A partition whose sync failed is offline, and who waited for it is refused.",
        PARTITION,
        'self._stop(self._not_written(failure.value or StorageFailed("the sync failed")))',
        "pass",
        [f"{DURABLE}LostSyncTests::test_refused_and_offline", f"{DURABLE}LostSyncTests::test_waiting_readers_are_told"],
    ),
    Mutant(
        "DK10",
        "A batch that found no space is refused.",
        PARTITION,
        "self._take_back(receipts, self._not_written(error))",
        "pass",
        [f"{DURABLE}FullDiskTests::test_full_and_not_full_again"],
    ),
    Mutant(
        "DK10",
        "A copy that there was no space for is opened once there is.",
        "streamline/services/replicas.py",
        "self._starved[identity] = None",
        "pass",
        [f"{DURABLE}ReserveTests::test_what_could_not_be_opened"],
    ),
    Mutant(
        "DK10",
        "A copy that there was no space to cut is opened again once there is.",
        "streamline/services/replicas.py",
        "self._starved[replica.log.identity] = None",
        "pass",
        ["tests/services/test_replica.py::CuttingTests::test_a_full_disk"],
    ),
    Mutant(
        "DK11",
        "Below the reserve clients' records are refused.",
        "streamline/services/replicas.py",
        "if produce_version is not None and (self.full is not None or topic in INTERNAL_TOPICS):",
        "if produce_version is not None and topic in INTERNAL_TOPICS:",
        [f"{DURABLE}ReserveTests::test_reserve"],
    ),
    Mutant(
        "DK11",
        "The coordinator's own records may use the reserve.",
        "streamline/services/replicas.py",
        "if produce_version is not None and (self.full is not None or topic in INTERNAL_TOPICS):",
        "if self.full is not None or topic in INTERNAL_TOPICS:",
        [f"{DURABLE}ReserveTests::test_reserve"],
    ),
    Mutant(
        "DK11",
        "Records are taken again by themselves when there is space.",
        "streamline/services/housekeeping.py",
        "self._replicas.full = None",
        "",
        [f"{DURABLE}ReserveTests::test_reserve"],
    ),
    Mutant(
        "DK11",
        "The reserve is a share of the disk at most.",
        "streamline/services/housekeeping.py",
        "reserve = min(self._config.broker.log_space_reserve_bytes, int(total * RESERVE_SHARE))",
        "reserve = self._config.broker.log_space_reserve_bytes",
        [f"{DURABLE}ReserveTests::test_never_more_than_a_share"],
    ),
    Mutant(
        "DK13",
        "A partition that cannot be read is an error for this partition.",
        "streamline/api/fetching.py",
        "failure.trap(Refused)\nassert isinstance(failure.value, Refused)\nread.failed(failure.value.code)",
        "raise failure.value",
        ["tests/api/test_fetch.py::ColdTests::test_device_that_cannot_be_read"],
    ),
    Mutant(
        "KR26",
        "A leader that stops releases whoever waits.",
        PARTITION,
        "self._for_commit.release_all()\nself._for_count.release_all()",
        "",
        ["tests/api/test_produce.py::DeletedTests::test_waiting_for_a_sync"],
    ),
    Mutant(
        "KR26",
        "They are told that it leads no longer, not that their record is safe.",
        PARTITION,
        "return self.offline.again() if refusal is not None and self.offline is not None else refusal",
        "return None",
        ["tests/api/test_produce.py::DeletedTests::test_waiting_for_a_sync"],
    ),
    Mutant(
        "KR26",
        "Nothing is taken by a partition that is led no longer.",
        TAKING,
        "raise self.offline.again() if self.offline is not None else Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)",
        "pass",
        ["tests/services/test_shards.py::WritingTests::test_partition_out_of_order"],
    ),
    Mutant(
        "KR26",
        "Fetches that wait at a partition that is led no longer are told so.",
        PARTITION,
        "tell(self._readers, lambda reader: reader(0), self)",
        "",
        [
            "tests/api/test_fetch.py::WaitingTests::test_topic_deleted",
            f"{DURABLE}LostSyncTests::test_waiting_readers_are_told",
        ],
    ),
)

MUTANTS = (*SEQUENCES, *REBUILDING, *ACKS)
