"""
When each broker was last heard of, and how far it has come: what a controller knows and never has agreed on.

It is lost with the controller, and the next one gives everybody half a time-out
again.  Times are seconds of a clock that only goes forward.

# Note [Who is silent]

A controller that stood still, for a collection of garbage or a SIGSTOP, has heard nobody meanwhile, and must not take
its own sleep for their silence (RF18): their heartbeats wait in its sockets.  It knows of its sleep by the timer that
was set for the next deadline and came late, and gives everybody half a time-out more.
"""

from __future__ import annotations

from streamline.cluster.image import MetadataImage
from streamline.values import define

NOTHING_APPLIED = -1


@define
class _Session:
    epoch: int
    heard_at: float
    metadata_index: int = NOTHING_APPLIED
    departing_at: int | None = None


class Sessions:
    """The sessions of all brokers; a broker has one for each registration."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._sessions: dict[int, _Session] = {}

    def adopt(self, image: MetadataImage, now: float) -> None:
        """
        Begin to lead: everybody has half a time-out to say that it lives.

        That is enough, as brokers say so at once where they hear of another controller; and who does not may have been
        silent for as long as it took to elect this one.
        """
        heard_at = now - self._timeout_s / 2
        self._sessions = {
            broker.node_id: _Session(broker.epoch, heard_at) for broker in image.brokers.values() if not broker.fenced
        }

    def heard(self, node: int, epoch: int, metadata_index: int, now: float) -> None:
        """Note a sign of life of a broker that is registered under this epoch."""
        session = self._sessions.get(node)
        if session is None or session.epoch != epoch:
            session = self._sessions[node] = _Session(epoch, now)
        session.heard_at = max(session.heard_at, now)
        session.metadata_index = max(session.metadata_index, metadata_index)

    def forget(self, node: int) -> None:
        """End a session: the process is known to be gone, or is going."""
        self._sessions.pop(node, None)

    def is_alive(self, node: int, epoch: int, now: float) -> bool:
        """Say whether a broker was heard of within the time-out."""
        session = self._sessions.get(node)
        return session is not None and session.epoch == epoch and now - session.heard_at < self._timeout_s

    def deadline(self, image: MetadataImage) -> float | None:
        """Return when somebody is overdue if nobody is heard of until then; None where there is nobody to wait for."""
        deadlines = [
            session.heard_at + self._timeout_s
            if (session := self._sessions.get(node)) is not None and session.epoch == broker.epoch
            else 0.0
            for node, broker in image.brokers.items()
            if not broker.fenced
        ]
        return min(deadlines, default=None)

    def overdue(self, image: MetadataImage, now: float) -> list[int]:
        """Return the brokers that should be fenced now, sorted."""
        return [
            node
            for node, broker in sorted(image.brokers.items())
            if not broker.fenced and not self.is_alive(node, broker.epoch, now)
        ]

    def slept(self, now: float) -> None:
        """Hear that this process stood still until now.  See Note [Who is silent]."""
        for session in self._sessions.values():
            session.heard_at = max(session.heard_at, now - self._timeout_s / 2)

    def metadata_index(self, node: int) -> int:
        """Return how far a broker is known to have applied the agreed commands."""
        session = self._sessions.get(node)
        return NOTHING_APPLIED if session is None else session.metadata_index

    def departing(self, node: int, index: int) -> int:
        """
        Return the index up to which the others should have come before a broker stops.

        @param index: what it is when this is asked for the first time in this session.
        """
        session = self._sessions[node]
        if session.departing_at is None:
            session.departing_at = index
        return session.departing_at
