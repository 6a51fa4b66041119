"""
What clients ask of a simulated cluster: topics are made, changed, deleted and listed.

They know the nodes' addresses and nothing else; each asks whichever node it likes, and another one where that does not
answer or does not lead, for whatever of this that node says it can do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode
from streamline.interfaces import Host
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Connection, Gone, Line, alarm
from streamline.testing.simulation.cluster.oracle import Oracle, View
from streamline.testing.simulation.cluster.places import Place
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)
from streamline.wire.schema import Message

API_VERSIONS_VERSION = 3
METADATA_VERSION = 12
CREATE_VERSION = 7
DELETE_VERSION = 6
PARTITIONS_VERSION = 3
CONFIGS_VERSION = 1
TOPIC_CONFIGS = 2
SETTING = "retention.ms"
GONE_MEANWHILE = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.INVALID_PARTITIONS)
NAMES = 12
PARTITIONS_MAX = 3
MORE_PARTITIONS_MAX = 6
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
        self._apis: list[int] = []

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
            try:
                what = self._rng.choice(await self._possible())
                await what(f"topic-{self._rng.randrange(NAMES)}")
            except Gone:
                self._turn_to_another()

    async def _possible(self) -> list[Callable[[str], Awaitable[None]]]:
        """Return what can be asked for; nodes are asked once for what they can do."""
        if not self._apis:
            request = ApiVersionsRequest(client_software_name="simulated", client_software_version="1")
            answer, _ = await self._ask(request, API_VERSIONS_VERSION)
            self._apis = [api.api_key for api in answer.api_keys]
        known: list[Callable[[str], Awaitable[None]]] = [self._create, self._create, self._delete, self._list]
        known += [self._add_partitions] * (CreatePartitionsRequest.KEY in self._apis)
        known += [self._configure] * (IncrementalAlterConfigsRequest.KEY in self._apis)
        return known

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
        elif result.error_code not in GONE_MEANWHILE:
            raise Gone(str(ErrorCode(result.error_code)))

    async def _add_partitions(self, name: str) -> None:
        count, since = self._rng.randint(2, MORE_PARTITIONS_MAX), self._oracle.tip_index
        topic = CreatePartitionsTopic(name=name, count=count, assignments=None)
        answer, _ = await self._ask(CreatePartitionsRequest(topics=[topic], timeout_ms=TIMEOUT_MS), PARTITIONS_VERSION)
        self._expect(
            "grown", name, answer.results[0].error_code, since,
            lambda image: name in image.topics and len(image.topics[name].partitions) >= count,
        )  # fmt: skip

    async def _configure(self, name: str) -> None:
        value, since = str(self._rng.randrange(10**6, 10**9)), self._oracle.tip_index
        setting = IncrementalAlterConfigsRequestAlterableConfig(name=SETTING, config_operation=0, value=value)
        resource = IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=TOPIC_CONFIGS, resource_name=name, configs=[setting]
        )
        answer, _ = await self._ask(IncrementalAlterConfigsRequest(resources=[resource]), CONFIGS_VERSION)
        self._expect(
            "configured", name, answer.responses[0].error_code, since,
            lambda image: image.configs.get(name, {}).get(SETTING) == value,
        )  # fmt: skip

    def _expect(self, what: str, name: str, code: int, since: int, holds: Callable[[MetadataImage], bool]) -> None:
        """Where it was said to be done, it held at some moment since it was asked for."""
        if not code:
            self._note(what)
            self._oracle.happened(since, holds, f"topic {name} was said to be {what}, and is not")
        elif code not in GONE_MEANWHILE:
            raise Gone(str(ErrorCode(code)))

    async def _list(self, _: str) -> None:
        await self._look()

    async def _look(self) -> View:
        answer: MetadataResponse
        answer, connection = await self._ask(MetadataRequest(topics=None), METADATA_VERSION)
        view = frozenset((str(topic.name), topic.topic_id) for topic in answer.topics)
        self._seen_at[connection] = self._oracle.seen(view, self._seen_at.get(connection, 0))
        self._note("listed")
        return view


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of counts."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
