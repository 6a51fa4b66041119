"""
Goes round the connections once a second and ends those that wait for nothing, trickle, or do not take their answers.

One timer for all connections, instead of one for each.
"""

from __future__ import annotations

from attrs import define
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from streamline.interfaces import IClock
from streamline.net.kafka import KafkaConnection, KafkaFactory

LOOK_EVERY_S = 1.0
TRICKLE_BYTES_PER_S = 16_384
"""A frame that has taken long must at least have come this fast."""


@define(slots=True)
class Seen:
    """What a connection looked like, and since when."""

    heard: int
    heard_s: float
    finished: int
    frame_s: float
    unsent_bytes: int
    taken_s: float


class Watchman(Service):
    """Looks after the connections of one factory."""

    def __init__(self, factory: KafkaFactory, clock: IClock) -> None:
        self._factory = factory
        self._clock = clock
        self._seen: dict[KafkaConnection, Seen] = {}
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin the rounds."""
        Service.startService(self)
        self._timer = self._clock.callLater(LOOK_EVERY_S, self._look)

    def stopService(self) -> None:
        """End them."""
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._clock.callLater(LOOK_EVERY_S, self._look)
        now_s = self._clock.seconds()
        self._factory.looked()
        seen: dict[KafkaConnection, Seen] = {}
        for connection in list(self._factory.connections):
            before = self._seen.get(connection)
            seen[connection] = current = _observe(connection, before, now_s)
            complaint = self._complaint(connection, current, now_s)
            if complaint is not None:
                connection.drop(complaint)
            else:
                connection.look_again()
        self._seen = seen

    def _complaint(self, connection: KafkaConnection, seen: Seen, now_s: float) -> str | None:
        limits = self._factory.limits
        frame_s = now_s - seen.frame_s
        is_trickle = connection.partial_bytes < frame_s * TRICKLE_BYTES_PER_S
        if connection.partial_bytes and frame_s > limits.frame_s_max and is_trickle:
            return f"its request is not whole after {frame_s:.0f} s"
        if connection.unsent_bytes and now_s - seen.taken_s > limits.stalled_s_max:
            return f"it has taken nothing of its answers for {now_s - seen.taken_s:.0f} s"
        if not connection.is_waiting and now_s - seen.heard_s > limits.idle_s_max:
            return f"it has been silent for {now_s - seen.heard_s:.0f} s (connections.max.idle.ms)"
        return None


def _observe(connection: KafkaConnection, before: Seen | None, now_s: float) -> Seen:
    unsent_bytes = connection.unsent_bytes
    if before is None:
        return Seen(connection.heard, now_s, connection.finished, now_s, unsent_bytes, now_s)
    if connection.heard != before.heard or connection.is_waiting:
        before.heard, before.heard_s = connection.heard, now_s
    if connection.finished != before.finished or not connection.partial_bytes:
        before.finished, before.frame_s = connection.finished, now_s
    if unsent_bytes < before.unsent_bytes or not unsent_bytes:
        before.taken_s = now_s
    before.unsent_bytes = unsent_bytes
    return before
