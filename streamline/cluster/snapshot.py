"""
Snapshots: an image as a run of records that build it again.

A snapshot begins with four bytes that tell it from anything else, and goes on
with records, each its length (uint32), kind, version and body.  The first says
which index the image is at, the last how many records there were, so one that
is cut short is never taken for a smaller cluster.  Records come one at a time,
from an image that nobody changes, so writing a large one can be done in pieces.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from streamline.cluster.commands import (
    ConfigEntry,
    FeatureLevel,
    PartitionChange,
    SupportedFeature,
    dump,
    kinds_of,
    load,
)
from streamline.cluster.image import MetadataImage, change_to, state_of
from streamline.errors import ProtocolError
from streamline.model import Broker, Buffer, Endpoint, Topic
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT32, INT64, NULLABLE_STRING, STRING, UUID

MAGIC = b"SLM2"
CHUNK_BYTES = 64 * 1024
_LENGTH = binary.Struct(">I")


@message(key=100, versions="0", flexible="0+")
class SnapshotHead(Message):
    """What there is one of."""

    index: int = wire(INT64)
    cluster_id: str = wire(STRING)
    next_producer_id: int = wire(INT64)
    features: Sequence[FeatureLevel] = wire(ARRAY(FeatureLevel))


@message(key=101, versions="0", flexible="0+")
class SnapshotBroker(Message):
    """A broker."""

    node_id: int = wire(INT32)
    incarnation_id: bytes = wire(UUID)
    epoch: int = wire(INT64)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)
    fenced: bool = wire(BOOLEAN)
    shutting_down: bool = wire(BOOLEAN)
    directory_id: bytes = wire(UUID)
    peer_host: str | None = wire(NULLABLE_STRING, default=None)
    peer_port: int = wire(INT32)
    features: Sequence[SupportedFeature] = wire(ARRAY(SupportedFeature))


@message(key=102, versions="1", flexible="0+")
class SnapshotTopic(Message):
    """A topic, its partitions as commands of its version have them; version 0 stands in L{ImageSnapshot} only."""

    name: str = wire(STRING)
    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionChange] = wire(ARRAY(PartitionChange))
    configs: Sequence[ConfigEntry] = wire(ARRAY(ConfigEntry))


@message(key=103, versions="0", flexible="0+")
class SnapshotBrokerConfigs(Message):
    """The settings of one broker, or of all."""

    name: str = wire(STRING)
    configs: Sequence[ConfigEntry] = wire(ARRAY(ConfigEntry))


@message(key=104, versions="0", flexible="0+")
class SnapshotEnd(Message):
    """Nothing follows."""

    records: int = wire(INT32)


# What the first release wrote: all in one message


@struct
class BrokerImage:
    """A broker."""

    node_id: int = wire(INT32)
    incarnation_id: bytes = wire(UUID)
    epoch: int = wire(INT64)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)
    fenced: bool = wire(BOOLEAN)


@message(key=7, versions="0", flexible="0+")
class ImageSnapshot(Message):
    """Everything that the commands up to C{index} made; read, and no longer written."""

    index: int = wire(INT64)
    cluster_id: str = wire(STRING)
    next_producer_id: int = wire(INT64)
    brokers: Sequence[BrokerImage] = wire(ARRAY(BrokerImage))
    topics: Sequence[SnapshotTopic] = wire(ARRAY(SnapshotTopic))


_KINDS: Final = kinds_of(
    SnapshotHead, SnapshotBroker, SnapshotTopic, SnapshotBrokerConfigs, SnapshotEnd, ImageSnapshot
)


def records_of(image: MetadataImage) -> Iterator[Message]:
    """Yield the records that build an image; everything but the first and the last comes sorted."""
    features = [FeatureLevel(name=name, level=level) for name, level in sorted(image.features.items())]
    yield SnapshotHead(
        index=image.index,
        cluster_id=image.cluster_id,
        next_producer_id=image.next_producer_id,
        features=features,
    )
    yield from (_broker_record(broker) for _, broker in sorted(image.brokers.items()))
    yield from (_topic_record(image, topic) for _, topic in sorted(image.topics.items()))
    for name, configs in sorted(image.broker_configs.items()):
        yield SnapshotBrokerConfigs(name=name, configs=_entries(configs))
    yield SnapshotEnd(records=1 + len(image.brokers) + len(image.topics) + len(image.broker_configs))


def chunks_of(image: MetadataImage, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield a snapshot in pieces of about this size, each made when it is asked for."""
    pending = bytearray(MAGIC)
    for record in records_of(image):
        data = dump(record)
        pending += _LENGTH.pack(len(data)) + data
        if len(pending) >= chunk_bytes:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)


def dump_image(image: MetadataImage) -> bytes:
    """Return a whole snapshot."""
    return b"".join(chunks_of(image))


def load_image(data: Buffer) -> MetadataImage:
    """
    Return the image that a snapshot of this release or an earlier one holds.

    @raise ProtocolError: it is damaged, cut short, or of a later release.
    """
    if bytes(data[: len(MAGIC)]) == MAGIC:
        return _assembled(_records(memoryview(data), len(MAGIC)))
    old = load(data, _KINDS)
    if not isinstance(old, ImageSnapshot):
        raise ProtocolError("the metadata snapshot holds something else")
    return _assembled(_old_records(old))


def _records(data: memoryview, at: int) -> Iterator[Message]:
    while at < len(data):
        begin = at + _LENGTH.size
        at = begin + (_LENGTH.unpack_from(data, at)[0] if begin <= len(data) else 0)
        if at > len(data) or begin > len(data):
            raise ProtocolError("a metadata snapshot is cut short")
        yield load(data[begin:at], _KINDS)


def _assembled(records: Iterable[Message]) -> MetadataImage:
    """Build an image; what is not sorted into place here does not belong into a snapshot."""
    parts: dict[type[Message], list[Any]] = {kind: [] for kind in _KINDS.values()}
    count, last = 0, None
    for last in records:
        parts[type(last)].append(last)
        count += 1
    heads, ends = parts[SnapshotHead], parts[SnapshotEnd]
    if len(heads) != 1 or len(ends) != 1 or last is not ends[0] or last.records != count - 1:
        raise ProtocolError("a metadata snapshot is cut short")
    topics = [_topic(record) for record in parts[SnapshotTopic]]
    return MetadataImage(
        index=heads[0].index,
        cluster_id=heads[0].cluster_id,
        next_producer_id=heads[0].next_producer_id,
        features={feature.name: feature.level for feature in heads[0].features},
        brokers={record.node_id: _broker(record) for record in parts[SnapshotBroker]},
        topics={topic.name: topic for topic in topics},
        names={topic.topic_id: topic.name for topic in topics},
        configs={record.name: _mapping(record.configs) for record in parts[SnapshotTopic] if record.configs},
        broker_configs={record.name: _mapping(record.configs) for record in parts[SnapshotBrokerConfigs]},
    )


def _old_records(old: ImageSnapshot) -> Iterator[Message]:
    head = SnapshotHead(index=old.index, cluster_id=old.cluster_id, next_producer_id=old.next_producer_id)
    end = SnapshotEnd(records=1 + len(old.brokers) + len(old.topics))
    brokers = (
        SnapshotBroker(
            node_id=broker.node_id,
            incarnation_id=broker.incarnation_id,
            epoch=broker.epoch,
            host=broker.host,
            port=broker.port,
            rack=broker.rack,
            fenced=broker.fenced,
        )
        for broker in old.brokers
    )
    return chain([head], brokers, old.topics, [end])


def _broker_record(broker: Broker) -> SnapshotBroker:
    peer = broker.peer_endpoint
    return SnapshotBroker(
        node_id=broker.node_id,
        incarnation_id=broker.incarnation_id,
        epoch=broker.epoch,
        host=broker.endpoint.host,
        port=broker.endpoint.port,
        rack=broker.rack,
        fenced=broker.fenced,
        shutting_down=broker.shutting_down,
        directory_id=broker.directory_id,
        peer_host=None if peer is None else peer.host,
        peer_port=0 if peer is None else peer.port,
        features=[
            SupportedFeature(name=name, lowest=lowest, highest=highest)
            for name, (lowest, highest) in sorted(broker.features.items())
        ],
    )


def _broker(record: SnapshotBroker) -> Broker:
    return Broker(
        node_id=record.node_id,
        endpoint=Endpoint(record.host, record.port),
        rack=record.rack,
        epoch=record.epoch,
        fenced=record.fenced,
        incarnation_id=record.incarnation_id,
        peer_endpoint=None if record.peer_host is None else Endpoint(record.peer_host, record.peer_port),
        shutting_down=record.shutting_down,
        directory_id=record.directory_id,
        features={feature.name: (feature.lowest, feature.highest) for feature in record.features},
    )


def _topic_record(image: MetadataImage, topic: Topic) -> SnapshotTopic:
    return SnapshotTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[change_to(state) for state in topic.partitions],
        configs=_entries(image.configs.get(topic.name, {})),
    )


def _topic(record: SnapshotTopic) -> Topic:
    partitions = tuple(state_of(change) for change in record.partitions)
    return Topic(name=record.name, topic_id=record.topic_id, partitions=partitions)


def _entries(configs: Mapping[str, str]) -> list[ConfigEntry]:
    return [ConfigEntry(name=name, value=value) for name, value in configs.items()]


def _mapping(entries: Sequence[ConfigEntry]) -> dict[str, str]:
    return {entry.name: entry.value for entry in entries}
