"""
The links between cores: late, lossy, doubling, out of order, and cut in one direction or both.
"""

from __future__ import annotations

from random import Random

from attrs import Factory, define, frozen


@frozen
class LinkWeather:
    """
    How bad the network is at the best of times in a run; drawn once.

    @ivar delay_min_s: every message takes this, at least.
    @ivar delay_mean_s: and this on top, on average.
    @ivar loss: the chance that a message is lost.
    @ivar doubling: the chance that it arrives twice.
    @ivar in_order: messages of one link do not overtake each other, as on a connection.
    """

    delay_min_s: float
    delay_mean_s: float
    loss: float
    doubling: float
    in_order: bool

    @classmethod
    def drawn(cls, rng: Random) -> LinkWeather:
        """Draw one (F2)."""
        return cls(
            delay_min_s=rng.choice((0.0, 0.0005, 0.01)),
            delay_mean_s=rng.choice((0.0002, 0.002, 0.02, 0.05)),
            loss=rng.choice((0.0, 0.0, 0.005, 0.03)),
            doubling=rng.choice((0.0, 0.0, 0.01, 0.1)),
            in_order=rng.random() < 0.5,
        )


CALM = LinkWeather(0.0005, 0.001, 0.0, 0.0, True)
"""What the network is like when everything is mended."""

Link = tuple[int, int]


@define
class Links:
    """
    All links.

    @ivar cuts: how many faults keep a link from carrying anything.
    @ivar clogs: how much later what it carries arrives.
    @ivar losses: the chance of loss that faults add to every link.
    @ivar broken: how often a connection broke; what was on its way is lost.
    """

    weather: LinkWeather
    rng: Random
    cuts: dict[Link, int] = Factory(dict)
    clogs: dict[Link, float] = Factory(dict)
    losses: list[float] = Factory(list)
    broken: dict[Link, int] = Factory(dict)
    _last: dict[Link, float] = Factory(dict)

    def arrivals(self, link: Link, now: float) -> tuple[float, ...]:
        """Return when a message that is sent now arrives: never, once or twice."""
        weather, random = self.weather, self.rng.random
        if self.cuts.get(link) or random() < weather.loss:
            return ()
        if any(random() < loss for loss in self.losses):
            return ()
        at = now + weather.delay_min_s + self.rng.expovariate(1.0) * weather.delay_mean_s + self.clogs.get(link, 0.0)
        if weather.in_order:
            at = self._last[link] = max(at, self._last.get(link, 0.0) + 1e-9)
        if random() < weather.doubling:
            return (at, at + self.rng.expovariate(1.0) * (weather.delay_mean_s + 0.1))
        return (at,)

    def cut(self, links: list[Link], by: int) -> None:
        """Cut links, or mend one cut of them with C{by=-1}."""
        for link in links:
            self.cuts[link] = self.cuts.get(link, 0) + by

    def clog(self, links: list[Link], by_s: float) -> None:
        """Hold up what links carry, by so much more or less."""
        for link in links:
            self.clogs[link] = max(0.0, self.clogs.get(link, 0.0) + by_s)

    def mend(self) -> None:
        """Let every link work at its best."""
        self.weather = CALM
        self.cuts.clear()
        self.clogs.clear()
        self.losses.clear()
