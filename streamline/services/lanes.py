"""How much may be on its way to one other node, of what clients produce and that node leads."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from streamline.cluster.image import MetadataImage

FLYING_BYTES_MAX: Final = 16 << 20
"""Of batches; a request that goes beyond that waits at its client's connection, which is not read meanwhile."""
FLYING_MAX: Final = 500
"""Requests that wait for one leader's answer."""


class Flying(Protocol):
    """A request that waits for its answer."""

    def metadata_changed(self, image: MetadataImage) -> None:
        """Look at the metadata that there are now."""


class Lane:
    """
    The way to one other node.

    @ivar number: how many connections there have been before.  See Note [Order of what is passed on].
    @ivar flights: what waits for its answer.
    """

    def __init__(self) -> None:
        self.number = 0
        self.flights: dict[Flying, None] = {}
        self._flying_bytes = 0
        self._flying = 0
        self._waiting: deque[tuple[Deferred[None], int]] = deque()

    def enter(self, size_bytes: int) -> Deferred[None] | None:
        """Take room for a request; None where there was some, else fire when it is taken."""
        if not self._waiting and self._has_room(size_bytes):
            self._take(size_bytes)
            return None
        waiting: Deferred[None] = Deferred(self._given_up)
        self._waiting.append((waiting, size_bytes))
        return waiting

    def leave(self, size_bytes: int, count: int) -> None:
        """Give room back: of so many bytes, and of one request or none."""
        self._flying_bytes -= size_bytes
        self._flying -= count
        while self._waiting and self._has_room(self._waiting[0][1]):
            waiting, wanted_bytes = self._waiting.popleft()
            self._take(wanted_bytes)
            waiting.callback(None)

    def _has_room(self, size_bytes: int) -> bool:
        fits = not self._flying_bytes or self._flying_bytes + size_bytes <= FLYING_BYTES_MAX
        return fits and self._flying < FLYING_MAX

    def _take(self, size_bytes: int) -> None:
        self._flying_bytes += size_bytes
        self._flying += 1

    def _given_up(self, given_up: Deferred[None]) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not given_up)
