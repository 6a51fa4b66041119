"""
Who waits for a replica: for what becomes of a proposal, and for a moment at which reading is safe.

Nobody waits for ever: a leader that was cut off may never learn what became of its
proposals, and says then that it does not know (RF17).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IRandom
from streamline.raft import CommitTimes, Fate, NotProposed, Outcome, Proposal, ReadState, Reason
from streamline.values import define, frozen

NONCE_BYTES = 8

CODES: Mapping[Reason, ErrorCode] = {
    Reason.NOT_LEADER: ErrorCode.NOT_CONTROLLER,
    Reason.TRANSFERRING: ErrorCode.NOT_CONTROLLER,
    Reason.TOO_LARGE: ErrorCode.MESSAGE_TOO_LARGE,
    Reason.TOO_MUCH_UNCOMMITTED: ErrorCode.THROTTLING_QUOTA_EXCEEDED,
    Reason.CHANGE_IN_FLIGHT: ErrorCode.REASSIGNMENT_IN_PROGRESS,
    Reason.TERM_NOT_COMMITTED: ErrorCode.NOT_CONTROLLER,
    Reason.NOTHING_CHANGES: ErrorCode.DUPLICATE_VOTER,
    Reason.NO_VOTERS: ErrorCode.INVALID_REQUEST,
    Reason.SAME_NODE_TWICE: ErrorCode.INVALID_REQUEST,
    Reason.NOT_A_VOTER: ErrorCode.VOTER_NOT_FOUND,
    Reason.NOT_A_MEMBER: ErrorCode.VOTER_NOT_FOUND,
}
"""What a client is told where nothing was tried."""


def refusal_of(reason: NotProposed) -> Refused:
    """Return what to tell whoever asked for something that was not tried."""
    return Refused(CODES[reason.reason], str(reason))


@frozen
class _Waiting:
    told: Deferred[Any]
    until_tick: int
    since_s: float


class Proposals:
    """
    Those in flight.

    @param ticks_max: how long anybody waits.
    @ivar times: how long those took that were committed.
    """

    def __init__(self, ticks_max: int) -> None:
        self.times = CommitTimes()
        self._ticks_max = ticks_max
        self._waiting: dict[Proposal, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, proposal: Proposal) -> bool:
        return proposal in self._waiting

    def add(self, proposal: Proposal, tick: int, now_s: float) -> Deferred[Any]:
        """Return what fires with what becomes of it."""
        waiting = _Waiting(Deferred(), tick + self._ticks_max, now_s)
        self._waiting[proposal] = waiting
        return waiting.told

    def settle(self, outcome: Outcome, result: Any, now_s: float) -> None:
        """
        Tell who waits for this one.

        @param result: what applying it returned, where it was committed; a Failure is told as such.
        @param now_s: when it became known.
        """
        waiting = self._waiting.pop(outcome.proposal, None)
        if waiting is None:
            return
        if outcome.fate is Fate.COMMITTED:
            self.times.note(now_s - waiting.since_s)
            waiting.told.callback(result)
        elif outcome.fate is Fate.DROPPED:
            waiting.told.errback(Refused(ErrorCode.NOT_CONTROLLER, "another node leads, and the change was dropped"))
        else:
            waiting.told.errback(_unknown("another node leads"))

    def expire(self, tick: int) -> None:
        """Give up on those that were proposed too long ago; they may yet take effect."""
        for proposal in [one for one, waiting in self._waiting.items() if waiting.until_tick <= tick]:
            self._waiting.pop(proposal).told.errback(_unknown("no majority of the nodes has confirmed it in time"))

    def fail(self, refusal: Refused) -> None:
        """Tell all of them the same."""
        while self._waiting:
            _, waiting = self._waiting.popitem()
            waiting.told.errback(refusal.again())


def _unknown(why: str) -> Refused:
    return Refused(ErrorCode.REQUEST_TIMED_OUT, f"whether the change was made is not known: {why}")


@define
class _Read:
    told: Deferred[None]
    until_tick: int
    index: int | None = None


class Reads:
    """
    Those who wait until everything that was committed when they came has been applied.

    @param ask: asks the core, with a context that nobody ever used before.
    """

    def __init__(self, rng: IRandom, ticks_max: int, ask: Callable[[bytes], None]) -> None:
        self._nonce = rng.randbytes(NONCE_BYTES)
        self._ticks_max = ticks_max
        self._ask = ask
        self._count = 0
        self._asked: dict[bytes, _Read] = {}
        self._unanswered: list[_Read] = []
        self._answered: list[_Read] = []

    def add(self, tick: int) -> Deferred[None]:
        """Return what fires when reading is safe."""
        read = _Read(Deferred(), tick + self._ticks_max)
        self._ask_for(read)
        return read.told

    def _ask_for(self, read: _Read) -> None:
        self._count += 1
        context = self._nonce + self._count.to_bytes(8, "big")
        self._asked[context] = read
        self._ask(context)

    def answer(self, state: ReadState) -> None:
        """Take the core's answer; where it is none, ask again at the next tick."""
        read = self._asked.pop(state.context, None)
        if read is not None:
            read.index = state.index
            (self._unanswered if state.index is None else self._answered).append(read)

    def applied(self, index: int) -> None:
        """Hear how far things are applied; tell those who waited for that."""
        if not self._answered:
            return
        safe = [read for read in self._answered if read.index is not None and read.index <= index]
        self._answered = [read for read in self._answered if read.index is not None and read.index > index]
        for read in safe:
            read.told.callback(None)

    def tick(self, tick: int) -> None:
        """Ask again for those without an answer; give up on those that came too long ago."""
        unanswered, self._unanswered = self._unanswered, []
        for read in unanswered:
            if read.until_tick > tick:
                self._ask_for(read)
            else:
                read.told.errback(Refused(ErrorCode.REQUEST_TIMED_OUT, "no leader has said what is committed"))
        late = [read for read in self._answered if read.until_tick <= tick]
        self._answered = [read for read in self._answered if read.until_tick > tick]
        for read in late:
            read.told.errback(Refused(ErrorCode.REQUEST_TIMED_OUT, "what is committed could not be applied in time"))

    def fail(self, refusal: Refused) -> None:
        """Tell all of them the same."""
        reads = [*self._asked.values(), *self._unanswered, *self._answered]
        self._asked.clear()
        self._unanswered.clear()
        self._answered.clear()
        for read in reads:
            read.told.errback(refusal.again())
