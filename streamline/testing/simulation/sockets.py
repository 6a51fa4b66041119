"""
Simulated kernel sockets, under Twisted's own TCP transport.

L{SimSocket} is what C{socket.socket} is to L{twisted.internet.tcp.Connection};
buffering, producers, half-close and loss are therefore Twisted's, not a copy.
Bytes travel in a L{Pipe} for each direction, cut at random places, and a sender
can be no more than a window ahead of its reader.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol
from twisted.internet.tcp import Connection

from streamline.model import Buffer
from streamline.testing.simulation.links import Link

if TYPE_CHECKING:
    from streamline.testing.simulation.machine import Process

PIECES_MAX = 4
LAZY_READ_S = 0.001
"""Longest that a socket waits to be read when pieces are to come together."""


class Pipe:
    """
    One direction of a connection: what was sent and has not arrived.

    @ivar silent: everything is swallowed, and neither end hears of it (a half-open connection).
    """

    def __init__(self, link: Link, target: SimSocket) -> None:
        self.silent = False
        self.target = target
        self._link = link
        self._queue: deque[tuple[str, bytes, int]] = deque()
        self._not_before = 0.0

    def push(self, what: str, data: bytes = b"", count: int = 0) -> None:
        """Send C{data}, C{fin}, C{rst}, C{open} or C{ack}; they arrive in this order."""
        self._queue.append((what, data, count))
        self._not_before = self._link.carry(self._arrive, not_before=self._not_before)

    def lose(self, keep: int) -> None:
        """Forget all but the first packets on their way."""
        while len(self._queue) > keep:
            self._queue.pop()

    def __len__(self) -> int:
        return len(self._queue)

    def _arrive(self) -> None:
        # Packets of one pipe are alike to the link: whichever event comes first brings the first packet.
        if self._queue:
            what, data, count = self._queue.popleft()
            if not self.silent:
                self.target.arrived(what, data, count)


class SimSocket:
    """
    One end of a connection, as the kernel keeps it.

    @ivar descriptor: the transport above it, once there is one.
    @ivar lost: the machine lost power; this end is only remembered by the other.
    """

    def __init__(self, process: Process, local: tuple[str, int], remote: tuple[str, int], window: int) -> None:
        self.process = process
        self.local = local
        self.remote = remote
        self.window = window
        self.descriptor: Any = None
        self.out: Pipe | None = None
        self.lost = False
        self.closed = False
        self._lingers = True
        self._inbox = bytearray()
        self._in_flight = 0
        self._starved = False
        self._write_closed = False
        self._eof = False
        self._error = 0
        self._number = process.take_socket(self)

    # What the kernel does when packets arrive

    def arrived(self, what: str, data: bytes, count: int) -> None:
        """Take one packet."""
        simulation = self.process.simulation
        if what == "data":
            simulation.saw(f"{self.remote[0]}:{self.remote[1]}", f"{self.local[0]}:{self.local[1]}", what, data)
        if self.lost:
            self.process.machine.answer_for_the_dead(self)
        elif self.closed:
            if what in ("data", "open"):
                self._send("rst")
        else:
            getattr(self, f"_arrived_{what}")(data, count)

    def _arrived_data(self, data: bytes, _: int) -> None:
        self._inbox += data
        rng = self.process.machine.fabric.rng
        lazy = rng.random() < self.process.machine.fabric.weather.split_chance
        self._tell("doRead", rng.random() * LAZY_READ_S if lazy else 0.0)

    def _arrived_ack(self, _: bytes, count: int) -> None:
        self._in_flight -= count
        self._starved = False
        self._tell("doWrite")

    def _arrived_fin(self, _: bytes, __: int) -> None:
        self._eof = True
        self._tell("doRead")

    def _arrived_rst(self, _: bytes, __: int) -> None:
        self._error = errno.ECONNRESET
        reading = self.descriptor is not None and self.process.reactor.hears(self.descriptor)
        self._tell("doRead" if reading else "hangup")

    def _arrived_open(self, _: bytes, __: int) -> None:
        self.process.network.opened(self)

    def _tell(self, method: str, delay: float = 0.0) -> None:
        if self.descriptor is not None:
            self.process.reactor.ready(method, self.descriptor, delay)

    def _send(self, what: str, data: bytes = b"", count: int = 0) -> None:
        if self.out is not None:
            self.out.push(what, data, count)

    def reset(self) -> None:
        """Break the connection from the middle: both ends hear of it, and what was on its way is lost (F3)."""
        for pipe in (self.out, self._back()):
            if pipe is not None:
                pipe.lose(self.process.machine.fabric.rng.randrange(len(pipe) + 1))
                pipe.push("rst")

    def silence(self) -> None:
        """Let everything vanish from now on, in both directions, without a word (F3)."""
        for pipe in (self.out, self._back()):
            if pipe is not None:
                pipe.silent = True

    def _back(self) -> Pipe | None:
        return self.out.target.out if self.out is not None else None

    # What a process asks of the kernel: the part of socket.socket that Twisted uses

    @property
    def readable(self) -> bool:
        """Whether C{recv} would give something, an end or an error included."""
        return bool(self._inbox) or self._eof or self._error != 0

    @property
    def writable(self) -> bool:
        """Whether C{send} would take something, or fail."""
        return self._in_flight < self.window or self._error != 0

    def send(self, data: Buffer) -> int:
        """Take what the window has room for; OSErrors are those of send(2)."""
        if self._error:
            raise ConnectionResetError(self._error, "connection reset")
        if self._write_closed or self.closed:
            raise BrokenPipeError(errno.EPIPE, "broken pipe")
        taken = bytes(memoryview(data)[: max(0, self.window - self._in_flight)])
        if not taken and len(data):
            self._starved = True
            raise BlockingIOError(errno.EWOULDBLOCK, "no room")
        self._in_flight += len(taken)
        for piece in self._pieces(taken):
            self._send("data", piece)
        return len(taken)

    def sendmsg(self, buffers: Iterable[Buffer], ancillary: Iterable[object] = (), flags: int = 0) -> int:
        """Take what the window has room for, of several buffers; whether more follows at once is all the same here."""
        return self.send(b"".join(buffers))

    def _pieces(self, data: bytes) -> list[bytes]:
        fabric = self.process.machine.fabric
        if len(data) < 2 or fabric.rng.random() >= fabric.weather.split_chance:
            return [data]
        cuts = {fabric.rng.randrange(1, len(data)): None for _ in range(fabric.rng.randrange(1, PIECES_MAX))}
        edges = [0, *sorted(cuts), len(data)]
        return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]

    def recv(self, size: int) -> bytes:
        """Give what arrived; OSErrors are those of recv(2)."""
        if self._inbox:
            data = bytes(self._inbox[:size])
            del self._inbox[:size]
            self._credit(len(data))
            return data
        if self._error:
            raise ConnectionResetError(self._error, "connection reset")
        if self._eof:
            return b""
        raise BlockingIOError(errno.EWOULDBLOCK, "nothing there")

    def _credit(self, count: int) -> None:
        # A sender that has room to spare cannot tell when its acknowledgement came, so that costs no event.
        sender = self.out.target if self.out is not None else None
        if sender is not None and not sender._starved and sender._in_flight <= sender.window // 2:
            sender._in_flight -= count
        else:
            self._send("ack", count=count)

    def shutdown(self, how: int) -> None:
        """End the sending direction; what was sent before still arrives."""
        if not self._write_closed:
            self._write_closed = True
            self._send("fin")

    def close(self) -> None:
        """Close this end: orderly, or with a reset where somebody asked for that or left bytes unread."""
        if self.closed:
            return
        self.closed = True
        if not self._lingers or self._inbox:
            self._send("rst")
        elif not self._write_closed:
            self._send("fin")
        self.descriptor = None
        self.process.drop_socket(self)

    def lose_power(self) -> None:
        """Forget everything at once; the other end is told nothing."""
        self.closed = True
        self.lost = True
        self.descriptor = None
        if self.out is not None:
            self.out.lose(self.process.machine.fabric.rng.randrange(len(self.out) + 1))

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Note a zero linger time, which turns a close into a reset; the rest changes nothing here."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._lingers = False

    def getsockopt(self, level: int, option: int) -> int:
        """Say yes: no delay, kept alive."""
        return 1

    def getsockname(self) -> tuple[str, int]:
        """Return our own address."""
        return self.local

    def getpeername(self) -> tuple[str, int]:
        """Return the other's address."""
        return self.remote

    def setblocking(self, flag: bool) -> None:
        """Never block anyway."""

    def fileno(self) -> int:
        """Return a number, -1 once closed."""
        return -1 if self.closed else self._number


class SimConnection(Connection):
    """Twisted's TCP transport on a simulated socket."""

    def __init__(self, sock: SimSocket, protocol: IProtocol, process: Process) -> None:
        super().__init__(cast("socket.socket", sock), protocol, process.reactor)
        self._host = IPv4Address("TCP", *sock.local)
        self._peer = IPv4Address("TCP", *sock.remote)
        self.logstr = f"{type(protocol).__name__},{sock.remote[0]}"
        self.connected = 1
        sock.descriptor = self

    def begin(self) -> None:
        """Tell the protocol that it is connected, and read from now on."""
        self.reactor.addReader(self)
        self.protocol.makeConnection(self)

    def getHost(self) -> IPv4Address:
        """Return our own address."""
        return self._host

    def getPeer(self) -> IPv4Address:
        """Return the other's address."""
        return self._peer
