"""The rules of the disk (DK), second half: steps that a crash may interrupt, failures, and what retention keeps."""

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
DISK = "streamline/storage/disk.py"
TOGETHERS = "streamline/storage/together.py"
KERNEL = "streamline/storage/kernel.py"

CRASHES = "tests/storage/test_crashes.py::CrashTests::"
SYNCED = "tests/storage/test_durability.py::SyncedTests::"
NOTING = "tests/storage/test_durability.py::NotingTests::"
FULL = "tests/storage/test_faults.py::FullDiskTests::"
FAILING = "tests/storage/test_faults.py::FailingDiskTests::"
READING = "tests/storage/test_reading.py::ReadingTests::"
REAL = "tests/storage/test_disk.py::RealDiskTests::"
CONTRACT = "tests/storage/test_contract.py::SegmentTests::"
TOGETHER = "tests/storage/test_together.py::TogetherTests::"
ASKED = "tests/storage/test_kernel.py::KernelSyncsTests::"

OPEN = "tests/storage/test_segments.py::OpenSegmentsTests::"

STEPS = (
    Mutant(
        "DK19",
        "A finished segment stays open until it is synced, however many files are open.",
        SEGMENT,
        "return self.synced_size == self.size and not self.is_settling and not self.has_unsaved",
        "return self.synced_size == self.size and not self.has_unsaved",
        [f"{OPEN}test_settling"],
    ),
    Mutant(
        "DK5",
        "A cut through several segments is noted before the first of them goes.",
        CHAIN,
        "truncation.note(self.commons.disk, self.directory, Truncation(NO_OFFSET, segment.base_offset, position))",
        "pass",
        [f"{CRASHES}test_truncate"],
    ),
    Mutant(
        "DK5",
        "So is beginning anew.",
        CHAIN,
        "truncation.note(self.commons.disk, self.directory, Truncation(offset, offset, 0))",
        "",
        [f"{CRASHES}test_restart_at"],
    ),
    Mutant(
        "DK5",
        "A cut that was noted and not finished is finished at the next start.",
        RECOVERY,
        "truncation.carry_out(disk, directory, unfinished, bases)",
        "",
        [f"{CRASHES}test_truncate"],
    ),
    Mutant(
        "DK5",
        "The new start is noted before retention renames the first file.",
        CHAIN,
        "self.commons.checkpoints.start_at(self.partition, start_offset)",
        "pass",
        [f"{CRASHES}test_retain"],
    ),
    Mutant(
        "DK5",
        "Recovery points and high watermarks fall before the log does.",
        LOG,
        "self._commons.checkpoints.lower(self.identity.topic_partition, end_offset)",
        "pass",
        [f"{CRASHES}test_truncated_and_filled_again"],
    ),
    Mutant(
        "DK5",
        "A cut is durable before other batches come in its place.",
        SEGMENT,
        "self.file.truncate(size)\nself.file.sync()",
        "self.file.truncate(size)",
        [f"{CRASHES}test_a_cut_is_durable"],
    ),
    Mutant(
        "DK5",
        "A finished segment is synced before what follows it counts as durable.",
        SYNCING,
        "file.sync()\nsaved = save_index(disk, work)",
        "saved = save_index(disk, work)",
        [f"{CRASHES}test_roll"],
    ),
    Mutant(
        "DK5",
        "A sync of the new segment waits for that of the finished one.",
        SYNCING,
        "if self._settling:  # also where the log is empty behind that: its active segment's name is not durable yet",
        "if False:",
        [f"{SYNCED}test_behind_a_roll"],
    ),
    Mutant(
        "DK5",
        "A topic that is said to be deleted does not come back after a power cut.",
        STORAGE,
        "self._disk.rename(self._path(partition), path)\nself._disk.sync_directory(self._directory)",
        "self._disk.rename(self._path(partition), path)",
        [f"{CRASHES}test_discarded_for_good"],
    ),
    Mutant(
        "DK5",
        "A sync that began before a cut says nothing of what came after it.",
        SYNCING,
        "if generation == self._chain.generation:\n    segment.synced_size = max(segment.synced_size, size)",
        "if True:\n    segment.synced_size = max(segment.synced_size, size)",
        [f"{NOTING}test_cut_during_a_sync"],
    ),
    Mutant(
        "DK5",
        "A recovery point that falls while it is noted is not noted as risen.",
        CHECKPOINTS,
        "if self._falls != before:",
        "if False:",
        [f"{NOTING}test_fall_during_a_rise"],
    ),
    Mutant(
        "DK5",
        "Nothing of a deleted topic is left for the next one of its name.",
        STORAGE,
        "self._checkpoints.forget(partition)",
        "",
        [f"{NOTING}test_discarded_is_forgotten"],
    ),
    Mutant(
        "DK5",
        "A read that a cut overtook is made again.",
        "streamline/storage/reading.py",
        "if generation != chain.generation:\n    return self._again(wanted)\nfollowing = chain.after(segment)",
        "following = chain.after(segment)",
        [f"{READING}test_cut_meanwhile"],
    ),
    Mutant(
        "DK15",
        "A replaced file is durable before it has its name.",
        DISK,
        "os.fsync(file.fileno())",
        "pass",
        [f"{REAL}test_replace_is_durable"],
    ),
    Mutant(
        "DK15",
        "The name of a replaced file is durable.",
        DISK,
        "self.sync_directory(os.path.dirname(os.path.abspath(path)))",
        "",
        [f"{REAL}test_replace_is_durable"],
    ),
    Mutant(
        "DK15",
        "The name of a new directory is durable.",
        DISK,
        "self.make_directory(path)\nself.sync_directory(parent)",
        "self.make_directory(path)",
        [f"{REAL}test_made_directories_are_durable"],
    ),
    Mutant(
        "DK15",
        "A checkpoint is written beside the old one and synced before it takes its name.",
        CHECKPOINTS,
        "file.write([data], 0)\nfile.sync()",
        "file.write([data], 0)",
        [f"{CRASHES}test_checkpoint"],
    ),
    Mutant(
        "DK15",
        "The name of a rolled segment is durable with the segment before it.",
        SYNCING,
        "saved = save_index(disk, work)\ndisk.sync_directory(directory)",
        "saved = save_index(disk, work)",
        [f"{CRASHES}test_roll"],
    ),
    Mutant(
        "DK15",
        "The names of a new partition's first files are durable.",
        TOGETHERS,
        "for directory in one.directories:\n    disk.sync_directory(directory)",
        "pass",
        [f"{SYNCED}test_first_segment"],
    ),
    Mutant(
        "DK15",
        "So are those of many that are made together, and of their directories.",
        TOGETHERS,
        "directories.update(dict.fromkeys(one.directories))",
        "",
        [f"{TOGETHER}test_new_logs_are_durable"],
    ),
)

FAULTS = (
    Mutant(
        "DK10",
        "What could not be written does not count.",
        LOG,
        "self._forget_pending()\ntry:\n    self._chain.active.forget_unwritten(self.end_offset)",
        "try:\n    self._chain.active.forget_unwritten(self.end_offset)",
        [f"{FULL}test_append"],
    ),
    Mutant(
        "DK10",
        "The part of it that was written is cut off.",
        SEGMENT,
        "self.file.truncate(self.size)\nself._allocated = 0\nself._cut_index(self.size, end_offset)",
        "self._allocated = 0\nself._cut_index(self.size, end_offset)",
        [f"{FULL}test_append_that_fits_in_part"],
    ),
    Mutant(
        "DK10",
        "The indexes forget it.",
        SEGMENT,
        "self._allocated = 0\nself._cut_index(self.size, end_offset)",
        "self._allocated = 0",
        [f"{FULL}test_time_of_what_did_not_fit"],
    ),
    Mutant(
        "DK10",
        "A full disk does not close the log.",
        READABLE,
        "if error.errno in PASSING:",
        "if False:",
        [f"{FULL}test_append"],
    ),
    Mutant(
        "DK10",
        "Nothing comes in the place of lost batches before their owner has heard of it.",
        LOG,
        "if self._failure is not None or self._lost is not None:\n"
        "    raise StorageFailed(str(self._failure or self._lost))",
        "if self._failure is not None:\n    raise StorageFailed(str(self._failure or self._lost))",
        [f"{FULL}test_roll_with_batches_before_it"],
    ),
    Mutant(
        "DK10",
        "Who has a log cut hears that it was space that was lacking, and can open it again.",
        LOG,
        "raise StorageStarved(str(failure)) if error.errno in PASSING else failure from error",
        "raise failure from error",
        [f"{FULL}test_cut"],
    ),
    Mutant(
        "DK10",
        "Who flushes unasked leaves the news of a loss to whoever appended.",
        LOG,
        "self._lost = error\nraise",
        "raise",
        [f"{FULL}test_unasked_flush"],
    ),
    Mutant(
        "DK10",
        "Retention flushes before it looks, and goes on where that is not possible.",
        LOG,
        "with suppress(StorageFailed):\n    self._flush_unasked()\nself._check()\n"
        "chain, config = self._chain, self._config",
        "self.flush()\nchain, config = self._chain, self._config",
        [f"{FULL}test_unasked_flush"],
    ),
    Mutant(
        "DK10",
        "A cut flushes first, and goes on where that is not possible.",
        LOG,
        "with suppress(StorageFailed):\n    self._flush_unasked()\nself._check()\nif end_offset >= self.end_offset:",
        "self.flush()\nif end_offset >= self.end_offset:",
        [f"{FULL}test_unasked_flush"],
    ),
    Mutant(
        "DK10",
        "Closing a log goes on where its last batches cannot be written.",
        LOG,
        "with suppress(StorageFailed):\n    self.flush()\nself._check()",
        "self.flush()",
        [f"{FULL}test_close"],
    ),
    Mutant(
        "DK10",
        "Retention makes space on a full disk, though it cannot roll.",
        LOG,
        "with suppress(StorageFailed):\n    self._roll(self.end_offset)\n    return True",
        "self._roll(self.end_offset)\nreturn True",
        [f"{FULL}test_retention"],
    ),
    Mutant(
        "DK10",
        "Retention makes space on a full disk, though it cannot note the new start.",
        CHAIN,
        "if error.errno != errno.ENOSPC:\n    raise\nsynced_at_once = False",
        "raise",
        [f"{FULL}test_retention"],
    ),
    Mutant(
        "DK10",
        "It then removes segments in order, durably one by one.",
        CHAIN,
        "if not synced_at_once or number == count:",
        "if number == count:",
        [f"{FULL}test_retention_and_a_power_cut"],
    ),
    Mutant(
        "DK10",
        "A topic can be deleted on a full disk.",
        CHECKPOINTS,
        "except OSError as error:  # the next note of anything says it\n"
        '    self.log.warn("{name} still has {log}: {why}", name=name, log=str(partition), why=str(error))',
        "except ZeroDivisionError:\n    pass",
        [f"{FULL}test_deletes_work"],
    ),
    Mutant(
        "DK10",
        "What cannot be replaced leaves nothing behind that fills the disk further.",
        DISK,
        "if os.path.exists(aside):\n    os.unlink(aside)\nraise",
        "raise",
        [f"{REAL}test_replace_fails_cleanly"],
    ),
    Mutant(
        "DK12",
        "After a failed sync the file is neither written nor synced again.",
        DISK,
        'self._failure = OSError(errno.EIO, f"an earlier sync failed: {result.value}")',
        "",
        [f"{REAL}test_failed_sync_is_final"],
    ),
    Mutant(
        "DK12",
        "The same after a sync that was not waited for elsewhere.",
        DISK,
        "except OSError as error:\n    self._failure = error\n    raise",
        "except OSError:\n    raise",
        [f"{REAL}test_failed_sync_is_final"],
    ),
    Mutant(
        "DK12",
        "What the kernel could not sync by itself has failed as well.",
        KERNEL,
        "done(Failure(OSError(-result, os.strerror(-result))) if result else None)",
        "done(None)",
        [f"{ASKED}test_an_error"],
    ),
    Mutant(
        "DK12",
        "The same where something of it was lost although a sync of the whole file system tells of nothing.",
        DISK,
        "return all([file.is_written() for file in ours])",
        "return True",
        [f"{REAL}test_lost_although_synced_together"],
    ),
    Mutant(
        "DK12",
        "A kernel that never tells of what was lost is not asked.",
        DISK,
        "if not (libc.can_sync_file_systems() and libc.sync_file_systems(fds, directories)):",
        "if not libc.sync_file_systems(fds, directories):",
        [f"{REAL}test_not_synced_together"],
    ),
    Mutant(
        "DK12",
        "Whoever waits for the next sync hears of the failure of this one.",
        DISK,
        "done += self._waiting\nself._waiting.clear()",
        "if self._waiting:\n    self._begin_sync()",
        [f"{REAL}test_failed_sync_fails_all_who_wait"],
    ),
    Mutant(
        "DK12",
        "A log whose sync failed is closed for good.",
        SYNCING,
        "if not isinstance(failure.value, OSError):\n    return failure\nraise self._failed(failure.value)",
        "return failure",
        [f"{FAILING}test_sync_fails_once"],
    ),
    Mutant(
        "DK12",
        "So is one whose finished segment could not be synced.",
        SYNCING,
        "self._failed(failure.value)\nreturn None",
        "return None",
        [f"{FAILING}test_finished_segment_cannot_be_synced"],
    ),
    Mutant(
        "DK12",
        "A log that failed is recovered when it is opened again, however the last stop was.",
        STORAGE,
        "clean=self.clean_epoch is not None and before is None,",
        "clean=self.clean_epoch is not None,",
        [f"{FAILING}test_opened_again_is_durable"],
    ),
    Mutant(
        "DK13",
        "A device that cannot be read is an error for this partition, not for the process.",
        READABLE,
        "try:\n    found = self._reader.read(wanted)\nexcept OSError as error:\n"
        "    raise self._unread(error) from error",
        "found = self._reader.read(wanted)",
        [f"{FAILING}test_read_fails"],
    ),
    Mutant(
        "DK13",
        "The same where the device was waited for.",
        READABLE,
        "return found.addErrback(self._not_read) if isinstance(found, Deferred) else found",
        "return found",
        [f"{FAILING}test_read_elsewhere_fails"],
    ),
    Mutant(
        "DK13",
        "A log that cannot be opened keeps no other from it.",
        STORAGE,
        'raise kind(f"{identity}: {error}") from error',
        "raise",
        [f"{FAILING}test_cannot_be_opened"],
    ),
    Mutant(
        "DK17",
        "A data directory that cannot be used is a sentence, not a traceback.",
        STORAGE,
        "except OSError as error:\n"
        '    return fail(StartRefused(f"cannot use the data directory {self._directory}: {error}"))',
        "except ZeroDivisionError:\n    raise",
        [f"{FAILING}test_data_directory_cannot_be_used"],
    ),
    Mutant(
        "DK19",
        "Running out of descriptors is no fault of what is stored.",
        READABLE,
        "PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)",
        "PASSING = (errno.ENOSPC, errno.EDQUOT)",
        [f"{FULL}test_too_many_open_files"],
    ),
)

KEEPING = (
    Mutant(
        "KR8",
        "The high watermark is never below the start of the log.",
        LOG,
        "self.high_watermark = max(self.high_watermark, offset)\nself._syncs.moved(at_least=offset)",
        "self._syncs.moved(at_least=offset)",
        [f"{CONTRACT}test_advance_start"],
    ),
    Mutant(
        "KR8",
        "Nor is the recovery point.",
        LOG,
        "self.high_watermark = max(self.high_watermark, offset)\nself._syncs.moved(at_least=offset)",
        "self.high_watermark = max(self.high_watermark, offset)",
        [f"{CONTRACT}test_advance_start"],
    ),
    Mutant(
        "KR30",
        "A directory of another topic of the same name is set aside, not used and not deleted.",
        STORAGE,
        "if topic_id is not None and topic_id != identity.topic_id:",
        "if False:",
        [f"{CONTRACT}test_another_topic_of_the_name", f"{CRASHES}test_stray"],
    ),
    Mutant(
        "KR30",
        "Deleting a topic touches no directory of another one of its name.",
        STORAGE,
        "if self._topic_id(partition) == identity.topic_id:",
        "if True:",
        [f"{CONTRACT}test_discard_what_is_not_there"],
    ),
    Mutant(
        "RT1",
        "Retention drops nothing that is not committed.",
        "streamline/storage/retention.py",
        "if end > high_watermark or (count == len(segments) - 1 and not segment.size):",
        "if count == len(segments) - 1 and not segment.size:",
        [f"{CONTRACT}test_not_above_the_high_watermark"],
    ),
    Mutant(
        "RT1",
        "Retention by age and size is for topics that delete.",
        "streamline/storage/retention.py",
        "if config.deletes and config.retention_ms >= 0:",
        "if config.retention_ms >= 0:",
        [f"{CONTRACT}test_below_the_start"],
    ),
    Mutant(
        "RT1",
        "An idle log rolls by age, so that its last segment can go too.",
        LOG,
        "if active.size and now_ms - active.created_ms > config.segment_ms - active.jitter_ms:",
        "if False:",
        [f"{CONTRACT}test_rolls_by_age"],
    ),
)

MUTANTS = (*STEPS, *FAULTS, *KEEPING)
