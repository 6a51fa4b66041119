"""
The names on the disk, and the small text files beside the segments: all of it Kafka's.

Nothing here touches a disk; paths and bytes go in and out.  Formats were read
from Apache Kafka 4's LocalLog, CheckpointFile, PartitionMetadata and
CleanShutdownFileHandler.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from streamline.model import TopicPartition

LOG: Final = ".log"
OFFSET_INDEX: Final = ".index"
TIME_INDEX: Final = ".timeindex"
DELETED: Final = ".deleted"
TEMPORARY: Final = ".tmp"

PARTITION_METADATA = "partition.metadata"
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
LAST_WRITER = ".streamline_last_writer"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
LOG_STARTS = "log-start-offset-checkpoint"

DELETE_DIRECTORY = "-delete"
STRAY_DIRECTORY = "-stray"
_NAME_BYTES_MAX = 255
"""Longest name that file systems take."""

_SEGMENT_FILE = re.compile(r"([0-9]{20})(\.log|\.index|\.timeindex)")
_PARTITION_DIRECTORY = re.compile(r"([a-zA-Z0-9._-]{1,249})-(0|[1-9][0-9]{0,9})")
_ASIDE_DIRECTORY = re.compile(r"\S+-\d+\.[0-9a-f]{32}(-delete|-stray)")
_METADATA = re.compile(r"version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n")

_OURS = (LOG, OFFSET_INDEX, TIME_INDEX, DELETED, TEMPORARY)


def segment_path(directory: str, base_offset: int, suffix: str = LOG) -> str:
    """Return the path of one of a segment's files."""
    return f"{directory}/{base_offset:020d}{suffix}"


def segment_file(name: str) -> tuple[int, str] | None:
    """Return (base offset, suffix) of a segment's file, None for any other name."""
    found = _SEGMENT_FILE.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def is_checkpoint_name(name: str) -> bool:
    """Say whether a blob may be kept under this name in a partition's directory."""
    return "/" not in name and name not in ("", ".", "..", PARTITION_METADATA) and not name.endswith(_OURS)


def partition_directory(name: str) -> TopicPartition | None:
    """Return the partition whose directory has this name, None for any other name."""
    found = _PARTITION_DIRECTORY.fullmatch(name)
    return TopicPartition(found[1], int(found[2])) if found else None


def is_deleted_directory(name: str) -> bool:
    """Say whether a directory waits to be removed."""
    found = _ASIDE_DIRECTORY.fullmatch(name)
    return found is not None and found[1] == DELETE_DIRECTORY


def aside_directory(partition: TopicPartition, unique: bytes, suffix: str) -> str:
    """
    Return the name under which a directory is set aside, for deletion or for people to look at.

    @param unique: 16 random bytes.
    """
    rest = f"-{partition.partition}.{unique.hex()}{suffix}"
    return partition.topic[: _NAME_BYTES_MAX - len(rest)] + rest


def encode_metadata(topic_id: bytes) -> bytes:
    """Write C{partition.metadata}."""
    return b"version: 0\ntopic_id: " + urlsafe_b64encode(topic_id).rstrip(b"=") + b"\n"


def decode_metadata(data: bytes) -> bytes | None:
    """Return the topic id in C{partition.metadata}; None where the file makes no sense."""
    found = _METADATA.fullmatch(data.decode("ascii", "replace"))
    return urlsafe_b64decode(found[1] + "==") if found else None


def encode_offsets(offsets: Mapping[TopicPartition, int]) -> bytes:
    """Write one of the checkpoints that map partitions to offsets."""
    lines = ["0", str(len(offsets))]
    lines += [f"{partition.topic} {partition.partition} {offset}" for partition, offset in sorted(offsets.items())]
    return ("\n".join(lines) + "\n").encode("ascii")


def decode_offsets(data: bytes) -> dict[TopicPartition, int] | None:
    """Read what L{encode_offsets} wrote; None where the file makes no sense, in whole or in part."""
    try:
        version, count, *lines = data.decode("ascii").splitlines()
        offsets = {}
        for line in lines:
            topic, partition, offset = line.split()
            offsets[TopicPartition(topic, int(partition))] = int(offset)
        sound = int(version) == 0 and int(count) == len(lines) == len(offsets) and data.endswith(b"\n")
    except ValueError:
        return None
    return offsets if sound and all(offset >= 0 for offset in offsets.values()) else None


def encode_clean_shutdown(broker_epoch: int) -> bytes:
    """Write the marker of a clean stop (KIP-966)."""
    return json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":")).encode("ascii")


def decode_clean_shutdown(data: bytes) -> int | None:
    """Return the broker epoch in the marker of a clean stop; None where the file makes no sense."""
    try:
        marker = json.loads(data)
        epoch = marker["brokerEpoch"] if marker["version"] == 0 else None
    except (ValueError, TypeError, KeyError):
        return None
    return epoch if type(epoch) is int else None


def encode_last_writer(broker_epoch: int, boot_id: str) -> bytes:
    """Write which process writes here, and since when its operating system has been up."""
    return json.dumps({"version": 0, "brokerEpoch": broker_epoch, "bootId": boot_id}).encode("ascii")


def decode_last_writer(data: bytes) -> tuple[int | None, str]:
    """Return the broker epoch and the boot; None and no boot where the file makes no sense."""
    try:
        boot_id = json.loads(data)["bootId"]
    except (ValueError, TypeError, KeyError):
        return None, ""
    return (decode_clean_shutdown(data), boot_id) if isinstance(boot_id, str) else (None, "")
