"""The rules of the disk (DK): what a log, its checkpoints and the disk itself do so that nothing is lost."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RECOVERY = "streamline/storage/recovery.py"
LOG = "streamline/storage/log.py"
READABLE = "streamline/storage/readable.py"
SEGMENT = "streamline/storage/segment.py"
STORAGE = "streamline/storage/segments.py"
CHAIN = "streamline/storage/chain.py"
SYNCING = "streamline/storage/syncing.py"
CHECKPOINTS = "streamline/storage/checkpoints.py"
LAYOUT = "streamline/storage/layout.py"
INDEX = "streamline/storage/index.py"
VIEW = "streamline/storage/view.py"
DISK = "streamline/storage/disk.py"

DAMAGE = "tests/storage/test_recovery.py::DamageTests::"
SIDE = "tests/storage/test_recovery.py::SideFilesTests::"
TWICE = "tests/storage/test_recovery.py::CrashInRecoveryTests::"
CRASHES = "tests/storage/test_crashes.py::CrashTests::"
SYNCED = "tests/storage/test_durability.py::SyncedTests::"
NOTING = "tests/storage/test_durability.py::NotingTests::"
FULL = "tests/storage/test_faults.py::FullDiskTests::"
FAILING = "tests/storage/test_faults.py::FailingDiskTests::"
READING = "tests/storage/test_reading.py::ReadingTests::"
REAL = "tests/storage/test_disk.py::RealDiskTests::"
CONTENT = "tests/storage/test_layout.py::ContentTests::"
CONTRACT = "tests/storage/test_contract.py::SegmentTests::"

RECOVERING = (
    Mutant(
        "DK1", "What follows the last whole batch is cut off the file.", RECOVERY,
        "segment.file.truncate(segment.size)", "",
        [f"{DAMAGE}test_cut_at_every_byte"],
    ),
    Mutant(
        "DK1", "The log ends after the last batch that was found whole.", RECOVERY,
        "self.end_offset, self._epoch = next_offset, epoch", "self._epoch = epoch",
        [f"{DAMAGE}test_cut_at_every_byte"],
    ),
    Mutant(
        "DK1", "Nothing is kept behind a batch that is not whole, not in later segments either.", RECOVERY,
        'self._drop_from(slot + 1, f"{segment.path()} has no whole batch at {whole}")', "",
        [f"{DAMAGE}test_segments_after_damage_go"],
    ),
    Mutant(
        "DK1", "Where a segment is missing the log ends.", RECOVERY,
        "if slot > durable and segment.base_offset != self.end_offset:", "if False:",
        [f"{DAMAGE}test_missing_segment"],
    ),
    Mutant(
        "DK2", "A batch counts if its checksum is right.", RECOVERY,
        "if crc32c(view[at + CHECKED_AT : at + size]) != crc:", "if False:",
        [f"{DAMAGE}test_flip_every_bit"],
    ),
    Mutant(
        "DK2", "So does one that is longer than what is read at once.", RECOVERY,
        "return checksum == found.crc", "return True",
        [f"{DAMAGE}test_batch_larger_than_a_block"],
    ),
    Mutant(
        "DK2", "The magic byte, which no checksum covers, is looked at.", RECOVERY,
        "magic != MAGIC\nor size < HEADER_BYTES", "size < HEADER_BYTES",
        [f"{DAMAGE}test_flip_every_bit"],
    ),
    Mutant(
        "DK3", "A batch is where the one before it ends, so that none comes twice.", RECOVERY,
        "or not self._follows(base_offset)", "",
        [f"{DAMAGE}test_bad_tails"],
    ),
    Mutant(
        "DK3", "Only compaction leaves gaps.", RECOVERY,
        "return base_offset == self.end_offset or (base_offset > self.end_offset and self._plan.config.compacts)",
        "return base_offset >= self.end_offset",
        [f"{DAMAGE}test_bad_tails"],
    ),
    Mutant(
        "DK3", "Leader epochs do not fall.", RECOVERY,
        "or epoch < self._epoch", "",
        [f"{DAMAGE}test_epoch_falls"],
    ),
    Mutant(
        "DK4", "An index entry is believed for what lies below the recovery point, and for nothing else.", RECOVERY,
        "slot = index.before_offset(reach)", "slot = len(index) - 1",
        [f"{DAMAGE}test_index_beyond_the_recovery_point"],
    ),
    Mutant(
        "DK4", "Not even for that, if the log has another batch at its position.", RECOVERY,
        "if header.last_offset - segment.base_offset != relative_offset:", "if False:",
        [f"{DAMAGE}test_index_that_lies"],
    ),
    Mutant(
        "DK4", "What the time index says of lost batches is forgotten.", RECOVERY,
        "times.truncate(relative_offset)", "",
        [f"{DAMAGE}test_index_ahead_of_the_log"],
    ),
    Mutant(
        "DK4", "A marker of a clean stop is not enough where the log does not end with a whole batch.", RECOVERY,
        "if end_offset is not None:\n    return Loaded(segments, end_offset)",
        "return Loaded(segments, end_offset or 0)",
        [f"{DAMAGE}test_clean_marker_beside_half_a_batch"],
    ),
    Mutant(
        "DK6", "What recovery keeps is durable before anybody sees it.", RECOVERY,
        "segment.file.truncate(segment.size)\nsegment.file.sync()", "segment.file.truncate(segment.size)",
        [f"{TWICE}test_recovered_is_durable"],
    ),
    Mutant(
        "DK6", "A scan begins at the recovery point, and below it nothing is cut.", RECOVERY,
        "durable = sum(base_offset <= known for base_offset in bases)", "durable = len(bases)",
        [f"{TWICE}test_five_times"],
    ),
)

SIDE_FILES = (
    Mutant(
        "DK4", "An offset index goes on to the end of its log.", SEGMENT,
        "self._view(index).check_offsets(self.config.index_interval_bytes)", "",
        [f"{SIDE}test_after_a_clean_stop"],
    ),
    Mutant(
        "DK4", "A time index ends with the greatest time.", SEGMENT,
        "self.view().check_times(times)", "pass",
        [f"{SIDE}test_after_a_clean_stop"],
    ),
    Mutant(
        "DK4", "The entries of an offset index rise, and stay within the log.", INDEX,
        "raise IndexDoubted(\"an offset index that does not rise, or leaves its log\")", "pass",
        ["tests/storage/test_index.py::OffsetIndexTests::test_doubt"],
    ),
    Mutant(
        "DK4", "The entries of a time index rise.", INDEX,
        "raise IndexDoubted(\"a time index that does not rise\")", "pass",
        ["tests/storage/test_index.py::TimeIndexTests::test_doubt"],
    ),
    Mutant(
        "DK4", "An entry is used if the batch at its position has the offset that it says.", VIEW,
        "if known is not None and known != last_offset:", "if False:",
        [f"{SIDE}test_cut_by_an_index_that_lies"],
    ),
    Mutant(
        "DK4", "The same where a read jumps over batches by the index.", VIEW,
        "if last_offset != self._offset(slot):", "if False:",
        [f"{SIDE}test_index_that_is_believed_too_much"],
    ),
    Mutant(
        "DK4", "A checkpoint has as many entries as it says, each once.", LAYOUT,
        "sound = int(version) == 0 and int(count) == len(lines) == len(offsets) and data.endswith(b\"\\n\")",
        "sound = int(version) == 0 and data.endswith(b\"\\n\")",
        [f"{CONTENT}test_offsets_that_make_no_sense"],
    ),
    Mutant(
        "DK4", "A checkpoint ends with a whole line.", LAYOUT,
        "sound = int(version) == 0 and int(count) == len(lines) == len(offsets) and data.endswith(b\"\\n\")",
        "sound = int(version) == 0 and int(count) == len(lines) == len(offsets)",
        [f"{CONTENT}test_offsets_that_make_no_sense"],
    ),
    Mutant(
        "DK4", "A checkpoint that makes no sense counts as empty.", LAYOUT,
        "except ValueError:\n    return None\nreturn offsets if sound and all(offset >= 0 for offset in offsets.values()) else None",
        "except ZeroDivisionError:\n    return None\nreturn offsets",
        [f"{SIDE}test_after_a_crash"],
    ),
    Mutant(
        "DK4", "A marker of a clean stop that makes no sense is none.", LAYOUT,
        "except (ValueError, TypeError, KeyError):\n    return None", "except (ValueError, TypeError, KeyError):\n    return 0",
        [f"{CONTENT}test_clean_shutdown"],
    ),
    Mutant(
        "DK4", "A directory that does not say which topic it is of is made to say so again.", STORAGE,
        "elif disk.read_file(path) != metadata:\n    disk.replace_file(path, metadata)", "",
        [f"{SIDE}test_after_a_clean_stop"],
    ),
    Mutant(
        "DK4", "No checkpoint leads the log that was recovered.", STORAGE,
        "checkpoints.lower(partition, loaded.end_offset)", "",
        [f"{DAMAGE}test_noted_beyond_the_end"],
    ),
    Mutant(
        "DK4", "A marker of a clean stop counts once.", STORAGE,
        "epoch = decode_clean_shutdown(self._disk.read_file(path))\nself._disk.remove(path)",
        "epoch = decode_clean_shutdown(self._disk.read_file(path))",
        [f"{CRASHES}test_clean_marker_counts_once"],
    ),
    Mutant(
        "DK4", "It is gone from the device before anything is written.", STORAGE,
        "self._disk.remove(path)\nself._disk.sync_directory(self._directory)", "self._disk.remove(path)",
        [f"{CRASHES}test_clean_marker_counts_once"],
    ),
    Mutant(
        "DK4", "A stop after a failure is no clean one.", READABLE,
        "self._commons.any_failed = True", "",
        [f"{FAILING}test_write_fails"],
    ),
)

STEPS = (
    Mutant(
        "DK5", "A cut through several segments is noted before the first of them goes.", CHAIN,
        "truncation.note(self.commons.disk, self.directory, Truncation(NO_OFFSET, segment.base_offset, position))",
        "pass",
        [f"{CRASHES}test_truncate"],
    ),
    Mutant(
        "DK5", "So is beginning anew.", CHAIN,
        "truncation.note(self.commons.disk, self.directory, Truncation(offset, offset, 0))", "",
        [f"{CRASHES}test_restart_at"],
    ),
    Mutant(
        "DK5", "A cut that was noted and not finished is finished at the next start.", RECOVERY,
        "truncation.carry_out(disk, directory, unfinished, bases)", "",
        [f"{CRASHES}test_truncate"],
    ),
    Mutant(
        "DK5", "The new start is noted before retention renames the first file.", CHAIN,
        "self.commons.checkpoints.start_at(self.partition, start_offset)", "pass",
        [f"{CRASHES}test_retain"],
    ),
    Mutant(
        "DK5", "Recovery points and high watermarks fall before the log does.", LOG,
        "self._commons.checkpoints.lower(self.identity.topic_partition, end_offset)", "pass",
        [f"{CRASHES}test_truncated_and_filled_again"],
    ),
    Mutant(
        "DK5", "A cut is durable before other batches come in its place.", SEGMENT,
        "self.file.truncate(size)\nself.file.sync()", "self.file.truncate(size)",
        [f"{CRASHES}test_truncated_and_filled_again"],
    ),
    Mutant(
        "DK5", "A finished segment is synced before what follows it counts as durable.", SYNCING,
        "file.sync()\nsaved = save_index(disk, work)", "saved = save_index(disk, work)",
        [f"{CRASHES}test_roll"],
    ),
    Mutant(
        "DK5", "A sync of the new segment waits for that of the finished one.", SYNCING,
        "if self._settling:  # also where the log is empty behind that: its active segment's name is not durable yet",
        "if False:",
        [f"{SYNCED}test_behind_a_roll"],
    ),
    Mutant(
        "DK5", "A topic that is said to be deleted does not come back after a power cut.", STORAGE,
        "self._disk.rename(self._path(partition), path)\nself._disk.sync_directory(self._directory)",
        "self._disk.rename(self._path(partition), path)",
        [f"{CRASHES}test_discarded_for_good"],
    ),
    Mutant(
        "DK5", "A sync that began before a cut says nothing of what came after it.", SYNCING,
        "if generation == self._chain.generation:\n    segment.synced_size = max(segment.synced_size, size)",
        "if True:\n    segment.synced_size = max(segment.synced_size, size)",
        [f"{NOTING}test_cut_during_a_sync"],
    ),
    Mutant(
        "DK5", "A recovery point that falls while it is noted is not noted as risen.", CHECKPOINTS,
        "if self._falls != before:", "if False:",
        [f"{NOTING}test_fall_during_a_rise"],
    ),
    Mutant(
        "DK5", "Nothing of a deleted topic is left for the next one of its name.", STORAGE,
        "self._checkpoints.forget(partition)", "",
        [f"{NOTING}test_discarded_is_forgotten"],
    ),
    Mutant(
        "DK5", "A read that a cut overtook is made again.", "streamline/storage/reading.py",
        "if generation != chain.generation:\n    return self._again(wanted)\nfollowing = chain.after(segment)",
        "following = chain.after(segment)",
        [f"{READING}test_cut_meanwhile"],
    ),
    Mutant(
        "DK15", "A replaced file is durable before it has its name.", DISK,
        "os.fsync(file.fileno())", "pass",
        [f"{REAL}test_replace_is_durable"],
    ),
    Mutant(
        "DK15", "The name of a replaced file is durable.", DISK,
        "self.sync_directory(os.path.dirname(os.path.abspath(path)))", "",
        [f"{REAL}test_replace_is_durable"],
    ),
    Mutant(
        "DK15", "The name of a new directory is durable.", DISK,
        "os.mkdir(path)\nself.sync_directory(parent)", "os.mkdir(path)",
        [f"{REAL}test_made_directories_are_durable"],
    ),
    Mutant(
        "DK15", "A checkpoint is written beside the old one and synced before it takes its name.", CHECKPOINTS,
        "file.write([data], 0)\nfile.sync()", "file.write([data], 0)",
        [f"{CRASHES}test_checkpoint"],
    ),
    Mutant(
        "DK15", "The name of a rolled segment is durable with the segment before it.", SYNCING,
        "saved = save_index(disk, work)\ndisk.sync_directory(directory)", "saved = save_index(disk, work)",
        [f"{CRASHES}test_roll"],
    ),
    Mutant(
        "DK15", "The names of a new partition's first files are durable.", STORAGE,
        "segment.create()\ndisk.sync_directory(directory)", "segment.create()",
        [f"{SYNCED}test_first_segment"],
    ),
)

FAULTS = (
    Mutant(
        "DK10", "What could not be written does not count.", LOG,
        "self._forget_pending()\ntry:\n    self._chain.active.forget_unwritten(self.end_offset)",
        "try:\n    self._chain.active.forget_unwritten(self.end_offset)",
        [f"{FULL}test_append"],
    ),
    Mutant(
        "DK10", "The part of it that was written is cut off.", SEGMENT,
        "self.file.truncate(self.size)\nself._allocated = 0\nself._cut_index(self.size, end_offset)",
        "self._allocated = 0\nself._cut_index(self.size, end_offset)",
        [f"{FULL}test_append_that_fits_in_part"],
    ),
    Mutant(
        "DK10", "The indexes forget it.", SEGMENT,
        "self._allocated = 0\nself._cut_index(self.size, end_offset)", "self._allocated = 0",
        [f"{FULL}test_time_of_what_did_not_fit"],
    ),
    Mutant(
        "DK10", "A full disk does not close the log.", READABLE,
        "if error.errno in PASSING:", "if False:",
        [f"{FULL}test_append"],
    ),
    Mutant(
        "DK10", "Nothing comes in the place of lost batches before their owner has heard of it.", LOG,
        "if self._failure is not None or self._lost is not None:\n    raise StorageFailed(str(self._failure or self._lost))",
        "if self._failure is not None:\n    raise StorageFailed(str(self._failure or self._lost))",
        [f"{FULL}test_roll_with_batches_before_it"],
    ),
    Mutant(
        "DK10", "Who flushes unasked leaves the news of a loss to whoever appended.", LOG,
        "self._lost = error\nraise", "raise",
        [f"{FULL}test_unasked_flush"],
    ),
    Mutant(
        "DK10", "Retention flushes before it looks, and goes on where that is not possible.", LOG,
        "with suppress(StorageFailed):\n    self._flush_unasked()\nself._check()\nchain, config = self._chain, self._config",
        "self.flush()\nchain, config = self._chain, self._config",
        [f"{FULL}test_unasked_flush"],
    ),
    Mutant(
        "DK10", "A cut flushes first, and goes on where that is not possible.", LOG,
        "with suppress(StorageFailed):\n    self._flush_unasked()\nself._check()\nif end_offset >= self.end_offset:",
        "self.flush()\nif end_offset >= self.end_offset:",
        [f"{FULL}test_unasked_flush"],
    ),
    Mutant(
        "DK10", "Closing a log goes on where its last batches cannot be written.", LOG,
        "with suppress(StorageFailed):\n    self.flush()\nself._check()", "self.flush()",
        [f"{FULL}test_close"],
    ),
    Mutant(
        "DK10", "Retention makes space on a full disk, though it cannot roll.", LOG,
        "with suppress(StorageFailed):\n    self._roll(self.end_offset)\n    return True",
        "self._roll(self.end_offset)\nreturn True",
        [f"{FULL}test_retention"],
    ),
    Mutant(
        "DK10", "Retention makes space on a full disk, though it cannot note the new start.", CHAIN,
        "if error.errno != errno.ENOSPC:\n    raise\nsynced_at_once = False", "raise",
        [f"{FULL}test_retention"],
    ),
    Mutant(
        "DK10", "It then removes segments in order, durably one by one.", CHAIN,
        "if not synced_at_once or number == count:", "if number == count:",
        [f"{FULL}test_retention_and_a_power_cut"],
    ),
    Mutant(
        "DK10", "A topic can be deleted on a full disk.", CHECKPOINTS,
        "except OSError as error:  # the next note of anything says it\n"
        "    self.log.warn(\"{name} still has {log}: {why}\", name=name, log=str(partition), why=str(error))",
        "except ZeroDivisionError:\n    pass",
        [f"{FULL}test_deletes_work"],
    ),
    Mutant(
        "DK10", "What cannot be replaced leaves nothing behind that fills the disk further.", DISK,
        "if os.path.exists(aside):\n    os.unlink(aside)\nraise", "raise",
        [f"{REAL}test_replace_fails_cleanly"],
    ),
    Mutant(
        "DK12", "After a failed sync the file is neither written nor synced again.", DISK,
        "self._failure = OSError(errno.EIO, f\"an earlier sync failed: {result.value}\")", "",
        [f"{REAL}test_failed_sync_is_final"],
    ),
    Mutant(
        "DK12", "The same after a sync that was not waited for elsewhere.", DISK,
        "except OSError as error:\n    self._failure = error\n    raise", "except OSError:\n    raise",
        [f"{REAL}test_failed_sync_is_final"],
    ),
    Mutant(
        "DK12", "Whoever waits for the next sync hears of the failure of this one.", DISK,
        "done += self._waiting\nself._waiting = []", "if self._waiting:\n    self._begin_sync()",
        [f"{REAL}test_failed_sync_fails_all_who_wait"],
    ),
    Mutant(
        "DK12", "A log whose sync failed is closed for good.", SYNCING,
        "if not isinstance(failure.value, OSError):\n    return failure\nraise self._failed(failure.value)",
        "return failure",
        [f"{FAILING}test_sync_fails_once"],
    ),
    Mutant(
        "DK12", "So is one whose finished segment could not be synced.", SYNCING,
        "self._failed(failure.value)\nreturn None", "return None",
        [f"{FAILING}test_finished_segment_cannot_be_synced"],
    ),
    Mutant(
        "DK12", "A log that failed is recovered when it is opened again, however the last stop was.", STORAGE,
        "clean=self.clean_epoch is not None and before is None,", "clean=self.clean_epoch is not None,",
        [f"{FAILING}test_opened_again_is_durable"],
    ),
    Mutant(
        "DK13", "A device that cannot be read is an error for this partition, not for the process.", READABLE,
        "try:\n    found = self._reader.read(wanted)\nexcept OSError as error:\n    raise self._unread(error) from error",
        "found = self._reader.read(wanted)",
        [f"{FAILING}test_read_fails"],
    ),
    Mutant(
        "DK13", "The same where the device was waited for.", READABLE,
        "return found.addErrback(self._not_read) if isinstance(found, Deferred) else found", "return found",
        [f"{FAILING}test_read_elsewhere_fails"],
    ),
    Mutant(
        "DK13", "A log that cannot be opened keeps no other from it.", STORAGE,
        "except OSError as error:\n    raise StorageFailed(f\"{identity}: {error}\") from error",
        "except ZeroDivisionError:\n    raise",
        [f"{FAILING}test_cannot_be_opened"],
    ),
    Mutant(
        "DK17", "A data directory that cannot be used is a sentence, not a traceback.", STORAGE,
        "except OSError as error:\n"
        "    return fail(StartRefused(f\"cannot use the data directory {self._directory}: {error}\"))",
        "except ZeroDivisionError:\n    raise",
        [f"{FAILING}test_data_directory_cannot_be_used"],
    ),
    Mutant(
        "DK19", "Running out of descriptors is no fault of what is stored.", READABLE,
        "PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)",
        "PASSING = (errno.ENOSPC, errno.EDQUOT)",
        [f"{FULL}test_too_many_open_files"],
    ),
)

KEEPING = (
    Mutant(
        "KR8", "The high watermark is never below the start of the log.", LOG,
        "self.high_watermark = max(self.high_watermark, offset)\nself._syncs.moved(at_least=offset)",
        "self._syncs.moved(at_least=offset)",
        [f"{CONTRACT}test_advance_start"],
    ),
    Mutant(
        "KR8", "Nor is the recovery point.", LOG,
        "self.high_watermark = max(self.high_watermark, offset)\nself._syncs.moved(at_least=offset)",
        "self.high_watermark = max(self.high_watermark, offset)",
        [f"{CONTRACT}test_advance_start"],
    ),
    Mutant(
        "KR30", "A directory of another topic of the same name is set aside, not used and not deleted.", STORAGE,
        "if topic_id is not None and topic_id != identity.topic_id:", "if False:",
        [f"{CONTRACT}test_another_topic_of_the_name", f"{CRASHES}test_stray"],
    ),
    Mutant(
        "KR30", "Deleting a topic touches no directory of another one of its name.", STORAGE,
        "if self._topic_id(partition) == identity.topic_id:", "if True:",
        [f"{CONTRACT}test_discard_what_is_not_there"],
    ),
    Mutant(
        "RT1", "Retention drops nothing that is not committed.", "streamline/storage/retention.py",
        "if end > high_watermark or (count == len(segments) - 1 and not segment.size):",
        "if count == len(segments) - 1 and not segment.size:",
        [f"{CONTRACT}test_not_above_the_high_watermark"],
    ),
    Mutant(
        "RT1", "Retention by age and size is for topics that delete.", "streamline/storage/retention.py",
        "if config.deletes and config.retention_ms >= 0:", "if config.retention_ms >= 0:",
        [f"{CONTRACT}test_below_the_start"],
    ),
    Mutant(
        "RT1", "An idle log rolls by age, so that its last segment can go too.", LOG,
        "if active.size and now_ms - active.created_ms > config.segment_ms - active.jitter_ms:", "if False:",
        [f"{CONTRACT}test_rolls_by_age"],
    ),
)

MUTANTS = (*RECOVERING, *SIDE_FILES, *STEPS, *FAULTS, *KEEPING)
