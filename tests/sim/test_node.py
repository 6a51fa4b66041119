"""
A whole node in the simulated world: acknowledged records survive, and one seed is one history.

C{STREAMLINE_SIM_SEEDS} asks for more seeds than the few that each commit runs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.api.table import TABLE
from streamline.testing.simulation.__main__ import command_for, main, parser, settings_of
from streamline.testing.simulation.clients.connection import BadAnswer, alarm
from streamline.testing.simulation.noderun import NodeRun, Report, Settings
from streamline.testing.simulation.shrink import shrink
from streamline.testing.simulation.twins import first_difference
from streamline.testing.simulation.world import MachineDown

SEEDS = int(os.environ.get("STREAMLINE_SIM_SEEDS", "12"))
FIRST_SEED = int(os.environ.get("STREAMLINE_SIM_FIRST_SEED", "1"))
INVALID_SHARE_MAX = 0.25
SPEED_MIN = 10.0
"""Simulated seconds in one of a core, at least; many times as much is usual."""
REGRESSIONS = Path(__file__).with_name("regressions.txt")


def regressions() -> list[str]:
    """Return the command lines of the runs that once failed."""
    lines = REGRESSIONS.read_text("utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


class NodeCase(SynchronousTestCase):
    """Runs nodes, and keeps what they log out of the test's own verdict: the run has judged it."""

    def run_node(self, seed: int, settings: Settings) -> Report:
        """Run one seed; return its report."""
        report = NodeRun(seed, settings).run()
        self.flushLoggedErrors()
        return report

    def expect_good(self, report: Report) -> None:
        """Fail where the run found something, and say how to see it again."""
        found = "\n".join(str(anomaly) for anomaly in report.anomalies[:10])
        self.assertEqual(report.anomalies, [], f"{found}\nreplay: {command_for(report.seed, report.settings)}")


class SurvivalTests(NodeCase):
    """Nothing acknowledged is lost, doubled, reordered or changed."""

    def test_control(self) -> None:
        """Without faults, everything that asked for an answer was acknowledged and read."""
        started = time.process_time()
        report = self.run_node(FIRST_SEED, Settings(kinds=(), until=30.0))
        self.assertGreater(report.simulated_s / (time.process_time() - started), SPEED_MIN)
        self.expect_good(report)
        self.assertEqual(report.starts, 1)
        self.assertGreater(report.acknowledged, 500)
        self.assertGreater(report.commits, 5)
        self.assertEqual(report.calm_share, 1.0)

    def test_seeds(self) -> None:
        """Whatever the seed draws, the node comes through; few runs say nothing."""
        invalid = 0
        injected: dict[str, int] = {}
        answered: dict[str, int] = {}
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
            report = self.run_node(seed, Settings())
            self.expect_good(report)
            invalid += bool(report.invalid)
            injected.update(report.injected)
            answered.update(report.answered)
        apis = [api.request.__name__.removesuffix("Request") for api in TABLE.values()]
        self.assertEqual([api for api in apis if api not in answered], [], "nobody calls these")
        self.assertLessEqual(invalid, SEEDS * INVALID_SHARE_MAX)
        self.assertGreater(len(injected), 10, injected)

    def test_a_replica_alone(self) -> None:
        """It comes through as well where it agrees with itself by Raft, whatever the seed draws or kills."""
        for kinds in (None, ("kill", "power"), ("full-disk", "sync-error", "stuck-disk", "kill")):
            for seed in range(FIRST_SEED, FIRST_SEED + SEEDS // 3):
                report = self.run_node(seed, Settings(kinds=kinds, consensus="raft"))
                self.expect_good(report)
                self.assertGreater(report.acknowledged, 0)

    def test_deaths(self) -> None:
        """Killed and cut off in the middle of disk calls again and again, it keeps what it promised."""
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS // 2):
            report = self.run_node(seed, Settings(kinds=("kill", "power", "stop")))
            self.expect_good(report)

    def test_regressions(self) -> None:
        """Runs that failed once do not fail again."""
        for line in regressions():
            options = parser().parse_args(line.split())
            self.expect_good(self.run_node(options.seed, settings_of(options)))


class HistoryTests(NodeCase):
    """One seed is one history."""

    def test_twins(self) -> None:
        """Two interpreters with different hash seeds go through the same events."""
        command = command_for(FIRST_SEED, Settings(until=20.0)).split()[1:]
        self.assertEqual(first_difference([sys.executable, *command]), "")

    def test_other_seed_other_history(self) -> None:
        """The digest tells seeds apart."""
        settings = Settings(kinds=(), until=10.0)
        digests = {self.run_node(seed, settings).digest for seed in (1, 1, 2)}
        self.assertEqual(len(digests), 2)


class VerdictTests(NodeCase):
    """The simulator finds what is wrong, and says when a run says nothing."""

    def test_fsync_lies_are_found(self) -> None:
        """A failed sync with a power cut behind it is more than one node can survive; some seed shows it."""
        settings = Settings(kinds=("sync-error", "power"), until=90.0)
        reports = (self.run_node(seed, settings) for seed in range(1, 30))
        found = next((report for report in reports if report.anomalies), None)
        self.assertIsNotNone(found)

    def test_alarm(self) -> None:
        """What a client cannot accept is found, and told from a traceback of the node; a death is neither."""
        run = NodeRun(1, Settings(kinds=()))
        with run.log.watching():
            alarm(Failure(BadAnswer("no batch is like this")))
            Logger().failure("the node's own", Failure(ValueError("what was that?")))
            Logger().failure("how it died", Failure(MachineDown()))
        self.assertEqual(len(self.flushLoggedErrors()), 3)
        self.assertEqual([anomaly.kind for anomaly in run.report.anomalies], ["bad-answer", "traceback"])

    def test_invalid(self) -> None:
        """A run whose faults all came to nothing, or in which hardly anything worked in calm times, is invalid."""
        idle = NodeRun(1, Settings(kinds=("kill",)))
        idle.report.planned = 3
        self.assertIn("none of the planned", idle.why_invalid())
        idle.report.injected = {"kill": 1}
        self.assertEqual(idle.why_invalid(), "")
        idle.report.calm_share = 0.4
        self.assertIn("only 40%", idle.why_invalid())

    def test_shrink(self) -> None:
        """Faults without which a run fails all the same are left out, those that it takes are kept."""
        said: list[str] = []

        def broken(settings: Settings) -> set[str]:
            return set() if {3, 11} & set(settings.without) else {"lost-write"}

        smaller = shrink(list(range(20)), Settings(), broken, said.append)
        self.assertEqual(sorted({*range(20)} - {*smaller.without}), [3, 11])
        self.assertIn("2 are left", said[-1])

    def test_command_line(self) -> None:
        """The command that a report names replays the run, and an unknown fault is refused."""
        settings = Settings(until=42.0, kinds=("kill", "reset"), without=(1, 2), pace_s=0.5)
        for one in (settings, Settings(kinds=()), Settings()):
            words = command_for(7, one).split()[3:]
            options = parser().parse_args(words)
            self.assertEqual((options.seed, settings_of(options)), (7, one))
        self.assertRaises(ValueError, main, ["--faults", "quake"])
