"""
Gives answers to a transport with as few copies and turns of the reactor as it allows.

Where the transport is a plain socket with nothing waiting in it, the parts go
out in one C{sendmsg} at once, and only what the kernel does not take waits for
the reactor.  Everywhere else (TLS, the simulator) the transport's own
C{writeSequence} does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import tcp

from streamline.model import Buffer

PARTS_MAX = 512
"""Buffers in one sendmsg; Linux takes at most 1024."""

SEND_BYTES = 1 << 20
"""What the reactor tries to send at once from a backlog; Twisted's own 128 KiB makes a large answer slow."""

RECEIVE_BYTES = 130_816
"""What is received at once: just below the size from which the C library maps memory anew by default."""


class Sender:
    """
    Sends over one transport.

    @ivar given_bytes: what it was given in all.
    """

    __slots__ = ("_is_blocked", "_queued_bytes", "_socket", "_tcp", "_transport", "given_bytes")

    def __init__(self, transport: Any) -> None:
        self.given_bytes = 0
        self._transport = transport
        self._socket = None
        self._is_blocked = False
        self._queued_bytes = 0
        # Under TLS the transport wraps that of the socket.
        innermost = transport if isinstance(transport, tcp.Connection) else getattr(transport, "transport", None)
        self._tcp = innermost if isinstance(innermost, tcp.Connection) else None
        if self._tcp is not None:
            self._tcp.SEND_LIMIT = SEND_BYTES
            self._tcp.bufferSize = RECEIVE_BYTES
            if self._tcp is transport and not getattr(transport, "TLS", False):
                self._socket = transport.socket

    @property
    def unsent_bytes(self) -> int:
        """
        What was given to the transport and not yet to the kernel.

        Exact for a plain socket; under TLS, without what is about to be encrypted; elsewhere, what was given since the
        transport said that it has too much.
        """
        transport = self._tcp
        if transport is None:
            return self._queued_bytes if self._is_blocked else 0
        unsent = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        if self._socket is None:
            unsent += sum(map(len, getattr(self._transport, "_appSendBuffer", ())))
        return unsent

    def send(self, parts: list[Buffer], size_bytes: int) -> None:
        """Send parts that are C{size_bytes} together."""
        self.given_bytes += size_bytes
        if self._socket is None or len(parts) > PARTS_MAX or self.unsent_bytes:
            self._queue(parts, size_bytes)
            return
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The connection is gone; the transport finds that out in its own way.
            self._queue(parts, size_bytes)
            return
        if sent < size_bytes:
            self._queue(_rest(parts, sent), size_bytes - sent)

    def blocked(self) -> None:
        """Hear that the transport has too much that it could not send."""
        self._is_blocked = True

    def drained(self) -> None:
        """Hear that the transport has sent everything."""
        self._is_blocked = False

    def _queue(self, parts: Sequence[Buffer], size_bytes: int) -> None:
        self._queued_bytes = self._queued_bytes + size_bytes if self._is_blocked else size_bytes
        # Twisted's transports take bytes and nothing else; what the kernel left of a large answer is copied here.
        self._transport.writeSequence([part if type(part) is bytes else bytes(part) for part in parts])


def _rest(parts: list[Buffer], sent: int) -> list[Buffer]:
    """Return what is left of the parts after the first C{sent} bytes."""
    for at, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[at + 1 :]]
        sent -= len(part)
    return []
