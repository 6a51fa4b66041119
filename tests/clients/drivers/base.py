"""What the shared suite asks of a client library, and the records it asks it to carry."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Protocol

from attrs import field, frozen

#: Every topic of the shared suite has this many partitions; record number n goes to partition n % PARTITIONS.
PARTITIONS = 2

#: When sample records begin: not in the future, and not long enough ago for retention.
START_MS = int(time.time() * 1000) - 3_600_000

#: No step of any client may take longer.
DEADLINE_S = float(os.environ.get("STREAMLINE_TEST_DEADLINE_S", "60"))


@frozen(order=True)
class Record:
    """One record as a consumer saw it; time in milliseconds."""

    partition: int
    offset: int
    timestamp: int
    key: str
    value: str


@frozen
class Consumed:
    """What a group read, and where it then stood: the committed offset of each partition."""

    records: list[Record]
    committed: dict[int, int]


@frozen
class Shares:
    """
    Who held which partitions while a second member came and went.

    @ivar alone: the first member's partitions before the second came.
    @ivar together: the first's and the second's.
    @ivar given_up: what the first was told to give up when the second came.
    @ivar after: the first's partitions when the second had left.
    """

    alone: list[int]
    together: tuple[list[int], list[int]]
    given_up: list[int]
    after: list[int]


class Client(Protocol):
    """A client library, as the shared suite drives it."""

    name: str
    codecs: tuple[str, ...]
    #: The rebalance protocols it has: "eager", "cooperative".
    protocols: tuple[str, ...]

    def __init__(self, bootstrap: str) -> None:
        """Nothing is asked of the broker yet."""

    def create(self, topic: str) -> None:
        """Create a topic of PARTITIONS partitions."""

    def produce(self, topic: str, codec: str, records: Iterable[Record]) -> None:
        """Produce with acks=all; each record to its own partition, with its own key, value and time."""

    def consume(self, topic: str, group: str, count: int) -> Consumed:
        """Join the group, read that many records from the earliest on, commit and leave."""

    def rebalance(self, topic: str, group: str, protocol: str) -> Shares:
        """Let a second member join the group and leave it."""

    def seek(self, topic: str, timestamp: int, count: int) -> list[Record]:
        """Find the offsets of that time and read so many records from there."""

    def delete(self, topic: str) -> list[str]:
        """Delete the topic and return the names of those that are left."""


@frozen
class Deadline:
    """A point in time by which something must have happened."""

    what: str
    at: float = field(factory=lambda: time.monotonic() + DEADLINE_S)

    def left_s(self) -> float:
        """
        Seconds that are left.

        @raise AssertionError: none are.
        """
        left = self.at - time.monotonic()
        assert left > 0, f"{self.what}: not within {DEADLINE_S} s"
        return left


def sample_records(codec: str, count: int, start_ms: int) -> list[Record]:
    """
    The records to produce, a second apart; their offsets are those that an empty topic gives them.

    Values are long and alike, so that every codec has something to compress.
    """
    return [
        Record(
            partition=number % PARTITIONS,
            offset=number // PARTITIONS,
            timestamp=start_ms + number * 1000,
            key=f"key-{number}",
            value=f"{codec}-{number}-" + "x" * 200,
        )
        for number in range(count)
    ]
