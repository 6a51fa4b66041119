"""
Which of a log's oldest segments nobody wants any more.

A pure decision for every storage that keeps segments; it drops nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamline.config import TopicConfig
from streamline.model import NO_TIMESTAMP


class Kept(Protocol):
    """A segment as retention sees it."""

    @property
    def base_offset(self) -> int:
        """Its first offset."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def newest(self) -> tuple[int, int]:
        """Its greatest timestamp, -1 for none, and something else."""

    @property
    def created_ms(self) -> int:
        """When it was made or loaded."""


def expendable(
    segments: Sequence[Kept],
    config: TopicConfig,
    *,
    now_ms: int,
    start_offset: int,
    end_offset: int,
    high_watermark: int,
) -> int:
    """
    Return how many of the oldest segments go: by size, by age, or because they are below the start of the log.

    A segment that reaches to or above the high watermark never goes, nor does
    an empty last one.  If all go, the caller must roll first.
    """
    ends = [segment.base_offset for segment in segments[1:]] + [end_offset]
    checks = [_below(start_offset)]
    if config.deletes and config.retention_ms >= 0:
        checks.append(_older(now_ms - config.retention_ms))
    if config.deletes and config.retention_bytes >= 0:
        checks.append(_surplus(sum(segment.size for segment in segments) - config.retention_bytes))
    count = 0
    for segment, end in zip(segments, ends, strict=True):
        if end > high_watermark or (count == len(segments) - 1 and not segment.size):
            break
        # Every check must see every segment, as the one for size counts along.
        if not any([check(segment, end) for check in checks]):
            break
        count += 1
    return count


Check = Callable[[Kept, int], bool]


def _below(start_offset: int) -> Check:
    return lambda _, end: end <= start_offset


def _older(limit_ms: int) -> Check:
    def check(segment: Kept, _: int) -> bool:
        timestamp = segment.newest[0]
        return (timestamp if timestamp > NO_TIMESTAMP else segment.created_ms) < limit_ms

    return check


def _surplus(surplus_bytes: int) -> Check:
    def check(segment: Kept, _: int) -> bool:
        nonlocal surplus_bytes
        surplus_bytes -= segment.size
        return surplus_bytes >= 0

    return check
