"""
Where two logs part, by leader epochs and nothing else (KIP-101, KIP-279, KIP-595).

The leader is asked in every fetch: "my last record is of this epoch and my log
ends here".  It answers where its own log leaves that behind; the follower cuts
there, or earlier where it knows the epoch less far, and asks again.  Each round
takes away at least one record that the leader does not have, so it ends, and it
takes away none that the leader has: what is left is the longest prefix of the
leader's log.  No high watermark has a part in it (KR1), because one that lags by
a fetch would cut what was acknowledged.
"""

from __future__ import annotations

from typing import NamedTuple

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH, NO_OFFSET
from streamline.replication.epochs import LeaderEpochs


class LogRange(NamedTuple):
    """
    What of a log can be read.

    @ivar start_offset: the first offset in it.
    @ivar end_offset: the offset after the last record that replicas may read.
    """

    start_offset: int
    end_offset: int


class Divergence(NamedTuple):
    """
    What a leader answers to a reader whose log is not a prefix of its own.

    @ivar epoch: the largest epoch that the leader has, not beyond the one it was asked for.
    @ivar end_offset: where that epoch ends in the leader's log.
    """

    epoch: int
    end_offset: int


def find_divergence(epochs: LeaderEpochs, log: LogRange, offset: int, last_epoch: int) -> Divergence | None:
    """
    Say, as the leader, whether a log that ends at C{offset} with a record of C{last_epoch} is a prefix of ours.

    @param last_epoch: L{NO_EPOCH} where the reader's log is empty: only the offset is looked at then.
    @return: where the two part, or None where they do not.
    @raise Refused: OFFSET_OUT_OF_RANGE where the log of now does not reach from before C{offset} to there, so that
        nothing can be said.
    """
    if offset < log.start_offset:
        raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} lies before {log.start_offset}")
    if last_epoch == NO_EPOCH:
        if offset > log.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} lies behind {log.end_offset}")
        return None
    epoch, end_offset = epochs.end_of(last_epoch, log.end_offset)
    if end_offset == NO_OFFSET:
        raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"nothing is known of epoch {last_epoch}")
    if epoch < last_epoch or end_offset < offset:
        return Divergence(epoch, end_offset)
    return None


def cut_offset(epochs: LeaderEpochs, end_offset: int, divergence: Divergence) -> int:
    """
    Say, as the follower, where to cut our log, which ends at C{end_offset}.

    Our own end of the leader's epoch counts as well as the leader's: of an epoch that we know further than the
    leader, only as much as the leader has is common, and of one that we know less far, only as much as we have
    (KIP-279).  An epoch before all of ours ends where our first one begins, which is where nothing is common.
    """
    _, own_end = epochs.end_of(divergence.epoch, end_offset)
    if own_end == NO_OFFSET:  # we know of no epoch that is as late, so we are behind it with everything that we have
        own_end = end_offset
    return min(own_end, divergence.end_offset, end_offset)


def last_epoch_of(epochs: LeaderEpochs, log: LogRange) -> int:
    """
    Return the epoch of the last record; L{NO_EPOCH} in an empty log.

    It is not always the latest epoch of the cache: whoever led without writing has an epoch there without a record.
    """
    return epochs.epoch_at(log.end_offset - 1) if log.end_offset > log.start_offset else NO_EPOCH
