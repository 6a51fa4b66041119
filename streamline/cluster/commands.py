"""
The commands that metadata is made of, and how each lies in the agreed log.

A command says what changes, decided and complete: ids, placements and names are
chosen before it is proposed, so that applying it is the same on every node.
On disk a command is its kind (int16), its version (int16) and its body, declared
like any message; kinds and fields are only ever added.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Sequence
from typing import Final

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.wire.codec import decode, encode
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    UUID,
)

_KIND = binary.Struct(">hh")


@message(key=1, versions="0", flexible="0+")
class FoundCluster(Message):
    """The first command of all: the cluster has an id from now on."""

    cluster_id: str = wire(STRING)


@message(key=2, versions="0", flexible="0+")
class RegisterBroker(Message):
    """A node is there, under this incarnation; its broker epoch is the index of this command (KIP-631)."""

    node_id: int = wire(INT32)
    incarnation_id: bytes = wire(UUID)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)
    fenced: bool = wire(BOOLEAN)


@struct
class PartitionPlacement:
    """A new partition: its replicas, the preferred leader first."""

    index: int = wire(INT32)
    replicas: Sequence[int] = wire(ARRAY(INT32))


@struct
class ConfigEntry:
    """A setting under Kafka's name."""

    name: str = wire(STRING)
    value: str = wire(STRING)


@message(key=3, versions="0", flexible="0+")
class CreateTopic(Message):
    """A topic is there from now on; every replica is in sync, because every log is empty."""

    name: str = wire(STRING)
    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionPlacement] = wire(ARRAY(PartitionPlacement))
    configs: Sequence[ConfigEntry] = wire(ARRAY(ConfigEntry))


@message(key=4, versions="0", flexible="0+")
class DeleteTopic(Message):
    """The topic with this id is gone."""

    topic_id: bytes = wire(UUID)


@message(key=5, versions="0", flexible="0+")
class AllocateProducerIds(Message):
    """A node takes the next block of producer ids; applying it returns the first (KIP-730)."""

    node_id: int = wire(INT32)
    count: int = wire(INT32)


@struct
class PartitionChange:
    """What a partition is from now on; the whole of it, not the difference."""

    index: int = wire(INT32)
    replicas: Sequence[int] = wire(ARRAY(INT32))
    isr: Sequence[int] = wire(ARRAY(INT32))
    leader: int = wire(INT32)
    leader_epoch: int = wire(INT32)
    partition_epoch: int = wire(INT32)


@message(key=6, versions="0", flexible="0+")
class ChangePartitions(Message):
    """Partitions of one topic have new leaders or in-sync replicas."""

    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionChange] = wire(ARRAY(PartitionChange))


@struct
class BrokerImage:
    """A broker in a snapshot."""

    node_id: int = wire(INT32)
    incarnation_id: bytes = wire(UUID)
    epoch: int = wire(INT64)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)
    fenced: bool = wire(BOOLEAN)


@struct
class TopicImage:
    """A topic in a snapshot."""

    name: str = wire(STRING)
    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionChange] = wire(ARRAY(PartitionChange))
    configs: Sequence[ConfigEntry] = wire(ARRAY(ConfigEntry))


@message(key=7, versions="0", flexible="0+")
class ImageSnapshot(Message):
    """Everything that the commands up to C{index} made."""

    index: int = wire(INT64)
    cluster_id: str = wire(STRING)
    next_producer_id: int = wire(INT64)
    brokers: Sequence[BrokerImage] = wire(ARRAY(BrokerImage))
    topics: Sequence[TopicImage] = wire(ARRAY(TopicImage))


Command = FoundCluster | RegisterBroker | CreateTopic | DeleteTopic | AllocateProducerIds | ChangePartitions

_KINDS: Final[dict[int, type[Message]]] = {
    kind.KEY: kind
    for kind in (
        FoundCluster,
        RegisterBroker,
        CreateTopic,
        DeleteTopic,
        AllocateProducerIds,
        ChangePartitions,
        ImageSnapshot,
    )
}


def dump(command: Message) -> bytes:
    """Return a command (or a snapshot) as it is agreed on and stored."""
    version = command.VERSIONS[1]
    return _KIND.pack(command.KEY, version) + encode(command, version)


def load(data: Buffer) -> Message:
    """
    Return the command that L{dump} wrote.

    @raise ProtocolError: it is none that this release knows.
    """
    if len(data) < _KIND.size:
        raise ProtocolError("a metadata command is cut short")
    kind, version = _KIND.unpack_from(data)
    known = _KINDS.get(kind)
    if known is None or not known.VERSIONS[0] <= version <= known.VERSIONS[1]:
        raise ProtocolError(f"metadata command {kind} version {version} is of a later release")
    return decode(known, version, memoryview(data)[_KIND.size :])
