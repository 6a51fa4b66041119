"""
A member of a classic consumer group: joins, assigns if it leads, proves that it lives, commits.

Some are static (KIP-345), and one that ends may say goodbye or not.  A member
reads no records: what it commits only grows, from what it fetched when it was
assigned a partition, so that a commit that is lost or goes back shows itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.errors import ErrorCode
from streamline.interfaces import Host
from streamline.model import Endpoint, TopicPartition
from streamline.testing.history import OK, Change, History
from streamline.testing.simulation.clients.connection import Gone, Line, Where, is_passing
from streamline.testing.simulation.clients.topics import find_topic_id
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.codec import encode
from streamline.wire.messages.assignment import ConsumerProtocolAssignment, ConsumerProtocolSubscription, read_embedded
from streamline.wire.messages.assignment import TopicPartition as Assigned
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.groups import (
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
    LeaveGroupRequest,
    MemberIdentity,
    SyncGroupRequest,
    SyncGroupRequestAssignment,
)
from streamline.wire.messages.offsets import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from streamline.wire.schema import Message

EMBEDDED_VERSION = 0
SESSION_TIMEOUT_MS = 6000
REBALANCE_TIMEOUT_MS = 5000
BEAT_S = 0.7
SEVERAL_GROUPS_FROM = 8
SEVERAL_KEYS_FROM = 4
TOPIC_IDS_FROM = 10
SEVERAL_LEAVE_FROM = 3
STATIC_FROM: Mapping[type[Message], int] = {
    JoinGroupRequest: 5,
    SyncGroupRequest: 3,
    HeartbeatRequest: 3,
    OffsetCommitRequest: 7,
}
"""From which version on a request has room for a static member's name."""
PROTOCOL_TYPE, PROTOCOL = "consumer", "range"

_VERSION = Struct(">h").pack


class Rejoin(Exception):
    """The member has to join again."""


class Member:
    """
    One member.

    @ivar instance: its name where it is static: whoever has it next takes its place.
    @ivar group: the group's name; C{topic} is what it reads, with its number of partitions.
    @ivar generation: the group's, as far as it knows.
    @ivar owned: the partitions that it was assigned, with the offset that it commits next.
    """

    def __init__(
        self,
        host: Host,
        where: Where,
        name: str,
        group: str,
        topic: tuple[str, int],
        history: History,
        instance: str | None = None,
    ) -> None:
        self.name = name
        self.instance = instance
        self.generation = -1
        self.owned: dict[TopicPartition, int] = {}
        self._host = host
        self._history = history
        self.group = group
        self.topic = topic
        self._topic, self._partitions = topic
        self._line = Line(host, where, name, history)
        self._versions = Versions(host.rng)
        self._member_id = ""
        self._topic_id = b""
        self._has_left = False

    def start(self) -> None:
        """Begin."""
        Deferred.fromCoroutine(self._run()).addErrback(self._troubled)

    def stop(self) -> None:
        """End, without a word to the group."""
        self._line.stop()

    def leave(self) -> None:
        """Tell the group, as far as it listens, and end."""
        if not self._member_id:
            self.stop()
            return
        self._has_left = True
        Deferred.fromCoroutine(self._say_goodbye()).addErrback(is_passing).addBoth(lambda _: self.stop())

    async def _say_goodbye(self) -> None:
        if self._versions.of(LeaveGroupRequest) >= SEVERAL_LEAVE_FROM:
            identity = MemberIdentity(member_id=self._member_id, group_instance_id=self.instance)
            await self._ask(LeaveGroupRequest(group_id=self.group, members=[identity]))
        else:
            await self._ask(LeaveGroupRequest(group_id=self.group, member_id=self._member_id))

    def _troubled(self, failure: Failure) -> None:
        if not is_passing(failure, Rejoin):
            return
        if failure.check(Gone):
            self._line.drop()
        if not self._line.stopped and not self._has_left:
            self._line.pause().addCallback(lambda _: self.start())

    async def _run(self) -> None:
        if not self._versions.known:
            await self._versions.learn(self._line)
        self._topic_id = await find_topic_id(self._line, self._versions, self._topic)
        await self._find_coordinator()
        await self._join()
        while not self._line.stopped and not self._has_left:
            await self._line.sleep(BEAT_S * (0.5 + self._host.rng.random()))
            beat = HeartbeatRequest(
                group_id=self.group,
                generation_id=self.generation,
                member_id=self._member_id,
                group_instance_id=self._instance_for(HeartbeatRequest),
            )
            self._look_at((await self._ask(beat)).error_code)
            await self._commit()

    async def _ask(self, request: Message) -> Any:
        return await self._line.ask(request, self._versions.of(type(request)))

    def _instance_for(self, request: type[Message]) -> str | None:
        return self.instance if self._versions.of(request) >= STATIC_FROM[request] else None

    def _look_at(self, error: int) -> None:
        if error == ErrorCode.FENCED_INSTANCE_ID:
            self.stop()  # another has this name by now
        if error == ErrorCode.UNKNOWN_MEMBER_ID:
            self._member_id = ""
        if error in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION, ErrorCode.REBALANCE_IN_PROGRESS):
            raise Rejoin
        if error:
            raise Gone(f"refused with {error}")

    # Joining

    async def _find_coordinator(self) -> None:
        if self._versions.of(FindCoordinatorRequest) >= SEVERAL_KEYS_FROM:
            answer = await self._ask(FindCoordinatorRequest(coordinator_keys=[self.group]))
            found = answer.coordinators[0]
        else:
            found = await self._ask(FindCoordinatorRequest(key=self.group))
        self._look_at(found.error_code)
        self._line.aim(Endpoint(found.host, found.port))

    async def _join(self) -> None:
        self.owned = {}
        subscription = encode(ConsumerProtocolSubscription(topics=[self._topic]), EMBEDDED_VERSION)
        request = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            member_id=self._member_id,
            group_instance_id=self._instance_for(JoinGroupRequest),
            protocol_type=PROTOCOL_TYPE,
            protocols=[JoinGroupRequestProtocol(name=PROTOCOL, metadata=_VERSION(EMBEDDED_VERSION) + subscription)],
        )
        joined: JoinGroupResponse = await self._ask(request)
        if joined.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self._member_id = joined.member_id
            raise Rejoin
        self._look_at(joined.error_code)
        self._member_id = joined.member_id
        self.generation = joined.generation_id
        await self._sync(self._plan(joined) if joined.leader == joined.member_id else [])

    def _plan(self, joined: JoinGroupResponse) -> list[SyncGroupRequestAssignment]:
        members = sorted(member.member_id for member in joined.members)
        partitions = list(range(self._partitions))
        return [
            SyncGroupRequestAssignment(member_id=member, assignment=self._share(partitions[first :: len(members)]))
            for first, member in enumerate(members)
        ]

    def _share(self, partitions: list[int]) -> bytes:
        share = ConsumerProtocolAssignment(assigned_partitions=[Assigned(topic=self._topic, partitions=partitions)])
        return _VERSION(EMBEDDED_VERSION) + encode(share, EMBEDDED_VERSION)

    async def _sync(self, assignments: list[SyncGroupRequestAssignment]) -> None:
        asked_at = self._host.clock.seconds()
        request = SyncGroupRequest(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self._member_id,
            group_instance_id=self._instance_for(SyncGroupRequest),
            protocol_type=PROTOCOL_TYPE,
            protocol_name=PROTOCOL,
            assignments=assignments,
        )
        synced = await self._ask(request)
        self._look_at(synced.error_code)
        mine = read_embedded(ConsumerProtocolAssignment, synced.assignment)
        keys = [TopicPartition(part.topic, index) for part in mine.assigned_partitions for index in part.partitions]
        for key in keys:
            self._note("assigned", key, self.generation, asked_at)
        await self._fetch_offsets(keys)

    def _note(self, what: str, key: TopicPartition, detail: int, asked_at: float) -> None:
        now, who = self._host.clock.seconds(), self.instance or self._member_id
        self._history.changes.append(
            Change(what, f"{self.group}/{key}", detail, asked_at, status=OK, done_at=now, who=who)
        )

    # Offsets

    async def _fetch_offsets(self, keys: list[TopicPartition]) -> None:
        if not keys:
            return
        asked_at = self._host.clock.seconds()
        version = self._versions.of(OffsetFetchRequest)
        answer = await self._ask(self._offset_fetch(version, [key.partition for key in keys]))
        found = answer.groups[0] if version >= SEVERAL_GROUPS_FROM else answer
        self._look_at(found.error_code)
        for part in (part for topic in found.topics for part in topic.partitions):
            self._look_at(part.error_code)
            key = TopicPartition(self._topic, part.partition_index)
            self._note("fetched", key, part.committed_offset, asked_at)
            self.owned[key] = max(part.committed_offset, 0)

    async def read_back(self) -> None:
        """Fetch what the group committed for every partition, as somebody who is no member."""
        keys = [TopicPartition(self._topic, index) for index in range(self._partitions)]
        while True:
            try:
                await self._versions.learn(self._line)
                self._topic_id = await find_topic_id(self._line, self._versions, self._topic)
                await self._find_coordinator()
                return await self._fetch_offsets(keys)
            except (Gone, Rejoin):
                self._line.turn()
                await self._line.pause()

    def _offset_fetch(self, version: int, partitions: list[int]) -> OffsetFetchRequest:
        if version < SEVERAL_GROUPS_FROM:
            old = OffsetFetchRequestTopic(name=self._topic, partition_indexes=partitions)
            return OffsetFetchRequest(group_id=self.group, topics=[old])
        by_id = version >= TOPIC_IDS_FROM
        topic = OffsetFetchRequestTopics(
            name="" if by_id else self._topic,
            topic_id=self._topic_id if by_id else bytes(16),
            partition_indexes=partitions,
        )
        return OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=self.group, topics=[topic])])

    async def _commit(self) -> None:
        asked_at = self._host.clock.seconds()
        offsets = {key: offset + self._host.rng.randrange(1, 5) for key, offset in self.owned.items()}
        if not offsets:
            return
        by_id = self._versions.of(OffsetCommitRequest) >= TOPIC_IDS_FROM
        topic = OffsetCommitRequestTopic(
            name="" if by_id else self._topic,
            topic_id=self._topic_id if by_id else bytes(16),
            partitions=[
                OffsetCommitRequestPartition(
                    partition_index=key.partition, committed_offset=offset, committed_metadata=""
                )
                for key, offset in offsets.items()
            ],
        )
        request = OffsetCommitRequest(
            group_id=self.group,
            generation_id_or_member_epoch=self.generation,
            member_id=self._member_id,
            group_instance_id=self._instance_for(OffsetCommitRequest),
            topics=[topic],
        )
        answer = await self._ask(request)
        for part in answer.topics[0].partitions:
            self._look_at(part.error_code)
            key = TopicPartition(self._topic, part.partition_index)
            self.owned[key] = offsets[key]
            self._note("commit", key, offsets[key], asked_at)
