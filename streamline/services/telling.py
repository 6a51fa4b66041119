"""
Who wants to hear of a partition, and telling all of them: nobody's trouble is anybody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from twisted.logger import Logger

if TYPE_CHECKING:
    from streamline.services.partition import Partition

log = Logger()

Reader = Callable[[int], None]
"""Called with the bytes that have become readable; 0 where something else happened."""

L = TypeVar("L")


class Copier(Protocol):
    """Who hears of what followers can copy."""

    def more(self, size_bytes: int) -> None:
        """There are so many bytes more; 0 where something else happened."""

    def committed(self) -> None:
        """The high watermark has moved, or the start of the log has."""


def tell(listeners: dict[L, None], say: Callable[[L], None], partition: Partition) -> None:
    """Tell all of them; one that fails is told no more."""
    for listener in list(listeners):
        try:
            say(listener)
        except Exception:  # a reader's trouble is not that of whoever appended
            log.failure("a reader of {partition} failed", partition=str(partition.log.identity))
            listeners.pop(listener, None)
