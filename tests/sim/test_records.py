"""Records in simulated clusters: what acks=all has acknowledged is there, once, in order, on every replica."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.model import TopicPartition
from streamline.testing.history import OK, History, Poll, Send
from streamline.testing.simulation.__main__ import parser
from streamline.testing.simulation.cluster.command import command_for, settings_of
from streamline.testing.simulation.cluster.places import DATA
from streamline.testing.simulation.cluster.records import promised, thrown_back
from streamline.testing.simulation.cluster.run import ClusterReport, ClusterRun, ClusterSettings
from streamline.testing.simulation.faults import Fault
from streamline.testing.simulation.pages import Inode
from tests.mutants.planting import without_guard
from tests.sim.planted import ROOT, Finding, copied
from tests.sim.planted_records import REMOVALS, Removal, look, mutant_of
from tests.sim.searches import HARD
from tests.sim.side_by_side import side_by_side

SEEDS = int(os.environ.get("STREAMLINE_SIM_SEEDS", "2"))
FIRST_SEED = int(os.environ.get("STREAMLINE_SIM_FIRST_SEED", "1"))
REGRESSIONS = Path(__file__).with_name("records_regressions.txt")
KEY = TopicPartition("plain", 0)


def removed_and_missed(removal: Removal) -> Finding:
    """Take a rule out of a copy of the product, and look whether it is missed there."""
    with TemporaryDirectory() as directory:
        copied(Path(directory))
        return look(removal, Path(directory))


class RecordsCase(SynchronousTestCase):
    """Runs clusters, and keeps what they log out of the test's own verdict: the run has judged it."""

    def run_cluster(self, seed: int, settings: ClusterSettings) -> tuple[ClusterReport, ClusterRun]:
        """Run one seed; fail where something must not be, and say how to see it again."""
        run = ClusterRun(seed, settings)
        report = run.run()
        self.flushLoggedErrors()
        found = "\n".join(str(anomaly) for anomaly in report.anomalies)
        self.assertEqual(report.anomalies, [], f"{found}\nreplay: {command_for(seed, settings)}")
        return report, run


class RunTests(RecordsCase):
    """Whole runs."""

    def test_control(self) -> None:
        """Without faults records are acknowledged and read, and copies are equal; a flipped bit is seen."""
        report, run = self.run_cluster(FIRST_SEED, ClusterSettings(nodes=3, kinds=(), until=20.0))
        self.assertGreater(report.acknowledged, 100)
        self.assertGreater(report.reads, report.acknowledged)
        self.assertGreater(report.commits, 0)
        assert run.records is not None
        self.assertEqual((run.records.differing(), run.records.missing_copy()), ("", ""))
        platter = run.places[1].machine.platter
        logs = (platter.names.find(f"{DATA}/plain-{index}/{0:020}.log") for index in range(2))
        log = next(one for one in logs if isinstance(one, Inode) and one.data)
        log.data[-1] ^= 1
        self.assertIn("is not the same on", run.records.differing())

    def test_seeds(self) -> None:
        """Nodes die, lose power and are cut off while leaders change."""
        settings = ClusterSettings(nodes=3, kinds=tuple(HARD.split(",")), until=30.0, pace_s=0.2)
        reports = [self.run_cluster(seed, settings)[0] for seed in range(FIRST_SEED, FIRST_SEED + SEEDS)]
        self.assertGreater(sum(report.acknowledged for report in reports), 50)

    def test_regressions(self) -> None:
        """Runs that failed once do not fail again."""
        for line in REGRESSIONS.read_text("utf-8").splitlines():
            if words := line.partition("#")[0].split():
                options = parser().parse_args(words)
                self.run_cluster(options.seed, settings_of(options))


class AtlasTests(SynchronousTestCase):
    """One node at a time may lose what it has not synced."""

    def test_one_at_a_time(self) -> None:
        """The next one may once the first has everything again; who is only killed loses nothing."""
        run = ClusterRun(FIRST_SEED, ClusterSettings(nodes=3, kinds=(), until=60.0))
        power = Fault(0, 0.0, "power", 1.0, 0.0)
        atlas = run.injector.atlas
        assert atlas is not None
        run.begin()
        run.pass_time(30.0)
        first, second, _ = run.places
        self.assertTrue(atlas.may_lose(first, power))
        first.machine.crash(power=True)
        self.assertFalse(atlas.may_lose(second, power))
        self.assertTrue(atlas.may_lose(second, evolve(power, kind="kill")))
        self.assertTrue(atlas.may_lose(first, power))
        run.pass_time(60.0, lambda: atlas.loser is None)
        self.assertLess(run.simulation.now, 60.0)
        self.assertTrue(atlas.may_lose(second, power))
        self.flushLoggedErrors()


class JudgeTests(SynchronousTestCase):
    """What counts as a promise, and as a broken one."""

    def test_only_acks_all_is_a_promise(self) -> None:
        """What one node alone has acknowledged may be lost with it (KC13)."""
        sends = [Send("p", KEY, str(acks), acks, 0.0, acks, False, status=OK, offset=0) for acks in (-1, 1)]
        found = promised(History(sends=sends)).sends
        self.assertEqual([send.status == OK for send in found], [True, False])

    def test_thrown_back(self) -> None:
        """Nobody is told that an offset is out of range which was the next one a moment ago."""
        polls = [Poll("c", KEY, at, at, 0, [], is_reset=is_reset) for at, is_reset in ((0.0, True), (1.0, False))]
        self.assertEqual(list(thrown_back(History(polls=polls))), [])
        polls.append(Poll("c", KEY, 2.0, 2.0, 0, [], is_reset=True))
        self.assertEqual([anomaly.kind for anomaly in thrown_back(History(polls=polls))], ["thrown-back"])


class RemovalTests(SynchronousTestCase):
    """Without a rule of replication, records are lost, and the simulator sees it."""

    def test_places(self) -> None:
        """What is taken out is in the table of guards, and stands where that says."""
        for removal in REMOVALS:
            mutant = mutant_of(removal)
            text = (ROOT / mutant.file).read_text("utf-8")
            self.assertNotEqual(without_guard(text, mutant), text)

    @pytest.mark.planted
    def test_each_is_found(self) -> None:
        """Each is missed, from a seed near the one that is known to miss it on."""
        sought = [removal for removal in REMOVALS if removal.is_found]
        found = side_by_side(removed_and_missed, sought)
        self.assertEqual([one.says for one, finding in zip(sought, found, strict=True) if finding.seed is None], [])
