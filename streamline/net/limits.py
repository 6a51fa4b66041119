"""
Limits that keep one client from harming the others: connections, memory, patience.

Every number here bounds something that a stranger could otherwise make grow
(reliability: "put a limit on everything").
"""

from __future__ import annotations

from collections import Counter

from streamline.config import BrokerConfig
from streamline.interfaces import IClock
from streamline.values import frozen

SOCKET_SHARE = 0.8
"""Of the sockets that the process may open; the rest is for logs and other nodes."""


@frozen(kw_only=True)
class Limits:
    """
    What a connection may do, and what all may together.

    @ivar kernel_bytes: what the kernel keeps of a connection's answers; -1 where that is up to it.
    @ivar pending_max: requests of one connection that may wait for their answers; then nothing more is read.
    @ivar unsent_bytes_max: answers of one connection that have not left, above which no further request is taken.
    @ivar inbound_bytes_max: unfinished requests of all connections together.
    @ivar waiting_bytes_max: requests that wait for their answers, of all connections together, as they lie in memory.
    @ivar outbound_bytes_max: answers of all connections together that have not left.
    @ivar frame_s_max: how long a frame may take to arrive.
    @ivar stalled_s_max: how long a client may leave an answer untouched.
    @ivar pressure_s_max: how long it may do either while there is too much of it.
    @ivar elements_max: array elements in one request; reading so many, or writing as many in an answer, takes some
        20 ms, and is the longest that one request holds up all others.
    """

    connections_max: int
    per_address_max: int
    per_second_max: int
    produce_bytes_max: int
    other_bytes_max: int
    idle_s_max: float
    kernel_bytes: int = -1
    pending_max: int = 100
    unsent_bytes_max: int = 1 << 20
    inbound_bytes_max: int = 256 << 20
    waiting_bytes_max: int = 256 << 20
    outbound_bytes_max: int = 256 << 20
    frame_s_max: float = 30.0
    stalled_s_max: float = 60.0
    pressure_s_max: float = 5.0
    elements_max: int = 20_000

    @classmethod
    def of(cls, broker: BrokerConfig, sockets_max: int) -> Limits:
        """Derive them from the settings and from what the system allows."""
        return cls(
            connections_max=max(1, min(broker.max_connections, int(sockets_max * SOCKET_SHARE))),
            per_address_max=broker.max_connections_per_ip,
            per_second_max=broker.max_connection_creation_rate,
            produce_bytes_max=broker.socket_request_max_bytes,
            other_bytes_max=max(65_536, broker.socket_request_max_bytes // 100),
            idle_s_max=broker.connections_max_idle_ms / 1000,
            kernel_bytes=broker.socket_send_buffer_bytes,
        )

    @property
    def flood_bytes(self) -> int:
        """
        How much unfinished requests may take before only one of them is read.

        What is left of their limit is for the rest of that one; where it could be more than half, half is.
        """
        return max(self.inbound_bytes_max - self.produce_bytes_max, self.inbound_bytes_max // 2)

    def frame_bytes_max(self, api_key: int) -> int:
        """Return the longest frame for a request of this API; only Produce has a reason to be large."""
        return self.produce_bytes_max if api_key == 0 else self.other_bytes_max


class Turnstile:
    """Counts connections and says who may come in."""

    def __init__(self, limits: Limits, clock: IClock) -> None:
        self._limits = limits
        self._clock = clock
        self._by_address: Counter[str] = Counter()
        self._inside = 0
        self._second = -1
        self._in_second = 0

    @property
    def inside(self) -> int:
        """How many are in."""
        return self._inside

    def enter(self, address: str) -> str | None:
        """Let a connection in, or return why not."""
        if self._inside >= self._limits.connections_max:
            return f"there are {self._inside} connections (max.connections)"
        if self._by_address[address] >= self._limits.per_address_max:
            return f"{address} has {self._by_address[address]} connections (max.connections.per.ip)"
        second = int(self._clock.seconds())
        if second != self._second:
            self._second, self._in_second = second, 0
        if self._in_second >= self._limits.per_second_max:
            return f"{self._in_second} connections came within a second (max.connection.creation.rate)"
        self._in_second += 1
        self._inside += 1
        self._by_address[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Let one out."""
        self._inside -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
