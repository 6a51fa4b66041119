"""
The order of things: up the stairs one after another, down again in reverse.

L{twisted.application.service.MultiService} starts and stops its children all at
once and waits for none of them.  A node's rooms stand on one another, so each
step here is awaited before the next one is taken.
"""

from __future__ import annotations

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger

log = Logger()


class Staircase(MultiService):
    """
    Starts its children one after another and stops them in the opposite order, awaiting each.

    C{startService} returns a Deferred that fires when the last child has
    started.  What the children can do at once has happened when it returns, so
    a taken port is known by then.

    A child that fails to start ends the climb: the Deferred fails with what the
    child said, at once, and those that stand already are stopped again, which
    C{stopService} waits for.  Whoever starts the staircase hears of it there and
    nowhere else, and decides what becomes of the process.  A child whose own
    start fails cleans up after itself.

    C{stopService} during a climb lets the step in progress end, takes no other,
    and goes down from there; the climb's Deferred fires all the same.  A child
    that fails to stop is logged and does not keep the others up.
    """

    def __init__(self) -> None:
        MultiService.__init__(self)
        self._standing: list[IService] = []
        # One walk at a time: a descent begins when the climb before it has ended.
        self._stairs = DeferredLock()

    def startService(self) -> Deferred[None]:
        """Start the children; fires when the last of them has started."""
        Service.startService(self)
        return self._stairs.run(self._climb)

    def stopService(self) -> Deferred[None]:
        """Stop the children; fires when the first of them has stopped."""
        Service.stopService(self)
        return self._stairs.run(self._descend)

    async def _climb(self) -> None:
        try:
            for child in self.services:
                if not self.running:
                    return
                if child not in self._standing:
                    await maybeDeferred(child.startService)
                    self._standing.append(child)
        except Exception:
            self.stopService()  # begins when this climb has ended
            raise

    async def _descend(self) -> None:
        while self._standing:
            child = self._standing.pop()
            try:
                await maybeDeferred(child.stopService)
            except Exception:
                log.failure("{child} did not stop cleanly", child=child.name or type(child).__name__)
