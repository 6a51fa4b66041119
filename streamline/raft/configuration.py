"""
Who takes part: voters, learners, and the voters of before while they change.

A replica is a node I{and} the directory that it keeps its log in (KIP-853): a
node whose disk was replaced has another directory id, so it is somebody else, and
the votes and acknowledgements of the one before are not its own (RF15).

The configuration in force is the latest in the log, committed or not, and the one
before again where the log is cut back (RF16).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from attrs import field

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.values import frozen
from streamline.wire.codec import decode, encode
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT32, STRING, UUID


class ReplicaKey(NamedTuple):
    """Who somebody is: a node with one particular directory of 16-byte id."""

    node_id: int
    directory_id: bytes

    def __str__(self) -> str:
        return f"{self.node_id}.{self.directory_id.hex()[:4]}"


@frozen
class Replica:
    """
    A member, and where to find it.

    @ivar address: of its cluster listener; nothing in here reads it.
    """

    key: ReplicaKey
    address: str = ""


def _keys(replicas: Sequence[Replica]) -> tuple[ReplicaKey, ...]:
    return tuple(replica.key for replica in replicas)


@frozen
class Configuration:
    """
    Who takes part.

    @ivar voters: who votes and counts; while the voters change, those to come.
    @ivar learners: who gets everything and counts for nothing.
    @ivar outgoing: while the voters change, those of before, whose majority is needed as well; else nobody.
    @ivar voter_sets: the keys of C{voters}, and of C{outgoing} where there are any: each set must agree.
    @ivar voter_keys: whoever is in one of these sets, once.
    @ivar member_keys: whoever gets the log: voters of both sets, then learners.
    """

    voters: tuple[Replica, ...] = ()
    learners: tuple[Replica, ...] = ()
    outgoing: tuple[Replica, ...] = ()
    voter_sets: tuple[tuple[ReplicaKey, ...], ...] = field(init=False, repr=False, eq=False)
    voter_keys: tuple[ReplicaKey, ...] = field(init=False, repr=False, eq=False)
    member_keys: tuple[ReplicaKey, ...] = field(init=False, repr=False, eq=False)

    @voter_sets.default
    def _voter_sets(self) -> tuple[tuple[ReplicaKey, ...], ...]:
        incoming = (_keys(self.voters),)
        return (*incoming, _keys(self.outgoing)) if self.outgoing else incoming

    @voter_keys.default
    def _voter_keys(self) -> tuple[ReplicaKey, ...]:
        return tuple(dict.fromkeys((*_keys(self.voters), *_keys(self.outgoing))))

    @member_keys.default
    def _member_keys(self) -> tuple[ReplicaKey, ...]:
        return tuple(dict.fromkeys((*self.voter_keys, *_keys(self.learners))))

    @property
    def is_joint(self) -> bool:
        """Whether the voters are changing."""
        return bool(self.outgoing)

    def settled(self) -> Configuration:
        """Return the configuration at the end of the change: the voters of before are out."""
        return Configuration(self.voters, self.learners)

    def __str__(self) -> str:
        parts = ["voters " + (" ".join(map(str, _keys(self.voters))) or "nobody")]
        if self.outgoing:
            parts.append("outgoing " + " ".join(map(str, _keys(self.outgoing))))
        if self.learners:
            parts.append("learners " + " ".join(map(str, _keys(self.learners))))
        return "; ".join(parts)


@frozen
class ConfigurationAt:
    """A configuration and the index of the entry that set it."""

    index: int
    configuration: Configuration


class ConfigurationHistory:
    """
    The configurations that a log holds, oldest first: what was in force at its beginning, and each change since.
    """

    def __init__(self, index: int, configuration: Configuration) -> None:
        self._known = [ConfigurationAt(index, configuration)]

    @property
    def latest(self) -> ConfigurationAt:
        """The one in force."""
        return self._known[-1]

    def at(self, index: int) -> Configuration:
        """Return the one that was in force after the entry at C{index}, which is not before the beginning."""
        return next(one.configuration for one in reversed(self._known) if one.index <= index)

    def since(self, index: int) -> list[Configuration]:
        """Return the one that was in force after the entry at C{index}, and all later ones."""
        return [self.at(index), *(one.configuration for one in self._known if one.index > index)]

    def added(self, index: int, configuration: Configuration) -> None:
        """Hear that the log has another, behind all the others."""
        self._known.append(ConfigurationAt(index, configuration))

    def cut_back(self, index: int) -> bool:
        """Forget those from C{index} on, because their entries are gone; say whether there were any (RF16)."""
        kept = [one for one in self._known[1:] if one.index < index]
        changed = len(kept) + 1 < len(self._known)
        self._known[1:] = kept
        return changed

    def compacted(self, index: int) -> None:
        """Forget those that were no longer in force at C{index}, where the log begins from now on."""
        while len(self._known) > 1 and self._known[1].index <= index:
            del self._known[0]


# How it lies in an entry

VERSION: Final = 0


@struct
class StoredReplica:
    """One member."""

    node_id: int = wire(INT32)
    directory_id: bytes = wire(UUID)
    address: str = wire(STRING)


@message(key=0, versions="0", flexible="0+")
class StoredConfiguration(Message):
    """All of a configuration; entries say what is in force, never what changes."""

    voters: Sequence[StoredReplica] = wire(ARRAY(StoredReplica))
    learners: Sequence[StoredReplica] = wire(ARRAY(StoredReplica))
    outgoing: Sequence[StoredReplica] = wire(ARRAY(StoredReplica))


def _stored(replicas: Sequence[Replica]) -> list[StoredReplica]:
    return [StoredReplica(node_id=one.key[0], directory_id=one.key[1], address=one.address) for one in replicas]


def _read(replicas: Sequence[StoredReplica]) -> tuple[Replica, ...]:
    return tuple(Replica(ReplicaKey(one.node_id, one.directory_id), one.address) for one in replicas)


def encode_configuration(configuration: Configuration) -> bytes:
    """Return the payload of an entry that sets this configuration: its version, then what there is."""
    stored = StoredConfiguration(
        voters=_stored(configuration.voters),
        learners=_stored(configuration.learners),
        outgoing=_stored(configuration.outgoing),
    )
    return bytes((VERSION,)) + encode(stored, VERSION)


def decode_configuration(payload: Buffer) -> Configuration:
    """
    Read the payload of an entry that sets a configuration.

    @raise ProtocolError: it is none, or one that a later release wrote.
    """
    if not len(payload) or payload[0] != VERSION:
        raise ProtocolError("this is no configuration of the metadata quorum that this release knows")
    stored = decode(StoredConfiguration, VERSION, memoryview(payload)[1:])
    return Configuration(_read(stored.voters), _read(stored.learners), _read(stored.outgoing))
