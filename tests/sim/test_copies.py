"""The oracle of copies: each thing that must not be is seen, and crash points are met."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.model import TopicPartition
from streamline.replication.followers import FollowerFetch
from streamline.services.replica import Replica
from streamline.testing.history import OK, Send
from streamline.testing.simulation import Platter, Simulation
from streamline.testing.simulation.cluster.copies import replicas_of
from streamline.testing.simulation.cluster.ondisk import LogOnDisk
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.cluster.plan import Shape
from streamline.testing.simulation.cluster.run import ClusterRun, ClusterSettings
from tests.broker import batch_of

KEY = TopicPartition("plain", 0)
THREE = Shape(0.0, 3, (), 5)
STEPS = (1, 4, 12, 30, 75)


class CopiesCase(SynchronousTestCase):
    """
    A cluster with records in which nothing goes wrong by itself.

    @ivar leader: of one of its partitions; C{follower} is another of its replicas.
    """

    def setUp(self) -> None:
        """Let it run until something is committed."""
        self.run_ = run = ClusterRun(1, ClusterSettings(shape=THREE, kinds=(), pace_s=0.1, until=60.0))
        watching = run.log.watching()
        watching.__enter__()
        self.addCleanup(self.flushLoggedErrors)
        self.addCleanup(watching.__exit__, None, None, None)
        run.begin()
        run.pass_time(40.0, lambda: run.simulation.now > 8.0 and self._is_ready())
        self.assertEqual(run.report.anomalies, [])
        assert run.records is not None
        self.copies = run.records.copies
        (self.leader_place, self.leader), (self.follower_place, self.follower) = self._found()

    def _is_ready(self) -> bool:
        return len(self._found()) == 2 and all(len(list(one.producers.producers())) for _, one in self._found())

    def _found(self) -> list[tuple[Place, Replica]]:
        """Return the leader and one follower."""
        copies = [(place, one) for place in self.run_.places for one in replicas_of(place)]
        mine = [one for one in copies if one[1].log.identity.topic_partition == KEY and one[1].high_watermark > 5]
        led = [one for one in mine if one[1].is_led]
        return [*led, *[one for one in mine if one[1].is_followed][: len(led)]]

    def seen(self, *rules: str) -> None:
        """See that just these rules were found broken, and forget it."""
        self.assertEqual(list(dict.fromkeys(one.kind for one in self.run_.report.anomalies)), list(rules))
        self.run_.report.anomalies.clear()


class SeeingTests(CopiesCase):
    """Each rule, broken by hand."""

    def test_candidates(self) -> None:
        """Who is in sync has everything, as it was committed; even for a moment."""
        self.copies.look()
        self.seen()
        self.follower.cut(self.follower.high_watermark - 1)
        self.seen("CandidatesHaveAll")
        self.copies.look()
        self.seen("CommittedIsHere", "CandidatesHaveAll")

    def test_leader(self) -> None:
        """Whoever leads has everything."""
        follower = self.follower
        follower.log.truncate(follower.log.end_offset - 1)
        self.copies._leads(self.follower_place, follower, self.leadership, follower.state)
        self.seen("LeaderHasAll", "KnownIsWritten")

    def test_best(self) -> None:
        """KR22: where nobody surely had everything, whoever leads has the best log of those that had."""
        nodes = self.leader_place.number, self.follower_place.number
        identity = self.leader.log.identity
        before = evolve(self.leader.state, isr=(), leader=-1, last_known_elr=nodes)
        self.copies._check_best(identity, before, evolve(before, leader=nodes[1]))
        self.seen()
        self.follower.log.truncate(self.follower.log.end_offset - 1)
        self.copies._check_best(identity, before, evolve(before, leader=nodes[0]))
        self.seen()
        self.copies._check_best(identity, before, evolve(before, leader=nodes[1]))
        self.seen("BestIsElected")
        self.copies._check_best(identity, evolve(before, last_known_elr=()), evolve(before, leader=nodes[1]))
        self.seen("BestIsElected")

    @property
    def leadership(self) -> Any:
        """That of the leader."""
        assert self.leader.leadership is not None
        return self.leader.leadership

    def test_commits(self) -> None:
        """Nothing is committed by too few, that is not there, or that was something else."""
        end = self.leader.log.end_offset
        self.leadership.isr = (self.leader_place.number,)
        self.copies._committed(self.leader_place, self.leader, self.leadership, self.leader.high_watermark)
        self.seen("CommitsWithEnough")
        self.leadership.isr = (1, 2, 3)
        self.copies._committed(self.leader_place, self.leader, self.leadership, end + 5)
        self.seen("CommittedIsHere")
        truth = self.copies.truth(self.leader.log.identity)
        first = min(truth.batches)
        behind, epoch, crc = truth.batches[first]
        truth.batches[first] = behind, epoch + 1, crc
        fresh = self.copies._copies.pop((self.leader_place.number, self.leader.log.identity))
        self.assertNotEqual(fresh.disk.headers, [])
        self.copies._committed(self.leader_place, self.leader, self.leadership, truth.end_offset)
        self.seen("CommittedStays")

    def test_follower_knows_no_more(self) -> None:
        """Nobody takes more to be committed than leaders do."""
        high_watermark = self.copies.truth(self.leader.log.identity).end_offset
        self.copies._heard(self.follower_place, self.follower, high_watermark + 1)
        self.seen("NothingMoreIsCommitted")
        self.copies._heard(self.follower_place, self.follower, high_watermark)
        self.seen()

    def test_known_is_written(self) -> None:
        """What is known of epochs and producers is what the log says."""
        entries = self.follower.epochs.entries()
        self.follower.epochs.assign(7, 1)
        self.copies.look()
        self.seen("KnownIsWritten")
        self.follower.epochs.truncate_end(0)
        for epoch, start in entries:
            self.follower.epochs.assign(epoch, start)
        self.copies.look()
        self.seen()
        for producer in self.follower.producers.producers():
            short = evolve(producer, batches=producer.batches[:-1])
            self.follower.producers.restore([short], 0)
        self.copies.look()
        self.seen("KnownIsWritten")

    def test_ends_and_fetches(self) -> None:
        """Nobody is told of an end that was passed, and nobody is heard who follows another epoch."""
        told, heard = [], FollowerFetch(self.follower_place.number, 10**6, self.leader.state.leader_epoch, 0)
        leadership: Any = type("Leadership", (), {"latest_offset": lambda: 0, "fetched": lambda one: told.append(one)})
        identity, epoch = self.leader.log.identity, self.leader.state.leader_epoch
        self.copies._watch_ends(leadership, identity, 5)
        leadership.latest_offset()
        self.seen("EndsNeverFall")
        self.copies._watch_fetches(self.leader_place, leadership, identity, epoch)
        leadership.fetched(heard)
        self.seen()
        leadership.fetched(heard._replace(leader_epoch=epoch + 1))
        self.seen("FollowersAreOfNow")
        leadership.fetched(heard._replace(broker_epoch=-1))
        self.seen("FollowersAreOfNow")
        self.assertEqual(len(told), 3)

    def test_acknowledged(self) -> None:
        """Nothing is acknowledged to who asks for all before it is committed."""
        assert self.run_.records is not None
        history, end = self.run_.records.workload.history, self.copies.truth(self.leader.log.identity).end_offset
        for acks, offset, rules in ((-1, end - 1, ()), (1, end, ()), (-1, end, ("AckedIsCommitted",))):
            history.acknowledged(Send("p", KEY, "v", 0, 0.0, acks, False, status=OK, offset=offset))
            self.seen(*rules)

    def test_held_back(self) -> None:
        """KR17: what all have who count is committed, whatever those lack who do not."""
        led = self.leadership._led
        led.high_watermark -= 1
        self.copies.look()
        self.seen("NobodyGoneHoldsBack")

    def test_before_the_start(self) -> None:
        """KR8: nothing before the start of a log is taken for what is committed."""
        self.follower._following.high_watermark = -1  # type: ignore[union-attr]
        self.copies.look()
        self.seen("CommittedIsHere")

    def test_waiting(self) -> None:
        """Where nobody leads, nobody waits for something to be committed."""
        self.follower.when_committed(10**6)
        self.copies.look()
        self.seen("NobodyWaitsInVain")


class LogOnDiskTests(SynchronousTestCase):
    """What is read of a copy goes on where it ended, as long as that means anything."""

    def test_follows(self) -> None:
        platter = Platter(Simulation(1).stream("disk"))
        names = platter.names
        names.make_directories("/data/t-0")
        log, file = LogOnDisk(platter, "/data/t-0"), names.create(f"/data/t-0/{5:020}.log")
        log.refresh()
        self.assertEqual((log.end_offset, log.headers), (5, []))
        batch = bytearray(batch_of(b"v"))
        batch[:8] = (5).to_bytes(8, "big")
        file.write(0, bytes(batch))
        log.refresh()
        generation = log.generation
        self.assertEqual((log.end_offset, len(log.headers)), (6, 1))
        file.write(len(batch), bytes(batch[:40]))
        log.refresh()
        self.assertEqual((len(log.headers), log.generation), (1, generation))
        file.truncate(len(batch))
        log.refresh()
        self.assertEqual((len(log.headers), log.generation), (1, generation + 1))
        names.create(f"/data/t-0/{6:020}.log")
        log.refresh()
        self.assertEqual((log.end_offset, log.generation), (6, generation + 1))


class CrashPointTests(SynchronousTestCase):
    """A node loses its power at a durable step of its own, and everybody finds together with everything."""

    def test_steps(self) -> None:
        met = 0
        for step in STEPS:
            settings = ClusterSettings(shape=THREE, kinds=(), until=15.0, pace_s=0.3, crash=(1 + step % 3, step))
            run = ClusterRun(step, settings)
            report = run.run()
            self.flushLoggedErrors()
            self.assertEqual(report.anomalies, [])
            met += report.injected.get("met: power cut at a durable step", 0)
        self.assertEqual(met, len(STEPS))
