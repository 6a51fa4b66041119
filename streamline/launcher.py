"""
The program that started us, C{twist} or C{twistd}, as far as a node has to know it.

Both parse the same options and then differ in what they still do to the process
and in where they log.  What they mean to do stands in their own options, which
Twisted calls the parent of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Any

from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from streamline.errors import StartRefused
from streamline.services.log_lines import LineObserver, renderer

DEFAULT_LOG = "twistd.log"
"""Where a daemon of C{twistd} logs unless it is told."""


class Launcher:
    """
    What will become of this process before the reactor turns, and where its log goes.

    @ivar daemonizes: it will fork, and stderr will lead nowhere.
    @ivar moves: user, root or working directory will change, so that files must not be made before.
    """

    def __init__(self, parent: MutableMapping[str, Any] | None) -> None:
        self._options: MutableMapping[str, Any] = parent if parent is not None else {}
        self._is_twist = "fileLogObserverFactory" in self._options
        self._is_twistd = "nodaemon" in self._options
        self._rundir: str = self._options["rundir"] if self._is_twistd else "."
        self._chroot: str | None = self._options["chroot"] if self._is_twistd else None
        self.daemonizes = self._is_twistd and not self._options["nodaemon"]
        self.moves = self._is_twistd and (
            self._rundir != "." or any(self._options[key] is not None for key in ("chroot", "uid", "gid"))
        )
        self._observer: LineObserver | None = None

    def path(self, path: str) -> str:
        """Return the absolute path that this one will be when the node starts."""
        if self._chroot is not None:
            return os.path.normpath(os.path.join("/", self._rundir, path))
        return os.path.abspath(os.path.join(self._rundir, path))

    def observe(self, log_format: str, node_id: int) -> None:
        """
        Take over the log, one line for each event, in the place where the launcher would have put it.

        A log that was asked for in a way of its own (C{--syslog}, C{--logger}) stays as it is.

        @raise StartRefused: the log file cannot be opened.
        """
        if self._is_twist:
            stream = self._options["logFile"]
            self._observer = LineObserver(stream, renderer(self._asked_of_twist(log_format), stream, node_id))
            self._options["fileLogObserverFactory"] = lambda _: self._observer
        elif self._is_twistd and not self._options["syslog"] and self._options["logger"] is None:
            stream = self._twistd_log()
            if stream is not None:
                self._observer = LineObserver(stream, renderer(log_format, stream, node_id))

    def _asked_of_twist(self, log_format: str) -> str:
        """Heed C{twist --log-format} where it says something else than it does by itself."""
        by_itself = "text" if sys.stdout.isatty() else "json"
        told: str = self._options["logFormat"]
        return told if log_format == "auto" and told != by_itself else log_format

    def _twistd_log(self) -> Any:
        """Return what C{twistd} would log to; None for what it refuses."""
        path: str | None = self._options["logfile"]
        if path == "-" or (not self.daemonizes and not path):
            return None if self.daemonizes else sys.stdout
        try:
            return LogFile.fromFullPath(path or DEFAULT_LOG)
        except OSError as error:
            raise StartRefused(f"the log file {path or DEFAULT_LOG} cannot be opened: {error.strerror}") from error

    def adopt(self, application: Any) -> None:
        """Hand our observer to C{twistd}, which looks for it on the application."""
        if self._is_twistd and self._observer is not None and isinstance(application, Componentized):
            at_least_info = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
            application.setComponent(ILogObserver, FilteringLogObserver(self._observer, [at_least_info]))

    def reopen_log(self) -> None:
        """Open the log file anew, after something has moved it away; a log that is no file stays."""
        if self._observer is None:
            return
        stream: Any = self._observer.stream
        if isinstance(stream, LogFile):
            stream.reopen()
        elif stream not in (sys.__stdout__, sys.__stderr__):
            self._observer.stream = open(stream.name, "a", encoding="utf-8")  # noqa: SIM115 - it stays open
            stream.close()

    def rotate_log(self) -> None:
        """Begin a new log file, as C{twistd} does; others are rotated from outside."""
        if self._observer is not None and isinstance(self._observer.stream, LogFile):
            self._observer.stream.rotate()  # type: ignore[no-untyped-call]
