"""A coordinator of one partition of groups, and somebody who asks it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.groups.messages import Join, JoinAnswer, Protocol, Sync, SyncAnswer
from streamline.groups.offsets import Commit, NewOffset
from streamline.model import TopicPartition
from streamline.services.shards import LedShard, Reply
from tests.services.rooms import Rooms

GROUP = "readers"
T0 = TopicPartition("t", 0)


class CoordinatorCase(SynchronousTestCase):
    """A node that coordinates the groups of one partition."""

    def setUp(self) -> None:
        """Start it."""
        self.it = Rooms(group_initial_rebalance_delay_ms=0)
        self.addCleanup(self.it.close)
        self.assertEqual(self.successResultOf(self.it.groups.locate(GROUP)), 1)

    @property
    def shard(self) -> LedShard:
        """The one shard."""
        return self.it.groups.shard(GROUP)

    def refusal(self) -> ErrorCode:
        """Return why the shard cannot be asked."""
        with self.assertRaises(Refused) as caught:
            self.it.groups.shard(GROUP)
        code: ErrorCode = caught.exception.code
        return code

    def commit(self, offset: int, partition: TopicPartition = T0) -> list[tuple[ErrorCode, ...]]:
        """Commit; return a list that gets the errors when there is an answer."""
        new = NewOffset(partition=partition, offset=offset)
        reply = self.shard.commit(Commit(group_id=GROUP, offsets=(new,)))
        told: list[tuple[ErrorCode, ...]] = []
        reply.then(told.append)
        return told

    def found(self, partition: TopicPartition = T0) -> int | None:
        """Return what is committed."""
        committed = self.shard.groups.find_offset(GROUP, partition)
        return None if committed is None else committed.offset

    def join(self, member_id: str = "", **fields: Any) -> list[JoinAnswer]:
        """Join; return a list that gets the answer."""
        reply: Reply[JoinAnswer] = Reply()
        settled: dict[str, Any] = {
            "token": reply,
            "group_id": GROUP,
            "member_id": member_id,
            "member_id_suffix": self.it.groups.new_member_suffix(),
            "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 10_000,
            "protocol_type": "consumer",
            "protocols": (Protocol("range", b""),),
            "requires_known_member_id": False,
        } | fields
        told: list[JoinAnswer] = []
        self.shard.join(Join(**settled), reply).then(told.append)
        self.it.clock.advance(0.02)
        return told

    def sync(self, member_id: str, generation_id: int = 1) -> list[SyncAnswer]:
        """Sync, assigning everything to oneself; return a list that gets the answer."""
        reply: Reply[SyncAnswer] = Reply()
        request = Sync(
            token=reply,
            group_id=GROUP,
            member_id=member_id,
            generation_id=generation_id,
            assignments={member_id: b"all"},
        )
        told: list[SyncAnswer] = []
        self.shard.sync(request, reply).then(told.append)
        return told
