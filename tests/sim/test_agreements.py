"""The oracle of what is agreed on: each thing that must not be is seen; and the faults that bring such things about."""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.image import MetadataImage
from streamline.model import PartitionState
from streamline.testing.simulation import Simulation
from streamline.testing.simulation.cluster.agreements import Agreements, could_leave
from streamline.testing.simulation.cluster.plan import Shape
from streamline.testing.simulation.cluster.run import ClusterRun, ClusterSettings
from streamline.testing.simulation.cluster.usher import Usher

THREE = Shape(0.0, 3, (), 5)


class AgreedCase(SynchronousTestCase):
    """
    A cluster in which nothing goes wrong by itself.

    @ivar tip: its image, with a topic of three copies, all of them in sync.
    """

    def setUp(self) -> None:
        """Let it run until everybody is there."""
        self.run_ = run = ClusterRun(1, ClusterSettings(shape=THREE, kinds=(), pace_s=0.1, until=60.0))
        run.begin()
        run.pass_time(40.0, lambda: "plain" in self.tip.topics and not run.what_is_missing())
        self.assertEqual(run.report.anomalies, [])
        self.addCleanup(self.flushLoggedErrors)

    @property
    def tip(self) -> MetadataImage:
        """What is agreed on."""
        return self.run_.oracle.tip

    @property
    def agreements(self) -> Agreements:
        """Who judges."""
        return self.run_.agreements

    @property
    def state(self) -> PartitionState:
        """A partition with three copies."""
        return self.tip.topics["plain"].partitions[0]

    def with_state(self, image: MetadataImage, state: PartitionState) -> MetadataImage:
        """Return an image in which that partition is otherwise."""
        topic = image.topics["plain"]
        partitions = (state, *topic.partitions[1:])
        return evolve(image, topics={**image.topics, "plain": evolve(topic, partitions=partitions)})

    def with_broker(self, image: MetadataImage, node: int, **otherwise: Any) -> MetadataImage:
        """Return an image in which a broker is otherwise."""
        return evolve(image, brokers={**image.brokers, node: evolve(image.brokers[node], **otherwise)})

    def seen(self, *rules: str) -> None:
        """See that just these rules were found broken, and forget it."""
        self.assertEqual(list(dict.fromkeys(one.kind for one in self.run_.report.anomalies)), list(rules))
        self.run_.report.anomalies.clear()


class AgreedTests(AgreedCase):
    """Each rule, broken by hand."""

    def changed(self, *rules: str, image: MetadataImage | None = None, **otherwise: Any) -> None:
        """Have a partition change, and see which rules that breaks."""
        state = self.state
        after = evolve(state, **{"partition_epoch": state.partition_epoch + 1, **otherwise})
        self.agreements.agreed(self.tip, self.with_state(image or self.tip, after))
        self.seen(*rules)

    def test_as_it_should_be(self) -> None:
        leader, *others = self.state.replicas
        self.changed(isr=(leader, others[0]))
        self.changed(isr=(leader,), elr=tuple(others))
        self.changed(isr=tuple(others), leader=others[0], leader_epoch=self.state.leader_epoch + 1)

    def test_epochs(self) -> None:
        """KR5: a new leader is of a new epoch, and any change of a new epoch of the partition."""
        other = next(node for node in self.state.isr if node != self.state.leader)
        self.changed("EpochsRise", leader=other)
        self.changed("EpochsRise", isr=self.state.isr[:2], partition_epoch=self.state.partition_epoch)

    def changed_epoch(self, image: MetadataImage) -> None:
        """Hear of it as of a change of brokers."""
        self.agreements.agreed(self.tip, image)

    def test_members(self) -> None:
        """KR16: nobody is in sync who is not there."""
        self.changed_epoch(self.with_broker(self.tip, 2, fenced=True))
        self.seen("MembersAreThere")
        self.changed_epoch(self.with_broker(self.tip, 2, shutting_down=True))
        self.seen("MembersAreThere")

    def test_forgotten(self) -> None:
        """KR20: who leaves an ISR that may commit nothing stays eligible, unless it may have lost something."""
        leader, other, third = self.state.isr
        self.changed("NobodyIsForgotten", isr=(leader,), elr=(other,))
        anew = self.with_broker(self.tip, third, epoch=self.tip.index + 1, fenced=True)
        after = evolve(self.state, partition_epoch=self.state.partition_epoch + 1, isr=(leader,), elr=(other,))
        self.agreements._check_forgotten(
            "plain-0", self.delta(after), self.tip, self.with_state(anew, after)
        )
        self.seen()

    def delta(self, after: PartitionState) -> Any:
        """Return the change of that partition."""
        return type("Part", (), {"topic": self.tip.topics["plain"], "old": self.state, "new": after})

    def test_elected(self) -> None:
        """KR25: a leader had everything, where anybody has."""
        leader, other, third = self.state.replicas
        before = self.with_state(self.tip, evolve(self.state, isr=(leader,), elr=(other,), leader=leader))
        after = evolve(
            self.state,
            partition_epoch=self.state.partition_epoch + 1,
            leader_epoch=self.state.leader_epoch + 1,
            isr=(third,),
            leader=third,
            is_recovering=True,
        )
        self.agreements.agreed(before, self.with_state(self.tip, after))
        self.seen("LeadersAreEligible")

    def test_ready(self) -> None:
        """KR15: who takes part has applied its own registration."""
        place = self.run_.places[1]
        before = self.with_broker(self.tip, place.number, fenced=True)
        self.agreements._check_ready(place.number, before, self.tip)
        self.seen()
        later = self.with_broker(self.tip, place.number, epoch=self.tip.index + 5)
        self.agreements._check_ready(place.number, before, later)
        self.seen("UnfencedIsReady")

    def test_stopped(self) -> None:
        """KR32: whoever stops in order leads nothing any more."""
        place = next(one for one in self.run_.places if one.number == self.state.leader)
        node = place.node
        assert node is not None
        self.assertTrue(could_leave(node))
        node.stopService = lambda: succeed(None)  # type: ignore[method-assign]
        self.agreements._stopping(place, node)
        self.seen("LeavesInOrder")

    def test_dropped(self) -> None:
        """KR23: who leaves an ISR and is there is counted, where everybody should have kept up."""
        for lag_ms, count in ((500, 0), (30_000, 1)):
            for place in self.run_.places:
                place.habits = evolve(place.habits, lag_ms=lag_ms)
            self.changed(isr=self.state.isr[:2])
            self.assertEqual(self.agreements.dropped, count)


class FaultTests(SynchronousTestCase):
    """Faults that are there for the sake of such rules."""

    def test_duels(self) -> None:
        """Leaders change quickly, what they ask for is heard late or never answered, and nothing is lost by it."""
        settings = ClusterSettings(nodes=3, kinds=("duel", "alter"), until=20.0, pace_s=2.0, records_pace_s=0.3)
        run = ClusterRun(14, settings)
        report = run.run()
        self.flushLoggedErrors()
        self.assertEqual(report.anomalies, [])
        self.assertGreater(min(report.injected["duel"], report.injected["alter"]), 0)
        epochs = [state.leader_epoch for topic in run.oracle.tip.topics.values() for state in topic.partitions]
        self.assertGreater(max(epochs), 2)


    def test_roving(self) -> None:
        """Consumers go on at other replicas, and back at the leader, and none of them begins anew (KR10)."""
        settings = ClusterSettings(
            nodes=3, kinds=("rove",), until=20.0, pace_s=2.0, records_pace_s=0.3, whims=("high-watermark-told-late",)
        )
        run = ClusterRun(2, settings)
        assert run.records is not None
        racks = [consumer._appetite.rack for consumer in run.records.workload._consumers]
        report = run.run()
        self.flushLoggedErrors()
        self.assertEqual(report.anomalies, [])
        self.assertGreater(report.injected["rove"], 3)
        self.assertNotEqual(racks, [consumer._appetite.rack for consumer in run.records.workload._consumers])


class UsherTests(SynchronousTestCase):
    """What leaders ask the controller for, on a bad day."""

    def test_late_and_unanswered(self) -> None:
        """Each request is heard, once; some late, after those that came later, and some answers never come."""
        simulation = Simulation(1)
        usher, heard = Usher(simulation), []
        process: Any = type("Process", (), {"reactor": type("Reactor", (), {"callLater": simulation.after})})

        def hear(_: object, request: int) -> Any:
            heard.append(request)
            return succeed(request) if request % 2 else request

        self.assertEqual(usher._may_ask(hear, process, None, 0), 0)  # type: ignore[arg-type]
        usher.spoil(10.0, 0.5, Random(1))
        answers = [usher._may_ask(hear, process, None, number) for number in range(1, 21)]  # type: ignore[arg-type]
        simulation.run(9.0)
        self.assertEqual(sorted(heard), list(range(21)))
        self.assertNotEqual(heard, sorted(heard))
        said = {number for number, answer in enumerate(answers, 1) if answer.called}
        self.assertTrue(all(self.successResultOf(answers[number - 1]) == number for number in said))
        self.assertEqual((len(said) + usher.counts["unanswered"], 0 < len(said) < 20), (20, True))
        usher.mend()
        self.assertEqual(usher._may_ask(hear, process, None, 30), 30)  # type: ignore[arg-type]
