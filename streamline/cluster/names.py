"""What a topic may be called: Kafka's rules, which also keep every name inside the data directory (SE19)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from streamline.errors import ErrorCode, Refused

NAME_LENGTH_MAX = 249
METADATA_TOPIC = "__cluster_metadata"
"""Kafka's name for the metadata log, which looks like a topic to its tools and is none."""
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+")


def check_topic_name(name: str) -> None:
    """
    Refuse a name that Kafka refuses.

    @raise Refused: INVALID_TOPIC_EXCEPTION.
    """
    if not name:
        raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, "a topic name cannot be empty")
    if name in (".", ".."):
        raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"a topic cannot be named '{name}'")
    if len(name) > NAME_LENGTH_MAX:
        raise Refused(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"a topic name has at most {NAME_LENGTH_MAX} characters, this one {len(name)}",
        )
    if not _LEGAL.fullmatch(name):
        raise Refused(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "a topic name is made of ASCII letters and digits, '.', '_' and '-' only",
        )


def check_new_topic_name(name: str, existing: Iterable[str]) -> None:
    """
    Refuse a name that no new topic may have.

    @raise Refused: INVALID_TOPIC_EXCEPTION, or INVALID_REQUEST for the one that Kafka keeps for itself.
    """
    if name == METADATA_TOPIC:
        raise Refused(ErrorCode.INVALID_REQUEST, f"no topic may be named {METADATA_TOPIC}")
    check_topic_name(name)
    _check_no_collision(name, existing)


def _check_no_collision(name: str, existing: Iterable[str]) -> None:
    """Refuse a name that differs from another only in '.' and '_', which metrics cannot tell apart."""
    if "." not in name and "_" not in name:
        return
    plain = name.replace(".", "_")
    for other in existing:
        if other != name and other.replace(".", "_") == plain:
            raise Refused(
                ErrorCode.INVALID_TOPIC_EXCEPTION,
                f"topic '{name}' collides with '{other}': '.' and '_' count as the same",
            )
