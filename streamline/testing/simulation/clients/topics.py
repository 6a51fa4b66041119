"""
Asking about topics, and making and deleting them.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamline.errors import ErrorCode
from streamline.interfaces import Host
from streamline.model import Endpoint, TopicPartition
from streamline.testing.history import FAIL, OK, Change, History
from streamline.testing.simulation.clients.connection import Gone, Line, Where
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)

METADATA_VERSION = 12
CREATE_VERSION = 7
DELETE_VERSIONS = (5, 6)
"""Deleting has another shape from version 6 on."""


async def find_topic_id(line: Line, versions: Versions, topic: str) -> bytes:
    """
    Return a topic's id.

    @raise Gone: there is no such topic at present, or no answer.
    """
    request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
    answer: MetadataResponse = await line.ask(request, METADATA_VERSION)
    found = answer.topics[0]
    if found.error_code or any(partition.error_code for partition in found.partitions):
        raise Gone(f"{topic} is not there: {found.error_code}")
    return found.topic_id


async def find_topic(line: Line, versions: Versions, key: TopicPartition) -> bytes:
    """
    Return the id of a partition's topic, whoever leads it.

    @raise Gone: nobody leads it at present, or no answer.
    """
    return await find_topic_id(line, versions, key.topic)


async def find_leader(line: Line, versions: Versions, key: TopicPartition) -> bytes:
    """
    Aim a line at a partition's leader, and return its topic's id.

    Who has heard of a later leader believes nobody who knows of an earlier one (KIP-320): a node that is cut off goes
    on to take itself for the leader, and does not know what the later one was sent.

    @raise Gone: nobody leads it at present, or no answer.
    """
    request = MetadataRequest(topics=[MetadataRequestTopic(name=key.topic)], allow_auto_topic_creation=False)
    answer: MetadataResponse = await line.ask(request, METADATA_VERSION)
    found = answer.topics[0]
    nodes = {broker.node_id: Endpoint(broker.host, broker.port) for broker in answer.brokers}
    part = next((part for part in found.partitions if part.partition_index == key.partition), None)
    leader = None if part is None else nodes.get(part.leader_id)
    if found.error_code or part is None or leader is None or part.leader_epoch < line.leader_epoch:
        raise Gone(f"nobody leads {key}: {found.error_code}")
    line.leader_epoch, line.nodes = part.leader_epoch, nodes
    line.aim(leader)
    return found.topic_id


async def find_leader_epoch(line: Line, key: TopicPartition) -> int:
    """
    Return the epoch that a partition's leader leads in.

    @raise Gone: nobody leads it at present, or no answer.
    """
    request = MetadataRequest(topics=[MetadataRequestTopic(name=key.topic)], allow_auto_topic_creation=False)
    answer: MetadataResponse = await line.ask(request, METADATA_VERSION)
    for partition in answer.topics[0].partitions:
        if partition.partition_index == key.partition and not partition.error_code:
            return partition.leader_epoch
    raise Gone(f"nobody leads {key}")


class Administrator:
    """Makes and deletes topics, and keeps a history of it."""

    def __init__(self, host: Host, where: Where, name: str, history: History, *, copies: int = 1) -> None:
        """
        @param copies: replicas of the topics that it makes.
        """
        self._host = host
        self._history = history
        self._copies = copies
        self._line = Line(host, where, name, history)

    async def create(self, name: str, partitions: int, configs: Mapping[str, str]) -> bool:
        """Make a topic, trying until the node says yes or no; return whether it said yes."""
        topic = CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=self._copies,
            assignments=[],
            configs=[CreatableTopicConfig(name=key, value=value) for key, value in sorted(configs.items())],
        )
        change = self._begun("create", name, partitions)
        while True:
            try:
                answer = await self._line.ask(CreateTopicsRequest(topics=[topic], timeout_ms=5000), CREATE_VERSION)
            except Gone:
                self._line.turn()
                await self._line.pause()
                continue
            code = answer.topics[0].error_code
            if code in (0, ErrorCode.TOPIC_ALREADY_EXISTS):
                return self._ended(change, OK)
            if code == ErrorCode.INVALID_CONFIG:
                change.error = str(answer.topics[0].error_message)
                return self._ended(change, FAIL)
            self._line.turn()
            await self._line.pause()

    async def delete(self, name: str) -> bool:
        """Delete a topic, trying until the node says yes or that it is not there."""
        version = DELETE_VERSIONS[self._host.rng.randrange(0, 2)]
        request = DeleteTopicsRequest(timeout_ms=5000)
        if version == DELETE_VERSIONS[0]:
            request.topic_names = [name]
        else:
            request.topics = [DeleteTopicState(name=name, topic_id=bytes(16))]
        change = self._begun("delete", name, 0)
        while True:
            try:
                answer = await self._line.ask(request, version)
            except Gone:
                self._line.turn()
                await self._line.pause()
                continue
            if answer.responses[0].error_code in (0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
                return self._ended(change, OK)
            await self._line.pause()

    async def topics(self) -> list[str]:
        """Return the names of all topics, sorted."""
        while True:
            try:
                answer = await self._line.ask(MetadataRequest(topics=None), METADATA_VERSION)
            except Gone:
                self._line.turn()
                await self._line.pause()
                continue
            return sorted(topic.name for topic in answer.topics)

    def _begun(self, what: str, name: str, detail: int) -> Change:
        change = Change(what, name, detail, self._host.clock.seconds())
        self._history.changes.append(change)
        return change

    def _ended(self, change: Change, status: str) -> bool:
        change.status = status
        change.done_at = self._host.clock.seconds()
        return status == OK
