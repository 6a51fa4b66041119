"""
The two files that say how the last process of a data directory ended.

The marker of a clean stop is written last of all, and taken away by the next start.  The other one says which process
wrote here last, and since when the operating system has been up: where that is still so, whatever was handed to it is
there, however the process ended.  Only a crash of the machine loses what was not synced, and that is another boot.
"""

from __future__ import annotations

from twisted.logger import Logger

from streamline.interfaces import IDisk
from streamline.storage.layout import (
    CLEAN_SHUTDOWN,
    LAST_WRITER,
    decode_clean_shutdown,
    decode_last_writer,
    encode_clean_shutdown,
    encode_last_writer,
)


class Markers:
    """
    The markers of one data directory.

    @ivar is_spoilt: whether this process failed to write or sync something, so that it vouches for nothing.
    """

    log = Logger()

    def __init__(self, disk: IDisk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._clean = f"{directory}/{CLEAN_SHUTDOWN}"
        self._writer = f"{directory}/{LAST_WRITER}"
        self.is_spoilt = False

    def take_clean(self) -> int | None:
        """Take the marker of a clean stop away, and return the broker epoch in it; None where there is none."""
        if not self._disk.exists(self._clean):
            return None
        epoch = decode_clean_shutdown(self._disk.read_file(self._clean))
        self._disk.remove(self._clean)
        self._disk.sync_directory(self._directory)
        return epoch

    def intact(self) -> int | None:
        """Return the broker epoch of a process that ended, but not its machine; None where that is not known."""
        boot_id = self._disk.boot_id()
        if not boot_id or not self._disk.exists(self._writer):
            return None
        epoch, written_in = decode_last_writer(self._disk.read_file(self._writer))
        return epoch if written_in == boot_id else None

    def writing(self, epoch: int) -> None:
        """Note that this process writes, with this broker epoch."""
        boot_id = self._disk.boot_id()
        if boot_id and not self.is_spoilt:
            otherwise = "A crash of this process will pass for one of the machine:"
            self._put(self._writer, encode_last_writer(epoch, boot_id), otherwise)

    def leave_clean(self, epoch: int) -> None:
        """Mark a clean stop."""
        self._put(self._clean, encode_clean_shutdown(epoch), "This stop is not marked as clean:")

    def _put(self, path: str, data: bytes, otherwise: str) -> None:
        try:
            self._disk.replace_file(path, data)
        except OSError as error:
            self.log.warn("{otherwise} {why}", otherwise=otherwise, why=str(error))

    def spoil(self) -> None:
        """Hear that something could not be written or synced: nobody knows what is there."""
        self.is_spoilt = True
        try:
            if self._disk.exists(self._writer):
                self._disk.remove(self._writer)
                self._disk.sync_directory(self._directory)
        except OSError as error:
            self.log.warn("A marker could not be removed: {why}", why=str(error))
