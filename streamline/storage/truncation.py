"""
Cutting a log in one stroke, though the disk needs several.

Before segments are dropped and cut, what shall be is noted in a file; loading
a log carries out a note that is still there.  So a crash leaves the log as it
was, or as it was to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from streamline.interfaces import IDisk
from streamline.model import NO_OFFSET
from streamline.storage.layout import LOG, OFFSET_INDEX, TIME_INDEX, segment_path

NOTE = "truncation.tmp-note"
_FORMAT = re.compile(r"0\n(-1|[0-9]+) ([0-9]+) ([0-9]+)\n")


class Truncation(NamedTuple):
    """
    What is to become of a log's segments: those after C{base_offset} go, and that one is cut to C{size} bytes.

    @ivar start_offset: where the log is to start; then the segments before go too.  -1 where they stay.
    """

    start_offset: int
    base_offset: int
    size: int

    def dropped(self, bases: Iterable[int]) -> list[int]:
        """Return which segments go."""
        restarts = self.start_offset != NO_OFFSET
        return [base for base in bases if base > self.base_offset or (restarts and base < self.base_offset)]


def note(disk: IDisk, directory: str, truncation: Truncation) -> None:
    """Note durably what is going to happen."""
    text = f"0\n{truncation.start_offset} {truncation.base_offset} {truncation.size}\n"
    disk.replace_file(f"{directory}/{NOTE}", text.encode("ascii"))


def noted(disk: IDisk, directory: str) -> Truncation | None:
    """Return what was noted and not finished."""
    try:
        found = _FORMAT.fullmatch(disk.read_file(f"{directory}/{NOTE}").decode("ascii", "replace"))
    except FileNotFoundError:
        return None
    return Truncation(*map(int, found.groups())) if found else None


def forget(disk: IDisk, directory: str) -> None:
    """Remove the note, durably, as everything has happened."""
    disk.remove(f"{directory}/{NOTE}")
    disk.sync_directory(directory)


def carry_out(disk: IDisk, directory: str, truncation: Truncation, bases: Iterable[int]) -> None:
    """Do what was noted, as far as it was not done yet; leaves the note."""
    for base_offset in truncation.dropped(bases):
        for suffix in (LOG, OFFSET_INDEX, TIME_INDEX):
            _remove(disk, segment_path(directory, base_offset, suffix))
    for suffix in (OFFSET_INDEX, TIME_INDEX):
        _remove(disk, segment_path(directory, truncation.base_offset, suffix))
    path = segment_path(directory, truncation.base_offset)
    file = disk.open(path, create=not disk.exists(path))
    try:
        if file.size() > truncation.size:
            file.truncate(truncation.size)
        file.sync()
    finally:
        file.close()
    disk.sync_directory(directory)


def _remove(disk: IDisk, path: str) -> None:
    if disk.exists(path):
        disk.remove(path)
