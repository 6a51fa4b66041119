"""
Requests with as many elements as they may have, in each of their lists in turn.

That is the longest work that a stranger can ask for.  They are made from the declarations, so that an API that is
added is asked, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from streamline.api.table import TABLE, Api
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages.produce import ProduceRequest
from streamline.wire.schema import Field, fields
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type
from tests.hostile.arena import sized

MOST = 19_900
"""A little less than the elements that a request may have."""
ELEMENTS = 20_000
FRAME_BYTES = 1_000_000
"""A little less than a request may have that is no Produce."""
KNOWN = "known"
"""What a topic or group is called where a request needs one around the list."""

Path = tuple[str, ...]


@frozen
class Widest:
    """
    A request with a long list.

    @ivar path: the list's name, behind those of the lists and structs that it is in.
    @ivar count: how many elements it has.
    @ivar frame: the request, as it goes over the wire.
    """

    api: Api
    version: int
    path: Path
    count: int
    frame: bytes

    @property
    def title(self) -> str:
        """Its name in a table."""
        return f"{self.api.request.__name__.removesuffix('Request')} {'.'.join(self.path)}"


def every_list() -> Iterator[Widest]:
    """Yield a request for each list that a request of any API may have, in the last version that has the list."""
    for api in TABLE.values():
        first, last = api.versions
        seen = set()
        for version in range(last, first - 1, -1):
            for path in _lists(api.request, version, ()):
                if path not in seen:
                    seen.add(path)
                    yield _widest(api, version, path)


def _widest(api: Api, version: int, path: Path) -> Widest:
    count = MOST
    while True:
        request = _struct(api.request, version, path, count)
        frame = write_request_header(api.key, version, 77, "wide") + encode(request, version)
        elements = _elements(request)
        too_long = 1 if api.request is ProduceRequest else len(frame) / FRAME_BYTES
        if elements <= ELEMENTS and too_long <= 1:
            return Widest(api, version, path, count, sized(frame))
        count = int(count / max(too_long, elements / MOST)) - 1


def _elements(value: Any) -> int:
    """Count the elements of all lists in a request."""
    if isinstance(value, list):
        return len(value) + (sum(map(_elements, value)) if value and hasattr(value[0], "FIELDS") else 0)
    return sum(_elements(getattr(value, name)) for name in getattr(value, "FIELDS", ()))


def _lists(cls: type, version: int, before: Path) -> Iterator[Path]:
    for field in _fields(cls, version):
        found = field.type_in(version)
        if isinstance(found, Array):
            yield (*before, field.name)
            found = found.item
        if isinstance(found, Nested):
            yield from _lists(found.struct, version, (*before, field.name))


def _fields(cls: type, version: int) -> list[Field]:
    plain, tagged, _ = fields(cls, version)
    return plain + tagged


def _struct(cls: type, version: int, path: Path, count: int, number: int | None = None) -> Any:
    """
    Make a struct in which one list is long, and all others as short as can be.

    @param path: to the list; empty for an element of the long list, which is its C{number}th.
    """
    parts = {}
    for field in _fields(cls, version):
        found = field.type_in(version)
        if number is not None and field.is_tagged(version):
            continue  # it would count as another element
        if path and field.name == path[0]:
            parts[field.name] = _towards(found, version, path[1:], count)
        elif number is not None:
            parts[field.name] = _numbered(found, version, field, number)
        elif (value := _around(found, field)) is not None:
            parts[field.name] = value
    return cls(**parts)


def _towards(found: Type, version: int, path: Path, count: int) -> Any:
    if isinstance(found, Nested):
        return _struct(found.struct, version, path, count)
    assert isinstance(found, Array)
    if path:
        assert isinstance(found.item, Nested)
        return [_struct(found.item.struct, version, path, count)]
    return [_element(found.item, version, number) for number in range(count)]


def _element(found: Type, version: int, number: int) -> Any:
    if isinstance(found, Nested):
        return _struct(found.struct, version, (), 0, number)
    return _scalar(found, number)


def _scalar(found: Type, number: int) -> Any:
    match found:
        case Text():
            return f"t{number}"
        case Blob():
            return b"x"
        case Fixed(code="16s"):
            return number.to_bytes(16, "big")
        case Fixed(code="?"):
            return False
        case Fixed(code="d"):
            return float(number)
        case Fixed():
            return number if found.size >= 4 else number % 100
    raise AssertionError(found)


def _numbered(found: Type, version: int, field: Field, number: int) -> Any:
    """Return what a field of the long list's elements has: each its own number, and in a list one of it."""
    match found:
        case Array():
            return [_element(found.item, version, 0)]
        case Nested():
            return field.default if field.factory is None else field.factory()
    if field.name in ("resource_type", "config_operation"):
        return 2 if field.name == "resource_type" else 0
    if field.name in ("num_partitions", "replication_factor"):
        return 1
    if field.name in ("member_epoch", "current_leader_epoch", "leader_epoch", "committed_leader_epoch"):
        return -1
    return _scalar(found, number)


def _around(found: Type, field: Field) -> Any:
    """Return what a field beside or above the long list has; None for its default."""
    if isinstance(found, Text) and not found.nullable:
        return KNOWN
    if field.name in ("session_timeout_ms", "rebalance_timeout_ms", "timeout_ms"):
        return 6000
    if field.name == "replica_id":
        return -1
    if field.name == "acks":
        return 1
    if field.name == "generation_id":
        return -1
    return {"resource_type": 2, "max_bytes": 1 << 20, "num_partitions": 1, "replication_factor": 1}.get(field.name)
