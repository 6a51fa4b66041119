"""
Syncs that the kernel carries out by itself, without a thread of ours that waits for the device.

Used by L{streamline.storage.disk} alone.  To have a thread wait costs as much again as many a device takes: it has to
be woken, to get hold of the interpreter before it can begin, and once more when it is done.  Linux takes an
C{fdatasync} as a request (C{io_submit} with C{IOCB_CMD_FDSYNC}, since 4.18), begins at once, and tells of its end
through an C{eventfd} that the reactor watches.  What it does, and what it says of errors, is the same.

Where there is no such thing (another system, a sandbox that forbids it), threads do it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, NamedTuple

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

Done = Callable[[Any], Any]
"""Takes None, or a L{Failure}."""


class Calls(NamedTuple):
    """The numbers of the system calls, for which the C library has no functions."""

    setup: int
    destroy: int
    submit: int
    getevents: int


CALLS: Final = {"x86_64": Calls(206, 207, 209, 208), "aarch64": Calls(0, 1, 2, 4)}
"""By machine; both have 64 bits, the lower ones first."""

UNDER_WAY_MAX: Final = 64
"""
Requests that may be under way at once.

The kernel would take more than it was asked to keep, and what has ended is told of once: as much must be fetched then.
"""

_REQUEST: Final = Struct("<QIIHhIQQqQII")
"""C{struct iocb}: our number for it, key, flags, what to do, priority, descriptor, 4 unused, notify, eventfd."""
_EVENT: Final = Struct("<QQqq")
"""C{struct io_event}: our number, the request's address, the result, unused."""
_FDSYNC: Final = 3
_NOTIFY: Final = 1


@implementer(IReadDescriptor)
class KernelSyncs:
    """
    What the kernel syncs for one disk.

    @raise OSError: it does not do that for us.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        calls = CALLS.get(os.uname().machine)
        if sys.platform != "linux" or calls is None or not IReactorFDSet.providedBy(reactor):
            raise OSError("the kernel, or the reactor, cannot do that")
        self._calls = calls
        self._reactor = reactor
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._context = ctypes.c_ulong(0)
        self._call(calls.setup, ctypes.c_long(UNDER_WAY_MAX), ctypes.byref(self._context))
        self._request = ctypes.create_string_buffer(_REQUEST.size)
        self._requests = (ctypes.c_void_p * 1)(ctypes.addressof(self._request))
        self._events = ctypes.create_string_buffer(_EVENT.size * UNDER_WAY_MAX)
        self._number = 0
        self._under_way: dict[int, Done] = {}
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        reactor.addReader(self)

    def _call(self, number: int, *args: Any) -> int:
        result: int = self._libc.syscall(ctypes.c_long(number), *args)
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    def begin(self, fd: int, done: Done) -> bool:
        """
        Begin to sync the data of a file, and have C{done} called in the reactor when that has ended.

        @return: whether it has begun; where not, nothing has happened.
        """
        if len(self._under_way) >= UNDER_WAY_MAX:
            return False
        number = self._number + 1
        _REQUEST.pack_into(self._request, 0, number, 0, 0, _FDSYNC, 0, fd, 0, 0, 0, 0, _NOTIFY, self._fd)
        try:
            if self._call(self._calls.submit, self._context, ctypes.c_long(1), self._requests) != 1:
                return False
        except OSError:
            return False
        self._number = number
        self._under_way[number] = done
        return True

    # The reactor's side

    def doRead(self) -> None:
        """Hear which have ended."""
        os.eventfd_read(self._fd)
        most = ctypes.c_long(UNDER_WAY_MAX)
        count = self._call(self._calls.getevents, self._context, ctypes.c_long(0), most, self._events, None)
        for number, _, result, _ in list(_EVENT.iter_unpack(self._events.raw[: count * _EVENT.size])):
            done = self._under_way.pop(number, None)
            if done is None:
                return  # one of those before has closed this
            try:
                done(Failure(OSError(-result, os.strerror(-result))) if result else None)
            except Exception:
                self.log.failure("A call from the kernel's syncs failed")

    def fileno(self) -> int:
        """Return the eventfd."""
        return self._fd

    def logPrefix(self) -> str:
        """Name ourselves in the reactor's log lines."""
        return "kernel"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor forgets all its readers when it ends."""
        self.close()

    def close(self) -> None:
        """Hear of nothing any more; what is under way goes on."""
        if self._fd < 0:
            return
        self._reactor.removeReader(self)
        fd, self._fd = self._fd, -1
        os.close(fd)
        if not self._under_way:  # else it would be waited for; the kernel gives it back when the process ends
            self._call(self._calls.destroy, self._context)
        self._under_way.clear()
