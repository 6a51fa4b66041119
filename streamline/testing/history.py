"""
What clients did and saw, in one format for every test level.

Each value is written once in a run, so that it names the send that wrote it.
L{streamline.testing.checks} judges a history; nothing here does.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from streamline.model import TopicPartition

OK = "ok"
FAIL = "fail"
INFO = "info"
"""How a send ended: acknowledged; certainly not carried out; nobody knows."""


@define
class Send:
    """
    One record that a producer sent.

    @ivar value: unique in the history.
    @ivar number: its place among the producer's sends to this partition.
    @ivar offset: where it is said to be, or -1.
    @ivar retried: whether it was sent more than once.
    @ivar incarnation: how many producer ids its producer had used up before the one that it was last sent with.
    """

    producer: str
    key: TopicPartition
    value: str
    number: int
    sent_at: float
    acks: int
    idempotent: bool
    status: str = INFO
    offset: int = -1
    done_at: float = -1.0
    retried: bool = False
    error: str = ""
    incarnation: int = 0


@define
class Poll:
    """
    What one fetch brought from one partition.

    @ivar asked_at: when it was asked for; C{at} is when it came.
    @ivar position: the offset that was asked for.
    @ivar records: offsets and values, in the order they came.
    @ivar is_reset: whether the consumer chose this position anew, rather than going on.
    @ivar is_final: whether it belongs to the reading of everything at the end.
    @ivar times_ms: the records' timestamps, for that reading.
    """

    consumer: str
    key: TopicPartition
    asked_at: float
    at: float
    position: int
    records: list[tuple[int, str]]
    is_reset: bool = False
    is_final: bool = False
    times_ms: list[int] = field(factory=list)


@define
class Lookup:
    """
    What was found, at the end, for a time: the first record of at least that time (ListOffsets).

    @ivar time_ms: the time, or -3 for the greatest there is.
    @ivar offset: where that is, or -1.
    @ivar found_ms: the timestamp there, or -1.
    """

    key: TopicPartition
    time_ms: int
    offset: int
    found_ms: int


@define
class Change:
    """
    Something that was asked of the cluster beside records.

    @ivar what: C{create} or C{delete} a topic; C{commit} an offset or have it C{fetched}; be C{assigned} a partition.
    @ivar name: the topic, or C{group/topic-partition}.
    @ivar detail: for a topic, its partition count; for an offset, that; for an assignment, the generation.
    @ivar who: who asked.
    """

    what: str
    name: str
    detail: int
    sent_at: float
    status: str = INFO
    done_at: float = -1.0
    error: str = ""
    who: str = ""


def _nobody_hears(send: Send) -> None:
    """Care for nothing that is acknowledged."""


@define
class History:
    """
    All of it, in the order in which it began.

    @ivar asked: how many requests of each API were sent, and C{answered} how many of them.
    @ivar starts: where each partition's log began at the end; what lies below was given up by retention.
    @ivar acknowledged: hears of every send when it is acknowledged.
    """

    sends: list[Send] = field(factory=list)
    polls: list[Poll] = field(factory=list)
    changes: list[Change] = field(factory=list)
    lookups: list[Lookup] = field(factory=list)
    starts: dict[TopicPartition, int] = field(factory=dict)
    asked: dict[str, int] = field(factory=dict)
    answered: dict[str, int] = field(factory=dict)
    acknowledged: Callable[[Send], object] = _nobody_hears

    def keys(self) -> list[TopicPartition]:
        """Return the partitions concerned, sorted."""
        found = {send.key: None for send in self.sends}
        found.update({poll.key: None for poll in self.polls})
        return sorted(found)
