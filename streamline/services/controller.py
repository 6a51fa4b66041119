"""
Carries out what clients ask of the cluster as a whole: topics.

It asks C{cluster/planning} what to do, has the commands agreed on, and waits
until they are done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from streamline.cluster.commands import Command, DeleteTopic
from streamline.cluster.image import MetadataImage
from streamline.cluster.planning import NewTopic, plan_partitions, plan_topic
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IPlacement
from streamline.model import ZERO_UUID, Topic
from streamline.services.controllership import Controllership, Plan
from streamline.services.creating import check_creation, creation_of
from streamline.services.forwarding import PATIENCE_S, Forwarding
from streamline.services.metadata import Metadata
from streamline.services.sharing import Shared

_SEEN_LATER = (ErrorCode.TOPIC_ALREADY_EXISTS, ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT)
"""Refusals after which a topic may be there all the same: somebody else has made it, or an answer was lost."""


class Controller:
    """Plans, proposes, and tells when it is done."""

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        placement: IPlacement,
        controllership: Controllership,
        forwarding: Forwarding,
    ) -> None:
        self._rng = host.rng
        self._config = config
        self._metadata = metadata
        self._placement = placement
        self._controllership = controllership
        self._forwarding = forwarding
        self._creating: dict[str, Shared[Topic]] = {}

    def new_topic(self, wanted: NewTopic) -> Plan:
        """Return what makes a topic."""
        topic_id = self._new_topic_id()
        first = self._draw_node()

        def plan(image: MetadataImage) -> list[Command]:
            return [plan_topic(image, wanted, self._config.broker, self._placement, topic_id, first)]

        return plan

    def more_partitions(self, name: str, count: int, assignments: Sequence[Sequence[int]] | None) -> Plan:
        """Return what gives a topic more partitions, C{count} altogether, placed here or by the client."""
        first = self._draw_node()

        def plan(image: MetadataImage) -> list[Command]:
            return [plan_partitions(image, name, count, assignments, self._placement, first)]

        return plan

    def create_topic(self, wanted: NewTopic) -> Deferred[Topic]:
        """
        Make a topic, where this node is the controller.

        @raise Refused: through the Deferred: it cannot be made.
        """
        return self._controllership.decide_for_client(self.new_topic(wanted)).addCallback(_only)

    def ensure_topic(
        self, name: str, partitions: int, factor: int, configs: Mapping[str, str | None]
    ) -> Deferred[Topic]:
        """
        Fire with the topic of this name, having the controller make it if need be; calls for one name share one making.

        @raise Refused: through the Deferred: it cannot be made; LEADER_NOT_AVAILABLE where that may be better soon.
        """
        known = self._metadata.image.topics.get(name)
        if known is not None:
            return succeed(known)
        making = self._creating.get(name)
        if making is not None:
            return making.wait()
        wanted = NewTopic(name=name, partitions=partitions, replication_factor=factor, configs=configs)
        made = Deferred.fromCoroutine(self._make(wanted))
        self._creating[name] = making = Shared()
        waiting = making.wait()
        made.addBoth(self._made, name)
        making.follow(made)
        return waiting

    async def _make(self, wanted: NewTopic) -> Topic:
        envelope = creation_of(wanted, self._config.node_id)
        errand = self._forwarding.take(envelope, lambda: self.create_topic(wanted), PATIENCE_S)
        try:
            made = await errand.answer
            if isinstance(made, Topic):
                return made
            check_creation(made)
        except Refused as refusal:
            if refusal.code not in _SEEN_LATER:
                raise
        await self._forwarding.caught_up()
        known = self._metadata.image.topics.get(wanted.name)
        if known is None:
            raise Refused(ErrorCode.LEADER_NOT_AVAILABLE, f"topic '{wanted.name}' is being made")
        return known

    def delete_topic(self, find: Callable[[MetadataImage], Topic]) -> Deferred[Topic]:
        """
        Delete a topic with all its records, where this node is the controller.

        @param find: says which one; what it raises is why there is none.
        @raise Refused: through the Deferred: it cannot be deleted.
        """
        deleted = self._controllership.decide_for_client(lambda image: [DeleteTopic(topic_id=find(image).topic_id)])
        return deleted.addCallback(_only)

    def _made(self, result: object, name: str) -> object:
        del self._creating[name]
        return result

    def _draw_node(self) -> int:
        """Draw with which node placing begins."""
        return self._rng.randrange(0, max(1, len(self._metadata.image.brokers)))

    def _new_topic_id(self) -> bytes:
        while True:
            drawn = bytearray(self._rng.randbytes(16))
            drawn[6] = drawn[6] & 0x0F | 0x40
            drawn[8] = drawn[8] & 0x3F | 0x80
            topic_id = bytes(drawn)
            # Kafka's tools print ids in base64 and take a leading '-' for an option.
            if topic_id != ZERO_UUID and topic_id not in self._metadata.image.names and topic_id[0] >> 2 != 62:
                return topic_id


def _only(results: list[Any]) -> Any:
    (result,) = results
    return result
