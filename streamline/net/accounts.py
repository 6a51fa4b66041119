"""
What all clients together make the node hold: sums that are always up to date, never counted anew.

Three things are scarce.  Bytes of requests that are not whole or wait for their
turn (inbound), memory of requests that wait for their answers (waiting), and
bytes of answers that have not been taken (outbound).  While one of them is short,
connections that hold some of it get no more; those that hold nothing are served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from streamline.net.limits import Limits

LEAST_ROOM_BYTES = 1 << 20
"""How large an answer may be for a client that takes its answers, while others do not take theirs."""


class Holder(Protocol):
    """What holds something: a connection."""

    def look_again(self) -> None:
        """Go on if there is room by now."""


class Share:
    """What one connection holds of each."""

    __slots__ = ("holder", "inbound_bytes", "outbound_bytes", "waiting_bytes")

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.inbound_bytes = 0
        self.waiting_bytes = 0
        self.outbound_bytes = 0


class Accounts:
    """
    The sums, and what follows from them.

    @ivar promised_bytes: answers that are being read from the device; whoever reads them adds to it and takes it away.
    @ivar is_tight: whether anything is short; what is asked on the way of every request.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._flood_bytes = limits.flood_bytes
        self.inbound_bytes = 0
        self.waiting_bytes = 0
        self.outbound_bytes = 0
        self.promised_bytes = 0
        self.is_tight = False
        self._inbound: dict[Share, None] = {}
        """Who holds parts of requests, longest first."""

    @property
    def is_flooded(self) -> bool:
        """Whether unfinished requests take so much that only one of them has room for what is missing of it."""
        return self.inbound_bytes > self._flood_bytes

    @property
    def holders(self) -> int:
        """How many hold part of a request."""
        return len(self._inbound)

    @property
    def is_crowded(self) -> bool:
        """Whether requests that wait take too much."""
        return self.waiting_bytes > self._limits.waiting_bytes_max

    @property
    def is_choked(self) -> bool:
        """Whether answers that nobody takes are too much."""
        return self.outbound_bytes > self._limits.outbound_bytes_max

    @property
    def room_bytes(self) -> int:
        """
        How large an answer may be.

        While answers take too much, only those are asked whose clients have taken theirs; they get something, too.
        """
        most_bytes = self._limits.outbound_bytes_max
        left_bytes = most_bytes - self.outbound_bytes - self.promised_bytes
        return max(0, left_bytes, min(LEAST_ROOM_BYTES, left_bytes + most_bytes))

    def settle(self, share: Share, inbound_bytes: int, waiting_bytes: int, outbound_bytes: int) -> bool:
        """
        Hear what a connection holds now.

        @return: whether somebody who may not be read could be read by now, see L{held_up}.
        """
        was_flooded = self.is_tight and self.is_flooded
        if inbound_bytes != share.inbound_bytes:
            self._keep_order(share, inbound_bytes)
            self.inbound_bytes += inbound_bytes - share.inbound_bytes
            share.inbound_bytes = inbound_bytes
        self.waiting_bytes += waiting_bytes - share.waiting_bytes
        share.waiting_bytes = waiting_bytes
        self.outbound_bytes += outbound_bytes - share.outbound_bytes
        share.outbound_bytes = outbound_bytes
        self.is_tight = self.is_flooded or self.is_crowded or self.is_choked
        return was_flooded and (not inbound_bytes or not self.is_flooded)

    def _keep_order(self, share: Share, inbound_bytes: int) -> None:
        if not inbound_bytes:
            del self._inbound[share]
        elif not share.inbound_bytes:
            self._inbound[share] = None

    def may_read(self, share: Share) -> bool:
        """
        Say whether a connection may be read.

        The one that has held part of a request longest always may, so that all get on, one after another.
        """
        return not share.inbound_bytes or not self.is_flooded or next(iter(self._inbound)) is share

    def may_ask(self, share: Share) -> bool:
        """Say whether another request of a connection may be taken."""
        if self.is_crowded and share.waiting_bytes:
            return False
        if not self.is_choked:
            return True
        return not share.outbound_bytes and self.outbound_bytes <= 2 * self._limits.outbound_bytes_max

    def held_up(self) -> Iterator[Holder]:
        """Yield those that hold part of a request, longest first; all of them once there is room again."""
        for share in list(self._inbound):
            yield share.holder
            if self.is_flooded:
                return
