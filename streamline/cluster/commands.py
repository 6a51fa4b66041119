"""
The commands that metadata is made of, and how each lies in the agreed log.

A command says what changes, decided and complete: ids, placements and names are
chosen before it is proposed, so that applying it is the same on every node.
On disk a command is its kind (int16), its version (int16) and its body, declared
like any message; kinds and fields are only ever added.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from streamline.errors import ProtocolError
from streamline.model import NO_LEADER, NO_NODE, Buffer
from streamline.wire.codec import encode, reader
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    UUID,
)

_KIND = binary.Struct(">hh")
_EVERY = 1 << 31
"""No bound on the elements: what is read was decided here, and its length bounds them."""

TOPIC_CONFIGS = 2
BROKER_CONFIGS = 4
"""Kafka's numbers of the kinds of resource that have settings."""
CLUSTER_WIDE = ""
"""The name under which the settings of all brokers are kept, as Kafka has it."""


@struct
class FeatureLevel:
    """A feature and the level that the cluster runs it at; at level 0 it is off."""

    name: str = wire(STRING)
    level: int = wire(INT16)


@message(key=1, versions="0-1", flexible="0+")
class FoundCluster(Message):
    """The first command of all: the cluster has an id from now on, and runs these features."""

    cluster_id: str = wire(STRING)
    features: Sequence[FeatureLevel] = wire(ARRAY(FeatureLevel), "1+")


@struct
class SupportedFeature:
    """The levels of a feature that a node knows, both ends included."""

    name: str = wire(STRING)
    lowest: int = wire(INT16)
    highest: int = wire(INT16)


@message(key=2, versions="0-1", flexible="0+")
class RegisterBroker(Message):
    """
    A node is there, under this incarnation; its broker epoch is the index of this command (KIP-631).

    C{is_clean} says that it has every record it had when its last incarnation stopped.  Where it does not, the
    command is agreed on together with the changes that take it out of every ISR and ELR (KR21).
    """

    node_id: int = wire(INT32)
    incarnation_id: bytes = wire(UUID)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)
    fenced: bool = wire(BOOLEAN)
    directory_id: bytes = wire(UUID, "1+")
    peer_host: str | None = wire(NULLABLE_STRING, "1+", default=None)
    peer_port: int = wire(INT32, "1+")
    features: Sequence[SupportedFeature] = wire(ARRAY(SupportedFeature), "1+")
    is_clean: bool = wire(BOOLEAN, "1+", default=True)


@struct
class PartitionPlacement:
    """
    A new partition: its replicas, the preferred leader first.

    @ivar isr: the replicas whose node is there to take part; all of them where it is empty.
    """

    index: int = wire(INT32)
    replicas: Sequence[int] = wire(ARRAY(INT32))
    isr: Sequence[int] = wire(ARRAY(INT32), "1+")


@struct
class ConfigEntry:
    """A setting under Kafka's name."""

    name: str = wire(STRING)
    value: str = wire(STRING)


@message(key=3, versions="0-1", flexible="0+")
class CreateTopic(Message):
    """A topic is there from now on; every replica that takes part is in sync, because every log is empty."""

    name: str = wire(STRING)
    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionPlacement] = wire(ARRAY(PartitionPlacement))
    configs: Sequence[ConfigEntry] = wire(ARRAY(ConfigEntry))


@message(key=4, versions="0", flexible="0+")
class DeleteTopic(Message):
    """The topic with this id is gone."""

    topic_id: bytes = wire(UUID)


@message(key=5, versions="0-1", flexible="0+")
class AllocateProducerIds(Message):
    """
    A node takes the next block of producer ids; applying it returns the first (KIP-730).

    It is refused where the node has registered again since; -1 stands for whatever epoch it has.
    """

    node_id: int = wire(INT32)
    count: int = wire(INT32)
    broker_epoch: int = wire(INT64, "1+", default=-1)


@struct
class BrokerEpoch:
    """One incarnation of a node."""

    node_id: int = wire(INT32)
    epoch: int = wire(INT64)


@struct
class PartitionChange:
    """
    What a partition is from now on; the whole of it, not the difference.

    @ivar partition_epoch: one more than that of the state which the change was decided on (KR13).
    @ivar joining: members that the ISR did not have before, with the broker epochs under which they were judged;
        the change is refused where one of them is no longer there under that epoch (KR16, KR18).
    """

    index: int = wire(INT32)
    replicas: Sequence[int] = wire(ARRAY(INT32))
    isr: Sequence[int] = wire(ARRAY(INT32))
    leader: int = wire(INT32, default=NO_LEADER)
    leader_epoch: int = wire(INT32)
    partition_epoch: int = wire(INT32)
    elr: Sequence[int] = wire(ARRAY(INT32), "1+")
    last_known_elr: Sequence[int] = wire(ARRAY(INT32), "1+")
    adding: Sequence[int] = wire(ARRAY(INT32), "1+")
    removing: Sequence[int] = wire(ARRAY(INT32), "1+")
    is_recovering: bool = wire(BOOLEAN, "1+")
    joining: Sequence[BrokerEpoch] = wire(ARRAY(BrokerEpoch), "1+")


@message(key=6, versions="0-1", flexible="0+")
class ChangePartitions(Message):
    """Partitions of one topic have new leaders, in-sync replicas or replicas."""

    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionChange] = wire(ARRAY(PartitionChange))


# 7 was a whole image in one message; see L{streamline.cluster.snapshot}.


@message(key=8, versions="0", flexible="0+")
class ChangeBroker(Message):
    """This incarnation of a node is fenced or not, and shutting down or not, from now on."""

    node_id: int = wire(INT32)
    epoch: int = wire(INT64)
    fenced: bool = wire(BOOLEAN)
    shutting_down: bool = wire(BOOLEAN)


@message(key=9, versions="0", flexible="0+")
class UnregisterBroker(Message):
    """A node is no part of the cluster any more; it may come back as a new one."""

    node_id: int = wire(INT32, default=NO_NODE)
    epoch: int = wire(INT64)


@message(key=10, versions="0-1", flexible="0+")
class AddPartitions(Message):
    """A topic has more partitions, numbered on from those that it has."""

    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionPlacement] = wire(ARRAY(PartitionPlacement))


@struct
class ConfigChange:
    """A setting's new value, or None for its default."""

    name: str = wire(STRING)
    value: str | None = wire(NULLABLE_STRING)


@message(key=11, versions="0", flexible="0+")
class ChangeConfigs(Message):
    """Settings of a topic (by name), of one broker (by id) or of all brokers (L{CLUSTER_WIDE}) change."""

    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    changes: Sequence[ConfigChange] = wire(ARRAY(ConfigChange))


@message(key=12, versions="0", flexible="0+")
class ChangeFeatures(Message):
    """The cluster runs these features at these levels; others stay as they are (KIP-584)."""

    features: Sequence[FeatureLevel] = wire(ARRAY(FeatureLevel))


@message(key=13, versions="0", flexible="0+")
class Together(Message):
    """Commands that hold all or not at all, each as L{dump} returns it; made by L{together}."""

    commands: Sequence[bytes] = wire(ARRAY(BYTES))


Command: TypeAlias = (
    FoundCluster
    | RegisterBroker
    | CreateTopic
    | DeleteTopic
    | AllocateProducerIds
    | ChangePartitions
    | ChangeBroker
    | UnregisterBroker
    | AddPartitions
    | ChangeConfigs
    | ChangeFeatures
    | Together
)


def kinds_of(*messages: type[Message]) -> dict[int, type[Message]]:
    """Return stored messages by kind."""
    return {kind.KEY: kind for kind in messages}


COMMANDS: Final = kinds_of(
    FoundCluster, RegisterBroker, CreateTopic, DeleteTopic, AllocateProducerIds, ChangePartitions, ChangeBroker,
    UnregisterBroker, AddPartitions, ChangeConfigs, ChangeFeatures, Together,
)  # fmt: skip


def dump(command: Message) -> bytes:
    """Return a command as it is agreed on and stored."""
    version = command.VERSIONS[1]
    return _KIND.pack(command.KEY, version) + encode(command, version)


def load(data: Buffer, kinds: Mapping[int, type[Message]] = COMMANDS) -> Message:
    """
    Return the command that L{dump} wrote, in this release or an earlier one.

    @raise ProtocolError: it is none that this release knows.
    """
    if len(data) < _KIND.size:
        raise ProtocolError("a metadata command is cut short")
    kind, version = _KIND.unpack_from(data)
    known = kinds.get(kind)
    if known is None or not known.VERSIONS[0] <= version <= known.VERSIONS[1]:
        raise ProtocolError(f"metadata command {kind} version {version} is of a later release")
    body = memoryview(data)[_KIND.size :]
    command, end = reader(known, version, _EVERY)(body)
    if end != len(body):
        raise ProtocolError(f"{len(body) - end} bytes follow a metadata command")
    return command


def together(commands: Iterable[Command]) -> Command | None:
    """Return the one command that carries out all of them or none; None where there are none."""
    each = list(commands)
    if len(each) > 1:
        return Together(commands=[dump(command) for command in each])
    return each[0] if each else None
