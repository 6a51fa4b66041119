"""
What the kernel does and Python does not offer: through the C library.

Used by L{streamline.storage.disk} alone.

# Note [Syncing a file system]

C{syncfs} writes everything back and waits for the device once.  But it tells of a page that could not be written only
if nobody has been told of that before, and anybody on the machine may have called it.  A file's own record of such
failures is kept until somebody asks who has that file open; so each is asked besides, which costs nothing by then.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

FALLOC_FL_KEEP_SIZE = 1
SYNC_FILE_RANGE_WAIT_BEFORE = 1
ERRORS_TOLD_SINCE = (5, 8)
"""The first Linux whose C{syncfs} tells of anything."""


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong, ctypes.c_uint]
    return libc


def reserve(fd: int, size: int) -> None:
    """Reserve blocks up to here without changing the file's size, which Python's C{posix_fallocate} does."""
    _libc().fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size)


@cache
def can_sync_file_systems() -> bool:
    """Say whether a whole file system can be synced here, and whether that tells of failures."""
    system = os.uname()
    version = tuple(map(int, re.findall(r"\d+", system.release)[:2]))
    return system.sysname == "Linux" and version >= ERRORS_TOLD_SINCE and hasattr(_libc(), "syncfs")


def sync_file_systems(fds: Sequence[int], directories: Sequence[str]) -> bool:
    """
    Sync each file system that one of these lies in; return whether that went well, as far as it tells.

    @raise OSError: a directory is not there; nothing was synced.
    """
    by_device: dict[int, int | str] = {os.stat(path).st_dev: path for path in directories}
    by_device.update((os.fstat(fd).st_dev, fd) for fd in fds)
    return all([sync_around(place) for place in by_device.values()])


def sync_around(place: int | str) -> bool:
    """Sync the file system that this lies in; return whether nothing was told of."""
    if isinstance(place, int):
        return bool(_libc().syncfs(place) == 0)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sync_around(fd)
    finally:
        os.close(fd)


def check_written(fd: int) -> None:
    """
    Wait for what of a file is being written back, and see whether all that ever was went well.

    @raise OSError: something was lost.
    """
    if _libc().sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
