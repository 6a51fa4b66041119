"""
What lies between machines: directed links with delay, cuts and clogs.

A packet is a function that is called when it arrives.  TCP hides loss, so a cut
link loses nothing: it keeps what it was given until some time after it heals,
as retransmission does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from attrs import define, frozen

from streamline.testing.simulation.world import Simulation

if TYPE_CHECKING:
    from streamline.testing.simulation.machine import Machine

LOOPBACK = ("127.0.0.1", "localhost", "::1", "")
LOOPBACK_DELAY_S = 0.00003
RETRANSMIT_S = 1.0
"""Longest that TCP takes to try again after a link healed."""


@frozen(kw_only=True)
class Weather:
    """
    How the network is, apart from single faults (F2, F3).

    @ivar delay_min_s: no packet is faster.
    @ivar delay_mean_s: mean of what comes on top, exponentially distributed.
    @ivar split_chance: chance that a write arrives in several pieces.
    @ivar window_bytes: least and most bytes that a connection takes before its reader has read.
    @ivar refuse_chance: chance that a connection attempt is refused although somebody listens.
    @ivar hang_chance: chance that a connection attempt is never answered.
    """

    delay_min_s: float = 0.0001
    delay_mean_s: float = 0.0005
    split_chance: float = 0.1
    window_bytes: tuple[int, int] = (16 * 1024, 256 * 1024)
    refuse_chance: float = 0.0
    hang_chance: float = 0.0


class Link:
    """
    One direction between two machines.

    @ivar cuts: how many faults cut it at present; while there is one, nothing gets through.
    @ivar clogged_until: true time before which nothing arrives.
    @ivar detour_s: how much longer than the weather has it everything takes.
    """

    def __init__(self, simulation: Simulation, rng: Random, weather: Weather, *, loopback: bool) -> None:
        self.cuts = 0
        self.clogged_until = 0.0
        self.detour_s = 0.0
        self._simulation = simulation
        self._rng = rng
        self._weather = weather
        self._loopback = loopback
        self._parked: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def carry(self, arrive: Callable[..., object], *args: object, not_before: float = 0.0) -> float:
        """
        Send a packet.

        @param not_before: true time before which it must not arrive, so that packets keep their order.
        @return: the true time at which it arrives if nothing happens to the link.
        """
        now = self._simulation.now
        arrival = max(now + self._delay_s(), not_before, self.clogged_until)
        self._simulation.after(arrival - now, self._arrive, arrive, args)
        return arrival

    def _delay_s(self) -> float:
        if self._loopback:
            return LOOPBACK_DELAY_S
        weather = self._weather
        return self.detour_s + weather.delay_min_s + self._rng.expovariate(1.0) * weather.delay_mean_s

    def _arrive(self, arrive: Callable[..., object], args: tuple[object, ...]) -> None:
        if self.cuts:
            self._parked.append((arrive, args))
        else:
            arrive(*args)

    def mend(self) -> None:
        """Undo one cut; where it was the last, what waited is sent once more, a little later."""
        self.cuts = max(0, self.cuts - 1)
        if not self.cuts:
            self.heal()

    def heal(self) -> None:
        """Let everything through again, however often it was cut."""
        self.cuts = 0
        parked, self._parked = self._parked, []
        again_s = self._rng.random() * RETRANSMIT_S
        for arrive, args in parked:
            self.carry(arrive, *args, not_before=self._simulation.now + again_s)


@define
class Fabric:
    """All machines, by address, and the links between them."""

    simulation: Simulation
    weather: Weather
    rng: Random
    machines: dict[str, Machine]
    _links: dict[tuple[str, str], Link]

    @classmethod
    def of(cls, simulation: Simulation, weather: Weather) -> Fabric:
        """Make one without machines."""
        return cls(simulation, weather, simulation.stream("network"), {}, {})

    def link(self, source: Machine, target: Machine) -> Link:
        """Return the link from one machine to another."""
        key = (source.host, target.host)
        link = self._links.get(key)
        if link is None:
            link = Link(self.simulation, self.rng, self.weather, loopback=source is target)
            self._links[key] = link
        return link

    def find(self, host: str, asking: Machine) -> Machine | None:
        """Return the machine with this address, as seen from another."""
        return asking if host in LOOPBACK else self.machines.get(host)

    def cut(self, sources: Iterable[Machine], targets: Iterable[Machine], *, both_ways: bool = True) -> list[Link]:
        """Let nothing through from some machines to others (F4); return the links, each to be mended once."""
        targets = list(targets)
        pairs = [(source, target) for source in sources for target in targets if source is not target]
        links = [self.link(source, target) for source, target in pairs]
        if both_ways:
            links += [self.link(target, source) for source, target in pairs]
        for link in links:
            link.cuts += 1
        return links

    def clog(self, machine: Machine, seconds: float) -> None:
        """Hold up everything to and from a machine, losing nothing (F5)."""
        for (source, target), link in self._links.items():
            if machine.host in (source, target):
                link.clogged_until = self.simulation.now + seconds

    def heal(self) -> None:
        """Mend every link."""
        for link in self._links.values():
            link.heal()
