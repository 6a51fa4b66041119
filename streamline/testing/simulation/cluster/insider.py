"""
What is asked of each node's consensus from within, past every client: read barriers and commands.
"""

from __future__ import annotations

from random import Random

from twisted.python.failure import Failure

from streamline.cluster.commands import CreateTopic, DeleteTopic, PartitionPlacement
from streamline.errors import ErrorCode, Refused
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.machine import Process


class Insider:
    """
    Asks a node's consensus itself.

    @ivar outcomes: how often each was heard of.
    @param pace_s: mean time between two things that one node is asked.
    """

    def __init__(self, oracle: Oracle, rng: Random, pace_s: float) -> None:
        self.outcomes: dict[str, int] = {}
        self._oracle = oracle
        self._rng = rng
        self._pace_s = pace_s
        self._count = 0
        self._is_over = False

    def end(self) -> None:
        """Ask for nothing more."""
        self._is_over = True

    def joins(self, place: Place, process: Process) -> None:
        """Ask a process for things for as long as it lives."""
        process.reactor.callLater(self._rng.expovariate(1.0 / self._pace_s), self._act, place, process)

    def _act(self, place: Place, process: Process) -> None:
        if self._is_over:
            return
        self.joins(place, process)
        what = self._rng.choice((self._read, self._propose, self._propose, self._remove))
        if place.watch is not None and place.watch.replica is not None:
            what(place)

    def _read(self, place: Place) -> None:
        watch = place.watch
        assert watch is not None and watch.replica is not None
        asked_index, replica = self._oracle.monitor.committed_index, watch.replica

        def passed(_: object) -> None:
            self._oracle.read(asked_index, replica.applied.index, replica.node.key)
            self._heard("read")

        watch.consensus.read_barrier().addCallback(passed).addErrback(self._refused)

    def _propose(self, place: Place) -> None:
        assert place.watch is not None
        self._count += 1
        topic_id = self._rng.randbytes(16)
        command = CreateTopic(
            name=f"inside-{self._count}",
            topic_id=topic_id,
            partitions=[PartitionPlacement(index=0, replicas=[place.number], isr=[])],
            configs=[],
        )
        proposing = place.watch.metadata.propose(command)
        proposing.addCallbacks(self._made, self._not_made, callbackArgs=(topic_id,), errbackArgs=(topic_id,))

    def _made(self, _: object, topic_id: bytes) -> None:
        self._oracle.created("inside", topic_id)
        self._heard("made")

    def _not_made(self, failure: Failure, topic_id: bytes) -> None:
        failure.trap(Refused)
        assert isinstance(failure.value, Refused)
        self._heard(failure.value.code.name)
        if failure.value.code != ErrorCode.REQUEST_TIMED_OUT:
            self._oracle.denied_for_good(topic_id, failure.value.message)

    def _remove(self, place: Place) -> None:
        """Delete one of those that were made from within: there would be ever more of them."""
        assert place.watch is not None
        image = place.watch.metadata.image
        names = sorted(name for name in image.topics if name.startswith("inside-"))
        if names:
            topic_id = image.topics[self._rng.choice(names)].topic_id
            deleting = place.watch.metadata.propose(DeleteTopic(topic_id=topic_id))
            deleting.addCallback(lambda _: self._oracle.deleted("inside", topic_id)).addErrback(self._refused)

    def _refused(self, failure: Failure) -> None:
        failure.trap(Refused)
        assert isinstance(failure.value, Refused)
        self._heard(failure.value.code.name)

    def _heard(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
