"""
Every setting, declared once: name, default, meaning, and what is allowed.

L{BrokerConfig} holds what Kafka calls broker settings, L{TopicConfig} what a
topic can override, L{NodeConfig} how one node is run; L{streamline.settings}
says what a setting is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from attrs import field, fields, frozen

from streamline.model import Endpoint
from streamline.settings import at_least, between, list_of, one_of, replica_list, setting, settings_of, typed_changes

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BALANCED = "balanced"
"""The one strategy of unclean recovery that elects anybody (KIP-966)."""


@frozen(kw_only=True, unsafe_hash=True, cache_hash=True)
class BrokerConfig:
    """What a broker does, under Kafka's names, set in the C{[broker]} table of the configuration file."""

    # Topics
    auto_create_topics_enable: bool = setting(True, "Make a topic when it is first asked for.")
    num_partitions: int = setting(1, "Partitions of a new topic.", at_least(1))
    default_replication_factor: int = setting(1, "Replicas of a new topic.", between(1, 32767))
    min_insync_replicas: int = setting(1, "In-sync replicas that acks=all needs.", at_least(1))
    delete_topic_enable: bool = setting(True, "Let topics be deleted.")
    unclean_leader_election_enable: bool = setting(
        False, "Whether a replica that may lack records can be elected where no other is left."
    )
    unclean_recovery_strategy: str = setting(
        BALANCED, "What happens where all that had everything have lost power: 'balanced' elects the best of them once "
        "they are back, 'none' leaves that to a person.", one_of(BALANCED, "none"),
    )
    unclean_recovery_timeout_ms: int = setting(
        300_000, "How long such an election waits for replicas that had fallen behind before.", at_least(0)
    )
    compression_type: str = setting(
        "producer", "The codec that batches are stored in; 'producer' keeps what was sent.",
        one_of("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
    )
    message_max_bytes: int = setting(1_048_588, "The largest record batch that is accepted.", at_least(0))

    # Logs
    log_cleanup_policy: str = setting(
        "delete", "What becomes of old records: 'delete', 'compact' or both.", list_of("delete", "compact")
    )
    log_cleaner_delete_retention_ms: int = setting(DAY_MS, "How long a compacted log keeps tombstones.", at_least(0))
    log_cleaner_min_cleanable_ratio: float = setting(
        0.5, "Share of uncompacted bytes from which a log is worth compacting.", between(0, 1)
    )
    log_cleaner_min_compaction_lag_ms: int = setting(0, "Youngest age at which a record may be compacted.", at_least(0))
    log_cleaner_max_compaction_lag_ms: int = setting(
        INT64_MAX, "Oldest age that a record may reach uncompacted.", at_least(1)
    )
    log_flush_interval_messages: int = setting(
        INT64_MAX, "Records after which a log is synced to the device; 1 syncs before each produce is acknowledged.",
        at_least(1),
    )
    log_flush_interval_ms: int = setting(INT64_MAX, "Longest time that records stay unsynced.", at_least(0))
    log_flush_offset_checkpoint_interval_ms: int = setting(
        60_000, "How often recovery points are noted; what is rescanned after a crash lies behind them.", at_least(1)
    )
    log_index_interval_bytes: int = setting(
        4096, "Bytes of batches between two entries of the offset index.", at_least(0)
    )
    log_index_size_max_bytes: int = setting(10 * 1024 * 1024, "Largest size of an index file.", at_least(4))
    log_message_timestamp_type: str = setting(
        "CreateTime", "Whether records keep the producer's time or get the broker's.",
        one_of("CreateTime", "LogAppendTime"),
    )
    log_message_timestamp_before_max_ms: int = setting(
        INT64_MAX, "How far a record's time may lie before the broker's.", at_least(0)
    )
    log_message_timestamp_after_max_ms: int = setting(
        HOUR_MS, "How far a record's time may lie after the broker's.", at_least(0)
    )
    log_preallocate: bool = setting(False, "Whether a new segment's space is reserved at once.")
    log_retention_bytes: int = setting(
        -1, "Bytes from which a log's oldest segments are dropped; -1 for no limit.", at_least(-1)
    )
    log_retention_check_interval_ms: int = setting(300_000, "How often retention is looked at.", at_least(1))
    log_retention_ms: int = setting(7 * DAY_MS, "Age from which segments are dropped; -1 for never.", at_least(-1))
    log_roll_jitter_ms: int = setting(
        0, "Most by which a new segment begins earlier, by chance, so that logs do not roll together.", at_least(0)
    )
    log_roll_ms: int = setting(7 * DAY_MS, "Age after which a new segment begins.", at_least(1))
    log_segment_bytes: int = setting(
        2**30, "Bytes after which a new segment begins.", between(1024 * 1024, INT32_MAX)
    )
    log_segment_delete_delay_ms: int = setting(
        60_000, "How long a dropped segment's file stays before it is removed.", at_least(0)
    )
    log_space_reserve_bytes: int = setting(
        2**30, "Free bytes below which records are refused, so that what is stored stays usable.", at_least(0)
    )
    producer_id_expiration_ms: int = setting(
        DAY_MS, "How long a silent producer's sequence numbers are remembered.", at_least(1)
    )

    # Brokers and leaders
    broker_session_timeout_ms: int = setting(
        3000, "Silence after which the controller takes a broker for gone; Kafka's default is 9000.", at_least(100)
    )
    broker_heartbeat_interval_ms: int = setting(
        500, "How often a broker tells the controller that it lives; Kafka's default is 2000.", at_least(10)
    )
    controlled_shutdown_enable: bool = setting(True, "Have others lead before this node stops.")
    auto_leader_rebalance_enable: bool = setting(True, "Give partitions back to their preferred leaders.")
    leader_imbalance_check_interval_seconds: int = setting(300, "How often the controller looks at that.", at_least(1))

    # Replicas
    replica_lag_time_max_ms: int = setting(
        30_000, "How long a follower may lack something before it leaves the ISR.", at_least(1)
    )
    replica_fetch_wait_max_ms: int = setting(
        2000, "Longest wait of a follower's fetch for records; Kafka's default is 500.", at_least(1)
    )
    replica_fetch_max_bytes: int = setting(1024 * 1024, "Bytes of one partition that a follower asks for.", at_least(1))
    replica_fetch_response_max_bytes: int = setting(
        10 * 1024 * 1024, "Bytes that a follower asks for at once.", at_least(1)
    )
    leader_replication_throttled_rate: int = setting(
        INT64_MAX, "Bytes a second that a node sends of replicas that lack something and that their topics name.",
        at_least(1),
    )
    follower_replication_throttled_rate: int = setting(
        INT64_MAX, "Bytes a second that a node copies of its replicas that lack something and that their topics name.",
        at_least(1),
    )

    # Groups and offsets
    group_initial_rebalance_delay_ms: int = setting(
        3000, "How long an empty group waits for more members before its first assignment.", at_least(0)
    )
    group_max_session_timeout_ms: int = setting(1_800_000, "Longest session time-out of a member.", at_least(1))
    group_min_session_timeout_ms: int = setting(6000, "Shortest session time-out of a member.", at_least(1))
    group_max_size: int = setting(INT32_MAX, "Most members of a group.", at_least(1))
    offset_metadata_max_bytes: int = setting(4096, "Longest metadata of a committed offset.", at_least(0))
    offsets_retention_minutes: int = setting(7 * 24 * 60, "How long an empty group's offsets are kept.", at_least(1))
    offsets_retention_check_interval_ms: int = setting(600_000, "How often that is looked at.", at_least(1))
    offsets_topic_num_partitions: int = setting(50, "Partitions of __consumer_offsets.", at_least(1))
    offsets_topic_replication_factor: int = setting(
        3, "Replicas of __consumer_offsets, where there are so many nodes.", at_least(1)
    )
    offsets_topic_segment_bytes: int = setting(100 * 1024 * 1024, "Segment size of __consumer_offsets.", at_least(1))
    offsets_commit_timeout_ms: int = setting(5000, "Longest wait for a commit to be replicated.", at_least(1))

    # Connections
    connections_max_idle_ms: int = setting(600_000, "Silence after which a connection is closed.", at_least(1))
    max_connections: int = setting(
        20_000, "Most connections of the listener; never more than 80 % of the open files allowed.", at_least(1)
    )
    max_connections_per_ip: int = setting(2000, "Most connections from one address.", at_least(1))
    max_connection_creation_rate: int = setting(500, "Most new connections a second.", at_least(1))
    socket_request_max_bytes: int = setting(
        100 * 1024 * 1024, "Largest Produce request; any other is limited to a hundredth.", at_least(1024)
    )
    socket_send_buffer_bytes: int = setting(
        102_400, "What the system keeps of an answer that a client has not taken yet; -1: as much as it likes.",
        at_least(-1),
    )  # fmt: skip
    fetch_max_bytes: int = setting(55 * 1024 * 1024, "Largest answer to a Fetch.", at_least(1024))
    max_incremental_fetch_session_cache_slots: int = setting(1000, "Most fetch sessions kept.", at_least(0))
    max_request_partition_size_limit: int = setting(
        2000, "Most partitions in one DescribeTopicPartitions answer.", at_least(1)
    )


def overriding(name: str) -> Any:
    """Declare a topic's setting; default, meaning and bounds are those of the broker's setting of this name."""
    broker = settings_of(BrokerConfig)[name]
    return field(default=broker.default, validator=broker.validator, metadata={**broker.metadata, "synonym": name})


@frozen(kw_only=True)
class TopicConfig:
    """What one topic's logs do, its overrides laid over the broker's settings; those without a synonym are its own."""

    cleanup_policy: str = overriding("log.cleanup.policy")
    compression_type: str = overriding("compression.type")
    delete_retention_ms: int = overriding("log.cleaner.delete.retention.ms")
    file_delete_delay_ms: int = overriding("log.segment.delete.delay.ms")
    flush_messages: int = overriding("log.flush.interval.messages")
    flush_ms: int = overriding("log.flush.interval.ms")
    index_interval_bytes: int = overriding("log.index.interval.bytes")
    max_message_bytes: int = overriding("message.max.bytes")
    message_timestamp_type: str = overriding("log.message.timestamp.type")
    message_timestamp_before_max_ms: int = overriding("log.message.timestamp.before.max.ms")
    message_timestamp_after_max_ms: int = overriding("log.message.timestamp.after.max.ms")
    min_cleanable_dirty_ratio: float = overriding("log.cleaner.min.cleanable.ratio")
    min_compaction_lag_ms: int = overriding("log.cleaner.min.compaction.lag.ms")
    max_compaction_lag_ms: int = overriding("log.cleaner.max.compaction.lag.ms")
    min_insync_replicas: int = overriding("min.insync.replicas")
    preallocate: bool = overriding("log.preallocate")
    retention_bytes: int = overriding("log.retention.bytes")
    retention_ms: int = overriding("log.retention.ms")
    segment_bytes: int = overriding("log.segment.bytes")
    segment_index_bytes: int = overriding("log.index.size.max.bytes")
    segment_jitter_ms: int = overriding("log.roll.jitter.ms")
    segment_ms: int = overriding("log.roll.ms")
    unclean_leader_election_enable: bool = overriding("unclean.leader.election.enable")
    unclean_recovery_strategy: str = overriding("unclean.recovery.strategy")
    leader_replication_throttled_replicas: str = setting(
        "", "Replicas (partition:node, or '*') whose leaders send them under leader.replication.throttled.rate.",
        replica_list,
    )
    follower_replication_throttled_replicas: str = setting(
        "", "Replicas (partition:node, or '*') that copy under follower.replication.throttled.rate.", replica_list
    )

    @property
    def compacts(self) -> bool:
        """Whether records are kept by key."""
        return "compact" in self.cleanup_policy

    @property
    def deletes(self) -> bool:
        """Whether old segments are dropped."""
        return "delete" in self.cleanup_policy


_SYNONYMS: Final = tuple(
    (attribute.name, attribute.metadata["synonym"].replace(".", "_"))
    for attribute in fields(TopicConfig)
    if "synonym" in attribute.metadata
)
"""A topic's settings, and where a broker has each; those that only topics have are left out."""


KEPT_MAX: Final = 128
"""How many of those that were laid over each other last are kept in mind: what is changed was looked at just before."""


def topic_config(broker: BrokerConfig, overrides: Mapping[str, str]) -> TopicConfig:
    """
    Lay a topic's overrides over the broker's settings.

    @raise ValueError: as L{make}.
    """
    return _laid_over(broker, tuple(sorted(overrides.items())))


@lru_cache(KEPT_MAX)
def _laid_over(broker: BrokerConfig, overrides: tuple[tuple[str, str], ...]) -> TopicConfig:
    settings = {name: getattr(broker, synonym) for name, synonym in _SYNONYMS}
    settings.update(typed_changes(TopicConfig, dict(overrides)))
    return TopicConfig(**settings)  # once: each one that is made looks at every value


@frozen(kw_only=True)
class NodeConfig:
    """
    How one node is run: its options, each also a key of the configuration file and an environment variable.

    Endpoints are Twisted endpoint strings; C{None} for one that is derived from the Kafka listener.
    Plugins are chosen as C{name} or C{name:key=value:key=value}.
    """

    node_id: int = setting(1, "this node's id, unique in the cluster, kept in the data directory", at_least(0))
    listen: str = setting("tcp:9092:interface=127.0.0.1", "endpoint for Kafka clients")
    cluster_listen: str | None = setting(None, "endpoint for the other nodes; default: the Kafka port + 1")
    http_listen: str | None = setting(None, "endpoint for health and metrics; default: the Kafka port + 2")
    advertised_addr: Endpoint | None = setting(None, "host:port that clients are told; default: where we listen")
    advertised_cluster_addr: Endpoint | None = setting(None, "host:port that other nodes are told")
    seed_nodes: tuple[Endpoint, ...] = setting((), "Kafka addresses (host:port) of other nodes")
    max_voters: int = setting(5, "how many nodes agree on metadata; further ones only follow", at_least(1))
    data_dir: str = setting("./streamline-data", "directory of everything that must survive")
    storage: str = setting("segments", "plugin: where partitions' bytes live")
    consensus: str = setting("raft", "plugin: how metadata is agreed")
    replicator: str = setting("isr", "plugin: how partitions are copied")
    acks: str = setting("kafka", "plugin: when a produce is answered")
    placement: str = setting("rack_spread", "plugin: which nodes get a new partition's replicas")
    authorizer: str = setting("none", "plugin: who may do what; this release has none, and refuses any")
    rack: str | None = setting(None, "rack of this node")
    reads: str = setting("rack", "plugin: which replica serves a consumer that says in which rack it is")
    produce_forwarding: str = setting(
        "auto",
        "what a non-leader does with Produce: auto passes it on to the leader where the request is too old to be told "
        "who leads (below version 10), always and never do so whatever the version",
        one_of("auto", "always", "never"),
    )
    broker: BrokerConfig = field(factory=BrokerConfig)
