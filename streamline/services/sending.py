"""
Gives answers to a transport with as few copies and turns of the reactor as it allows.

Where the transport is a plain socket, parts go out in one C{sendmsg} at once, stretches of files by the kernel alone,
and what it does not take waits here, as it is, until the socket can be written again.  Everywhere else (TLS, the
simulator) stretches are read, and the transport's own C{writeSequence} does it.

# Note [Writing past the transport]

When a socket can be written again, Twisted's own C{doWrite} first sends what it has itself, which is nothing here, then
has the reactor watch the socket no more, and then asks its producer, who has it watched again as there is more: three
system calls beside the one that sends, each time that a reader has made room for some 70 KiB.  So ours stands in its
place for as long as something waits, and the socket is watched until that has gone.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from streamline.model import Part

PARTS_MAX = 512
"""Buffers in one sendmsg; Linux takes at most 1024."""

FEW_PARTS = 16
"""Up to so many buffers go to the kernel as they are given, where nothing waits before them."""

SEND_BYTES = 1 << 20
"""What the reactor tries to send at once from a backlog; Twisted's own 128 KiB makes a large answer slow."""

RECEIVE_BYTES = 130_816
"""What is received at once: just below the size from which the C library maps memory anew by default."""

RECEIVE_BYTES_MAX = 1 << 19
"""What is received at once of a frame that lacks as much: fewer calls, and fewer pieces to put together."""

RECEIVE_BYTES_MIN = 4096
"""What is received at once however many there are."""

BLOCKED_BYTES = RECEIVE_BYTES
"""With more than this unsent, whoever sends is told to wait, as by Twisted's own transports."""

AS_THE_SYSTEM_DOES = -1
"""Leaves the size of a buffer to the kernel, as -1 does in Kafka's settings."""

MSG_MORE = 0x8000 if sys.platform == "linux" else 0
"""Tells the kernel that more follows at once, so that a small part does not leave alone."""

_SEND_BUFFER = (1, 7) if sys.platform == "linux" else (0xFFFF, 0x1001)
"""SOL_SOCKET and SO_SNDBUF, here and on what descends from BSD."""

_BUFFERS = frozenset({bytes, bytearray, memoryview})


def sender_over(transport: Any, producer: IPushProducer, kernel_bytes: int = AS_THE_SYSTEM_DOES) -> Sender:
    """
    Return what sends over a transport.

    @param producer: is told to pause when too much waits, to resume when everything has been sent, and to stop when
        the connection is gone.
    @param kernel_bytes: how much the kernel keeps of what was sent and not yet taken.  Where that is little, the one
        who reads does so while the rest is on its way; megabytes that are handed over at once wait, on one machine,
        until the sender has done with all of them.
    """
    innermost = _innermost(transport)
    if innermost is not None and kernel_bytes != AS_THE_SYSTEM_DOES:
        innermost.socket.setsockopt(*_SEND_BUFFER, kernel_bytes)
    if isinstance(transport, tcp.Connection) and not getattr(transport, "TLS", False):
        return SocketSender(transport, producer)
    return Sender(transport, producer)


def _innermost(transport: Any) -> tcp.Connection | None:
    """Return the transport that has the socket; under TLS another wraps it."""
    innermost = transport if isinstance(transport, tcp.Connection) else getattr(transport, "transport", None)
    return innermost if isinstance(innermost, tcp.Connection) else None


class Sender:
    """
    Sends over any transport.

    @ivar given_bytes: what it was given in all.
    """

    def __init__(self, transport: Any, producer: IPushProducer) -> None:
        self.given_bytes = 0
        self._transport = transport
        self._is_blocked = False
        self._queued_bytes = 0
        self._wanted_bytes = RECEIVE_BYTES
        self._tcp = _innermost(transport)
        if self._tcp is not None:
            self._tcp.SEND_LIMIT = SEND_BYTES
            self._tcp.bufferSize = RECEIVE_BYTES
        transport.registerProducer(producer, True)

    @property
    def unsent_bytes(self) -> int:
        """
        What was given to the transport and not yet to the kernel.

        Under TLS without what is about to be encrypted; elsewhere, what was given since the transport said that it
        has too much.
        """
        transport = self._tcp
        if transport is None:
            return self._queued_bytes if self._is_blocked else 0
        unsent = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return unsent + sum(map(len, getattr(self._transport, "_appSendBuffer", ())))

    def send(self, parts: Sequence[Part], size_bytes: int) -> None:
        """Send parts that are C{size_bytes} together."""
        self.given_bytes += size_bytes
        self._queued_bytes = self._queued_bytes + size_bytes if self._is_blocked else size_bytes
        try:
            self._transport.writeSequence([_as_bytes(part) for part in parts])
        except OSError:  # of a stretch; what was promised cannot be sent any more
            self._transport.abortConnection()

    def expects(self, missing_bytes: int, share_bytes: int = RECEIVE_BYTES_MAX) -> None:
        """
        Hear how much is still to come of the frame that is being received.

        @param share_bytes: what may be received at once, as far as that is more than next to nothing.
        """
        wanted_bytes = min(max(RECEIVE_BYTES, min(missing_bytes, RECEIVE_BYTES_MAX)), share_bytes)
        if wanted_bytes != self._wanted_bytes:
            self._wanted_bytes = wanted_bytes
            if self._tcp is not None:
                self._tcp.bufferSize = max(RECEIVE_BYTES_MIN, wanted_bytes)

    def blocked(self) -> None:
        """Hear that the transport has too much that it could not send."""
        self._is_blocked = True

    def drained(self) -> None:
        """Hear that the transport has sent everything."""
        self._is_blocked = False

    def finish(self) -> None:
        """Close the connection when everything has been sent."""
        self._transport.unregisterProducer()  # TLS waits for that before it closes
        self._transport.loseConnection()


@implementer(IPullProducer)
class SocketSender(Sender):
    """
    Sends over a plain socket.

    To its transport it is a producer that has more whenever the transport has nothing to write.  It never gives the
    transport anything, which only tells when the socket can be written again; see Note [Writing past the transport].

    @ivar unsent_bytes: what the kernel has not taken.
    """

    unsent_bytes = 0

    def __init__(self, transport: Any, producer: IPushProducer) -> None:
        self.given_bytes = 0
        self._transport = self._tcp = transport
        self._producer = producer
        self._socket = transport.socket
        self._waiting: deque[Part] = deque()
        self._is_blocked = False
        self._is_finishing = False
        self._is_watched = False
        self._wanted_bytes = RECEIVE_BYTES
        transport.bufferSize = RECEIVE_BYTES
        transport.registerProducer(self, False)

    def send(self, parts: Sequence[Part], size_bytes: int) -> None:
        """Send parts behind those that wait."""
        self.given_bytes += size_bytes
        waiting = self._waiting
        if waiting:
            self.unsent_bytes += size_bytes
            waiting += parts
        elif len(parts) <= FEW_PARTS and _BUFFERS.issuperset(map(type, parts)):
            self._send_few(parts, size_bytes)
        else:
            self.unsent_bytes += size_bytes
            waiting += parts
            self._push()
        if self.unsent_bytes > BLOCKED_BYTES and not self._is_blocked:
            self._is_blocked = True
            self._producer.pauseProducing()

    def _send_few(self, parts: Sequence[Any], size_bytes: int) -> None:
        """Give the kernel buffers before which nothing waits; it nearly always takes all."""
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:  # the connection is gone
            self._transport.abortConnection()
            return
        if sent < size_bytes:
            self.unsent_bytes = size_bytes - sent
            self._waiting += parts
            self._took(sent, parts)
            self._watch()

    def _push(self) -> None:
        """Give the kernel as much as it takes; have the transport tell when it takes more."""
        waiting = self._waiting
        try:
            while waiting:
                first = waiting[0]
                if type(first) in _BUFFERS:
                    took_all = self._push_buffers()
                else:
                    self.unsent_bytes -= first.send(self._socket)  # type: ignore[union-attr]
                    took_all = not len(first)
                    if took_all:
                        waiting.popleft()
                if not took_all:  # to ask once more would only be told so
                    self._watch()
                    return
        except BlockingIOError:
            self._watch()
        except OSError:  # the connection is gone, or what was promised cannot be sent any more
            self._transport.abortConnection()

    def _push_buffers(self) -> bool:
        """Give it the buffers that wait before the next stretch of a file; return whether it took them all."""
        waiting = self._waiting
        buffers: list[Any] = list(islice(waiting, PARTS_MAX))
        if not _BUFFERS.issuperset(map(type, buffers)):
            buffers = list(takewhile(lambda part: type(part) in _BUFFERS, buffers))
        is_all = len(buffers) == len(waiting)
        sent = self._socket.sendmsg(buffers, (), 0 if is_all else MSG_MORE)
        self.unsent_bytes -= sent
        if is_all and not self.unsent_bytes:
            waiting.clear()
            return True
        return self._took(sent, buffers)

    def _took(self, sent: int, buffers: Sequence[Any]) -> bool:
        """Keep what the kernel did not take of the first buffers that wait; return whether that is nothing."""
        waiting = self._waiting
        for part in buffers:
            if sent < len(part):
                waiting[0] = memoryview(part)[sent:]
                return False
            sent -= len(part)
            waiting.popleft()
        return True

    def _watch(self) -> None:
        """Have the reactor tell when the socket can be written again."""
        if not self._is_watched:
            self._is_watched = True
            self._transport.doWrite = self._write
            self._transport.startWriting()

    def _watch_no_more(self) -> None:
        if self._is_watched:
            self._is_watched = False
            if self._transport.doWrite == self._write:  # an end that was not ours has put its own there
                del self._transport.doWrite
            self._transport.stopWriting()

    def _write(self) -> None:
        """Go on, as the socket can be written again."""
        self._push()
        if not self._waiting:
            self._watch_no_more()
            self.resumeProducing()

    def finish(self) -> None:
        """Close the connection when everything has been sent."""
        self._is_finishing = True
        if not self._waiting:
            Sender.finish(self)

    # What the transport says

    def resumeProducing(self) -> None:
        """Everything has been sent, as far as the transport knows."""
        if self._waiting:
            return
        if self._is_finishing:
            Sender.finish(self)
        elif self._is_blocked:
            self._is_blocked = False
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._waiting.clear()
        self._watch_no_more()
        self._producer.stopProducing()


def _as_bytes(part: Part) -> bytes:
    """Return what Twisted's transports take: bytes, and nothing else."""
    if isinstance(part, bytes):
        return part
    return bytes(part) if isinstance(part, bytearray | memoryview) else part.read()
