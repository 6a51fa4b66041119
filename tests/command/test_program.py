"""A node as a process: what it does about signals, failures and time, without any of them being real."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StartRefused
from streamline.launcher import Launcher
from streamline.tap import STOP_DEADLINE_S, Program

DAEMON = {"nodaemon": False, "rundir": ".", "chroot": None, "uid": None, "gid": None}


class Reactor(Clock):
    """A clock that can be stopped as a reactor can."""

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0

    def callWhenRunning(self, function: Any) -> None:
        """It runs."""
        function()

    def stop(self) -> None:
        """Count."""
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning

    def callFromThread(self, function: Any) -> None:
        """There is only one thread."""
        function()


class Node:
    """Starts and stops when the test says so."""

    def __init__(self) -> None:
        self.up: Deferred[None] = Deferred()
        self.down: Deferred[None] = Deferred()
        self.failed: Deferred[str] = Deferred()

    def startService(self) -> Deferred[None]:
        """Wait for the test."""
        return self.up

    def stopService(self) -> Deferred[None]:
        """Wait for the test."""
        return self.down


class ProgramTests(SynchronousTestCase):
    """Start, stop, and what goes wrong with either."""

    def setUp(self) -> None:
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = Reactor()
        self.node = Node()
        self.program = self.make({})

    def make(self, parent: dict[str, Any]) -> Program:
        """Return a program that will not end the test run."""
        program = Program(self.node, Launcher(parent), self.reactor)  # type: ignore[arg-type]
        self.addCleanup(program.__dict__.__setitem__, "exit_status", 0)
        return program

    def test_a_start_that_succeeds(self) -> None:
        self.program.startService()
        self.node.up.callback(None)
        self.assertEqual((self.reactor.stops, self.program.exit_status), (0, 0))

    def test_a_start_that_is_refused_later_ends_the_process(self) -> None:
        self.program.startService()
        self.node.up.errback(StartRefused("no"))
        self.assertEqual((self.reactor.stops, self.program.exit_status), (1, 1))

    def test_a_start_that_is_refused_at_once_ends_the_process(self) -> None:
        self.node.up = fail(StartRefused("no"))
        self.program.startService()
        self.assertEqual((self.reactor.stops, self.program.exit_status), (1, 1))

    def test_an_error_of_ours_is_logged_with_its_traceback(self) -> None:
        self.program.startService()
        self.node.up.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.reactor.stops, self.program.exit_status), (1, 1))

    def test_the_parent_of_a_daemon_hears_of_a_refusal_by_an_exception(self) -> None:
        self.node.up = fail(StartRefused("no"))
        self.assertRaises(StartRefused, self.make(DAEMON).startService)

    def test_refused_while_it_is_being_stopped(self) -> None:
        self.program.startService()
        self.reactor.stop()
        self.node.up.errback(StartRefused("no"))
        self.assertEqual(self.program.exit_status, 1)

    def test_a_node_that_cannot_go_on_ends_the_process(self) -> None:
        """DK14: with an error, so that whoever supervises it notices."""
        self.program.startService()
        self.node.up.callback(None)
        self.node.failed.callback("the metadata cannot be synced")
        self.assertEqual((self.reactor.stops, self.program.exit_status), (1, 1))

    def test_a_stop_is_waited_for(self) -> None:
        stopped = self.program.stopService()
        self.assertNoResult(stopped)
        self.node.down.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_stop_is_not_waited_for_for_ever(self) -> None:
        stopped = self.program.stopService()
        self.reactor.advance(STOP_DEADLINE_S - 0.1)
        self.assertNoResult(stopped)
        self.reactor.advance(0.1)
        self.successResultOf(stopped)
        self.node.down.callback(None)

    def test_a_stop_that_fails_is_logged(self) -> None:
        stopped = self.program.stopService()
        self.node.down.errback(ZeroDivisionError())
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_hang_up_does_not_kill(self) -> None:
        self.program.startService()
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGUSR1)
        self.assertEqual(self.reactor.stops, 0)


class LauncherTests(SynchronousTestCase):
    """Where the node will be when it starts."""

    def test_paths(self) -> None:
        here = Launcher(None).path("data")
        self.assertEqual(Launcher(DAEMON).path("data"), here)
        self.assertEqual(Launcher({**DAEMON, "rundir": "/var"}).path("data"), "/var/data")
        self.assertEqual(Launcher({**DAEMON, "rundir": "/var"}).path("/data"), "/data")
        self.assertEqual(Launcher({**DAEMON, "chroot": "/jail"}).path("./data"), "/data")
        self.assertEqual(Launcher({**DAEMON, "chroot": "/jail", "rundir": "/var"}).path("data"), "/var/data")

    def test_moves(self) -> None:
        self.assertEqual([Launcher(None).moves, Launcher(DAEMON).moves], [False, False])
        for change in ({"rundir": "/var"}, {"chroot": "/jail"}, {"uid": 0}, {"gid": 0}):
            self.assertTrue(Launcher({**DAEMON, **change}).moves)

    def test_daemonizes(self) -> None:
        self.assertEqual([Launcher(None).daemonizes, Launcher(DAEMON).daemonizes], [False, True])
        self.assertFalse(Launcher({**DAEMON, "nodaemon": True}).daemonizes)
