"""The parts of chaos that need no cluster: what clients in other processes say, and what is told of a trial."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from streamline.model import TopicPartition
from streamline.testing.chaos.__main__ import main
from streamline.testing.chaos.cases import CASES
from streamline.testing.chaos.crashing import CrashingGroup, unread
from streamline.testing.chaos.faults import FAULTS
from streamline.testing.chaos.java import JavaWriter
from streamline.testing.chaos.page import page
from streamline.testing.chaos.picture import gaps, picture, row_of
from streamline.testing.chaos.trial import Strike, Verdict
from streamline.testing.checks import poll_gaps
from streamline.testing.embedded.crew import apart
from streamline.testing.history import INFO, OK, History, Poll, Send

Heard = Callable[[dict[str, Any]], None]

KEYS = [TopicPartition("t", 0), TopicPartition("t", 1)]

SAYS = """
import json, sys
def say(name, **said): print(json.dumps({"name": name, **said}), flush=True)
print("log4j says something")
say("startup_complete")
say("producer_send_success", value="PREFIX.0", topic="t", partition=1, offset=0)
say("producer_send_success", value="PREFIX.2", topic="t", partition=1, offset=1)
say("producer_send_error", value="PREFIX.1", topic="t", exception="class Timeout", message="too late")
say("tool_data", sent=3, acked=2)
"""


def sent(number: int, status: str = OK, at: float = 0.0, took_s: float = 0.01) -> Send:
    """Return a send to the first partition."""
    return Send("p", KEYS[0], f"p/{number}", number, at, -1, True, status, number, at + took_s)


def polled(consumer: str, *numbers: int) -> Poll:
    """Return what a consumer read of the first partition."""
    return Poll(consumer, KEYS[0], 1.0, 1.1, numbers[0], [(number, f"p/{number}") for number in numbers])


class Spoken(JavaWriter):
    """A producer that is a script of ours."""

    script = SAYS

    def command(self, config: Path) -> list[str]:
        """Return what is run."""
        assert "retries" in config.read_text()
        return [sys.executable, "-c", self.script.replace("PREFIX", str(self._prefix))]


class JavaTests(SynchronousTestCase):
    """What the verifiable producer prints becomes a history."""

    def run_writer(self, kind: type[Spoken]) -> tuple[History, list[str]]:
        """Return what a producer has said, and what it complains of."""
        history = History()
        writer = kind("p", "nowhere", history, KEYS, 10.0, monotonic)
        writer.work()
        return history, writer.complaints

    def test_history(self) -> None:
        """Acknowledged records have a place; one that is not may be anywhere, and is complained of."""
        history, complaints = self.run_writer(Spoken)
        acked = [(send.number, send.key.partition, send.offset) for send in history.sends if send.status == OK]
        self.assertEqual(acked, [(0, 1, 0), (2, 1, 1)])
        unknown = [(send.number, send.key) for send in history.sends if send.status == INFO]
        self.assertEqual(unknown, [(1, key) for key in KEYS])
        self.assertEqual(len(complaints), 2)
        self.assertIn("too late", complaints[0])
        self.assertIn("1 sends were not acknowledged", complaints[1])

    def test_what_is_under_way_at_the_end(self) -> None:
        """The tool does not wait for it when it is told to end: nobody knows what becomes of it, and that is fine."""
        failed = {"name": "producer_send_error", "topic": "t", "message": "Producer closed while send in progress"}
        for ends in (True, False):
            history = History()
            writer = JavaWriter("p", "nowhere", history, KEYS, 10.0, monotonic)
            if ends:
                writer.ask_to_end()
            for said in ({**failed, "value": "5.0"}, {"name": "tool_data", "sent": 1}):
                writer._heard(json.dumps(said))
            writer._judge()
            self.assertEqual([send.status for send in history.sends], [INFO, INFO])
            self.assertEqual(len(writer.complaints), 0 if ends else 2)

    def test_one_that_dies(self) -> None:
        """Its last words are told."""

        class Dying(Spoken):
            script = "raise SystemExit('no main class')"

        _, [complaint] = self.run_writer(Dying)
        self.assertIn("no main class", complaint)


class GroupTests(SynchronousTestCase):
    """Members of a group that crash read everything together."""

    def test_read_by_any(self) -> None:
        """What one member has read is read; what only others have is not."""
        history = History(sends=[sent(0), sent(1), sent(2, INFO)], polls=[polled("g/0", 0), polled("h/0", 1)])
        [skipped] = unread(history, "g")
        self.assertIn("p/1", skipped)
        history.polls.append(polled("g/1", 1))
        self.assertEqual(unread(history, "g"), [])

    def test_positions(self) -> None:
        """Members say where they began, so that each begins anew and then goes on without a gap."""
        history = History()
        group = CrashingGroup("g", "nowhere", history, KEYS, monotonic, Random(1), 1.0, 0.0)
        heard = [group.listener("g/0"), group.listener("g/1")]
        self.say(heard[0], 0, [0, 1], is_reset=True)
        self.say(heard[0], 2, [2], is_reset=False)
        self.say(heard[1], 2, [2, 3], is_reset=True)
        self.assertEqual({poll.consumer for poll in history.polls}, {"g/0", "g/1"})
        self.assertEqual(poll_gaps(history), [])
        self.say(heard[1], 5, [5], is_reset=False)
        self.assertEqual([one.kind for one in poll_gaps(history)], ["poll-skip"])

    def say(self, heard: Heard, position: int, numbers: Sequence[int], *, is_reset: bool) -> None:
        """Have a member say what it has read."""
        records = [[number, f"p/{number}"] for number in numbers]
        heard(
            {"what": "polled", "partition": 0, "asked_at": 1.0, "at": 1.0, "position": position, "records": records,
             "is_reset": is_reset}
        )  # fmt: skip


class ReportTests(SynchronousTestCase):
    """The page."""

    def verdict(self) -> Verdict:
        """Return a trial with a gap of two seconds."""
        times = [*(at / 10 for at in range(10)), *(3 + at / 10 for at in range(10))]
        sends = [sent(number, at=at) for number, at in enumerate(times)]
        strikes = [Strike("kill-one", "kill 2 & <others>", 1.0, 2.5, 2.7), Strike("calm", "nothing", 3.5)]
        return Verdict(History(sends=sends), KEYS, strikes)

    def test_gaps(self) -> None:
        """Those that are long enough, the end included."""
        self.assertEqual(gaps([0.0, 0.4, 2.0], 3.0), [(0.4, 2.0), (2.0, 3.0)])
        self.assertEqual(gaps([], 3.0), [(0.0, 3.0)])

    def test_picture(self) -> None:
        """It is XML, has each fault, the gap, and latencies."""
        tree = ElementTree.fromstring(picture(self.verdict()))
        titles = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}title")]
        self.assertIn("kill-one: kill 2 & <others>", titles)
        self.assertIn("2.10 s", titles)
        self.assertEqual(len(list(tree.iter("{http://www.w3.org/2000/svg}circle"))), 40)

    def test_rows(self) -> None:
        """Clients are called what they are, and one that crashes goes on in its row."""
        names = {"t-java": "java", "t-crashing-writer-12": "crashing-writer", "other-3": "other-3"}
        found = {name: row_of(Send(name, KEYS[0], "v", 0, 0.0, -1, True)) for name in names}
        self.assertEqual(found, names)

    def test_page(self) -> None:
        """It needs no other file, and says what is wrong."""
        failed = self.verdict()
        failed.wrong.append("lost-write: <p/1>")
        text = page([("one", self.verdict()), ("two", failed)])
        self.assertIn("2 trials, 1 things wrong", text)
        self.assertIn("lost-write: &lt;p/1&gt;", text)
        self.assertEqual(text.count("<svg"), 2)
        for outside in ("<script", "<link", "src=", "href="):
            self.assertNotIn(outside, text)


class TableTests(SynchronousTestCase):
    """Cases and faults go by names that exist."""

    def test_faults(self) -> None:
        """Every case has some, and all are known."""
        for case in CASES.values():
            self.assertEqual([name for name in case.faults if name not in FAULTS], [])
            self.assertTrue(case.faults and case.what)

    def test_unknown_names(self) -> None:
        """They are refused before anything is started."""
        for arguments in (["--case", "CH99"], ["--faults", "kill-nobody"], ["--clients", "sarama"]):
            self.assertEqual(main(arguments), 2)


class ApartTests(SynchronousTestCase):
    """Who talks with no majority is not waited for."""

    def test_majorities(self) -> None:
        """In both directions, among those that live."""
        self.assertEqual(apart([1, 2, 3], [(1, 2), (2, 1), (1, 3), (3, 1)]), {1})
        self.assertEqual(apart([1, 2, 3], [(1, 2), (2, 3), (3, 1)]), {1, 2, 3})
        self.assertEqual(apart([1, 2, 3], [(1, 3), (3, 1)]), set())
        self.assertEqual(apart([1, 2], []), set())
        self.assertEqual(apart([1], []), set())
