"""Whims: what is rare and allowed happens often in simulations, everywhere it can, and never in production."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import Refused
from streamline.interfaces import fires
from streamline.replication.sessions import FetchSessions, Wanted
from streamline.services.deadlines import LATE_S, Deadlines
from streamline.services.host import real_host
from streamline.services.redial import Redial
from streamline.services.turns import Turns
from streamline.testing.simulation.__main__ import main
from streamline.testing.simulation.cluster.run import ClusterReport, ClusterRun, ClusterSettings
from streamline.testing.simulation.whims import ONCE, SITES, Whims, whims_of

ROOT = Path(__file__).parents[2]
ASKED = re.compile(r'whim\("([a-z-]+)"\)')
KINDS = ("kill", "cut", "duel", "stop", "alter", "shuffle")
SEEDS = (2, 4)
"""These meet every site, where all have a whim."""


def sites_of_product() -> list[str]:
    """Return the sites that ask for a whim, in the product's text."""
    files = sorted(path for path in (ROOT / "streamline").glob("**/*.py") if "testing" not in path.parts)
    return [site for path in files for site in ASKED.findall(path.read_text("utf-8"))]


class TableTests(SynchronousTestCase):
    """What there is, is in the table; what is in the table, there is."""

    def test_sites(self) -> None:
        """Each is asked for at one place."""
        self.assertEqual(sorted(sites_of_product()), sorted(SITES))

    def test_page(self) -> None:
        """The page has the table as it is."""
        page = (ROOT / "docs" / "simulation.md").read_text("utf-8")
        rows = [f"| `{site}` | {says} |" for site, says in SITES.items()]
        self.assertIn("\n".join(rows), page)
        self.assertLessEqual(set(ONCE), set(SITES))


class ProductionTests(SynchronousTestCase):
    """Nobody does on purpose what is rare."""

    def test_none(self) -> None:
        """A production node has no whim at any site."""
        host = real_host(Clock(), None)  # type: ignore[arg-type]
        self.assertEqual([site for site in SITES if host.whim(site) is not None], [])
        self.assertFalse(fires(host.whim("early-roll")))


class DrawTests(SynchronousTestCase):
    """The seed decides which there are, and when."""

    def test_swarm(self) -> None:
        """Some runs have none, hardly any all, and each site has one in many."""
        drawn = [whims_of(seed) for seed in range(100)]
        self.assertEqual(drawn, [whims_of(seed) for seed in range(100)])
        self.assertTrue(0 < sum(not sites for sites in drawn) < 50)
        for site in SITES:
            self.assertTrue(5 < sum(site in sites for sites in drawn) < 50, site)

    def test_visits(self) -> None:
        """They are counted, the seed says which of them count, and one process' draws are not another's."""
        runs = [Whims(seed, ["early-roll"]) for seed in (1, 1, 2)]
        drawn = []
        for whims in runs:
            mine, other = (whims.of(process)("early-roll") for process in ("n1.1", "n2.1"))
            assert mine is not None and other is not None
            drawn.append([mine() for _ in range(500)])
            other()
            self.assertEqual(whims.visits, {"early-roll": 501})
            self.assertTrue(0 < whims.fired["early-roll"] < 500)
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        self.assertIsNone(runs[0].of("n1.1")("short-fetch"))

    def test_unknown(self) -> None:
        """A word that is no site is refused."""
        self.assertRaises(ValueError, Whims, 1, ["late-lunch"])
        self.assertRaises(ValueError, main, ["--nodes", "3", "--whims", "late-lunch"])


class RunTests(SynchronousTestCase):
    """Whole clusters in which everything rare happens."""

    def run_cluster(self, seed: int) -> tuple[ClusterReport, Whims]:
        """Run one seed."""
        settings = ClusterSettings(
            nodes=3, kinds=KINDS, until=20.0, whims=tuple(SITES), records_pace_s=0.4
        )
        run = ClusterRun(seed, settings)
        report = run.run()
        self.flushLoggedErrors()
        self.assertEqual([str(anomaly) for anomaly in report.anomalies], [])
        return report, run.simulation.whims

    def test_everywhere(self) -> None:
        """Each site is visited, and has its way; nothing is lost by it, and one seed stays one history."""
        visits, fired = dict[str, int](), dict[str, int]()
        for seed in SEEDS:
            report, whims = self.run_cluster(seed)
            visits |= whims.visits
            fired |= report.whims
            self.assertGreater(report.acknowledged, 50)
        self.assertEqual([site for site in SITES if site not in visits], [])
        self.assertEqual([site for site in SITES if site not in fired], [])


class SiteTests(SynchronousTestCase):
    """What some sites do where they have their way, which is allowed and nothing worse."""

    def test_session_forgotten(self) -> None:
        """A session is gone as if it had been evicted, with what it counted."""
        says = [False, True]
        sessions = FetchSessions(2, forgets=lambda: says.pop(0))
        wanted = [Wanted((b"", "t", 0), 0, 1)]
        self.assertIsNotNone(sessions.begin(7, False, 0.0, wanted))
        self.assertIsNotNone(sessions.resume(7, 1, False, 0.0, [], []))
        self.assertRaises(Refused, sessions.resume, 7, 2, False, 0.0, [], [])
        self.assertEqual((len(sessions), sessions.partitions), (0, 0))

    def test_late_deadline(self) -> None:
        """A deadline is late, and not forgotten."""
        clock, says, rung = Clock(), [True, False], list[float]()
        deadlines = Deadlines(clock, lambda: says.pop(0))  # type: ignore[arg-type]
        deadlines.after(1.0, lambda: rung.append(clock.seconds()))
        clock.pump([0.001] * 1100)
        self.assertEqual(len(rung), 1)
        self.assertGreaterEqual(rung[0], 1.0 + LATE_S)

    def test_short_turn(self) -> None:
        """Nothing is left for newcomers, but for who waited there is."""
        clock = Clock()
        turns = Turns(clock, lambda: True)  # type: ignore[arg-type]
        left: list[float] = [turns.left_s]
        turns.later(lambda: left.append(turns.left_s))
        clock.advance(0)
        self.assertLess(left[0], 0)
        self.assertGreater(left[1], 0)

    def test_dialled_at_once(self) -> None:
        """A connection is made again without the pause that there would be."""
        clock, says, dialled = Clock(), [True, False], list[Deferred[None]]()

        def connect() -> Deferred[None]:
            dialled.append(Deferred())
            return dialled[-1]

        dial = Redial(clock, connect, lambda _: None, lambda: 5.0, lambda: says.pop(0))  # type: ignore[arg-type]
        dial.start()
        dialled[0].errback(OSError())
        clock.advance(0)
        dialled[1].errback(OSError())
        clock.advance(4.9)
        self.assertEqual(len(dialled), 2)
        clock.advance(0.1)
        self.assertEqual(len(dialled), 3)
