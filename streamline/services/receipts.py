"""What became of a batch that somebody wants kept: the partition's word, until it can be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamline.errors import Refused
from streamline.interfaces import ILeadership
from streamline.model import NO_OFFSET, NO_TIMESTAMP

if TYPE_CHECKING:
    from streamline.services.partition import Partition


class Receipt:
    """
    What became of one batch.

    @ivar next_offset: the batch is safe once what the acks ask for has reached this offset.
    @ivar leadership: under which it was taken; nobody can say what became of it once that is over (KR26).
    @ivar refusal: why it was not kept, or None.
    """

    __slots__ = ("append_time_ms", "base_offset", "leadership", "next_offset", "partition", "refusal")

    def __init__(
        self,
        partition: Partition | None,
        leadership: ILeadership | None,
        base_offset: int,
        next_offset: int,
        append_time_ms: int,
    ) -> None:
        self.partition = partition
        self.leadership = leadership
        self.base_offset = base_offset
        self.next_offset = next_offset
        self.append_time_ms = append_time_ms
        self.refusal: Refused | None = None

    @property
    def log_start_offset(self) -> int:
        """Where the log of the partition begins by now."""
        return self.partition.log.start_offset if self.partition is not None else NO_OFFSET


def refused(refusal: Refused) -> Receipt:
    """Return the receipt of a batch that was not taken."""
    # A request may name thousands; each would keep all that the frames of its traceback hold.
    refusal.__traceback__ = refusal.__context__ = None
    receipt = Receipt(None, None, NO_OFFSET, NO_OFFSET, NO_TIMESTAMP)
    receipt.refusal = refusal
    return receipt
