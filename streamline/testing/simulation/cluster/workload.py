"""
What is asked of a simulated cluster: topics are made, deleted and listed, by clients over bytes and from within.

Clients know the nodes' addresses and nothing else; each asks whichever node it likes, and another one where that does
not answer or does not lead.  From within, commands are proposed as they are, at nodes that lead and at nodes that do
not: what becomes of them must be what was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.cluster.commands import CreateTopic, DeleteTopic, PartitionPlacement
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Connection, Gone, Line, alarm
from streamline.testing.simulation.cluster.oracle import Oracle, View
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.machine import Process
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)
from streamline.wire.schema import Message

METADATA_VERSION = 12
CREATE_VERSION = 7
DELETE_VERSION = 6
NAMES = 12
PARTITIONS_MAX = 3
TIMEOUT_MS = 5000


class Administrator:
    """
    One client, which does one thing after another.

    @ivar done: how many of each it was told are done.
    """

    def __init__(
        self, host: Host, name: str, places: Sequence[Place], oracle: Oracle, history: History, rng: Random
    ) -> None:
        self.done: dict[str, int] = {}
        self._places = places
        self._oracle = oracle
        self._rng = rng
        self._lines = {place.number: Line(host, place.address, name, history) for place in places}
        self._line = self._lines[rng.choice(places).number]
        self._seen_at: dict[Connection, int] = {}

    def start(self, pace_s: float) -> None:
        """Begin."""
        Deferred.fromCoroutine(self._run(pace_s)).addErrback(alarm)

    def insist(self) -> None:
        """Have a topic made, by whoever can."""
        Deferred.fromCoroutine(self._insist()).addErrback(alarm)

    async def _insist(self) -> None:
        attempts = 0
        while not self.done.get("created"):
            attempts += 1
            try:
                await self._create(f"last-{attempts}")
            except Gone:
                self._turn_to_another()
                await self._line.pause()

    def stop(self) -> None:
        """End."""
        for line in self._lines.values():
            line.stop()

    async def _run(self, pace_s: float) -> None:
        while not self._line.stopped:
            await self._line.sleep(self._rng.expovariate(1.0 / pace_s))
            what = self._rng.choice((self._create, self._create, self._delete, self._list))
            try:
                await what(f"topic-{self._rng.randrange(NAMES)}")
            except Gone:
                self._turn_to_another()

    def _turn_to_another(self) -> None:
        self._line.drop()
        others = [line for line in self._lines.values() if line is not self._line]
        self._line = self._rng.choice(others or [self._line])

    async def _ask(self, request: Message, version: int) -> tuple[Any, Connection]:
        connection = await self._line.connection()
        return await connection.ask(request, version), connection

    def _note(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    async def _create(self, name: str) -> None:
        topic = CreatableTopic(
            name=name,
            num_partitions=self._rng.randint(1, PARTITIONS_MAX),
            replication_factor=1,
            assignments=[],
            configs=[],
        )
        answer, _ = await self._ask(CreateTopicsRequest(topics=[topic], timeout_ms=TIMEOUT_MS), CREATE_VERSION)
        result = answer.topics[0]
        if not result.error_code:
            self._note("created")
            self._oracle.created(name, result.topic_id)
        elif result.error_code != ErrorCode.TOPIC_ALREADY_EXISTS:
            raise Gone(str(ErrorCode(result.error_code)))

    async def _delete(self, name: str) -> None:
        """Delete a topic by its name or by its id, as it was a moment ago."""
        wanted = DeleteTopicState(name=name, topic_id=bytes(16))
        if self._rng.random() < 0.5:
            topic_id = dict(await self._look()).get(name)
            if topic_id is None:
                return
            wanted = DeleteTopicState(name=None, topic_id=topic_id)
        answer, _ = await self._ask(DeleteTopicsRequest(topics=[wanted], timeout_ms=TIMEOUT_MS), DELETE_VERSION)
        result = answer.responses[0]
        if not result.error_code:
            self._note("deleted")
            self._oracle.deleted(name, result.topic_id)
        elif result.error_code not in (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID):
            raise Gone(str(ErrorCode(result.error_code)))

    async def _list(self, _: str) -> None:
        await self._look()

    async def _look(self) -> View:
        answer: MetadataResponse
        answer, connection = await self._ask(MetadataRequest(topics=None), METADATA_VERSION)
        view = frozenset((str(topic.name), topic.topic_id) for topic in answer.topics)
        self._seen_at[connection] = self._oracle.seen(view, self._seen_at.get(connection, 0))
        self._note("listed")
        return view


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


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of counts."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
