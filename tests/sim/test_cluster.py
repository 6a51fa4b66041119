"""
Whole nodes as a cluster in the simulated world: what was agreed on stays, and one seed is one history.

C{STREAMLINE_SIM_SEEDS} asks for more seeds than the few that each commit runs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.image import MetadataImage
from streamline.model import PartitionState, Topic
from streamline.raft import Entry, ReplicaKey
from streamline.testing.simulation.__main__ import main, parser
from streamline.testing.simulation.cluster.command import command_for, settings_of
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.plan import KIND_NAMES
from streamline.testing.simulation.cluster.run import ClusterReport, ClusterRun, ClusterSettings
from streamline.testing.simulation.cores.monitor import Committed, Violation
from streamline.testing.simulation.twins import first_difference
from streamline.testing.simulation.whims import SITES

SEEDS = int(os.environ.get("STREAMLINE_SIM_SEEDS", "4"))
FIRST_SEED = int(os.environ.get("STREAMLINE_SIM_FIRST_SEED", "1"))
SPEED_MIN = 10.0
"""Simulated seconds in one of a core, at least; several times as much is usual."""
MANY = 25
"""So many seeds meet every kind of fault."""
REGRESSIONS = Path(__file__).with_name("cluster_regressions.txt")


class ClusterCase(SynchronousTestCase):
    """Runs clusters, and keeps what they log out of the test's own verdict: the run has judged it."""

    def run_cluster(self, seed: int, settings: ClusterSettings) -> ClusterReport:
        """Run one seed; fail where something must not be, and say how to see it again."""
        report = ClusterRun(seed, settings).run()
        self.flushLoggedErrors()
        found = "\n".join(str(anomaly) for anomaly in report.anomalies)
        self.assertEqual(report.anomalies, [], f"{found}\nreplay: {command_for(seed, settings)}")
        return report


class AgreementTests(ClusterCase):
    """Whatever happens, nothing that was agreed on is lost or differs, and everybody finds together again."""

    def test_control(self) -> None:
        """Without faults there is one leader, everybody serves, and what is asked for is done."""
        started, simulated_s = time.process_time(), 0.0
        for nodes in (1, 3, 5):
            report = self.run_cluster(FIRST_SEED, ClusterSettings(nodes=nodes, kinds=(), until=25.0))
            self.assertEqual((report.elections, report.starts, report.injected), (1, nodes, {}))
            self.assertGreater(report.done["created"], 5)
            self.assertGreater(report.done["made"], 0)
            self.assertGreater(report.calm_spans, 0)
            simulated_s += report.simulated_s
        self.assertGreater(simulated_s / (time.process_time() - started), SPEED_MIN)

    def test_seeds(self) -> None:
        """Swarms of faults in clusters of any size; where there are many runs, each kind in some of them."""
        injected: dict[str, int] = {}
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
            injected.update(self.run_cluster(seed, ClusterSettings(data=False)).injected)
        self.assertGreater(len(injected), 10, injected)
        if SEEDS >= MANY:
            self.assertEqual([kind for kind in KIND_NAMES if kind not in injected], [])

    def test_replaced_disks(self) -> None:
        """Voters lose their disks, and come back as somebody else (RC4)."""
        settings = ClusterSettings(nodes=3, kinds=("wipe", "kill"), data=False)
        reports = [self.run_cluster(FIRST_SEED + at, settings) for at in range(2 + SEEDS // 4)]
        self.assertGreater(sum(report.injected.get("wipe", 0) for report in reports), 0)

    def test_regressions(self) -> None:
        """Runs that failed once do not fail again."""
        for line in REGRESSIONS.read_text("utf-8").splitlines():
            if words := line.partition("#")[0].split():
                options = parser().parse_args(words)
                self.run_cluster(options.seed, settings_of(options))


class HistoryTests(ClusterCase):
    """One seed is one history."""

    def test_twins(self) -> None:
        """Two interpreters with different hash seeds go through the same events."""
        settings = ClusterSettings(nodes=3, until=15.0, kinds=KIND_NAMES, whims=tuple(SITES))
        command = command_for(FIRST_SEED, settings).split()[1:]
        self.assertEqual(first_difference([sys.executable, *command]), "")

    def test_other_seed_other_history(self) -> None:
        """The digest is the same for the same run, and another for another."""
        settings = ClusterSettings(nodes=3, kinds=("kill",), until=10.0, data=False)
        digests = [self.run_cluster(seed, settings).digest for seed in (1, 1, 2)]
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])

    def test_leaving_out(self) -> None:
        """A fault that is left out is not injected; that is how a failure is shrunk."""
        plan = ClusterRun(3, ClusterSettings()).plan
        without = ClusterRun(3, ClusterSettings(without=(0, 1))).plan
        self.assertEqual([fault.number for fault in plan.faults][2:], [fault.number for fault in without.faults])

    def test_command_line(self) -> None:
        """The command that a report names replays the run, and an unknown fault is refused."""
        settings = ClusterSettings(nodes=5, until=42.0, kinds=("kill", "wipe"), without=(1, 2), pace_s=0.25, data=False)
        some = ClusterSettings(whims=("early-roll", "short-turn"))
        for one in (settings, some, ClusterSettings(kinds=(), whims=()), ClusterSettings()):
            options = parser().parse_args(command_for(7, one).split()[3:])
            self.assertEqual((options.seed, settings_of(options)), (7, one))
        self.assertRaises(ValueError, main, ["--nodes", "3", "--faults", "quake"])


def image_with(*topics: tuple[str, bytes], index: int = 0) -> MetadataImage:
    """Return an image with topics of these names and ids."""
    partitions = (PartitionState(index=0, replicas=(1,), isr=(1,), leader=1),)
    made = {name: Topic(name=name, topic_id=topic_id, partitions=partitions) for name, topic_id in topics}
    return MetadataImage(index=index, topics=made, names={topic_id: name for name, topic_id in topics})


ONE, OTHER = ("one", b"1" * 16), ("other", b"2" * 16)
KEY = ReplicaKey(1, bytes(16))


class OracleTests(SynchronousTestCase):
    """The tester, tested: each thing that must not be is noticed, and nothing else."""

    def setUp(self) -> None:
        """Have a topic made and deleted, and another made."""
        self.oracle = Oracle([])
        for index, topics in enumerate(((), (ONE,), (ONE, OTHER), (OTHER,)), 1):
            self.oracle.applied(index, image_with(*topics, index=index))

    def rules(self) -> list[str]:
        """Return what was broken."""
        return [anomaly.kind for anomaly in self.oracle.anomalies]

    def test_what_is_true(self) -> None:
        """Answers that fit are fine, also when they are old."""
        self.oracle.created(*ONE)
        self.oracle.deleted(*ONE)
        self.oracle.applied(2, image_with(ONE, index=2))
        at = self.oracle.seen(frozenset([ONE]), 0)
        self.assertEqual(self.oracle.seen(frozenset([OTHER]), at), 3)
        self.oracle.denied_for_good(b"3" * 16, "it was refused")
        self.oracle.read(3, 3, KEY)
        self.assertEqual(self.rules(), [])

    def test_what_nobody_agreed_on(self) -> None:
        """A topic that was acknowledged has to be there, and one that was deleted must not."""
        self.oracle.created("third", b"3" * 16)
        self.oracle.deleted(*OTHER)
        self.oracle.seen(frozenset([ONE, ("other", b"9" * 16)]), 0)
        self.assertEqual(self.rules(), ["AckedIsAgreed", "AckedIsAgreed", "SeenIsAgreed"])

    def test_what_held_once(self) -> None:
        """What was said to be done held at some moment since it was asked for, and not only before."""
        self.oracle.happened(1, lambda image: "one" in image.topics, "there is none")
        self.assertEqual(self.rules(), [])
        self.oracle.happened(4, lambda image: "one" in image.topics, "there is none")
        self.assertEqual(self.rules(), ["AckedIsAgreed"])

    def test_going_back(self) -> None:
        """Nobody is shown what was, after what is."""
        at = self.oracle.seen(frozenset([OTHER]), 0)
        self.oracle.seen(frozenset([ONE]), at)
        self.assertEqual(self.rules(), ["TimeGoesOn"])

    def test_what_was_denied(self) -> None:
        """What was said never to take effect does not, be it before or after."""
        self.oracle.denied_for_good(OTHER[1], "it was refused")
        self.oracle.denied_for_good(b"3" * 16, "it was refused")
        self.oracle.applied(5, image_with(OTHER, ("third", b"3" * 16), index=5))
        self.assertEqual(self.rules(), ["DroppedIsDropped", "DroppedIsDropped"])

    def test_a_deleted_topic_is_back(self) -> None:
        """An id is not used again."""
        self.oracle.applied(5, image_with(ONE, OTHER, index=5))
        self.assertEqual(self.rules(), ["DeletedStaysDeleted"])

    def test_images_that_differ(self) -> None:
        """Up to one index everybody comes to the same image, whatever it is that differs."""
        differs = evolve(image_with(OTHER, index=4), next_producer_id=1000)
        self.oracle.check(self.oracle.applied, 4, differs)
        self.assertEqual(self.rules(), ["EqualImages"])

    def test_an_early_leader_and_reader(self) -> None:
        """Nobody leads or reads without what was committed before."""
        self.oracle.monitor.committed = [Committed(Entry(1, 1), 1), Committed(Entry(2, 2), 2)]
        self.oracle.leads(KEY, 2, 1)
        self.assertEqual(self.rules(), [])
        self.oracle.leads(KEY, 3, 1)
        self.oracle.read(2, 1, KEY)
        self.assertEqual(self.rules(), ["LeadersKnowAll", "ReadIsFresh"])

    def test_what_judging_raises(self) -> None:
        """A violation is noted under its name, and never raised into a node."""

        def judge(what: str) -> None:
            raise Violation("OneVote", what)

        self.oracle.check(judge, "twice")
        self.oracle.check(lambda: [][0])
        self.assertEqual(self.rules(), ["OneVote", "IndexError"])
        self.assertTrue(self.oracle.is_broken)
