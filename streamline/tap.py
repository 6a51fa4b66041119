"""
The command C{streamline} of C{twist} and C{twistd}: from options to a running node, and to its end.

A start that cannot succeed is told while there is still a terminal to tell it
to: sockets are taken and the data directory is locked before this returns to the
launcher, which may fork afterwards.  What only turns out later (in recovery, for
one) stops the reactor and makes the exit status 1.  Neither launcher would do
that: both take a C{startService} whose Deferred fails for a success.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.errors import StartRefused
from streamline.launcher import Launcher
from streamline.options.command import Options
from streamline.services.collector import calm_collector, collector_held
from streamline.services.data_directory import DataDirectory
from streamline.services.doorstep import Doorstep
from streamline.services.host import keep_freed_memory, real_host, share_interpreter
from streamline.storage.disk import RealDisk

if TYPE_CHECKING:
    from streamline.node import Node

__all__ = ["Options", "makeService"]

EXIT_REFUSED = EXIT_FAILED = 1
CALM_AFTER_S = 2.0
"""How long after its start a node settles its memory."""
STOP_DEADLINE_S = 25.0
"""A little less than what Kubernetes waits before it kills."""

log = Logger()


def makeService(options: Options) -> Service:
    """
    Return the service that runs a node with these options.

    @raise SystemExit: it cannot start; one sentence has been written to stderr.
    """
    from twisted.internet import reactor

    with collector_held():
        return _make(options, reactor)


def _make(options: Options, reactor: Any) -> Program:
    launcher = Launcher(options.parent)
    config = attrs.evolve(options.config, data_dir=launcher.path(options.config.data_dir))
    keep_freed_memory()
    share_interpreter()
    host = real_host(reactor, RealDisk(reactor))
    doorstep = Doorstep(host.network)
    directory = DataDirectory(host, config)
    try:
        launcher.observe(options.log_format, config.node_id)
        doorstep.hold(config.listen, "--listen")
        if config.cluster_listen is not None:
            doorstep.hold(config.cluster_listen, "--cluster-listen")
        if config.http_listen is not None:
            doorstep.hold(config.http_listen, "--http-listen")
        if not launcher.moves:
            directory.open()
        # Here, because it takes as long as all the rest: neither --help nor a refusal should wait for it.
        from streamline.assembly import build

        node = build(config, attrs.evolve(host, network=doorstep), directory, options.installed)
    except StartRefused as refusal:
        _tell(str(refusal))
        sys.exit(EXIT_REFUSED)
    return Program(node, launcher, reactor)


class Program(Service):
    """
    A node as a process: its signals, its log, its end.

    @ivar exit_status: what the process will end with, unless it is by a signal.
    """

    def __init__(self, node: Node, launcher: Launcher, reactor: Any) -> None:
        self._node = node
        self._launcher = launcher
        self._reactor = reactor
        self.exit_status = 0
        atexit.register(self._exit)  # early, so that it comes last

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, and give it our log."""
        self._launcher.adopt(parent)
        Service.setServiceParent(self, parent)

    def startService(self) -> None:
        """
        Start the node.

        @raise StartRefused: a daemon cannot start; its parent, which waits for this, then ends with status 1.
        """
        Service.startService(self)
        self._on_signal(signal.SIGHUP, self._launcher.reopen_log)
        self._on_signal(signal.SIGUSR1, self._launcher.rotate_log)
        refusals: list[BaseException] = []
        self._node.startService().addCallbacks(self._started, self._refused, errbackArgs=(refusals,))
        if refusals and self._launcher.daemonizes:
            raise refusals[0]

    def _started(self, _: object) -> None:
        self._node.failed.addCallback(self._failed)
        # Later, because it takes a moment in which the first clients would wait.
        self._reactor.callLater(CALM_AFTER_S, calm_collector)

    def _failed(self, reason: str) -> None:
        """End the process with an error; who supervises it starts it again, and recovery looks at what is there."""
        log.critical("The node cannot go on, and ends: {reason}", reason=reason)
        self.exit_status = EXIT_FAILED
        self._stop_reactor()

    def stopService(self) -> Deferred[None]:
        """Stop the node; fires when that is done, or when it has taken too long."""
        Service.stopService(self)
        done: Deferred[None] = Deferred()
        deadline = self._reactor.callLater(STOP_DEADLINE_S, self._too_late, done)
        self._node.stopService().addBoth(self._stopped, deadline, done)
        return done

    def _refused(self, failure: Failure, refusals: list[BaseException]) -> None:
        reason = failure.value
        assert reason is not None
        refusals.append(reason)
        if isinstance(reason, StartRefused):
            log.error("The node cannot start: {reason}", reason=str(reason))
            _tell(str(reason))
        else:
            log.failure("The node could not start", failure)
            kind = "" if isinstance(reason, OSError) else f"{type(reason).__name__}, which is our fault: "
            _tell(f"the node could not start: {kind}{reason}")
        self.exit_status = EXIT_REFUSED
        self._reactor.callWhenRunning(self._stop_reactor)

    def _stop_reactor(self) -> None:
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            return  # somebody else has stopped it already

    def _stopped(self, result: object, deadline: Any, done: Deferred[None]) -> None:
        if isinstance(result, Failure):
            log.failure("The node did not stop cleanly", result)
        if deadline.active():
            deadline.cancel()
            done.callback(None)

    def _too_late(self, done: Deferred[None]) -> None:
        log.error("The node has not stopped in {deadline_s} s and is left to its recovery", deadline_s=STOP_DEADLINE_S)
        done.callback(None)

    def _on_signal(self, number: signal.Signals, call: Callable[[], None]) -> None:
        signal.signal(number, lambda *_: self._reactor.callFromThread(call))

    def _exit(self) -> None:
        """Exit with our status, which neither launcher takes from anybody."""
        if self.exit_status:
            for stream in (sys.__stdout__, sys.__stderr__):
                if stream is not None:
                    stream.flush()
            os._exit(self.exit_status)


def _tell(reason: str) -> None:
    """Write why it does not go on, past the log, which may have taken over the standard streams."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"streamline: {reason}\n")
        sys.__stderr__.flush()
