"""
The core's messages as they travel between nodes, and back.

The declarations in L{streamline.wire.messages.peer_raft} name their fields as the core does, so a writer takes the
core's own objects.  What is read is made into the core's objects here, and nowhere else; what no replica can have
sent is refused as any malformed bytes are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.raft import messages as core
from streamline.raft.configuration import Configuration, Replica, ReplicaKey
from streamline.values import fields
from streamline.wire.codec import writer
from streamline.wire.messages import peer_raft as peer
from streamline.wire.schema import Message

VERSION: Final = 0
"""The version in which all of them are spoken."""

_DECLARED: Final[Mapping[type, type[Message]]] = MappingProxyType(
    {
        core.VoteRequest: peer.RaftVoteRequest,
        core.VoteResponse: peer.RaftVoteResponse,
        core.AppendRequest: peer.RaftAppendRequest,
        core.AppendResponse: peer.RaftAppendResponse,
        core.AppendRejection: peer.RaftAppendRejection,
        core.SnapshotRequest: peer.RaftSnapshotRequest,
        core.SnapshotResponse: peer.RaftSnapshotResponse,
        core.TimeoutNow: peer.RaftTimeoutNow,
        core.ReadRequest: peer.RaftReadRequest,
        core.ReadResponse: peer.RaftReadResponse,
    }
)

_SPOKEN: Final[Mapping[type[Message], type]] = MappingProxyType({wire: cls for cls, wire in _DECLARED.items()})


def key_of(message: core.Message) -> int:
    """Return the api key under which a message travels."""
    return _DECLARED[type(message)].KEY


def write(message: core.Message) -> list[Buffer]:
    """Return a message's body, as a list of buffers."""
    # A writer asks for attributes, and the core's objects have those that are declared.
    body: Callable[[Any], list[Buffer]] = writer(_DECLARED[type(message)], VERSION)
    return body(message)


def understand(message: Message) -> core.Message:
    """
    Return what was read as the core's own object.

    @raise ProtocolError: no replica says such a thing.
    """
    cls = _SPOKEN[type(message)]
    try:
        values = {
            name: getattr(message, name) if convert is None else convert(getattr(message, name))
            for name, convert in _fields(cls)
        }
    except ValueError as error:
        raise ProtocolError(f"{type(message).__name__}: {error}") from None
    understood: core.Message = cls(**values)
    return understood


def replica_key(key: peer.ReplicaKey) -> ReplicaKey:
    """Return a replica's key as the core knows it."""
    return ReplicaKey(key.node_id, key.directory_id)


def replica(one: peer.Replica) -> Replica:
    """Return a member as the core knows it."""
    return Replica(replica_key(one.key), one.address)


def replica_said(one: Replica) -> peer.Replica:
    """Return a member as it is said to others."""
    return peer.Replica(key=key_said(one.key), address=one.address)


def key_said(key: ReplicaKey) -> peer.ReplicaKey:
    """Return a replica's key as it is said to others."""
    return peer.ReplicaKey(node_id=key.node_id, directory_id=key.directory_id)


def _entry(one: peer.Entry) -> core.Entry:
    return core.Entry(one.index, one.term, core.EntryKind(one.kind), one.payload)


def _configuration(said: peer.Configuration) -> Configuration:
    return Configuration(
        tuple(map(replica, said.voters)), tuple(map(replica, said.learners)), tuple(map(replica, said.outgoing))
    )


_CONVERTERS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "sender": replica_key,
        "to": replica_key,
        "entries": lambda entries: tuple(map(_entry, entries)),
        "configuration": _configuration,
    }
)
"""What becomes of a field, by its name; all others are numbers, flags and bytes."""


@cache
def _fields(cls: type) -> Sequence[tuple[str, Callable[[Any], Any] | None]]:
    """Return the fields of a message, with what becomes of them where that is not what was read."""
    return tuple((field.name, _CONVERTERS.get(field.name)) for field in fields(cls))
