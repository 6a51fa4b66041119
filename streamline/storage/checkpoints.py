"""
The three files in the data directory that map partitions to offsets.

Recovery points and high watermarks may lag behind the truth, never lead it;
log starts are the truth.  So a value that must fall is written before what
makes it fall happens, and one that rises is written after.  A file that is
missing or makes no sense counts as empty: everything is rescanned.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from streamline.interfaces import IDisk
from streamline.model import TopicPartition
from streamline.storage.layout import HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS, decode_offsets, encode_offsets

Offsets = dict[TopicPartition, int]


def read_offsets(disk: IDisk, path: str) -> Offsets | None:
    """Return what a checkpoint file says; None where it is missing or makes no sense."""
    try:
        return decode_offsets(disk.read_file(path))
    except FileNotFoundError:
        return None


class Checkpoints:
    """What is written in the files: C{recovery_points}, C{high_watermarks} and C{log_starts}."""

    log = Logger()

    def __init__(self, disk: IDisk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self.recovery_points: Offsets = {}
        self.high_watermarks: Offsets = {}
        self.log_starts: Offsets = {}
        self._falls = 0

    def load(self) -> None:
        """Read all three."""
        self.recovery_points = self._read(RECOVERY_POINTS)
        self.high_watermarks = self._read(HIGH_WATERMARKS)
        self.log_starts = self._read(LOG_STARTS)

    def _read(self, name: str) -> Offsets:
        path = self._path(name)
        offsets = read_offsets(self._disk, path)
        if offsets is None:
            if self._disk.exists(path):
                self.log.warn("{path} makes no sense; everything is rescanned", path=path)
            return {}
        return offsets

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    def lower(self, partition: TopicPartition, offset: int) -> None:
        """Let no recovery point and no high watermark of a partition be above C{offset}, durably."""
        for name, offsets in ((RECOVERY_POINTS, self.recovery_points), (HIGH_WATERMARKS, self.high_watermarks)):
            if offsets.get(partition, 0) > offset:
                offsets[partition] = offset
                self._replace(name, offsets)

    def start_at(self, partition: TopicPartition, offset: int) -> None:
        """Let a partition's log start at C{offset}, durably."""
        if self.log_starts.get(partition, 0) != offset:
            self._replace(LOG_STARTS, self.log_starts | {partition: offset})
            self.log_starts[partition] = offset

    def forget(self, partition: TopicPartition) -> None:
        """Say nothing more about a partition, so that its next log begins anew; durably, if there is space for that."""
        for name, offsets in (
            (RECOVERY_POINTS, self.recovery_points),
            (HIGH_WATERMARKS, self.high_watermarks),
            (LOG_STARTS, self.log_starts),
        ):
            if offsets.pop(partition, None) is not None:
                try:
                    self._replace(name, offsets)
                except OSError as error:  # the next note of anything says it
                    self.log.warn("{name} still has {log}: {why}", name=name, log=str(partition), why=str(error))

    def _replace(self, name: str, offsets: Mapping[TopicPartition, int]) -> None:
        self._falls += 1
        self._disk.replace_file(self._path(name), encode_offsets(offsets))

    async def rise(self, recovery_points: Offsets, high_watermarks: Offsets) -> bool:
        """
        Note how far logs have come, waiting for the device elsewhere.

        @return: false where something fell meanwhile, so that nothing was noted.
        """
        before = self._falls
        texts = {
            RECOVERY_POINTS: self.recovery_points | recovery_points,
            HIGH_WATERMARKS: self.high_watermarks | high_watermarks,
        }
        for name, offsets in texts.items():
            await self._disk.elsewhere(_write_aside, self._disk, self._path(name) + ".new", offsets)
        # Note [Rising and falling]: a fall is written at once, a rise takes a while.  The rename decides, and it is
        # done in one breath with the look at what fell: a rise that was overtaken is never seen.
        if self._falls != before:
            return False
        for name in texts:
            self._disk.rename(self._path(name) + ".new", self._path(name))
        self.recovery_points = texts[RECOVERY_POINTS]
        self.high_watermarks = texts[HIGH_WATERMARKS]
        await self._sync_directory()
        return True

    def _sync_directory(self) -> Deferred[None]:
        return self._disk.elsewhere(self._disk.sync_directory, self._directory)


def _write_aside(disk: IDisk, path: str, offsets: Offsets) -> None:
    data = encode_offsets(offsets)
    if disk.exists(path):
        disk.remove(path)
    file = disk.open(path, create=True)
    try:
        file.write([data], 0)
        file.sync()
    finally:
        file.close()
