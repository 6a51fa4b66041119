"""
Small files beside a log's segments, whose content is their owner's business.
"""

from __future__ import annotations

from attrs import frozen

from streamline.interfaces import IDisk
from streamline.storage.layout import is_checkpoint_name


@frozen
class Blobs:
    """
    The blobs in one directory.

    Every call raises ValueError for a name that could mean something else.
    """

    disk: IDisk
    directory: str

    def _path(self, name: str) -> str:
        if not is_checkpoint_name(name):
            raise ValueError(f"{name!r} is no name for a checkpoint")
        return f"{self.directory}/{name}"

    def put(self, name: str, data: bytes) -> None:
        """Keep a blob, durably; what was there stays until the new one is there."""
        self.disk.replace_file(self._path(name), data)

    def get(self, name: str) -> bytes | None:
        """Return a blob."""
        path = self._path(name)
        return self.disk.read_file(path) if self.disk.exists(path) else None

    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        return [name for name in self.disk.list_directory(self.directory) if is_checkpoint_name(name)]

    def drop(self, name: str) -> None:
        """Remove a blob; fine where there is none."""
        path = self._path(name)
        if self.disk.exists(path):
            self.disk.remove(path)
