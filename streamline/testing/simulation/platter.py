"""
What a simulated machine's disk holds, and what is wrong with it.

How long a sync takes, what fails and when is data in L{DiskFaults}, set before
or between events, never drawn by the code under test.
"""

from __future__ import annotations

from random import Random

from attrs import define

from streamline.testing.simulation.names import Names

CAPACITY_BYTES = 64 * 2**30


@define(kw_only=True)
class DiskFaults:
    """
    What is wrong with a disk at present (F9, F10, F12).

    @ivar sync_mean_s: how long a sync takes on average, exponentially distributed.
    @ivar stuck_until: true time before which no sync ends.
    @ivar uncached_chance: chance that a range is said not to be in the page cache.
    @ivar thread_mean_s: how long a call waits for a thread.
    @ivar full: whether there is no space left; C{full_chance} is the chance that something finds none.
    @ivar read_error_chance: chance that a read fails with EIO.
    @ivar write_error_chance: chance that a write fails with EIO.
    @ivar failing_syncs: how many of the next syncs fail with EIO.
    @ivar dies_in: how many changes later the process dies in the middle of one, or None.
    @ivar dies_at_step: at which durable step from now on the machine loses its power, or None: a sync of a file or of a
        directory, be it just before it counts, or just after.
    @ivar dies_of_power: whether it is a power cut then.
    """

    sync_mean_s: float = 0.001
    stuck_until: float = 0.0
    uncached_chance: float = 0.05
    thread_mean_s: float = 0.0002
    full: bool = False
    full_chance: float = 0.0
    read_error_chance: float = 0.0
    write_error_chance: float = 0.0
    failing_syncs: int = 0
    dies_in: int | None = None
    dies_of_power: bool = False
    dies_at_step: int | None = None


class Platter:
    """
    What a machine's disk holds.

    @ivar used_bytes: the length of all files.
    @ivar hits: how often each kind of fault took effect.
    """

    def __init__(self, rng: Random, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.rng = rng
        self.names = Names()
        self.faults = DiskFaults()
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.hits: dict[str, int] = {}

    def hit(self, fault: str) -> None:
        """Count a fault that took effect."""
        self.hits[fault] = self.hits.get(fault, 0) + 1

    def lose_power(self) -> None:
        """Keep what the device holds."""
        self.names.lose_power(self.rng)
        self.used_bytes = sum(len(inode.data) for inode in self.names.inodes())

    def room(self, more: int) -> int:
        """Return how many of so many more bytes fit."""
        faults = self.faults
        if faults.full or (faults.full_chance and self.rng.random() < faults.full_chance):
            return 0
        return max(0, min(more, self.capacity_bytes - self.used_bytes))

    def sync_duration_s(self, now: float) -> float:
        """Draw how long a sync takes that begins now."""
        faults = self.faults
        return max(self.rng.expovariate(1.0) * faults.sync_mean_s, faults.stuck_until - now)

    def ends_here(self) -> bool:
        """Count a durable step; say whether it is the one at which the machine loses its power."""
        faults = self.faults
        if faults.dies_at_step is None:
            return False
        faults.dies_at_step -= 1
        if faults.dies_at_step > 0:
            return False
        faults.dies_at_step = None
        self.hit("power cut at a durable step")
        return True

    def sync_fails(self) -> bool:
        """Say whether the sync that ends now failed."""
        if self.faults.failing_syncs > 0:
            self.faults.failing_syncs -= 1
            self.hit("sync EIO")
            return True
        return False
