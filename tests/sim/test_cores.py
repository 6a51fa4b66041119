"""
Level 1: consensus cores in a hard world.

C{STREAMLINE_SIM_SEEDS} asks for more seeds than the few that each commit runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.simulation.__main__ import parser
from streamline.testing.simulation.cores.command import command_for, settings_of
from streamline.testing.simulation.cores.plan import KIND_NAMES
from streamline.testing.simulation.cores.run import CoreReport, CoreRun, CoreSettings
from streamline.testing.simulation.twins import first_difference

SEEDS = int(os.environ.get("STREAMLINE_SIM_SEEDS", "25"))
FIRST_SEED = int(os.environ.get("STREAMLINE_SIM_FIRST_SEED", "1"))
REGRESSIONS = Path(__file__).with_name("core_regressions.txt")


class CoreCase(SynchronousTestCase):
    """Runs cores and expects the best."""

    def run_cores(self, seed: int, settings: CoreSettings) -> CoreReport:
        """Run one seed; fail where something must not be, and say how to see it again."""
        report = CoreRun(seed, settings).run()
        self.assertEqual(report.broken, "", f"{report.why}\nreplay: {command_for(seed, settings)}")
        return report


class InvariantTests(CoreCase):
    """Whatever happens, nothing agreed is lost, changed or read too early, and everybody finds together again."""

    def test_control(self) -> None:
        """Without faults there is one leader, and what is proposed is committed."""
        for seed in range(FIRST_SEED, FIRST_SEED + 4):
            report = self.run_cores(seed, CoreSettings(until=20.0, kinds=()))
            self.assertEqual((report.elections, report.injected), (1, {}))
            self.assertGreaterEqual(report.committed, 0.8 * report.proposed)
            self.assertGreater(report.reads, 10)

    def test_seeds(self) -> None:
        """Swarms of faults, each kind in some run."""
        injected: dict[str, int] = {}
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
            injected.update(self.run_cores(seed, CoreSettings()).injected)
        self.assertEqual([kind for kind in KIND_NAMES if kind not in injected], [])

    def test_replaced_disks(self) -> None:
        """Voters lose their disks, and come back as somebody else (RC4)."""
        kinds = ("wipe", "kill", "power", "member")
        reports = [self.run_cores(FIRST_SEED + at, CoreSettings(kinds=kinds)) for at in range(SEEDS // 4)]
        self.assertGreater(sum(report.injected.get("wipe", 0) for report in reports), 0)

    def test_members_change_under_partitions(self) -> None:
        """Voters are added, removed and replaced while links are cut and processes die (RC10)."""
        kinds = ("member", "cut", "one-way", "mesh", "kill", "transfer")
        reports = [self.run_cores(FIRST_SEED + at, CoreSettings(kinds=kinds)) for at in range(SEEDS // 4)]
        self.assertGreater(sum(report.changes for report in reports), 10)

    def test_regressions(self) -> None:
        """Runs that failed once do not fail again."""
        for line in REGRESSIONS.read_text("utf-8").splitlines():
            if words := line.partition("#")[0].split():
                options = parser().parse_args(["--level", "1", *words])
                self.run_cores(options.seed, settings_of(options))


class HistoryTests(SynchronousTestCase):
    """One seed is one history."""

    def test_twins(self) -> None:
        """Two interpreters with different hash seeds go through the same events."""
        command = command_for(FIRST_SEED, CoreSettings(until=30.0)).split()[1:]
        self.assertEqual(first_difference([sys.executable, *command]), "")

    def test_a_digest_tells_runs_apart(self) -> None:
        """The digest is the same for the same run, and another for another."""
        settings = CoreSettings(until=10.0, kinds=("kill",))
        digests = [CoreRun(seed, settings).run().digest for seed in (1, 1, 2)]
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])

    def test_leaving_out(self) -> None:
        """A fault that is left out is not injected; that is how a failure is shrunk."""
        plan = CoreRun(3, CoreSettings()).plan
        without = CoreRun(3, CoreSettings(without=(0, 1))).plan
        self.assertEqual([fault.number for fault in plan.faults][2:], [fault.number for fault in without.faults])
