"""
Variable-length integers, the slow path: generated code reads one byte inline and comes here for more.

Unsigned ones (lengths, counts, tags of flexible messages) have at most five bytes and 32 bits; the zigzag
ones of records at most five or ten.  A longer one is refused, as is one whose value does not fit.
"""

from functools import lru_cache

from streamline.errors import ProtocolError
from streamline.model import Buffer

TEXT_BYTES = 32767
"""Kafka's limit on any string, compact or not."""
KEPT = 1024
"""Lengths that are remembered as they are written: the same few come again with every message."""


def read_unsigned(buf: Buffer, at: int) -> tuple[int, int]:
    """
    Read an unsigned varint.

    @return: the value and where it ends.
    @raise ProtocolError: it has more than 32 bits.
    @raise IndexError: the buffer ends in it.
    """
    value = shift = 0
    while True:
        byte = buf[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 28:
            raise ProtocolError("a varint has more than 32 bits")
    if value >> 32:
        raise ProtocolError("a varint has more than 32 bits")
    return value, at


def read_text_length(buf: Buffer, at: int) -> tuple[int, int]:
    """Read the length of a compact string, plus one, refusing what no Kafka string can have."""
    length, at = read_unsigned(buf, at)
    if length > TEXT_BYTES + 1:
        raise ProtocolError(f"a string of {length - 1} bytes is longer than {TEXT_BYTES}")
    return length, at


def read_zigzag(buf: Buffer, at: int, bits: int = 64) -> tuple[int, int]:
    """
    Read a signed (zigzag) varint of at most C{bits} bits, as records have.

    @raise ProtocolError: it has more bits.
    @raise IndexError: the buffer ends in it.
    """
    byte = buf[at]
    at += 1
    if byte < 128:
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 127, 7
    while True:
        byte = buf[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift >= bits:
            raise ProtocolError(f"a varint has more than {bits} bits")
    if value >> bits:
        raise ProtocolError(f"a varint has more than {bits} bits")
    return (value >> 1) ^ -(value & 1), at


@lru_cache(KEPT)
def unsigned(value: int) -> bytes:
    """Write an unsigned varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> bytes:
    """Write a signed varint of at most 64 bits."""
    return unsigned((value << 1) ^ (value >> 63))
