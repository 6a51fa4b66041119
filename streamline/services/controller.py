"""
Carries out what clients ask of the cluster as a whole: topics.

It asks C{cluster/planning} what to do, has the commands agreed on, and waits
until they are done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from streamline.cluster.commands import CreateTopic, DeleteTopic
from streamline.cluster.image import MetadataImage
from streamline.cluster.planning import NewTopic, plan_topic
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IPlacement
from streamline.model import ZERO_UUID, Topic
from streamline.services.controllership import Controllership
from streamline.services.metadata import Metadata
from streamline.services.sharing import Shared


class Controller:
    """Plans, proposes, and tells when it is done."""

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        placement: IPlacement,
        controllership: Controllership,
    ) -> None:
        self._rng = host.rng
        self._config = config
        self._metadata = metadata
        self._placement = placement
        self._controllership = controllership
        self._creating: dict[str, Shared[Topic]] = {}

    def plan(self, wanted: NewTopic) -> CreateTopic:
        """
        Decide how a topic would be made, without making it (validate-only).

        @raise Refused: it cannot be made.
        """
        return self._plan(self._metadata.image, wanted)

    def _plan(self, image: MetadataImage, wanted: NewTopic) -> CreateTopic:
        nodes = max(1, len(image.brokers))
        return plan_topic(
            image,
            wanted,
            self._config.broker,
            self._placement,
            self._new_topic_id(),
            self._rng.randrange(0, nodes),
        )

    def create_topic(self, wanted: NewTopic) -> Deferred[Topic]:
        """
        Make a topic.

        @raise Refused: through the Deferred: it cannot be made.
        """
        decided = self._controllership.decide(lambda image: [self._plan(image, wanted)])
        return decided.addCallback(_only)

    def ensure_topic(
        self, name: str, partitions: int, factor: int, configs: Mapping[str, str | None]
    ) -> Deferred[Topic]:
        """Fire with the topic of this name, making it if need be; calls for one name share one making."""
        known = self._metadata.image.topics.get(name)
        if known is not None:
            return succeed(known)
        making = self._creating.get(name)
        if making is not None:
            return making.wait()
        wanted = NewTopic(name=name, partitions=partitions, replication_factor=factor, configs=configs)
        made = self.create_topic(wanted)
        self._creating[name] = making = Shared()
        waiting = making.wait()
        made.addBoth(self._made, name)
        making.follow(made)
        return waiting

    def delete_topic(self, topic: Topic) -> Deferred[Topic]:
        """Delete a topic with all its records."""
        command = DeleteTopic(topic_id=topic.topic_id)

        def plan(image: MetadataImage) -> Sequence[DeleteTopic]:
            if topic.topic_id not in image.names:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, f"topic '{topic.name}' is gone")
            return [command]

        return self._controllership.decide(plan).addCallback(_only)

    def _made(self, result: object, name: str) -> object:
        del self._creating[name]
        return result

    def _new_topic_id(self) -> bytes:
        while True:
            drawn = bytearray(self._rng.randbytes(16))
            drawn[6] = drawn[6] & 0x0F | 0x40
            drawn[8] = drawn[8] & 0x3F | 0x80
            topic_id = bytes(drawn)
            # Kafka's tools print ids in base64 and take a leading '-' for an option.
            if topic_id != ZERO_UUID and topic_id not in self._metadata.image.names and topic_id[0] >> 2 != 62:
                return topic_id


def _only(results: Sequence[Any]) -> Any:
    (result,) = results
    return result
