"""The parts of which embedded clusters are made, one by one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import IDisk
from streamline.testing.contracts import disk
from streamline.testing.embedded.doors import MortalDisk
from streamline.testing.embedded.ports import LOOPBACK, PortTaken, ReservedPort
from streamline.testing.embedded.proxies import NOBODY, caller_of
from streamline.testing.embedded.reactors import NodeReactor
from streamline.testing.embedded.turning import Turner
from streamline.wire.header import write_request_header

PATIENCE_S = 30.0
SILENCE_S = 0.05
TURN_S = 0.01


class PortTests(SynchronousTestCase):
    """A reserved port is nobody else's."""

    def reserve(self, number: int = 0) -> ReservedPort:
        """Reserve one until the end of the test."""
        port = ReservedPort(number)
        self.addCleanup(port.release)
        return port

    def server(self) -> socket.socket:
        """Make a socket as servers do."""
        server = socket.socket()
        self.addCleanup(server.close)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return server

    def test_connecting_is_refused(self) -> None:
        """Nobody listens there."""
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, self.reserve().number), PATIENCE_S)

    def test_its_server_comes_and_goes(self) -> None:
        """It can listen there again and again, and connections of before are no hindrance."""
        port = self.reserve()
        for _ in range(3):
            server = self.server()
            server.bind((LOOPBACK, port.number))
            server.listen()
            with socket.create_connection((LOOPBACK, port.number), PATIENCE_S):
                server.accept()[0].close()
            server.close()

    def test_nobody_is_given_it(self) -> None:
        """Neither other reservations nor servers that take any port."""
        numbers = [self.reserve().number for _ in range(200)]
        for _ in range(200):
            server = self.server()
            server.bind((LOOPBACK, 0))
            numbers.append(server.getsockname()[1])
        self.assertEqual(len(set(numbers)), 400)

    def test_one_that_is_listened_on(self) -> None:
        """It cannot be reserved, and is named."""
        server = self.server()
        server.bind((LOOPBACK, 0))
        server.listen()
        number = server.getsockname()[1]
        with self.assertRaises(PortTaken) as caught:
            ReservedPort(number)
        self.assertEqual(str(caught.exception), f"port {number} is taken")

    def test_one_that_was_just_used(self) -> None:
        """Connections that linger there do not keep it from being reserved by number."""
        port = self.reserve()
        server = self.server()
        server.bind((LOOPBACK, port.number))
        server.listen()
        with socket.create_connection((LOOPBACK, port.number), PATIENCE_S) as client:
            server.accept()[0].close()  # the side that closes first lingers
            self.assertEqual(client.recv(1), b"")
        server.close()
        port.release()
        self.assertEqual(self.reserve(port.number).number, port.number)


class TurnerTests(SynchronousTestCase):
    """Reactors take turns in one thread; one that is taken out stands still."""

    def setUp(self) -> None:
        """Begin the thread with two reactors."""
        self.turner = Turner("test")
        self.one, self.other = NodeReactor("one"), NodeReactor("other")
        for reactor in (self.one, self.other):
            self.addCleanup(reactor.die)
            self.ask(self.turner.put_in, reactor)
        self.addCleanup(self.turner.close)

    def ask(self, function: Callable[..., Any], *args: object) -> Any:
        """Call something in the thread."""
        return self.turner.ask(function, *args, what="a test", timeout_s=PATIENCE_S)

    def test_timers_of_all(self) -> None:
        """Each reactor's timers are called, in the one thread."""
        for reactor in (self.one, self.other):
            called: Deferred[bool] = Deferred()
            self.turner.call(partial(reactor.callLater, 0.01, self.note, called))
            self.assertTrue(self.ask(partial(passed, called)))

    def note(self, called: Deferred[bool]) -> None:
        """Say whether this is the thread, and one of the reactors has its turn."""
        called.callback(self.turner.is_here and self.turner.current in (self.one, self.other))

    def test_taken_out(self) -> None:
        """It does nothing that falls due meanwhile, and all of it afterwards."""
        called = Event()
        self.ask(self.turner.take_out, self.one)
        self.turner.call(lambda: self.one.callLater(0, called.set))
        self.assertFalse(called.wait(SILENCE_S))
        self.ask(self.turner.put_in, self.one)
        self.assertTrue(called.wait(PATIENCE_S))

    def test_failures_come_back(self) -> None:
        """What goes wrong there is raised here."""
        with self.assertRaises(ZeroDivisionError):
            self.ask(lambda: 1 // 0)

    def test_too_late(self) -> None:
        """Who waits in vain is told for what, and the Deferred is given up."""
        given_up = Event()
        with self.assertRaises(TimeoutError) as caught:
            self.turner.ask(
                lambda: Deferred(lambda _: given_up.set()), what="a sign", timeout_s=SILENCE_S
            )
        self.assertEqual(str(caught.exception), "waited 0.05 s in vain for a sign")
        self.assertTrue(given_up.wait(PATIENCE_S))


def passed(result: Deferred[bool]) -> Deferred[bool]:
    """Return what was given."""
    return result


class UnsyncedDiskTests(disk.DiskContract):
    """The disk of a node that can be killed is a disk, where nothing is synced."""

    syncs = False

    def make_disk(self) -> tuple[IDisk, str]:
        """Use a temporary directory, and turn the reactor where something is waited for."""
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.reactor = NodeReactor("disk")
        self.mortal = MortalDisk(self.reactor, syncs=self.syncs)
        self.addCleanup(self.reactor.die)
        self.addCleanup(self.mortal.die)
        return self.mortal, temporary.name

    def result_of(self, deferred: Deferred[Any]) -> Any:
        """Turn the reactor until the threads have answered."""
        outcome: list[Any] = []
        deferred.addBoth(outcome.append)
        end_s = monotonic() + PATIENCE_S
        while not outcome and monotonic() < end_s:
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(TURN_S)
        if hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
        return outcome[0]

    def test_death_closes_files(self) -> None:
        """A dead node's file takes nothing, even where its number has come to be somebody else's."""
        file = self.file("a")
        self.mortal.die()
        other = os.open(self.path("b"), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, other)
        for use in (lambda: file.write([b"x"], 0), file.sync, lambda: self.result_of(file.sync_later())):
            self.assertRaises(OSError, use)
        file.close()
        self.assertEqual(os.fstat(other).st_size, 0)

    def test_death_releases_locks(self) -> None:
        """The next life of the node can have them."""
        self.disk.lock(self.path("lock"))
        self.mortal.die()
        MortalDisk(self.reactor, syncs=False).lock(self.path("lock"))()

    def test_death_ends_threads(self) -> None:
        """A call in a thread that has begun ends; no other begins."""
        begun, go_on, ended = Event(), Event(), Event()

        def work() -> None:
            begun.set()
            go_on.wait(PATIENCE_S)
            ended.set()

        self.disk.elsewhere(work)
        begun.wait(PATIENCE_S)
        go_on.set()
        self.mortal.die()
        self.assertTrue(ended.is_set())
        self.assertRaises(OSError, self.disk.elsewhere, work)
        self.assertRaises(OSError, self.disk.open, self.path("a"), create=True)
        self.assertRaises(OSError, self.disk.replace_file, self.path("a"), b"")


class SyncedDiskTests(UnsyncedDiskTests):
    """The same where everything is synced."""

    syncs = True


class ProxyTests(SynchronousTestCase):
    """A link knows whose it is by the first request."""

    def test_callers(self) -> None:
        """Nodes name themselves; clients are nobody; a request that is cut short says nothing yet."""
        for name, caller in (("streamline-node-12", 12), ("rdkafka", NOBODY), ("", NOBODY), (None, NOBODY)):
            header = b"\0\0\0\0" + write_request_header(18, 3, 1, name) + b"more"
            self.assertEqual(caller_of(header), caller)
        header = b"\0\0\0\0" + write_request_header(18, 3, 1, "streamline-node-12")
        self.assertEqual([caller_of(header[:length]) for length in (0, 13, 20)], [None] * 3)
