"""The rules of the disk (DK), first half: what a log believes of its files when it is opened."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RECOVERY = "streamline/storage/recovery.py"
READABLE = "streamline/storage/readable.py"
SEGMENT = "streamline/storage/segment.py"
STORAGE = "streamline/storage/segments.py"
MARKERS = "streamline/storage/markers.py"
TOGETHERS = "streamline/storage/together.py"
LAYOUT = "streamline/storage/layout.py"
INDEX = "streamline/storage/index.py"
VIEW = "streamline/storage/view.py"

DAMAGE = "tests/storage/test_recovery.py::DamageTests::"
SIDE = "tests/storage/test_recovery.py::SideFilesTests::"
TWICE = "tests/storage/test_recovery.py::CrashInRecoveryTests::"
TOGETHER = "tests/storage/test_together.py::TogetherTests::"
CRASHES = "tests/storage/test_crashes.py::CrashTests::"
FAILING = "tests/storage/test_faults.py::FailingDiskTests::"
CONTENT = "tests/storage/test_layout.py::ContentTests::"

RECOVERING = (
    Mutant(
        "DK1",
        "What follows the last whole batch is cut off the file.",
        RECOVERY,
        "segment.file.truncate(whole)",
        "",
        [f"{DAMAGE}test_cut_at_every_byte"],
    ),
    Mutant(
        "DK1",
        "The log ends after the last batch that was found whole.",
        RECOVERY,
        "self.end_offset, self._epoch = next_offset, epoch",
        "self._epoch = epoch",
        [f"{DAMAGE}test_cut_at_every_byte"],
    ),
    Mutant(
        "DK1",
        "Nothing is kept behind a batch that is not whole, not in later segments either.",
        RECOVERY,
        'self._drop_from(slot + 1, f"{segment.path()} has no whole batch at {whole}")',
        "",
        [f"{DAMAGE}test_segments_after_damage_go"],
    ),
    Mutant(
        "DK1",
        "Where a segment is missing the log ends.",
        RECOVERY,
        "if slot > durable and segment.base_offset != self.end_offset:",
        "if False:",
        [f"{DAMAGE}test_missing_segment"],
    ),
    Mutant(
        "DK2",
        "A batch counts if its checksum is right.",
        RECOVERY,
        "if crc32c(view[at + CHECKED_AT : at + size]) != crc:",
        "if False:",
        [f"{DAMAGE}test_flip_every_bit"],
    ),
    Mutant(
        "DK2",
        "So does one that is longer than what is read at once.",
        RECOVERY,
        "return checksum == found.crc",
        "return True",
        [f"{DAMAGE}test_batch_larger_than_a_block"],
    ),
    Mutant(
        "DK2",
        "The magic byte, which no checksum covers, is looked at.",
        RECOVERY,
        "magic != MAGIC\nor size < HEADER_BYTES",
        "size < HEADER_BYTES",
        [f"{DAMAGE}test_flip_every_bit"],
    ),
    Mutant(
        "DK3",
        "A batch is where the one before it ends, so that none comes twice.",
        RECOVERY,
        "or not self._follows(base_offset)",
        "",
        [f"{DAMAGE}test_bad_tails"],
    ),
    Mutant(
        "DK3",
        "Only compaction leaves gaps.",
        RECOVERY,
        "return base_offset == self.end_offset or (base_offset > self.end_offset and self._plan.config.compacts)",
        "return base_offset >= self.end_offset",
        [f"{DAMAGE}test_bad_tails"],
    ),
    Mutant(
        "DK3",
        "Leader epochs do not fall.",
        RECOVERY,
        "or epoch < self._epoch",
        "",
        [f"{DAMAGE}test_epoch_falls"],
    ),
    Mutant(
        "DK4",
        "An index entry is believed for what lies below the recovery point, and for nothing else.",
        RECOVERY,
        "slot = index.before_offset(reach)",
        "slot = len(index) - 1",
        [f"{DAMAGE}test_index_beyond_the_recovery_point"],
    ),
    Mutant(
        "DK4",
        "Not even for that, if the log has another batch at its position.",
        RECOVERY,
        "if header.last_offset - segment.base_offset != relative_offset:",
        "if False:",
        [f"{DAMAGE}test_index_that_lies"],
    ),
    Mutant(
        "DK4",
        "What the time index says of lost batches is forgotten.",
        RECOVERY,
        "times.truncate(relative_offset)",
        "",
        [f"{DAMAGE}test_index_ahead_of_the_log"],
    ),
    Mutant(
        "DK4",
        "A marker of a clean stop is not enough where the log does not end with a whole batch.",
        RECOVERY,
        "if end_offset is not None:\n    return Loaded(segments, end_offset, names=tuple(names))",
        "return Loaded(segments, end_offset or 0, names=tuple(names))",
        [f"{DAMAGE}test_clean_marker_beside_half_a_batch"],
    ),
    Mutant(
        "DK6",
        "What recovery keeps is durable before anybody sees it.",
        TOGETHERS,
        "for file in (*one.files, *one.passing):\n    file.sync()",
        "pass",
        [f"{TWICE}test_recovered_is_durable"],
    ),
    Mutant(
        "DK15",
        "A file that takes another one's place is durable before it does.",
        TOGETHERS,
        "outcomes = _durable(disk, [_try(work) for work in works])",
        "outcomes = [_try(work) for work in works]",
        [f"{CRASHES}test_put_checkpoints_later"],
    ),
    Mutant(
        "DK15",
        "And in its place, once that is said.",
        TOGETHERS,
        "outcomes = _durable(disk, [_try(partial(_renamed, disk, one)) for one in outcomes])",
        "outcomes = [_try(partial(_renamed, disk, one)) for one in outcomes]",
        [f"{TOGETHER}test_blobs"],
    ),
    Mutant(
        "DK6",
        "So is what many logs keep that are recovered together.",
        TOGETHERS,
        "if len(doubtful) < TOGETHER_MIN or not _synced_together(disk, doubtful):",
        "if len(doubtful) < TOGETHER_MIN:",
        [f"{TOGETHER}test_recovered_is_durable"],
    ),
    Mutant(
        "DK6",
        "Where they could not be synced together, each is synced for itself.",
        TOGETHERS,
        "outcomes = [_settled(disk, one) if isinstance(one, Done) else one for one in outcomes]",
        "pass",
        [f"{TOGETHER}test_one_fails"],
    ),
    Mutant(
        "DK6",
        "Segments before the last one are durable with their indexes before the next is looked at.",
        RECOVERY,
        "segment.file.sync()\nsegment.finish()",
        "segment.finish()",
        [f"{TWICE}test_recovered_segments_are_durable"],
    ),
    Mutant(
        "DK6",
        "A scan begins at the recovery point, and below it nothing is cut.",
        RECOVERY,
        "durable = sum(base_offset <= known for base_offset in bases)",
        "durable = len(bases)",
        [f"{TWICE}test_five_times"],
    ),
)

SIDE_FILES = (
    Mutant(
        "DK4",
        "An offset index goes on to the end of its log.",
        SEGMENT,
        "self._view(index).check_offsets(self.config.index_interval_bytes)",
        "",
        [f"{SIDE}test_after_a_clean_stop"],
    ),
    Mutant(
        "DK4",
        "A time index ends with the greatest time.",
        SEGMENT,
        "self.view().check_times(times)",
        "pass",
        [f"{SIDE}test_after_a_clean_stop"],
    ),
    Mutant(
        "DK4",
        "The entries of an offset index rise, and stay within the log.",
        INDEX,
        'raise IndexDoubted("an offset index that does not rise, or leaves its log")',
        "pass",
        ["tests/storage/test_index.py::OffsetIndexTests::test_doubt"],
    ),
    Mutant(
        "DK4",
        "The entries of a time index rise.",
        INDEX,
        'raise IndexDoubted("a time index that does not rise")',
        "pass",
        ["tests/storage/test_index.py::TimeIndexTests::test_doubt"],
    ),
    Mutant(
        "DK4",
        "An entry is used if the batch at its position has the offset that it says.",
        VIEW,
        "if known is not None and known != last_offset:",
        "if False:",
        [f"{SIDE}test_cut_by_an_index_that_lies"],
    ),
    Mutant(
        "DK4",
        "The same where a read jumps over batches by the index.",
        VIEW,
        "if last_offset != self._offset(slot):",
        "if False:",
        [f"{SIDE}test_index_that_is_believed_too_much"],
    ),
    Mutant(
        "DK4",
        "The same where what would be read is lent.",
        VIEW,
        "if self._offset(slot) != last_offset:",
        "if False:",
        ["tests/storage/test_reading.py::LendingTests::test_rot"],
    ),
    Mutant(
        "DK4",
        "A checkpoint has as many entries as it says, each once.",
        LAYOUT,
        'sound = int(version) == 0 and int(count) == len(lines) == len(offsets) and data.endswith(b"\\n")',
        'sound = int(version) == 0 and data.endswith(b"\\n")',
        [f"{CONTENT}test_offsets_that_make_no_sense"],
    ),
    Mutant(
        "DK4",
        "A checkpoint ends with a whole line.",
        LAYOUT,
        'sound = int(version) == 0 and int(count) == len(lines) == len(offsets) and data.endswith(b"\\n")',
        "sound = int(version) == 0 and int(count) == len(lines) == len(offsets)",
        [f"{CONTENT}test_offsets_that_make_no_sense"],
    ),
    Mutant(
        "DK4",
        "A checkpoint that makes no sense counts as empty.",
        LAYOUT,
        "except ValueError:\n    return None\n"
        "return offsets if sound and all(offset >= 0 for offset in offsets.values()) else None",
        "except ZeroDivisionError:\n    return None\nreturn offsets",
        [f"{SIDE}test_after_a_crash"],
    ),
    Mutant(
        "DK4",
        "A marker of a clean stop that makes no sense is none.",
        LAYOUT,
        "except (ValueError, TypeError, KeyError):\n    return None",
        "except (ValueError, TypeError, KeyError):\n    return 0",
        [f"{CONTENT}test_clean_shutdown"],
    ),
    Mutant(
        "DK4",
        "A directory that does not say which topic it is of is made to say so again.",
        STORAGE,
        "if disk.read_file(path) != metadata:\n    disk.replace_file(path, metadata)",
        "",
        [f"{SIDE}test_after_a_clean_stop"],
    ),
    Mutant(
        "DK4",
        "No checkpoint leads the log that was recovered.",
        STORAGE,
        "checkpoints.lower(partition, loaded.end_offset)",
        "",
        [f"{DAMAGE}test_noted_beyond_the_end"],
    ),
    Mutant(
        "DK4",
        "A marker of a clean stop counts once.",
        MARKERS,
        "epoch = decode_clean_shutdown(self._disk.read_file(self._clean))\nself._disk.remove(self._clean)",
        "epoch = decode_clean_shutdown(self._disk.read_file(self._clean))",
        [f"{CRASHES}test_clean_marker_counts_once"],
    ),
    Mutant(
        "DK4",
        "It is gone from the device before anything is written.",
        MARKERS,
        "self._disk.remove(self._clean)\nself._disk.sync_directory(self._directory)",
        "self._disk.remove(self._clean)",
        [f"{CRASHES}test_clean_marker_counts_once"],
    ),
    Mutant(
        "DK4",
        "A stop after a failure is no clean one.",
        READABLE,
        "self._commons.failed()",
        "",
        [f"{FAILING}test_write_fails"],
    ),
)

MUTANTS = (*RECOVERING, *SIDE_FILES)
