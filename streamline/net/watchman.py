"""
Goes round the connections once a second and ends those that wait for nothing, trickle, or do not take their answers.

One timer for all connections, instead of one for each.  A round is made in
stretches, a turn of the reactor each, so that ten thousand connections hold up
nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from streamline.interfaces import IClock
from streamline.net.connection import KafkaConnection
from streamline.net.kafka import KafkaFactory
from streamline.services.beats import until_beat
from streamline.values import define

LOOK_EVERY_S = 1.0
STRETCH = 500
"""Connections that are looked at in one turn."""
TRICKLE_BYTES_PER_S = 16_384
"""A frame that has taken long must at least have come this fast."""


@define(slots=True)
class Seen:
    """What a connection looked like, and since when."""

    heard: int
    heard_s: float
    finished: int
    frame_s: float
    taken_bytes: int
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
        self._timer = self._clock.callLater(until_beat(self._clock, LOOK_EVERY_S), self._set_out)

    def stopService(self) -> None:
        """End them."""
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_out(self) -> None:
        self._factory.looked()
        self._go_on(iter(list(self._factory.connections)), {})

    def _go_on(self, left: Iterator[KafkaConnection], seen: dict[KafkaConnection, Seen]) -> None:
        now_s = self._clock.seconds()
        for _ in range(STRETCH):
            connection = next(left, None)
            if connection is None:
                self._seen = seen
                self._timer = self._clock.callLater(until_beat(self._clock, LOOK_EVERY_S), self._set_out)
                return
            if connection in self._factory.connections:
                self._look_at(connection, seen, now_s)
        self._timer = self._clock.callLater(0, self._go_on, left, seen)

    def _look_at(self, connection: KafkaConnection, seen: dict[KafkaConnection, Seen], now_s: float) -> None:
        # Where it is we who do not read, the client cannot go on, and is given as long as that takes.
        is_ours = connection.is_paused and not self._factory.accounts.is_flooded
        seen[connection] = current = _observe(connection, self._seen.get(connection), now_s, is_ours)
        complaint = (
            self._about_request(connection, now_s - current.frame_s)
            or self._about_answers(connection, now_s - current.taken_s)
            or self._about_silence(connection, now_s - current.heard_s)
        )
        if complaint is not None:
            connection.drop(complaint)
        else:
            connection.look_again()

    def _about_request(self, connection: KafkaConnection, frame_s: float) -> str | None:
        limits = self._factory.limits
        if not connection.partial_bytes or connection.is_ending:
            return None
        if frame_s > limits.frame_s_max and connection.partial_bytes < frame_s * TRICKLE_BYTES_PER_S:
            return f"its request is not whole after {frame_s:.0f} s"
        if frame_s > limits.pressure_s_max and self._factory.accounts.is_flooded:
            return f"its request is not whole after {frame_s:.0f} s, and unfinished requests take too much memory"
        return None

    def _about_answers(self, connection: KafkaConnection, untaken_s: float) -> str | None:
        limits = self._factory.limits
        if not connection.unsent_bytes:
            return None
        if untaken_s > limits.stalled_s_max:
            return f"it has taken nothing of its answers for {untaken_s:.0f} s"
        if untaken_s > limits.pressure_s_max and self._factory.accounts.is_choked:
            return f"it has taken nothing for {untaken_s:.0f} s, and answers take too much memory"
        return None

    def _about_silence(self, connection: KafkaConnection, silent_s: float) -> str | None:
        limits = self._factory.limits
        if connection.is_ending and silent_s > limits.frame_s_max:
            return f"it has not closed for {silent_s:.0f} s"
        if not connection.is_waiting and silent_s > limits.idle_s_max:
            return f"it has been silent for {silent_s:.0f} s (connections.max.idle.ms)"
        return None


def _observe(connection: KafkaConnection, before: Seen | None, now_s: float, is_ours: bool) -> Seen:
    taken_bytes = connection.taken_bytes
    if before is None:
        return Seen(connection.heard, now_s, connection.finished, now_s, taken_bytes, now_s)
    if connection.heard != before.heard or connection.is_waiting:
        before.heard, before.heard_s = connection.heard, now_s
    if connection.finished != before.finished or not connection.partial_bytes or is_ours:
        before.finished, before.frame_s = connection.finished, now_s
    if taken_bytes != before.taken_bytes or not connection.unsent_bytes:
        before.taken_bytes, before.taken_s = taken_bytes, now_s
    return before
