"""
A copy of a partition as its files have it: batch by batch, read past every process that uses them.

Reading is nobody's business in the simulated world: it draws no chance, takes no time and meets no fault.
"""

from __future__ import annotations

from attrs import define, field

from streamline.testing.simulation.names import Directory
from streamline.testing.simulation.pages import Inode
from streamline.testing.simulation.platter import Platter
from streamline.wire.batch import HEADER_BYTES, BatchHeader, read_header

SUFFIX = ".log"


@define
class _Part:
    """
    What was read of one file.

    @ivar cuts: of the file, when it was read; where that is another by now, nothing that was read means anything.
    @ivar read_bytes: up to where it was read.
    """

    name: str
    inode: Inode
    cuts: int
    read_bytes: int = 0
    headers: list[BatchHeader] = field(factory=list)

    def is_of(self, inode: Inode) -> bool:
        """Say whether reading may go on where it ended."""
        return self.inode is inode and self.cuts == inode.cuts

    def read_on(self) -> list[BatchHeader]:
        """Return the headers of the whole batches that have come since."""
        data, come = self.inode.data, []
        while len(data) - self.read_bytes >= HEADER_BYTES:
            header = read_header(data, self.read_bytes)
            if header.size < HEADER_BYTES or self.read_bytes + header.size > len(data):
                break
            self.read_bytes += header.size
            come.append(header)
        self.headers += come
        return come


class LogOnDisk:
    """
    One node's copy of one partition.

    @ivar headers: of its batches.
    @ivar generation: counts how often it was not just added to; what was derived before says nothing then.
    """

    def __init__(self, platter: Platter, path: str) -> None:
        self.headers: list[BatchHeader] = []
        self.generation = 0
        self.platter = platter
        self._path = path
        self._parts: list[_Part] = []
        self._names: list[str] = []
        self._seen = -1, ""
        """How many names the directory had, and which was its youngest: any that comes is younger."""

    @property
    def end_offset(self) -> int:
        """The offset after the last whole batch; where the last file has none, the one that it is named for."""
        named = int(self._parts[-1].name.removesuffix(SUFFIX)) if self._parts else 0
        return max(named, self.headers[-1].next_offset) if self.headers else named

    def refresh(self) -> None:
        """Read what has changed."""
        directory = self.platter.names.find(self._path)
        entries = directory.entries if isinstance(directory, Directory) else {}
        known = self._parts
        seen = len(entries), next(reversed(entries), "")
        if seen == self._seen and all(entries.get(part.name) is part.inode for part in known):
            files = [part.inode for part in known]
        else:
            self._seen = seen
            self._names = sorted(name for name in entries if name.endswith(SUFFIX))
            files = [file for name in self._names if isinstance(file := entries[name], Inode)]
        are_known = len(files) >= len(known) and all(
            part.is_of(file) for part, file in zip(known, files, strict=False)
        )
        if not are_known:
            self.generation += 1
            self._parts, self.headers = [], []
        for part in self._parts[-1:]:
            self.headers += part.read_on()
        for file, name in list(zip(files, self._names, strict=True))[len(self._parts) :]:
            part = _Part(name, file, file.cuts)
            self._parts.append(part)
            self.headers += part.read_on()
