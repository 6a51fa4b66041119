"""
Where requests wait for a partition to move.

A L{Queue} holds what waits for an offset, in the order of offsets; advancing it
releases all that have been reached.  A L{Group} holds one request until
everything that it waits for is settled, or until its time is up.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from streamline.services.deadlines import Deadline, Deadlines

log = Logger()

Settle = Callable[[], None]


class Gathering:
    """
    Does things once that each of many would have done by itself.

    While it is entered, what is asked for waits; it is done, once, when it is left.  So the answers of all
    that one sync or one fetch of a follower releases leave together.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._wanted: dict[Callable[[], None], None] = {}

    def once(self, call: Callable[[], None]) -> None:
        """Call this, now or when everything has been gathered."""
        if self._depth:
            self._wanted[call] = None
        else:
            call()

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            wanted, self._wanted = self._wanted, {}
            for call in wanted:
                try:
                    call()
                except Exception:  # the others have nothing to do with it
                    log.failure("what was gathered failed")


class Queue:
    """Waiters for one kind of offset of one partition."""

    __slots__ = ("_gathering", "_waiting")

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._waiting: deque[tuple[int, int, Settle, int | None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def until(self, offset: int, settle: Settle, acks: int | None = None) -> None:
        """
        Call C{settle} once the offset is reached.

        @param acks: of a produce that waits, which L{release_where} may release before.
        """
        waiting = self._waiting
        entry = (offset, len(waiting), settle, acks)
        if not waiting or waiting[-1][0] <= offset:
            waiting.append(entry)  # appends come in the order of offsets; only a duplicate batch asks for an old one
        else:
            ordered = list(waiting)
            insort(ordered, entry, key=lambda other: other[0])
            self._waiting = deque(ordered)

    def advance(self, offset: int) -> None:
        """Release all that wait for this offset or a lower one."""
        waiting = self._waiting
        if waiting and waiting[0][0] <= offset:
            with self._gathering:
                while waiting and waiting[0][0] <= offset:
                    waiting.popleft()[2]()

    def release_where(self, is_vain: Callable[[int], bool]) -> None:
        """Release produces whose acks make waiting any longer no use."""
        waiting, self._waiting = self._waiting, deque()
        released: list[Settle] = []
        for entry in waiting:
            if entry[3] is not None and is_vain(entry[3]):
                released.append(entry[2])
            else:
                self._waiting.append(entry)
        with self._gathering:
            for settle in released:
                settle()

    def release_all(self) -> None:
        """Release everything: what they waited for will not come; they look at the partition and see."""
        released, self._waiting = self._waiting, deque()
        with self._gathering:
            for _, _, settle, _ in released:
                settle()


class Group:
    """
    One request that waits for several things.

    @ivar done: fires when they are settled or the time is up; may be cancelled.
    """

    __slots__ = ("_deadline", "_left", "done")

    def __init__(self, count: int, deadlines: Deadlines, timeout_s: float) -> None:
        self._left = count
        self.done: Deferred[None] = Deferred(self._cancelled)
        self._deadline: Deadline | None = deadlines.after(timeout_s, self._finish)

    def settle(self) -> None:
        """One of them is settled."""
        self._left -= 1
        if self._left == 0:
            self._finish()

    def _finish(self) -> None:
        if self._stop():
            self.done.callback(None)

    def _cancelled(self, _: Deferred[None]) -> None:
        self._stop()

    def _stop(self) -> bool:
        """Wait no more; return whether it still did."""
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
        return deadline is not None
