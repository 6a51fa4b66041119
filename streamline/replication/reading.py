"""
What replicas may be asked by whom: epochs that have to agree, and offsets that may be read (KIP-320, KIP-392).
"""

from __future__ import annotations

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH
from streamline.replication.truncation import LogRange


def check_leader_epoch(claimed: int, known: int) -> None:
    """
    Compare the leader epoch that a request believes in with ours (KR5).

    @param claimed: L{NO_EPOCH} where the request does not say; only consumers may leave that out.
    @raise Refused: FENCED_LEADER_EPOCH for an older one; UNKNOWN_LEADER_EPOCH for one that we have not heard of.
    """
    if claimed == NO_EPOCH:
        return
    if claimed < known:
        raise Refused(ErrorCode.FENCED_LEADER_EPOCH, f"the leader epoch is {known}, not {claimed} any more")
    if claimed > known:
        raise Refused(ErrorCode.UNKNOWN_LEADER_EPOCH, f"the leader epoch is {known}; {claimed} is not known here yet")


def check_leader_read(offset: int, log: LogRange) -> None:
    """
    Look at the offset that a consumer asks the leader for; between the high watermark and the end it waits.

    @raise Refused: OFFSET_OUT_OF_RANGE, upon which consumers begin anew where they are told to.
    """
    if not log.start_offset <= offset <= log.end_offset:
        raise Refused(
            ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} is not in {log.start_offset} to {log.end_offset}"
        )


def check_follower_read(offset: int, log: LogRange, high_watermark: int) -> None:
    """
    Look at the offset that a consumer asks a follower for (KR10).

    What lies behind the follower's high watermark may well be committed, and even be in no log but the leader's; the
    consumer is told to come back or to ask the leader, and not to begin anew.

    @raise Refused: OFFSET_NOT_AVAILABLE, or OFFSET_OUT_OF_RANGE for what is no longer kept.
    """
    if offset < log.start_offset:
        raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} lies before {log.start_offset}")
    if offset > high_watermark:
        raise Refused(ErrorCode.OFFSET_NOT_AVAILABLE, f"this replica knows of nothing committed at {offset} yet")
