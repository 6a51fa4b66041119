"""
The throttles of replication as the agreed settings have them: a rate a node, and which replicas it counts for (KIP-73).

They are set while the cluster runs, mostly by C{kafka-reassign-partitions --throttle}, and hold at once.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from streamline.cluster.image import MetadataImage
from streamline.cluster.settings import broker_config
from streamline.config import NodeConfig
from streamline.interfaces import Host
from streamline.replication.throttle import UNLIMITED, Throttle, is_throttled
from streamline.services.metadata import Metadata

log = Logger()

FOLLOWERS: Final = "follower.replication.throttled.replicas"
LEADERS: Final = "leader.replication.throttled.replicas"


class Throttles:
    """
    This node's.

    @ivar leader: for what it sends as a leader.
    @ivar follower: for what it copies as a follower.
    """

    def __init__(self, host: Host, config: NodeConfig, metadata: Metadata) -> None:
        self._clock = host.clock
        self._config = config
        self._metadata = metadata
        self.leader = Throttle()
        self.follower = Throttle()
        self._follow(metadata.image)
        metadata.listen(self._changed)

    def _changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if old.broker_configs is not new.broker_configs:
            self._follow(new)

    def _follow(self, image: MetadataImage) -> None:
        settings = broker_config(image, self._config.node_id, self._config.broker)
        self._limit("leader", self.leader, settings.leader_replication_throttled_rate)
        self._limit("follower", self.follower, settings.follower_replication_throttled_rate)

    def _limit(self, role: str, throttle: Throttle, rate: int) -> None:
        if rate != throttle.rate:
            throttle.limit(rate, self._clock.seconds())
            text = "no longer throttled" if rate == UNLIMITED else f"throttled to {rate} bytes a second"
            log.info("as a {role}, this node is {text} for replicas that lack something", role=role, text=text)

    def leading(self, topic: str, partition: int) -> Throttle | None:
        """Return what holds for followers that lack something of a partition led here; None where nothing does."""
        return self._of(self.leader, LEADERS, topic, partition)

    def following(self, topic: str, partition: int) -> Throttle | None:
        """Return what holds for our own copy of a partition, while it lacks something; None where nothing does."""
        return self._of(self.follower, FOLLOWERS, topic, partition)

    def _of(self, throttle: Throttle, setting: str, topic: str, partition: int) -> Throttle | None:
        if throttle.rate == UNLIMITED:
            return None
        replicas = self._metadata.image.configs.get(topic, {}).get(setting, "")
        return throttle if is_throttled(replicas, partition, self._config.node_id) else None
