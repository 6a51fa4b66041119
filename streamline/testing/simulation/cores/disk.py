"""
What a replica's disk holds, what is on its way there, and what a crash leaves of that.

Writes become durable in the order in which they were asked for, a sync for all that
wait.  A killed process leaves all it has written, synced or not; a power cut leaves what was
synced, and of the rest some of the first states of the vote file and some of the first
changes to the log, independently.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TypeAlias

from attrs import Factory, define, frozen

from streamline.raft import Entry, HardState, Ready, Recovered, ReplicaKey, Snapshot


@frozen
class Taken:
    """A snapshot of this replica's own state machine."""

    snapshot: Snapshot


Job: TypeAlias = Ready | Taken
Step: TypeAlias = Snapshot | Entry | int
"""One change of the files: a snapshot comes, an entry comes at its index, or all entries go (and the index is lost)."""


@define
class CoreDisk:
    """
    A directory.

    @ivar hard_state: as it is durable.
    @ivar snapshot: the latest that is durable.
    @ivar entries: as they are durable.
    @ivar waiting: what was asked for and is not durable, oldest first.
    @ivar syncing: how many of these the sync under way is for.
    """

    key: ReplicaKey
    snapshot: Snapshot
    hard_state: HardState = HardState()
    entries: list[Entry] = Factory(list)
    waiting: deque[Job] = Factory(deque)
    syncing: int = 0

    def recovered(self) -> Recovered:
        """Return what a start finds."""
        return Recovered(snapshot=self.snapshot, hard_state=self.hard_state, entries=tuple(self.entries))

    @property
    def last_index(self) -> int:
        """The index of the last entry that is durable, as such or in a snapshot."""
        return max(self.snapshot.index, self.entries[-1].index if self.entries else 0)

    def has(self, index: int, term: int) -> bool:
        """Say whether the entry of this index and term is durable, or in a durable snapshot."""
        if index <= self.snapshot.index:
            return True
        at = index - self.entries[0].index if self.entries else -1
        return 0 <= at < len(self.entries) and self.entries[at].term == term

    def synced(self) -> list[Job]:
        """Make durable what the sync was for, and return it."""
        done = [self.waiting.popleft() for _ in range(self.syncing)]
        self.syncing = 0
        for job in done:
            if isinstance(job, Ready) and job.hard_state is not None:
                self.hard_state = job.hard_state
            for step in _steps(job):
                self._take(step)
        return done

    def killed(self) -> None:
        """Lose nothing: what was written is in the page cache."""
        self.syncing = len(self.waiting)
        self.synced()

    def cut_off(self, rng: Random) -> None:
        """Lose what was not synced, or some of it."""
        states = [job.hard_state for job in self.waiting if isinstance(job, Ready) and job.hard_state is not None]
        steps = [step for job in self.waiting for step in _steps(job)]
        self.waiting.clear()
        self.syncing = 0
        kept_states = rng.randint(0, len(states))
        if kept_states:
            self.hard_state = states[kept_states - 1]
        for step in steps[: rng.randint(0, len(steps))]:
            self._take(step)

    def drop_to(self, index: int) -> None:
        """Delete the entries up to C{index}, which a durable snapshot stands for."""
        if self.entries:
            del self.entries[: max(0, index + 1 - self.entries[0].index)]

    def _take(self, step: Step) -> None:
        if isinstance(step, Snapshot):
            if step.index > self.snapshot.index:
                self.snapshot = step
        elif isinstance(step, Entry):
            if self.entries:
                del self.entries[max(0, step.index - self.entries[0].index) :]
            self.entries.append(step)
        else:
            self.entries.clear()


def _steps(job: Job) -> list[Step]:
    """Return the changes of the files in their order; the log is reset only after its snapshot is there (RF12)."""
    if isinstance(job, Taken):
        return [job.snapshot]
    installed: list[Step] = [] if job.snapshot is None else [job.snapshot, job.snapshot.index]
    return [*installed, *job.entries]
