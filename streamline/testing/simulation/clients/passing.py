"""
A topic that is made, written, read and deleted, and made again under the same name; a group likewise.

Nothing of the topic that had the name before may be seen in the one that has it
now (KR30), whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamline.interfaces import Host
from streamline.model import Endpoint
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import BadAnswer, Gone, Line
from streamline.testing.simulation.clients.consumer import read_values
from streamline.testing.simulation.clients.topics import Administrator, find_topic_id
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from streamline.wire.messages.groups import DeleteGroupsRequest
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from streamline.wire.messages.offsets import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetFetchRequest,
    OffsetFetchRequestTopic,
)
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.records import Record, build_batch

GROUP = "passing"
FIND_COORDINATOR_VERSION, OFFSET_COMMIT_VERSION, OFFSET_FETCH_VERSION, DELETE_GROUPS_VERSION = 3, 8, 7, 2
PRODUCE_VERSION, FETCH_VERSION, METADATA_VERSION = 13, 17, 12
RECORDS = 5
FETCH_BYTES = 1 << 20
ATTEMPTS = 3
AUTO_CHANCE = 0.25


class Passer:
    """
    Makes topics of the same few names, over and over.

    @ivar lives: how many topics it has made.
    """

    def __init__(self, host: Host, address: Endpoint, history: History, admin: Administrator) -> None:
        self.lives = 0
        self._host = host
        self._admin = admin
        self._line = Line(host, address, "passer", history)
        self._versions = Versions(host.rng)

    async def begin(self, name: str, partitions: int, configs: Mapping[str, str]) -> bool:
        """Make a topic, or let it be made by who asks for it; return whether it is there."""
        self.lives += 1
        if self._host.rng.random() < AUTO_CHANCE:
            await self._ask_for(name)
        return await self._admin.create(name, partitions, configs)

    async def _ask_for(self, name: str) -> None:
        request = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=True)
        try:
            await self._line.ask(request, METADATA_VERSION)
        except Gone:
            self._line.drop()

    async def use(self, name: str) -> None:
        """
        Write some records and read what is there, unless nobody answers.

        @raise BadAnswer: there is something of a topic that had this name before.
        """
        for _ in range(ATTEMPTS):
            try:
                topic_id = await find_topic_id(self._line, self._versions, name)
                await self._write(topic_id, name)
                await self._read(topic_id, name)
            except Gone:
                self._line.drop()
                await self._line.pause()

    async def _write(self, topic_id: bytes, name: str) -> None:
        value = f"{name}/{self.lives}".encode()
        now_ms = self._host.clock.wall_ms()
        batch = build_batch([Record(value, timestamp=now_ms) for _ in range(RECORDS)])
        part = PartitionProduceData(index=0, records=batch)
        request = ProduceRequest(
            acks=-1, timeout_ms=5000, topic_data=[TopicProduceData(topic_id=topic_id, partition_data=[part])]
        )
        await self._line.ask(request, PRODUCE_VERSION)

    async def _read(self, topic_id: bytes, name: str) -> None:
        part = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=FETCH_BYTES)
        request = FetchRequest(
            max_wait_ms=100,
            min_bytes=1,
            max_bytes=FETCH_BYTES,
            session_epoch=-1,
            topics=[FetchTopic(topic_id=topic_id, partitions=[part])],
        )
        answer = await self._line.ask(request, FETCH_VERSION)
        mine = f"{name}/{self.lives}"
        for topic in answer.responses:
            for partition in topic.partitions:
                data = partition.records
                data = b"".join(data) if isinstance(data, list | tuple) else bytes(data or b"")
                for offset, value in read_values(data, 0)[0]:
                    if value != mine:
                        raise BadAnswer(f"{name} has {value} at {offset}, where only {mine} was written")

    async def use_group(self, name: str) -> None:
        """
        Commit an offset in a group that has no members, delete the group, and look, over one connection.

        @raise BadAnswer: the offset of a deleted group is still there.
        """
        try:
            connection = await self._line.connection()
            await self._line.ask(FindCoordinatorRequest(key=GROUP), FIND_COORDINATOR_VERSION)
            part = OffsetCommitRequestPartition(partition_index=0, committed_offset=self.lives, committed_metadata="")
            topic = OffsetCommitRequestTopic(name=name, partitions=[part])
            commit = OffsetCommitRequest(group_id=GROUP, topics=[topic])
            committed = await connection.ask(commit, OFFSET_COMMIT_VERSION)
            deleted = await connection.ask(DeleteGroupsRequest(groups_names=[GROUP]), DELETE_GROUPS_VERSION)
            wanted = OffsetFetchRequest(
                group_id=GROUP, topics=[OffsetFetchRequestTopic(name=name, partition_indexes=[0])]
            )
            found = await connection.ask(wanted, OFFSET_FETCH_VERSION)
        except Gone:
            self._line.drop()
            return
        is_gone = not committed.topics[0].partitions[0].error_code and not deleted.results[0].error_code
        if is_gone and not found.error_code and (offset := found.topics[0].partitions[0].committed_offset) != -1:
            raise BadAnswer(f"group {GROUP} was deleted and has {offset} for {name}")
