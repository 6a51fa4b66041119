"""
Requests encoded by hand, for the load generator.

They are written here, and not by Streamline's own codec, so that a mistake in the codec cannot hide in both ends
of a measurement.
"""

from __future__ import annotations

import struct
import time

import crc32c

CLIENT_ID = b"load"
PRODUCE, METADATA, API_VERSIONS = 0, 3, 18


def request(api_key: int, api_version: int, body: bytes) -> bytes:
    """A request frame with its length and a header of version 1."""
    header = struct.pack(">hhih", api_key, api_version, 0, len(CLIENT_ID)) + CLIENT_ID
    return struct.pack(">i", len(header) + len(body)) + header + body


def api_versions() -> bytes:
    """ApiVersions 0, the cheapest question there is."""
    return request(API_VERSIONS, 0, b"")


def metadata() -> bytes:
    """Metadata 1 for no topic."""
    return request(METADATA, 1, struct.pack(">i", 0))


def produce(topic: str, partition: int, batch: bytes, acks: int = 1) -> bytes:
    """Produce 7 of one batch."""
    name = topic.encode()
    body = struct.pack(">hhi", -1, acks, 30000)
    body += struct.pack(">ih", 1, len(name)) + name
    body += struct.pack(">iii", 1, partition, len(batch)) + batch
    return request(PRODUCE, 7, body)


def produce_error_at(topic: str) -> int:
    """Where the answer to L{produce} holds its error code, counted after the length."""
    return 4 + 4 + 2 + len(topic.encode()) + 4 + 4


def record_batch(value_bytes: int, records: int = 1) -> bytes:
    """An uncompressed batch of so many records with values of so many bytes."""
    body = b"".join(_record(delta, value_bytes) for delta in range(records))
    now_ms = int(time.time() * 1000)
    checked = struct.pack(">hiqqqhii", 0, records - 1, now_ms, now_ms, -1, -1, -1, records) + body
    head = struct.pack(">qiib", 0, 4 + 1 + 4 + len(checked), 0, 2)
    return head + struct.pack(">I", crc32c.crc32c(checked)) + checked


def batch_of_bytes(size: int) -> bytes:
    """A batch of records of about 1 KiB that is about so many bytes long."""
    return record_batch(1000, max(1, size // 1010))


def _record(delta: int, value_bytes: int) -> bytes:
    body = b"\0" + _varint(0) + _varint(delta) + _varint(-1) + _varint(value_bytes) + b"v" * value_bytes + _varint(0)
    return _varint(len(body)) + body


def _varint(value: int) -> bytes:
    """A zigzag varint."""
    value = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
