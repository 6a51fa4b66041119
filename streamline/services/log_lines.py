"""
The log: one event, one line.

As text for people at a terminal, as a JSON object for everything else.  Nothing
that a client sends can begin a line of its own or reach the terminal's control
sequences (SE18), and no line grows without bound.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

TEXT_CHARACTERS_MAX = 8192
FRAMES_MAX = 8

# Control characters, line separators, and the marks that turn the direction of text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# What Twisted's two ways of logging put into an event beside its fields.
_NOT_FIELDS = frozenset(
    ("message", "time", "format", "isError", "system", "failure", "why", "logLevel", "printed")
)

Render = Callable[[LogEvent], str]
"""Returns an event as one line, without the line's end."""


def safe(text: str) -> str:
    """Return text with its control characters escaped, cut where it is very long."""
    if len(text) > TEXT_CHARACTERS_MAX:
        text = f"{text[:TEXT_CHARACTERS_MAX]}… ({len(text)} characters)"
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def as_text(event: LogEvent) -> str:
    """Render an event for people: local time, level, who says it, what; a failure with the innermost frames first."""
    line = f"{_time(event).astimezone():%Y-%m-%d %H:%M:%S} {_level(event):<8} [{_logger(event)}] {_message(event)}"
    failure = _failure(event)
    if failure is not None:
        line += f": {_exception(failure)} ({_frames(failure)})"
    return safe(line)


def as_json(node_id: int) -> Render:
    """
    Return what renders an event as a JSON object.

    Its keys are C{time} (UTC), C{level}, C{logger}, C{node}, C{message}, for a
    failure C{error} and C{traceback}, and the fields of the event.
    """

    def render(event: LogEvent) -> str:
        line: dict[str, Any] = {
            "time": f"{_time(event):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": _level(event),
            "logger": _logger(event),
            "node": node_id,
            "message": safe(_message(event)),
        }
        failure = _failure(event)
        if failure is not None:
            line["error"] = safe(_exception(failure))
            line["traceback"] = failure.getTraceback()[-TEXT_CHARACTERS_MAX:]
        line.update({key: value for key, value in _fields(event).items() if key not in line})
        return json.dumps(line)

    return render


@implementer(ILogObserver)
class LineObserver:
    """
    Writes each event as one line.

    A stream that cannot be written to loses the line: the log must not stop the node.

    @ivar stream: where lines go; it may be replaced.
    """

    def __init__(self, stream: TextIO, render: Render) -> None:
        self.stream = stream
        self._render = render

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        line = self._render(event) + "\n"
        try:
            self.stream.write(line)
            self.stream.flush()
        except (OSError, ValueError):  # full, gone, or closed
            return


def renderer(log_format: str, stream: TextIO, node_id: int) -> Render:
    """Return how events are written to this stream; C{log_format} is C{text}, C{json} or C{auto}."""
    is_terminal = bool(getattr(stream, "isatty", bool)())  # Twisted's log files cannot say
    is_text = log_format == "text" or (log_format == "auto" and is_terminal)
    return as_text if is_text else as_json(node_id)


def _time(event: LogEvent) -> datetime:
    return datetime.fromtimestamp(event.get("log_time", 0.0), UTC)


def _level(event: LogEvent) -> str:
    level: Any = event.get("log_level", LogLevel.info)
    return str(level.name)


def _logger(event: LogEvent) -> str:
    return safe(str(event.get("log_namespace", event.get("log_system", "-"))))


def _message(event: LogEvent) -> str:
    if event.get("isError") and "failure" in event:  # Twisted's old way, whose text is a whole traceback
        return str(event.get("why") or "Unhandled error")
    return formatEvent(event) or ""


def _failure(event: LogEvent) -> Failure | None:
    failure = event.get("log_failure", event.get("failure"))
    return failure if isinstance(failure, Failure) else None


def _exception(failure: Failure) -> str:
    return f"{failure.type.__name__ if failure.type else 'Failure'}: {failure.getErrorMessage()}"


def _frames(failure: Failure) -> str:
    frames = traceback.extract_tb(failure.getTracebackObject())[-FRAMES_MAX:]
    return " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames))


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _fields(event: LogEvent) -> Mapping[str, Any]:
    return {
        key: _value(value) for key, value in event.items() if not key.startswith("log_") and key not in _NOT_FIELDS
    }


def _value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and isfinite(value)):
        return value
    try:
        return safe(str(value))
    except Exception:  # a field that cannot even be shown must not take the line with it
        return f"<{type(value).__name__}>"
