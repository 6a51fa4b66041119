"""
What nodes of this process log, in Python's own log: C{streamline}, with the name of the node.

pytest shows it beside a test that failed.  Events of the program's own use of Twisted are let be.
"""

from __future__ import annotations

import logging

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, globalLogPublisher
from zope.interface import implementer

from streamline.testing.embedded.turning import Turner

LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.INFO,
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
    LogLevel.critical: logging.CRITICAL,
}

_log = logging.getLogger("streamline")


@implementer(ILogObserver)
class NodeLog:
    """Passes on what is logged in the thread of one L{Turner}, from L{open} to L{close}."""

    def __init__(self, turner: Turner) -> None:
        self._turner = turner

    def open(self) -> None:
        """Begin."""
        globalLogPublisher.addObserver(self)

    def close(self) -> None:
        """End."""
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Pass on one event, if it is a node's and somebody wants it."""
        level = LEVELS.get(event.get("log_level", LogLevel.info), logging.INFO)
        is_ours = str(event.get("log_namespace", "")).startswith("streamline") or level > logging.INFO
        if is_ours and _log.isEnabledFor(level) and self._turner.is_here:
            reactor = self._turner.current
            name = "cluster" if reactor is None else reactor.name
            text = eventAsText(event, includeTimestamp=False, includeSystem=False)
            _log.log(level, "%s: %s", name, text)
