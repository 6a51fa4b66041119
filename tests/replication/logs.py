"""Logs as lists of records, of which each knows its epoch: enough to see where two of them part."""

from __future__ import annotations

from attrs import define, field
from hypothesis import strategies as st

from streamline.errors import ErrorCode, Refused
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.following import Append, BeginAnew, Cut, FollowedPartition, LeaderAnswer, Step
from streamline.replication.truncation import LogRange, find_divergence

Record = tuple[int, int]
"""The epoch of the leader that appended it, and a number that no other record has."""

ROUNDS_MAX = 50


@define
class Log:
    """
    A log that may begin later than at 0.

    @ivar records: all from C{start_offset} on.
    @ivar epochs: as the batches make it, and with the epoch of whoever leads with this log.
    """

    records: list[Record]
    start_offset: int = 0
    epochs: LeaderEpochs = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.epochs = LeaderEpochs()
        for at, (epoch, _) in enumerate(self.records):
            self.epochs.assign(epoch, self.start_offset + at)

    @property
    def end_offset(self) -> int:
        """The offset after the last record."""
        return self.start_offset + len(self.records)

    @property
    def range(self) -> LogRange:
        """What can be read."""
        return LogRange(self.start_offset, self.end_offset)

    def since(self, offset: int) -> list[Record]:
        """Return the records from an offset on."""
        return self.records[max(0, offset - self.start_offset) :]


def log(text: str, start_offset: int = 0) -> Log:
    """Return a log of one record for each digit, which is its epoch; equal prefixes are the same records."""
    return Log([(int(epoch), at + start_offset) for at, epoch in enumerate(text)], start_offset)


def answer_of(leader: Log, followed: FollowedPartition, high_watermark: int | None = None) -> LeaderAnswer:
    """Return what a leader answers to what a follower asks for now."""
    position = followed.position
    assert position is not None
    try:
        divergence = find_divergence(leader.epochs, leader.range, position.offset, position.last_epoch)
    except Refused as refusal:
        assert refusal.code is ErrorCode.OFFSET_OUT_OF_RANGE
        return LeaderAnswer(code=refusal.code, start_offset=leader.start_offset)
    return LeaderAnswer(
        high_watermark=leader.end_offset if high_watermark is None else high_watermark,
        start_offset=leader.start_offset,
        divergence=divergence,
        has_records=divergence is None and position.offset < leader.end_offset,
    )


def follow(
    mine: Log, leader: Log, leader_epoch: int, high_watermark: int = 0
) -> tuple[FollowedPartition, list[Step | None]]:
    """
    Follow a leader until its records begin to come; return the follower, and the steps that it took.

    What is cut and begun anew is done to C{mine}; nothing is appended.
    """
    leader.epochs.assign(leader_epoch, leader.end_offset)
    followed = FollowedPartition(1, leader_epoch, mine.epochs, mine.range, high_watermark)
    steps: list[Step | None] = []
    for _ in range(ROUNDS_MAX):
        position = followed.position
        assert position is not None
        step = followed.answered(position, answer_of(leader, followed), 0.0)
        steps.append(step)
        match step:
            case Cut(offset=offset):
                del mine.records[offset - mine.start_offset :]
                mine.epochs.truncate_end(offset)
            case BeginAnew(offset=offset):
                mine.records, mine.start_offset = [], offset
                mine.epochs.truncate_end(0)
            case Append() | None:
                return followed, steps
        followed.cut(mine.start_offset, mine.end_offset)
    raise AssertionError(f"no end after {ROUNDS_MAX} rounds: {steps}")


@st.composite
def histories(draw: st.DrawFn) -> list[Log]:
    """
    Draw logs that replicas may have after a number of elections, clean or not.

    Whoever leads begins with what some replica has, or a part of that, and appends in its own epoch, perhaps nothing.
    """
    logs = [Log([])]
    value = 0
    for epoch in range(1, draw(st.integers(1, 7)) + 1):
        before = logs[draw(st.integers(0, len(logs) - 1))].records
        kept = before[: draw(st.integers(0, len(before)))]
        count = draw(st.integers(0, 3))
        logs.append(Log([*kept, *((epoch, value + at) for at in range(count))]))
        value += count
    return logs
