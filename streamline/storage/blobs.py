"""
Small files beside a log's segments, whose content is their owner's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from twisted.internet.defer import Deferred

from streamline.interfaces import IDisk, IFile
from streamline.storage.layout import TEMPORARY, is_checkpoint_name
from streamline.storage.together import Done, Together


class Blobs:
    """
    The blobs in one directory; nobody else makes or removes any.

    Every call raises ValueError for a name that could mean something else.

    @param names: what is there.
    """

    def __init__(self, disk: IDisk, directory: str, names: Iterable[str]) -> None:
        self._disk = disk
        self._directory = directory
        self._names = dict.fromkeys(filter(is_checkpoint_name, names))

    def _path(self, name: str) -> str:
        if not is_checkpoint_name(name):
            raise ValueError(f"{name!r} is no name for a checkpoint")
        return f"{self._directory}/{name}"

    def put(self, name: str, data: bytes) -> None:
        """Keep a blob, durably; what was there stays until the new one is there."""
        path = self._path(name)
        self._names[name] = None  # also where that fails: it may be there all the same
        self._disk.replace_file(path, data)

    def put_later(self, blobs: Sequence[tuple[str, bytes]], together: Together) -> Deferred[None]:
        """
        Keep blobs without waiting: each of them durably and whole, in this order, or as it was.

        @raise OSError: through the Deferred; those before the one that failed may be there.
        """
        paths = [(self._path(name), data) for name, data in blobs]
        self._names.update((name, None) for name, _ in blobs)
        return together.do(partial(_put_aside, self._disk, paths))

    def get(self, name: str) -> bytes | None:
        """Return a blob."""
        path = self._path(name)
        if name not in self._names:
            return None
        try:
            return self._disk.read_file(path)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        return sorted(self._names)

    def drop(self, name: str) -> None:
        """Remove a blob; fine where there is none."""
        path = self._path(name)
        if name in self._names and self._disk.exists(path):
            self._disk.remove(path)
        self._names.pop(name, None)


def _put_aside(disk: IDisk, blobs: Sequence[tuple[str, bytes]]) -> Done:
    """Write blobs under other names, which they lose once they are durable."""
    written: list[IFile] = []
    try:
        for path, data in blobs:
            aside = path + TEMPORARY
            if disk.exists(aside):
                disk.remove(aside)
            written.append(disk.open(aside, create=True))
            written[-1].write([data], 0)
    except OSError:
        for file in written:
            file.close()
        raise
    return Done(None, passing=tuple(written), renames=tuple((path + TEMPORARY, path) for path, _ in blobs))
