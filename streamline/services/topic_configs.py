"""The settings of topics as they are now, made once for all partitions that have the same ones."""

from __future__ import annotations

from collections.abc import Mapping

from streamline.cluster.image import MetadataImage
from streamline.cluster.settings import broker_config
from streamline.config import BrokerConfig, TopicConfig, topic_config

KEPT_MAX = 1000
"""How many different ones are kept in mind."""


class TopicConfigs:
    """
    Lays topics' overrides over a node's own settings, as those are in an image.

    @param own: what the node was started with.
    """

    def __init__(self, node_id: int, own: BrokerConfig) -> None:
        self._node_id = node_id
        self._own = self._base = own
        self._changed: Mapping[str, Mapping[str, str]] = {}
        self._known: dict[tuple[tuple[str, str], ...], TopicConfig] = {}

    def of(self, image: MetadataImage, topic: str) -> TopicConfig:
        """Return a topic's settings."""
        if image.broker_configs is not self._changed:
            self._changed = image.broker_configs
            self._base = broker_config(image, self._node_id, self._own)
            self._known.clear()
        overrides = image.configs.get(topic, {})
        key = tuple(sorted(overrides.items()))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KEPT_MAX:
                self._known.clear()
            known = self._known[key] = topic_config(self._base, overrides)
        return known
