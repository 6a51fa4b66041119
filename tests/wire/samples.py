"""Any message in any version, as hypothesis strategies and as a few fixed ones; both made from the declarations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from streamline.wire.messages import REQUESTS, RESPONSES, assignment, stored
from streamline.wire.messages.peer_raft import PRIVATE_REQUESTS, PRIVATE_RESPONSES
from streamline.wire.schema import Message, fields
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type

STORED: tuple[type[Message], ...] = (
    stored.OffsetCommitKey,
    stored.OffsetCommitValue,
    stored.GroupMetadataKey,
    stored.GroupMetadataValue,
    stored.TransactionLogKey,
    stored.TransactionLogValue,
    stored.ControlRecordTypeSchema,
    stored.EndTxnMarker,
    stored.ProducerSnapshot,
    assignment.ConsumerProtocolSubscription,
    assignment.ConsumerProtocolAssignment,
)


def every_version() -> Iterator[tuple[type[Message], int]]:
    """Give every declared message in every one of its versions."""
    yield from kafkas_versions()
    yield from _versions_of(*PRIVATE_REQUESTS.values(), *PRIVATE_RESPONSES.values())


def kafkas_versions() -> Iterator[tuple[type[Message], int]]:
    """Give those that Kafka has, too."""
    yield from _versions_of(*REQUESTS.values(), *RESPONSES.values(), *STORED)


def _versions_of(*messages: type[Message]) -> Iterator[tuple[type[Message], int]]:
    for cls in messages:
        for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1):
            yield cls, version


BITS = {"b": 8, "h": 16, "i": 32, "q": 64}


def _fixed(type: Fixed) -> st.SearchStrategy[Any]:
    if type.code == "?":
        return st.booleans()
    if type.code == "d":
        return st.floats(allow_nan=False)
    if type.code == "16s":
        return st.binary(min_size=16, max_size=16)
    bits = BITS[type.code.lower()]
    if type.code.isupper():
        return st.integers(0, (1 << bits) - 1)
    return st.integers(-1 << (bits - 1), (1 << (bits - 1)) - 1)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["x" * 126, "é" * 64, "y" * 300])
BLOBS = st.binary(max_size=10) | st.sampled_from([bytes(126), bytes(127), bytes(20000)])


def values(type: Type, version: int) -> st.SearchStrategy[Any]:
    """Give any value of a type."""
    match type:
        case Fixed():
            return _fixed(type)
        case Text():
            found: st.SearchStrategy[Any] = TEXTS
        case Blob():
            found = BLOBS
        case Array():
            longest = 20 if isinstance(type.item, Fixed) else 3
            found = st.lists(values(type.item, version), max_size=longest)
        case Nested():
            found = structs(type.struct, version)
    return st.none() | found if type.nullable else found


def structs(cls: type, version: int) -> st.SearchStrategy[Any]:
    """Give any value of a struct or message."""
    plain, tagged, _ = fields(cls, version)
    parts = {field.name: values(field.type_in(version), version) for field in plain}
    for field in tagged:
        parts[field.name] = st.just(field.default) if field.factory is None else st.builds(field.factory)
        parts[field.name] |= values(field.type_in(version), version)
    return st.builds(cls, **parts)


class Dice:
    """Numbers that look random and are the same on every Python."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._throws = 0

    def bytes(self, count: int) -> bytes:
        """Give any bytes, at most 64 different ones."""
        self._throws += 1
        return (hashlib.sha512(f"{self._seed} {self._throws}".encode()).digest() * (count // 64 + 1))[:count]

    def below(self, end: int) -> int:
        """Give a number from 0 to C{end} - 1."""
        return int.from_bytes(self.bytes(16), "big") % end


def full(cls: type, version: int, dice: Dice, brief: bool = False) -> Any:
    """
    Make a message in which nothing is empty: what there is most to break in.

    @param brief: whether strings and bytes are as short as can be.
    """
    plain, tagged, _ = fields(cls, version)
    parts = {field.name: _full(field.type_in(version), version, dice, brief) for field in plain + tagged}
    return cls(**parts)


def _full(type: Type, version: int, dice: Dice, brief: bool) -> Any:
    match type:
        case Fixed(code="?"):
            return True
        case Fixed(code="d"):
            return dice.below(1000) / 8
        case Fixed(code="16s"):
            return dice.bytes(16)
        case Fixed():
            return dice.below(1 << (type.size * 8 - 1))
        case Text():
            return "é" if brief else ("topic-a", "grüppe", "m" * 130)[dice.below(3)]
        case Blob():
            return dice.bytes(2 if brief else (5, 130)[dice.below(2)])
        case Array():
            return [_full(type.item, version, dice, brief) for _ in range(2)]
        case Nested():
            return full(type.struct, version, dice, brief)
