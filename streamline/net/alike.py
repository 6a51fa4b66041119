"""
The requests of one connection that begin like one that was read, and so need not be read.

What they mean is in L{streamline.api.familiar}; here is how the connection finds
them.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from streamline.api.call import BrokerServices, Caller
from streamline.api.familiar import Run
from streamline.net.answers import Slot
from streamline.net.routes import PRODUCE, Route, Routes

RUN_MAX = 32
"""So many requests are taken together at most; then it is seen whether others should have their turn."""


class Alike:
    """What one connection knows of its requests."""

    __slots__ = ("_broker", "_caller", "_routes", "_up_to")

    def __init__(self, broker: BrokerServices, routes: Routes, caller: Caller) -> None:
        self._broker = broker
        self._routes = routes
        self._caller = caller
        self._up_to = 0
        """Up to where the last one that was read is like others."""

    def take(self, frames: deque[bytes | memoryview], at_most: int) -> tuple[Slot, Run] | None:
        """
        Take the first requests if one like them was read before, and as far as there is nothing unusual about them.

        @param frames: at least one; those that are taken go out of it.
        @return: the place of their answers, and what makes them; None where not even the first one was taken.
        """
        first = frames[0]
        if type(first) is not bytes:  # as it is where a frame is very large
            return None
        begin, rest = first[:4], first[8 : self._up_to]
        known = self._routes.familiar.get(begin + rest)
        if known is None:
            return None
        route, familiar = known
        alike = list(islice(frames, min(at_most, RUN_MAX)))
        run = familiar.take(self._broker, self._caller, alike)
        if run is None:
            return None
        count = len(run)
        route.served += count
        if count == len(frames):
            frames.clear()
        else:
            for _ in range(count):
                frames.popleft()
        return Slot(0, route, sum(map(len, alike[:count])), count), run

    def learn(
        self, frame: bytes | memoryview, route: Route, client_id: str | None, request: Any, end: int
    ) -> None:
        """Hear of a request that was read, up to C{end} of its frame."""
        if route.key == PRODUCE and end == len(frame) and type(frame) is bytes:
            self._up_to = self._routes.learn(frame, route, client_id, request) or self._up_to
