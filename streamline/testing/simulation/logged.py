"""
What simulated nodes log, judged: a traceback in it is an anomaly.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import FirstError
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.testing.checks import Anomaly
from streamline.testing.simulation.clients.connection import alarm
from streamline.testing.simulation.world import MachineDown

ALARMS = alarm.__module__
"""Whose failures are those of clients, who were told what cannot be."""

UNHANDLED = "Unhandled error in Deferred"
"""What Twisted says before it logs the failure itself, which then is judged."""


@implementer(ILogObserver)
class LogReader:
    """
    Reads the log of everybody in a run.

    @ivar anomalies: what must not be in it.
    """

    def __init__(self, anomalies: list[Anomaly]) -> None:
        self.anomalies = anomalies

    def __call__(self, event: dict[str, Any]) -> None:
        """Judge one event."""
        failure = event.get("log_failure")
        if event.get("log_level") != LogLevel.critical or (failure is not None and is_death(failure)):
            return
        text = failure.getErrorMessage() if failure is not None else str(event.get("log_format"))
        if text.startswith(UNHANDLED):
            return
        trace = failure.getBriefTraceback() if failure is not None else ""
        kind = "bad-answer" if event.get("log_namespace") == ALARMS else "traceback"
        self.anomalies.append(Anomaly(kind, "log", f"{text}\n{trace}"))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """
        Read the log, and let no garbage be collected meanwhile.

        When the remains of a dead process are collected, its coroutines end, and what they do then is nobody's fault.
        """
        gc.collect()
        gc.disable()
        globalLogPublisher.addObserver(self)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(self)
            gc.enable()


def is_death(failure: Failure) -> bool:
    """Say whether this is only how a process died."""
    while failure.check(FirstError):
        failure = failure.value.subFailure  # type: ignore[union-attr]
    return failure.check(MachineDown) is not None
