"""
The requests of one connection that begin like one that was read, and so need not be read.

What they mean is in L{streamline.api.familiar}; here is where they wait for what
they brought to be written, and how the connection finds them.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from streamline.api.call import BrokerServices, Caller, Later
from streamline.api.familiar import Familiar
from streamline.net.answers import Answers, Slot
from streamline.net.routes import PRODUCE, Route, Routes
from streamline.services.receipts import Receipt

_CORRELATION = Struct(">i")


class Alike:
    """
    What one connection knows of its requests.

    @ivar taken: those that wait for what they brought to be written.
    """

    __slots__ = ("_answers", "_broker", "_routes", "_up_to", "taken")

    def __init__(self, broker: BrokerServices, routes: Routes, answers: Answers) -> None:
        self._broker = broker
        self._routes = routes
        self._answers = answers
        self._up_to = 0
        """Up to where the last one that was read is like others."""
        self.taken: list[tuple[Slot, Familiar, Receipt]] = []

    def take(self, frame: bytes | bytearray) -> bool:
        """Take a request if one like it was read before and there is nothing unusual about it."""
        if type(frame) is not bytes:  # as it is where a frame is very large
            return False
        known = self._routes.familiar.get(frame[:4] + frame[8 : self._up_to])
        if known is None:
            return False
        route, familiar = known
        receipt = familiar.take(self._broker, frame)
        if receipt is None:
            return False
        route.served += 1
        (correlation_id,) = _CORRELATION.unpack_from(frame, 4)
        slot = Slot(correlation_id, route, len(frame))
        self._answers.slots.append(slot)
        self.taken.append((slot, familiar, receipt))
        return True

    def learn(
        self, frame: bytes | bytearray, route: Route, client_id: str | None, request: Any, end: int
    ) -> None:
        """Hear of a request that was read, up to C{end} of its frame."""
        if route.key == PRODUCE and end == len(frame) and type(frame) is bytes:
            self._up_to = self._routes.learn(frame, route, client_id, request) or self._up_to

    def finish(self, caller: Caller, later: list[tuple[Slot, Later]]) -> None:
        """Answer those that were taken, or add them to the others that are C{later}, which have more to say."""
        taken, self.taken = self.taken, []
        put = self._answers.put
        for slot, familiar, receipt in taken:
            answer = familiar.answer(slot.correlation_id, receipt)
            if answer is not None:
                put(slot, answer)
            else:
                later.append((slot, familiar.in_full(self._broker, caller, receipt)))
