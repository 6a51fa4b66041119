"""Answers go out over real sockets in one call where the kernel takes them, and none is lost where it does not."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.sending import (
    AS_THE_SYSTEM_DOES,
    BLOCKED_BYTES,
    PARTS_MAX,
    RECEIVE_BYTES,
    RECEIVE_BYTES_MAX,
    SEND_BYTES,
    SocketSender,
    sender_over,
)
from streamline.testing.worlds import RealWorld


class Writers(Clock):
    """As much of a reactor as a transport needs: who wants to write, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[Any] = []
        self.changes = 0

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        if writer not in self.writers:
            self.changes += 1
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        if writer in self.writers:
            self.changes += 1
            self.writers.remove(writer)

    def addReader(self, reader: Any) -> None:
        """Nobody reads here."""

    removeReader = addReader


class Lent:
    """A stretch of no file."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data

    def __len__(self) -> int:
        return 3

    def read(self) -> bytes:
        """Read it, if it can be read."""
        if self._data is None:
            raise OSError(errno.EIO, "broken")
        return self._data

    def send(self, socket: object) -> int:
        """There is no socket."""
        raise NotImplementedError


class Told:
    """Who sends: notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pauseProducing(self) -> None:
        """Too much waits."""
        self.said.append("pause")

    def resumeProducing(self) -> None:
        """Nothing waits."""
        self.said.append("resume")

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.said.append("stop")


class Counted(socket.socket):
    """A socket that counts what it is asked to send, by whatever call."""

    asked = 0

    def sendmsg(self, *args: Any) -> int:
        """Count."""
        self.asked += 1
        return super().sendmsg(*args)

    def send(self, *args: Any) -> int:
        """Count."""
        self.asked += 1
        return super().send(*args)

    def fileno(self) -> int:
        """Count, as only C{sendfile} wants it here."""
        self.asked += 1
        return super().fileno()


DOUBLED_OR_NOT = (20_000, 40_000)
"""Linux adds as much for what it has to remember."""


def kernel_keeps(ours: socket.socket) -> int:
    """Say how much the kernel keeps of what a socket has sent."""
    return ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


class SocketCase(SynchronousTestCase):
    """A plain socket."""

    def setUp(self) -> None:
        """Make a pair, one end of it a transport."""
        self.reactor = Writers()
        pair, self.theirs = socket.socketpair()
        self.ours = ours = Counted(fileno=pair.detach())
        ours.setblocking(False)
        self.theirs.settimeout(5)
        self.addCleanup(ours.close)
        self.addCleanup(self.theirs.close)
        self.transport: Any = tcp.Connection(ours, Protocol(), cast(Any, self.reactor))
        self.transport.connected = True
        self.told = Told()
        self.sender = sender_over(self.transport, cast(Any, self.told))
        self.assertIsInstance(self.sender, SocketSender)

    def receive(self, size: int) -> bytes:
        """Read so much, letting the transport write meanwhile."""
        found = b""
        while len(found) < size:
            if self.reactor.writers:
                self.transport.doWrite()
            found += self.theirs.recv(1 << 20)
        return found


    def written(self) -> list[int]:
        """Let the transport write until nothing waits; return how often the kernel was asked to take something."""
        asked = []
        while self.sender.unsent_bytes:
            self.theirs.recv(1 << 20)
            before = self.ours.asked
            self.transport.doWrite()
            asked.append(self.ours.asked - before)
        return asked


class SocketTests(SocketCase):
    """What the kernel does not take at once follows, uncopied, and who sends is told."""

    def test_at_once(self) -> None:
        self.sender.send([b"one ", memoryview(b"two "), bytearray(b"three")], 13)
        self.assertEqual(self.theirs.recv(100), b"one two three")
        self.assertEqual((self.sender.unsent_bytes, self.sender.given_bytes), (0, 13))
        self.assertEqual((self.reactor.writers, self.told.said), ([], []))

    def test_more_than_the_kernel_takes(self) -> None:
        parts = [bytes([number]) * 100_000 for number in range(100)]
        self.sender.send([memoryview(part) for part in parts], 10_000_000)
        unsent = self.sender.unsent_bytes
        self.assertTrue(0 < unsent < 10_000_000)
        self.assertEqual(self.told.said, ["pause"])
        found = self.theirs.recv(1 << 20)
        self.sender.send([b"behind"], 6)
        self.assertEqual(self.sender.unsent_bytes, unsent + 6, "it does not overtake what waits")
        self.assertEqual(self.told.said, ["pause"])
        self.assertEqual(found + self.receive(10_000_006 - len(found)), b"".join(parts) + b"behind")
        self.assertEqual((self.sender.unsent_bytes, self.told.said), (0, ["pause", "resume"]))
        self.assertEqual(self.reactor.writers, [])

    def test_one_call_each_time_that_it_can_be_written(self) -> None:
        """And the reactor is told of it once, and once when all has gone."""
        self.sender.send([bytes(3_000_000)], 3_000_000)
        self.assertEqual(self.ours.asked, 1)
        asked = self.written()
        self.assertGreater(len(asked), 5)
        self.assertEqual(set(asked), {1})
        self.assertEqual(self.reactor.changes, 2)

    def test_what_the_kernel_keeps(self) -> None:
        """It is told how much, or left alone."""
        ours = self.transport.socket
        before = kernel_keeps(ours)
        self.assertNotIn(before, DOUBLED_OR_NOT)
        for size, expected in ((AS_THE_SYSTEM_DOES, (before,)), (20_000, DOUBLED_OR_NOT)):
            self.transport.unregisterProducer()
            sender_over(self.transport, cast(Any, self.told), size)
            self.assertIn(kernel_keeps(ours), expected)

    def test_a_little_that_waits(self) -> None:
        """Nobody is told to wait for it."""
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.sender.send([bytes(50_000)], 50_000)
        self.assertTrue(0 < self.sender.unsent_bytes <= BLOCKED_BYTES)
        self.receive(50_000)
        self.assertEqual((self.sender.unsent_bytes, self.told.said), (0, []))

    def test_more_parts_than_a_call_takes(self) -> None:
        parts = [b"%d " % number for number in range(PARTS_MAX + 10)] + [b""]
        self.sender.send(list(parts), sum(map(len, parts)))
        self.assertEqual(self.receive(sum(map(len, parts))), b"".join(parts))

    def test_a_connection_that_is_gone(self) -> None:
        """It is ended, and nothing more is tried."""
        self.theirs.close()
        self.sender.send([b"x" * 100], 100)
        self.assertTrue(self.transport._aborting)
        self.reactor.advance(0)
        self.assertEqual(self.told.said, ["stop"])

    def test_more_is_received_at_once_of_a_large_frame(self) -> None:
        for missing_bytes, expected in (
            (0, RECEIVE_BYTES), (100, RECEIVE_BYTES), (RECEIVE_BYTES + 1, RECEIVE_BYTES + 1),
            (100 << 20, RECEIVE_BYTES_MAX), (0, RECEIVE_BYTES),
        ):  # fmt: skip
            self.sender.expects(missing_bytes)
            self.assertEqual(self.transport.bufferSize, expected)

    def test_closed_when_everything_is_sent(self) -> None:
        self.sender.send([bytes(10_000_000)], 10_000_000)
        self.sender.finish()
        self.assertFalse(self.transport.disconnecting)
        self.receive(10_000_000)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.told.said, ["pause"], "there is nothing to resume")

    def test_closed_at_once(self) -> None:
        self.sender.finish()
        self.assertTrue(self.transport.disconnecting)

    def test_the_transport_writes_by_itself_again_when_nothing_waits(self) -> None:
        """As it must to close, and nothing is left that would keep it from being forgotten."""
        for ended in (self.written, lambda: self.sender.stopProducing()):  # type: ignore[attr-defined]
            self.sender.send([bytes(1_000_000)], 1_000_000)
            self.assertIn("doWrite", vars(self.transport))
            ended()
            self.assertNotIn("doWrite", vars(self.transport))
            self.assertEqual(self.reactor.writers, [])

    def test_an_abort_has_the_last_word(self) -> None:
        self.sender.send([bytes(1_000_000)], 1_000_000)
        self.transport.abortConnection()
        asked = self.ours.asked
        self.transport.doWrite()
        self.reactor.advance(0)
        self.assertEqual((self.ours.asked, self.told.said), (asked, ["pause", "stop"]))


class StretchTests(SocketCase):
    """Bytes of files go out without being read."""

    def setUp(self) -> None:
        """Write a file."""
        super().setUp()
        world = RealWorld()
        self.addCleanup(world.close)
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, True)
        self.file = world.disk.open(f"{directory}/a", create=True)
        self.addCleanup(self.file.close)
        self.data = bytes(range(256)) * 20_000
        self.file.write([self.data], 0)

    def test_between_other_parts(self) -> None:
        stretch = self.file.stretch(1000, 500)
        self.sender.send([b"before", b"it", stretch, b"behind", self.file.stretch(5, 5)], 519)
        expected = b"beforeit" + self.data[1000:1500] + b"behind" + self.data[5:10]
        self.assertEqual(self.receive(519), expected)
        self.assertEqual((self.sender.unsent_bytes, self.sender.given_bytes), (0, 519))

    def test_more_than_the_kernel_takes(self) -> None:
        """It goes on where it was, though the file has been closed by then."""
        size = len(self.data) - 7
        self.sender.send([b"head", self.file.stretch(7, size), b"tail"], size + 8)
        self.file.close()
        self.assertTrue(0 < self.sender.unsent_bytes < size)
        self.assertEqual(self.receive(size + 8), b"head" + self.data[7:] + b"tail")
        self.assertEqual((self.sender.unsent_bytes, self.told.said), (0, ["pause", "resume"]))

    def test_one_call_each_time_that_it_can_be_written(self) -> None:
        self.sender.send([self.file.stretch(0, len(self.data))], len(self.data))
        self.assertEqual(self.ours.asked, 1)
        asked = self.written()
        self.assertGreater(len(asked), 5)
        self.assertEqual(set(asked), {1})

    def test_a_file_that_has_become_shorter(self) -> None:
        """The connection ends, as what was promised cannot be sent."""
        stretch = self.file.stretch(0, 100)
        self.file.truncate(0)
        self.sender.send([b"head", stretch], 104)
        self.assertTrue(self.transport._aborting)

    def test_what_waits_is_let_go(self) -> None:
        """With the connection goes the file."""
        self.sender.send([self.file.stretch(0, len(self.data))], len(self.data))
        number = self.file._fd
        self.file.close()
        os.fstat(number)
        self.sender.stopProducing()  # type: ignore[attr-defined]
        self.assertRaises(OSError, os.fstat, number)


class OtherTransportTests(SynchronousTestCase):
    """Everywhere else the transport's own way is taken, and what it says it has too much of is counted."""

    def setUp(self) -> None:
        """Make one."""
        self.transport = StringTransport()
        self.sender = sender_over(self.transport, cast(Any, Told()))

    def test_written(self) -> None:
        self.sender.send([b"one ", b"two"], 7)
        self.assertEqual((self.transport.value(), self.sender.unsent_bytes), (b"one two", 0))

    def test_stretches_are_read(self) -> None:
        self.sender.send([b"one ", Lent(b"two")], 7)
        self.assertEqual(self.transport.value(), b"one two")

    def test_a_stretch_that_cannot_be_read(self) -> None:
        """The connection ends, as what was promised cannot be sent."""
        self.sender.send([b"one ", Lent(None)], 7)
        self.assertEqual((self.transport.value(), self.transport.disconnected), (b"", True))

    def test_finished(self) -> None:
        self.sender.finish()
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)

    def test_counted_from_when_it_is_too_much(self) -> None:
        blocked: Callable[[Any], None] = lambda parts: self.sender.blocked()  # noqa: E731
        self.transport.writeSequence = blocked  # type: ignore[method-assign]
        self.sender.send([b"x" * 10], 10)
        self.sender.send([b"x" * 5], 5)
        self.assertEqual(self.sender.unsent_bytes, 15)
        self.sender.drained()
        self.assertEqual(self.sender.unsent_bytes, 0)

    def test_under_tls_the_socket_below_says_what_is_left(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        below: Any = tcp.Connection(ours, Protocol(), cast(Any, Clock()))
        below.dataBuffer, below.offset = b"x" * 100, 40

        class Encrypting(StringTransport):
            """A transport that wraps another and keeps what it has not encrypted."""

            transport = below
            _appSendBuffer = [b"y" * 7]

        sender = sender_over(Encrypting(), cast(Any, Told()))
        self.assertEqual(sender.unsent_bytes, 67)
        self.assertNotIsInstance(sender, SocketSender)  # nothing goes past the encryption
        sender_over(Encrypting(), cast(Any, Told()), 20_000)
        self.assertIn(kernel_keeps(ours), DOUBLED_OR_NOT)
        self.assertEqual(below.SEND_LIMIT, SEND_BYTES)
