"""Cases with a script of their own, for whole nodes as a cluster (reliability 8.3: RC4, RC7, RC11, RC12)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.cluster.plan import Shape
from streamline.testing.simulation.cluster.run import ClusterRun, ClusterSettings

THREE = Shape(0.0, 3, (), 5)
FORMED_S = 20.0


class CaseCase(SynchronousTestCase):
    """A cluster of three that is used, and in which nothing goes wrong by itself."""

    def cluster(
        self,
        seed: int,
        *,
        snapshot_entries: int = 1000,
        pace_s: float = 0.2,
        shape: Shape = THREE,
        calm_s: float = 60.0,
    ) -> ClusterRun:
        """
        Form a cluster.

        @param calm_s: until when nothing goes wrong that the test does not see to, so that nobody may be elected.
        """
        settings = ClusterSettings(
            shape=shape, until=calm_s, kinds=(), snapshot_entries=snapshot_entries, pace_s=pace_s, data=False, whims=()
        )
        self.run_ = run = ClusterRun(seed, settings)
        watching = run.log.watching()
        watching.__enter__()
        self.addCleanup(self.flushLoggedErrors)
        self.addCleanup(watching.__exit__, None, None, None)
        run.begin()
        self.within(FORMED_S, lambda: not run.what_is_missing(), "the cluster does not form")
        return run

    def passes(self, seconds: float) -> None:
        """Let time pass, in which nothing may happen that must not be."""
        self.run_.pass_time(self.run_.simulation.now + seconds)
        self.assertEqual(self.run_.report.anomalies, [])

    def within(self, seconds: float, condition: Callable[[], bool], otherwise: str) -> None:
        """Let time pass until something holds."""
        run = self.run_
        run.pass_time(run.simulation.now + seconds, condition)
        self.assertEqual(run.report.anomalies, [])
        self.assertTrue(condition(), f"{otherwise}: {run.what_is_missing()}")

    def leader(self) -> Place:
        """Return who leads."""
        leader = self.run_.operator.leader()
        assert leader is not None
        return leader

    def committed_within(self, seconds: float) -> None:
        """Let time pass until something is committed."""
        monitor = self.run_.oracle.monitor
        before = monitor.committed_index
        self.within(seconds, lambda: monitor.committed_index > before, "nothing is committed")

    def together_within(self, seconds: float) -> None:
        """Let time pass until all is as it should be, the images included."""
        run = self.run_
        self.within(seconds, lambda: not run.what_is_missing(), "they do not find together")


class DiskTests(CaseCase):
    """Disks that are full, and disks that are gone."""

    def test_full(self) -> None:
        """Where all disks are full nothing is acknowledged; with space it goes on, with no half of a record (RC11)."""
        run = self.cluster(1)
        self.committed_within(5.0)
        for place in run.places:
            place.machine.platter.faults.full = True
        self.passes(1.0)
        committed = run.oracle.monitor.committed_index
        self.passes(5.0)
        self.assertEqual(run.oracle.monitor.committed_index, committed)
        for place in run.places:
            place.machine.platter.faults.full = False
        self.committed_within(5.0)
        for place in run.places:
            place.machine.crash(power=True)
        self.committed_within(15.0)
        self.together_within(30.0)

    def test_one_is_full(self) -> None:
        """Where it is the leader's alone, nobody is told of what is not durable, and the cluster goes on afterwards."""
        self.cluster(2)
        leader = self.leader()
        leader.machine.platter.faults.full = True
        self.passes(5.0)
        leader.machine.platter.faults.full = False
        self.committed_within(5.0)
        leader.machine.crash(power=True)
        self.together_within(30.0)

    def test_a_voter_loses_its_disk(self) -> None:
        """It is not let in under its old identity, and comes back as another voter once that is removed (RC4)."""
        run = self.cluster(3)
        self.committed_within(5.0)
        place = next(place for place in run.places if place is not self.leader())
        topics = run.oracle.tip.names
        place.machine.crash(power=True)
        lost = place.wipe([other for other in run.places if other is not place])
        assert lost is not None
        self.passes(5.0)
        self.assertTrue(any("another data directory" in refusal for refusal in run.report.refusals))
        self.assertIn(lost, self.leader().raft.configuration.voter_keys)  # type: ignore[union-attr]
        run.operator.lost.append(lost)
        self.together_within(30.0)
        voters = self.leader().raft.configuration.voter_keys  # type: ignore[union-attr]
        self.assertIn(place.key, voters)
        self.assertNotIn(lost, voters)
        self.assertEqual([name for name in topics if name not in run.oracle.born], [])


class SnapshotTests(CaseCase):
    """Somebody is so far behind that entries do not help (RC7)."""

    def fall_behind(self, seed: int) -> None:
        """Have a follower be down for longer than a snapshot, and caught up by one while commands go on."""
        run = self.cluster(seed, snapshot_entries=50, pace_s=0.1)
        place = next(place for place in run.places if place is not self.leader())
        place.machine.died = lambda: None
        place.machine.crash(power=False)
        behind = run.oracle.monitor.committed_index
        self.within(60.0, lambda: self.boundary(self.leader()) > behind, "no snapshot is taken")
        place.supervisor.start()
        self.within(20.0, lambda: self.boundary(place) > behind, "it gets none")
        self.together_within(20.0)
        self.assertGreater(run.oracle.monitor.committed_index, behind + 40)

    @staticmethod
    def boundary(place: Place) -> int:
        """Return where a node's log begins."""
        return -1 if place.raft is None else place.raft.boundary_index

    def test_installed_while_entries_race(self) -> None:
        """It comes to the same as everybody."""
        for seed in (1, 2):
            self.fall_behind(seed)


class StallTests(CaseCase):
    """A leader that stands still for half a minute (RC12)."""

    def test_no_old_reads(self) -> None:
        """When it goes on, it reads nothing older than what others have done meanwhile."""
        run = self.cluster(4)
        old = self.leader()
        watch, process = old.watch, old.machine.process
        assert watch is not None and watch.replica is not None and process is not None
        replica, read_at = watch.replica, list[int]()
        process.reactor.stall(30.0)
        old.within(lambda: watch.consensus.read_barrier().addCallback(lambda _: read_at.append(replica.applied.index)))
        self.within(10.0, lambda: run.operator.leader() not in (None, old) or self._others_lead(old), "nobody leads")
        self.committed_within(5.0)
        done = run.oracle.monitor.committed_index
        self.within(40.0, lambda: bool(read_at), "the read is never answered")
        self.assertGreaterEqual(read_at[0], done)
        self.together_within(20.0)

    def _others_lead(self, old: Place) -> bool:
        return any(place.raft is not None and place.raft.is_leader for place in self.run_.places if place is not old)
