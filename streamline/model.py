"""
The nouns that every floor shares.

Values only: nothing here decides, reads or writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from attrs import field

from streamline.values import frozen

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Anything that gives bytes without a copy."""


class Stretch(Protocol):
    """Bytes of a file that nobody has read yet; it stays open for them."""

    def __len__(self) -> int:
        """Return how many are left."""

    def read(self) -> bytes:
        """Return them; raises C{OSError}, also where the file has become shorter."""

    def send(self, socket: Any) -> int:
        """Give a socket as many as it takes, and return how many those were; raises C{OSError} where it takes none."""


Part: TypeAlias = Buffer | Stretch
"""A piece of what is sent."""

PlainBatch: TypeAlias = tuple[memoryview, int, int]
"""A batch that may be stored as it came, but for its place: the whole of it, its records' number and greatest time."""

NO_NODE = -1
NO_LEADER = -1
NO_EPOCH = -1
NO_OFFSET = -1
NO_TIMESTAMP = -1
NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1

ZERO_UUID = bytes(16)
"""The topic id of a topic that has none (KIP-516)."""

OFFSETS_TOPIC = "__consumer_offsets"
TRANSACTIONS_TOPIC = "__transaction_state"
INTERNAL_TOPICS = (OFFSETS_TOPIC, TRANSACTIONS_TOPIC)


class TopicPartition(NamedTuple):
    """One partition by the name of its topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@frozen
class LogIdentity:
    """
    Which partition a log on disk belongs to.

    @ivar topic_id: 16 bytes; tells a topic from an earlier one of the same name (KR30).
    """

    topic: str
    partition: int
    topic_id: bytes

    @property
    def topic_partition(self) -> TopicPartition:
        """The partition without the topic's id."""
        return TopicPartition(self.topic, self.partition)

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@frozen
class LogSlice:
    """
    Whole record batches, in order, as they lie in the log.

    @ivar parts: buffers whose concatenation is the batches; never joined without need.
    @ivar size_bytes: their length together.
    @ivar next_offset: the offset after the last record in them, or the offset asked for when there are none.
    @ivar lent: what is to be sent instead of parts, where who reads has said that it only sends.
    """

    parts: Sequence[Buffer] = ()
    size_bytes: int = 0
    next_offset: int = 0
    lent: Stretch | None = None


@frozen
class Endpoint:
    """A host and port that somebody can connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@frozen
class Controllers:
    """
    What a node tells of the quorum to those who ask where its controllers are (KIP-919).

    @ivar cluster_id: empty while there is no cluster; then the node itself is all it knows of.
    @ivar nodes: ids and the addresses of cluster listeners.
    """

    cluster_id: str
    leader_id: int
    nodes: tuple[tuple[int, Endpoint], ...]


@frozen(kw_only=True)
class Broker:
    """
    A node as the cluster's metadata knows it.

    @ivar endpoint: where clients connect.
    @ivar peer_endpoint: where the other nodes connect, or None where it has no peers.
    @ivar epoch: the index of the command that registered it (KIP-631).
    @ivar fenced: whether it may neither lead nor be in sync, because it was not heard of or has not caught up.
    @ivar shutting_down: whether it has asked to stop, and gets no more leaderships.
    @ivar incarnation_id: drawn anew by each process.
    @ivar directory_id: of its data directory; a wiped disk has another one (RF15).
    @ivar features: by name, the lowest and the highest level that it knows.
    """

    node_id: int
    endpoint: Endpoint
    rack: str | None = None
    epoch: int = 0
    fenced: bool = False
    incarnation_id: bytes = ZERO_UUID
    peer_endpoint: Endpoint | None = None
    shutting_down: bool = False
    directory_id: bytes = ZERO_UUID
    features: Mapping[str, tuple[int, int]] = field(factory=dict)

    @property
    def is_active(self) -> bool:
        """Whether it may lead partitions and be in sync (KIP-841)."""
        return not self.fenced and not self.shutting_down


@frozen(kw_only=True)
class PartitionState:
    """
    What the metadata says about one partition.

    @ivar leader: node id, or L{NO_LEADER}.
    @ivar leader_epoch: grows with each new leader (KIP-101).
    @ivar partition_epoch: grows with each change of any kind (KIP-497).
    @ivar elr: replicas that left the ISR below min.insync.replicas and may still lead (KIP-966).
    @ivar last_known_elr: replicas that had all records until they stopped without a clean end; where nobody else is
        left, a person may choose among them.
    @ivar adding: replicas on their way in by a reassignment; they are among C{replicas}.
    @ivar removing: replicas on their way out by a reassignment; they are among C{replicas}.
    @ivar is_recovering: whether the leader was elected uncleanly and has not yet said that it has come to terms with
        what is missing (KIP-704).
    """

    index: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int = 0
    partition_epoch: int = 0
    elr: tuple[int, ...] = ()
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()
    last_known_elr: tuple[int, ...] = ()
    is_recovering: bool = False

    @property
    def target(self) -> tuple[int, ...]:
        """The replicas once the reassignment in flight has ended; all of them where there is none."""
        return tuple(node for node in self.replicas if node not in self.removing)


def quorum_of(min_isr: int, replicas: Sequence[int]) -> int:
    """Return how many in-sync replicas committing takes; a partition with fewer replicas needs them all (KIP-966)."""
    return min(min_isr, len(replicas))


@frozen(kw_only=True)
class Topic:
    """A topic with its partitions, ordered by index."""

    name: str
    topic_id: bytes
    partitions: tuple[PartitionState, ...]

    @property
    def is_internal(self) -> bool:
        """Whether the topic belongs to the cluster itself."""
        return self.name in INTERNAL_TOPICS
