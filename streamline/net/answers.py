"""The answers that a connection owes: they leave in the order of the requests, however they come."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from streamline.model import Buffer, Part
from streamline.net.routes import Route
from streamline.services.sending import Sender
from streamline.wire.schema import Message

LONG_BYTES = 1 << 14
"""From this length on a request may be of many elements."""

_HEADER = struct.Struct(">ii")
_FLEXIBLE_HEADER = struct.Struct(">iiB")


class Slot:
    """
    The place of one answer, or of those to C{requests} that are answered together.

    @ivar frame_bytes: the length of what was asked.
    @ivar parts: the answer, once it is there.
    @ivar waiting: what it waits for; C{waiting_bytes} is what that takes.
    @ivar is_long: whether what was asked, or the answer, may be of so many elements that others should have the
        reactor while it is read or written.
    @ivar hurry: makes an answer that might wait for long come now.
    """

    __slots__ = (
        "correlation_id", "frame_bytes", "hurry", "is_long", "parts", "requests", "route", "size_bytes", "waiting",
        "waiting_bytes",
    )  # fmt: skip

    def __init__(self, correlation_id: int, route: Route, frame_bytes: int, requests: int = 1) -> None:
        self.correlation_id = correlation_id
        self.route = route
        self.frame_bytes = frame_bytes
        self.requests = requests
        self.parts: list[Part] | None = None
        self.size_bytes = 0
        self.is_long = frame_bytes >= LONG_BYTES
        self.waiting: Deferred[Any] | None = None
        self.waiting_bytes = 0
        self.hurry: Callable[[], object] | None = None


def headed(slot: Slot, body: Sequence[Part]) -> tuple[list[Part], int]:
    """Put the length and the header of an answer before its body; return that, and how long it is."""
    size_bytes = sum(map(len, body))
    if slot.route.has_tags:
        return [_FLEXIBLE_HEADER.pack(size_bytes + 5, slot.correlation_id, 0), *body], size_bytes + 9
    return [_HEADER.pack(size_bytes + 4, slot.correlation_id), *body], size_bytes + 8


def in_steps(slot: Slot, body: Generator[None, None, list[Buffer]]) -> Generator[None, None, list[Part]]:
    """Make an answer whose body is written in steps."""
    return headed(slot, (yield from body))[0]


class Answers:
    """
    What one connection owes.

    @ivar slots: a place for each request that has not been answered, in order; C{owed} is how many those are.
    @ivar ready_bytes: answers that are there and cannot leave yet, because others are before them.
    @ivar waiting_bytes: what the requests that wait take.
    """

    __slots__ = ("owed", "ready_bytes", "slots", "waiting_bytes")

    def __init__(self) -> None:
        self.slots: deque[Slot] = deque()
        self.owed = 0
        self.ready_bytes = 0
        self.waiting_bytes = 0

    def owe(self, slot: Slot) -> None:
        """Keep a place behind all others."""
        self.slots.append(slot)
        self.owed += slot.requests

    def fill(self, slot: Slot, answer: Message) -> None:
        """Put an answer in its place."""
        slot.parts, slot.size_bytes = headed(slot, slot.route.write(answer))
        self.ready_bytes += slot.size_bytes

    def put(self, slot: Slot, answers: list[Part]) -> None:
        """Put answers in their place that have their lengths and headers already."""
        slot.parts = answers
        slot.size_bytes = sum(map(len, answers))
        self.ready_bytes += slot.size_bytes

    def wait(
        self, slot: Slot, answer: Deferred[Any], hurry: Callable[[], object] | None, kept_bytes: int = 0
    ) -> None:
        """Note that an answer comes later; C{kept_bytes} of the request are kept until then."""
        slot.waiting = answer
        slot.hurry = hurry
        slot.waiting_bytes = slot.route.waiting_bytes(slot.frame_bytes) * slot.requests + kept_bytes
        self.waiting_bytes += slot.waiting_bytes

    def came(self, slot: Slot) -> None:
        """Note that it waits no more."""
        slot.waiting = slot.hurry = None
        self.waiting_bytes -= slot.waiting_bytes
        slot.waiting_bytes = 0

    def leave(self, sender: Sender) -> None:
        """Send the answers that are there, up to the first that is not."""
        slots = self.slots
        parts: list[Part] = []
        size_bytes = 0
        while slots and slots[0].parts is not None:
            slot = slots.popleft()
            self.owed -= slot.requests
            parts += slot.parts or ()
            size_bytes += slot.size_bytes
        if parts:
            self.ready_bytes -= size_bytes
            sender.send(parts, size_bytes)

    def cut(self, slot: Slot) -> None:
        """Owe no answer to this request, nor to any behind it; fine where it has been cut before."""
        slots = self.slots
        while slot in slots:
            last = slots.pop()
            waiting = last.waiting
            self.owed -= last.requests
            self.came(last)
            self.ready_bytes -= last.size_bytes
            if waiting is not None and last is not slot:
                waiting.cancel()

    def hurry(self) -> None:
        """Have every answer come that could otherwise wait for long."""
        for slot in list(self.slots):
            if slot.hurry is not None:
                slot.hurry()

    def drop(self) -> None:
        """Owe nothing any more."""
        slots, self.slots = self.slots, deque()
        self.owed = 0
        for slot in slots:
            if slot.waiting is not None:
                slot.waiting.cancel()
