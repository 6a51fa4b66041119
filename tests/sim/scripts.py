"""Clusters of whole nodes with a script of their own, and records in them that are judged as in any run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from streamline.model import NO_LEADER, LogIdentity, PartitionState, TopicPartition
from streamline.testing.checks import check_all
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import alarm
from streamline.testing.simulation.clients.consumer import Appetite, Consumer
from streamline.testing.simulation.clients.producer import Habits, Producer
from streamline.testing.simulation.clients.topics import Administrator
from streamline.testing.simulation.cluster.copies import Copies, replicas_of
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.cluster.plan import Shape
from streamline.testing.simulation.machine import Process
from tests.sim.test_cluster_cases import CaseCase

LOOK_EVERY_S = 0.1
SLOWLY_S = 120.0
"""Within this anything that is to happen has happened."""


class RecordCase(CaseCase):
    """
    A cluster with producers and consumers of some topics, whose copies are watched.

    @ivar copies: looks at what is on the disks; C{history} is what clients did and saw.
    """

    def records(self, seed: int, topics: Mapping[str, Mapping[str, str]], nodes: int = 3) -> None:
        """Form a cluster, make topics of one partition and three replicas there, and begin to look at their copies."""
        run = self.cluster(seed, shape=Shape(0.0, nodes, (), 5), pace_s=5.0, calm_s=0.0)
        self.history = History()
        self.producers: list[Producer] = []
        self.consumers: list[Consumer] = []
        self.copies = Copies(run.places, run.oracle)
        for place in run.places:
            self.copies.watch(place)
            place.started = self.started
        self._look_again()
        administrator = Administrator(run._host, self.addresses, "admin", self.history, copies=3)
        for name, configs in topics.items():
            self.comes(administrator.create(name, 1, {"min.insync.replicas": "2", **configs}))
            self.within(SLOWLY_S, lambda name=name: self.is_full(name), f"{name} is not in sync")  # type: ignore[misc]

    @property
    def addresses(self) -> list[Any]:
        """Where clients find the nodes."""
        return [place.address for place in self.run_.places]

    def started(self, place: Place, process: Process) -> None:
        """A process begins."""
        self.run_.insider.joins(place, process)
        self.copies.watch(place)

    def _look_again(self) -> None:
        self.run_.simulation.after(LOOK_EVERY_S, self._look_again)
        self.look()

    def look(self) -> None:
        """Look at what there is; every so often."""
        self.copies.look()

    def comes(self, coroutine: Any) -> Any:
        """Return what a client gets, as soon as it does."""
        results: list[Any] = []
        Deferred.fromCoroutine(coroutine).addCallbacks(results.append, alarm)
        self.within(SLOWLY_S, lambda: bool(results), "no answer comes")
        return results[0]

    # What is agreed on

    def state(self, topic: str) -> PartitionState:
        """Return what is agreed on about a topic's partition."""
        return self.run_.oracle.tip.topics[topic].partitions[0]

    def identity(self, topic: str) -> LogIdentity:
        """Return which log that is."""
        return LogIdentity(topic, 0, self.run_.oracle.tip.topics[topic].topic_id)

    def is_full(self, topic: str) -> bool:
        """Say whether everybody is in sync."""
        known = self.run_.oracle.tip.topics.get(topic)
        return known is not None and len(known.partitions[0].isr) == len(known.partitions[0].replicas)

    def place(self, node: int) -> Place:
        """Return where a node runs."""
        return self.run_.places[node - 1]

    def leader_of(self, topic: str) -> Place | None:
        """Return who leads it, if anybody does."""
        leader = self.state(topic).leader
        return None if leader == NO_LEADER else self.place(leader)

    def ends(self, topic: str) -> dict[int, int]:
        """Return how far each copy goes that is open."""
        return {
            place.number: replica.log.end_offset
            for place in self.run_.places
            for replica in replicas_of(place)
            if replica.log.identity.topic == topic
        }

    # Clients

    def produce(self, topic: str, name: str, habits: Habits) -> Producer:
        """Have somebody write."""
        key = TopicPartition(topic, 0)
        producer = Producer(self.run_._host, self.addresses, name, key, self.history, habits)
        producer._line.is_patient = False
        self.producers.append(producer)
        producer.start()
        return producer

    def consume(self, topic: str, name: str, *, is_final: bool = False) -> Consumer:
        """Have somebody read."""
        key, appetite = TopicPartition(topic, 0), Appetite(max_wait_ms=100)
        consumer = Consumer(self.run_._host, self.addresses, name, key, self.history, appetite, is_final=is_final)
        consumer._line.is_patient = False
        self.consumers.append(consumer)
        consumer.start()
        return consumer

    def quiet_down(self) -> None:
        """Have nobody write any more, and what was written answered."""
        for producer in self.producers:
            producer.stop_making()
        self.within(SLOWLY_S, lambda: not any(one.unanswered for one in self.producers), "not everything is answered")

    def read_everything(self, topics: Sequence[str]) -> None:
        """Have everything be together again, and read all of it."""
        self.quiet_down()
        for consumer in self.consumers:
            consumer.stop()
        self.together_within(SLOWLY_S)
        for topic in topics:
            self.within(SLOWLY_S, lambda topic=topic: self.is_full(topic), f"{topic} is not in sync")  # type: ignore[misc]
        readers = [self.consume(topic, f"final {topic}", is_final=True) for topic in topics]
        self.within(SLOWLY_S, lambda: all(bool(one.done.called) for one in readers), "not everything can be read")

    def judge(self) -> None:
        """Nothing that was acknowledged and not deleted is gone, changed, in another order, or there twice."""
        self.assertEqual([str(one) for one in check_all(self.history)], [])
