"""One event is one line, whatever is in it."""

from __future__ import annotations

import io
import json
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.services.log_lines import LineObserver, as_json, as_text, renderer, safe

HOSTILE = "a\r\nb\x1b[31m\u202e\u2028\x00\x7f\x9b"


def event(**fields: object) -> LogEvent:
    """Return the event that a Logger makes of this."""
    events: list[LogEvent] = []
    log = Logger(namespace="streamline.test", observer=cast(ILogObserver, events.append))
    message = str(fields.pop("message", "It was {what}"))
    log.emit(LogLevel.warn, message, **fields)
    return {**events[0], "log_time": 1_767_225_600.25}


class Unshowable:
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def failure() -> Failure:
    """Return a failure with a traceback."""
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        return Failure()


class TextTests(SynchronousTestCase):
    """Lines for people."""

    def test_a_line(self) -> None:
        line = as_text(event(what="good"))
        self.assertRegex(line, r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d warn     \[streamline.test\] It was good$")

    def test_a_failure_fits_in_the_line(self) -> None:
        line = as_text(event(what="bad", log_failure=failure()))
        self.assertIn(r"It was bad: ValueError: first\nsecond (services/test_log_lines.py:", line)
        self.assertNotIn("\n", line)


class JsonTests(SynchronousTestCase):
    """Lines for programs."""

    def line(self, **fields: object) -> dict[str, object]:
        """Render an event and read the line."""
        text = as_json(7)(event(**fields))
        self.assertNotIn("\n", text)
        read = json.loads(text)
        assert isinstance(read, dict)
        return read

    def test_a_line(self) -> None:
        self.assertEqual(
            self.line(what="good", count=3, ratio=0.5, on=True, none=None),
            {
                "time": "2026-01-01T00:00:00.250Z",
                "level": "warn",
                "logger": "streamline.test",
                "node": 7,
                "message": "It was good",
                "what": "good",
                "count": 3,
                "ratio": 0.5,
                "on": True,
                "none": None,
            },
        )

    def test_a_failure(self) -> None:
        line = self.line(what="bad", log_failure=failure())
        self.assertEqual(line["error"], r"ValueError: first\nsecond")
        self.assertIn("raise ValueError", str(line["traceback"]))

    def test_fields_do_not_replace_ours(self) -> None:
        line = self.line(what="x", node="evil", logger="evil", error="kept", nan=float("nan"))
        self.assertEqual((line["node"], line["logger"], line["error"]), (7, "streamline.test", "kept"))
        self.assertEqual(line["nan"], "nan", "what JSON has no word for")

    def test_what_cannot_be_shown_does_not_take_the_line_with_it(self) -> None:
        line = self.line(message="plain", what=Unshowable())
        self.assertEqual((line["message"], line["what"]), ("plain", "<Unshowable>"))


class SafetyTests(SynchronousTestCase):
    """SE18: what a client sends stays inside its line."""

    def test_control_characters_are_escaped(self) -> None:
        self.assertEqual(safe(HOSTILE), r"a\r\nb\x1b[31m\u202e\u2028\x00\x7f\x9b")
        for render in (as_text, as_json(1)):
            self.assertEqual(safe(render(event(what=HOSTILE))), render(event(what=HOSTILE)))

    def test_a_huge_name_does_not_make_a_huge_line(self) -> None:
        for render in (as_text, as_json(1)):
            self.assertLess(len(render(event(what="x" * 1024 * 1024))), 20_000)

    @given(st.text())
    def test_any_text_is_one_line(self, text: str) -> None:
        for render in (as_text, as_json(1)):
            self.assertEqual(len(render(event(what=text)).splitlines()), 1)


class ObserverTests(SynchronousTestCase):
    """What stands between the log and a stream."""

    def test_one_line_each(self) -> None:
        stream = io.StringIO()
        observer = LineObserver(stream, as_json(1))
        verifyObject(ILogObserver, observer)
        log = Logger(observer=LogPublisher(observer))
        log.info("one")
        log.info("two")
        self.assertEqual([json.loads(line)["message"] for line in stream.getvalue().splitlines()], ["one", "two"])

    def test_a_stream_that_is_gone_loses_the_line_only(self) -> None:
        stream = io.StringIO()
        stream.close()
        LineObserver(stream, as_text)(event(what="lost"))

    def test_text_on_a_terminal_and_json_otherwise(self) -> None:
        is_text = [
            renderer(log_format, stream, 1) is as_text
            for log_format in ("auto", "text", "json")
            for stream in (Terminal(), io.StringIO())
        ]
        self.assertEqual(is_text, [True, False, True, True, False, False])
