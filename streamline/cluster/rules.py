"""
What the agreed settings say about a topic's partitions.

Only what is agreed on counts, the topic's own setting before that of the whole
cluster: what commits a record and who may lead without it must be the same for
every leader and every controller, whatever is in a node's own file.  So what the
founding nodes are configured with is agreed on with the founding (as Kafka does
since KIP-966).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from streamline.cluster.commands import BROKER_CONFIGS, CLUSTER_WIDE, ChangeConfigs, ConfigChange
from streamline.config import BALANCED, BrokerConfig, TopicConfig
from streamline.settings import default_of, format_value, parse_value, settings_of

if TYPE_CHECKING:
    from streamline.cluster.image import MetadataImage

MIN_ISR = "min.insync.replicas"
UNCLEAN = "unclean.leader.election.enable"
RECOVERY = "unclean.recovery.strategy"
_SETTINGS = settings_of(TopicConfig)


@frozen
class Rules:
    """
    How one topic's partitions are to be led.

    @ivar min_isr: in-sync replicas that acks=all needs; a partition with fewer replicas needs them all.
    @ivar unclean: whether a replica that may lack records may be elected where no other is left.
    """

    min_isr: int
    unclean: bool


def rules_of(image: MetadataImage, topic: str) -> Rules:
    """Return the rules for a topic."""
    return Rules(int(_setting(image, topic, MIN_ISR)), bool(_setting(image, topic, UNCLEAN)))


def recovers(image: MetadataImage, topic: str) -> bool:
    """Say whether the best of those that are left is elected after all who had everything have lost power."""
    return bool(_setting(image, topic, RECOVERY) == BALANCED)


def _setting(image: MetadataImage, topic: str, name: str) -> Any:
    for configs in (image.configs.get(topic), image.broker_configs.get(CLUSTER_WIDE)):
        if configs is not None and name in configs:
            return parse_value(_SETTINGS[name], configs[name])
    return default_of(_SETTINGS[name])


def founding_rules(config: BrokerConfig) -> ChangeConfigs:
    """Return the command that makes what a node is configured with the rule for the whole cluster."""
    given = (
        (MIN_ISR, config.min_insync_replicas),
        (UNCLEAN, config.unclean_leader_election_enable),
        (RECOVERY, config.unclean_recovery_strategy),
    )
    return ChangeConfigs(
        resource_type=BROKER_CONFIGS,
        resource_name=CLUSTER_WIDE,
        changes=[ConfigChange(name=name, value=format_value(value)) for name, value in given],
    )
