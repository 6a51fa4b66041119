"""
Whims: what is rare and allowed happens within the product, more often than it would by itself (reliability F20).

A bug that shows only where a timer is late, a session is forgotten or a segment rolls after one batch may wait for
years for that to happen.  So there are sites in the product which ask C{Host.whim} when they are made.  In production
there is no whim; here the seed says which sites have one in a run, and at each visit whether it has its way, as
FoundationDB's BUGGIFY does.  No draw disturbs another one: a run with other whims differs by what they do, and by
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from streamline.interfaces import Whim

SITES = {
    "batch-fetched-alone": "a follower asks for one byte of each partition, and so for one batch",
    "chore-late": "a checkpoint, retention or a look at the free space comes later by half of its interval",
    "chore-soon-again": "they come again after 50 ms",
    "commit-told-late": "the quorum's leader tells after half a second what is committed, where nothing else goes out",
    "connection-closed": "a client's connection ends once what was asked is answered",
    "dialled-at-once": "a node that lost another one connects again without a pause",
    "early-roll": "a segment ends in the middle of nowhere",
    "early-snapshot": "the metadata are put into a snapshot after any entry, and no entry is kept beside it",
    "every-batch-indexed": "a new segment has an entry for every batch in its index",
    "fetch-answered-early": "a fetch that would wait is answered with what there is",
    "follower-session-forgotten": "a leader has forgotten a follower's fetch session",
    "fetched-taken-one-by-one": "a follower takes what a fetch has brought one partition in a turn",
    "group-answered-late": "a group's answer to a join, a sync or a heartbeat comes 50 ms late",
    "heartbeat-repeated": "a broker says twice in a row that it lives",
    "high-watermark-told-late": "a follower hears of what is committed when its fetch has waited for as long as it may",
    "isr-asked-again-at-once": "a leader that was refused an ISR looks at once whether to ask again",
    "isr-asked-alone": "AlterPartition is asked for one partition where several wait",
    "isr-considered-late": "a leader considers 0.2 s late whom it could have in its ISR",
    "late-deadline": "all that a deadline is for comes 50 ms late",
    "late-sought-at-once": "a leader looks again at once for followers that are late",
    "metadata-applied-late": "a broker applies 20 ms late what is agreed on",
    "nothing-kept-in-memory": "a process reads everything from its files, the newest batches as well",
    "one-file-open": "a process keeps one segment open",
    "planned-again": "the controller makes a plan twice, as if the image had changed meanwhile",
    "push-held": "what the controller would push now goes with what comes within 0.1 s",
    "push-left-out": "it is not pushed to somebody",
    "session-forgotten": "a broker has forgotten a client's fetch session",
    "short-fetch": "a fetch brings one batch, however much was asked for",
    "short-turn": "a client's second request has to wait for another turn of the reactor",
    "small-messages": "a process sends its quorum one entry in a message, and snapshots in crumbs",
}
"""What there is, and what happens where it has its way."""

ACTIVE_CHANCE = 0.25
CHANCES = (0.01, 0.05, 0.25)
MADE_CHANCE = 0.5
"""Of what is asked but once in the life of a process; see L{ONCE}."""
ONCE = ("nothing-kept-in-memory", "one-file-open", "small-messages")


def whims_of(seed: int) -> tuple[str, ...]:
    """Return the sites that have a whim in a seed's run; a quarter of all runs have none."""
    rng = Random(f"{seed}/whims")
    share = rng.choice((0.0, ACTIVE_CHANCE, ACTIVE_CHANCE, 2 * ACTIVE_CHANCE))
    return tuple(site for site in SITES if rng.random() < share)


class Whims:
    """
    The whims of one run.

    @ivar sites: which have one.
    @ivar visits: how often somebody came by, by site; C{fired} how often it had its way.
    """

    def __init__(self, seed: int, sites: Sequence[str] = ()) -> None:
        """@raise ValueError: there is no such site."""
        if unknown := [site for site in sites if site not in SITES]:
            raise ValueError(f"there is no whim {', '.join(unknown)}; there are {', '.join(SITES)}")
        self._seed = seed
        self._streams: dict[tuple[str, str], Random] = {}
        self.sites = tuple(sites)
        self.visits: dict[str, int] = {}
        self.fired: dict[str, int] = {}

    def of(self, process: str) -> Callable[[str], Whim | None]:
        """Return what a process is given for C{Host.whim}."""
        return lambda site: self._at(process, site)

    def _at(self, process: str, site: str) -> Whim | None:
        assert site in SITES, f"{site} is not in the table of whims"
        if site not in self.sites:
            return None
        chance = MADE_CHANCE if site in ONCE else Random(f"{self._seed}/{site}").choice(CHANCES)
        rng = self._streams.setdefault((site, process), Random(f"{self._seed}/{site}/{process}"))

        def whim() -> bool:
            self.visits[site] = self.visits.get(site, 0) + 1
            if rng.random() >= chance:
                return False
            self.fired[site] = self.fired.get(site, 0) + 1
            return True

        return whim
