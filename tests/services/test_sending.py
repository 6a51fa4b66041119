"""Answers go out over real sockets in one call where the kernel takes them, and none is lost where it does not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.sending import PARTS_MAX, SEND_BYTES, Sender


class Writers:
    """As much of a reactor as a transport needs: who wants to write."""

    def __init__(self) -> None:
        self.writers: list[Any] = []

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        if writer in self.writers:
            self.writers.remove(writer)

    def addReader(self, reader: Any) -> None:
        """Nobody reads here."""

    removeReader = addReader


class SocketTests(SynchronousTestCase):
    """A plain socket."""

    def setUp(self) -> None:
        """Make a pair, one end of it a transport."""
        self.reactor = Writers()
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self.theirs.settimeout(5)
        self.addCleanup(ours.close)
        self.addCleanup(self.theirs.close)
        self.transport: Any = tcp.Connection(ours, Protocol(), cast(Any, self.reactor))
        self.transport.connected = True
        self.sender = Sender(self.transport)

    def receive(self, size: int) -> bytes:
        """Read so much, letting the transport write meanwhile."""
        found = b""
        while len(found) < size:
            if self.reactor.writers:
                self.transport.doWrite()
            found += self.theirs.recv(1 << 20)
        return found

    def test_at_once(self) -> None:
        self.sender.send([b"one ", memoryview(b"two "), bytearray(b"three")], 13)
        self.assertEqual(self.theirs.recv(100), b"one two three")
        self.assertEqual((self.sender.unsent_bytes, self.sender.given_bytes), (0, 13))
        self.assertEqual(self.reactor.writers, [])

    def test_more_than_the_kernel_takes(self) -> None:
        parts = [bytes([number]) * 100_000 for number in range(100)]
        self.sender.send([memoryview(part) for part in parts], 10_000_000)
        unsent = self.sender.unsent_bytes
        self.assertTrue(0 < unsent < 10_000_000)
        found = self.theirs.recv(1 << 20)
        self.sender.send([b"behind"], 6)
        self.assertEqual(self.sender.unsent_bytes, unsent + 6, "it does not overtake what the transport keeps")
        self.assertEqual(found + self.receive(10_000_006 - len(found)), b"".join(parts) + b"behind")
        self.assertEqual(self.sender.unsent_bytes, 0)

    def test_more_parts_than_a_call_takes(self) -> None:
        parts = [b"%d " % number for number in range(PARTS_MAX + 10)]
        self.sender.send(list(parts), sum(map(len, parts)))
        self.assertEqual(self.receive(sum(map(len, parts))), b"".join(parts))

    def test_a_connection_that_is_gone(self) -> None:
        """The transport finds that out in its own way."""
        self.theirs.close()
        self.sender.send([b"x" * 100], 100)
        self.sender.send([b"x" * 100], 100)
        self.assertGreater(self.sender.unsent_bytes, 0)

    def test_large_answers_go_in_large_pieces(self) -> None:
        self.assertEqual(self.transport.SEND_LIMIT, SEND_BYTES)


class OtherTransportTests(SynchronousTestCase):
    """Everywhere else the transport's own way is taken, and what it says it has too much of is counted."""

    def setUp(self) -> None:
        """Make one."""
        self.transport = StringTransport()
        self.sender = Sender(self.transport)

    def test_written(self) -> None:
        self.sender.send([b"one ", b"two"], 7)
        self.assertEqual((self.transport.value(), self.sender.unsent_bytes), (b"one two", 0))

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

        sender = Sender(Encrypting())
        self.assertEqual(sender.unsent_bytes, 67)
        self.assertIsNone(sender._socket, "nothing goes past the encryption")
