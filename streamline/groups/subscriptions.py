"""
What consumers subscribe to, read from the metadata they join with.

A broker passes a member's metadata on unread.  Only to know which committed
offsets are in use does it look at the topics, which every version of the
consumer protocol has in the same place: a version (int16), then an array of
strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_HEAD = struct.Struct(">hi")
_LENGTH = struct.Struct(">h")


def subscribed_topics(metadata: Iterable[bytes]) -> frozenset[str] | None:
    """Return the topics that any of the members reads; C{None} if one of them cannot be understood."""
    topics: list[str] = []
    for blob in metadata:
        try:
            topics.extend(_topics(blob))
        except (struct.error, UnicodeDecodeError, ValueError):
            return None
    return frozenset(topics)


def _topics(blob: bytes) -> list[str]:
    """
    Return the topics of one subscription.

    @raise ValueError: (or what C{struct} and decoding raise) where the bytes are no subscription.
    """
    _, count = _HEAD.unpack_from(blob)
    at, topics = _HEAD.size, []
    if count < 0 or count > (len(blob) - at) // _LENGTH.size:
        raise ValueError("more topics than bytes")
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(blob, at)
        at += _LENGTH.size
        if length < 0 or length > len(blob) - at:
            raise ValueError("a topic longer than its subscription")
        topics.append(blob[at : at + length].decode())
        at += length
    return topics
