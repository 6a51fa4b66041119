"""Which partition of C{__consumer_offsets} a group lives in, and how Java counts a string."""

from __future__ import annotations

import struct

_MIN_INT = -(2**31)


def utf16_units(text: str) -> tuple[int, ...]:
    """Return a string as Java keeps it: 16-bit units, two for each character beyond the basic plane."""
    encoded = text.encode("utf-16-be", "surrogatepass")
    return struct.unpack(f">{len(encoded) // 2}H", encoded)


def java_hash(text: str) -> int:
    """Return what Java's C{String.hashCode} returns: a signed number of 32 bits."""
    total = 0
    for unit in utf16_units(text):
        total = (31 * total + unit) & 0xFFFFFFFF
    return total - 2**32 if total >= 2**31 else total


def partition_for(group_id: str, partitions: int) -> int:
    """
    Return the partition whose leader coordinates a group.

    Kafka's rule: the hash without its sign, modulo the number of partitions;
    the one number that has no positive counterpart counts as 0.
    """
    value = java_hash(group_id)
    return 0 if value == _MIN_INT else abs(value) % partitions
