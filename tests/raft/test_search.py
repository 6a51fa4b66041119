"""Every interleaving of a small world, and some of a larger one (RC8)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import Ready
from streamline.testing.simulation.cores.monitor import Violation
from tests.raft.search import KEYS, Budget, Place, Small, search

SAMPLED = 500
"""So many states of the larger world are tried in each order; C{python -m tests.raft.search} tries more."""


class Hasty(Small):
    """Replicas that hear that their disk is done before it is."""

    def _write(self, place: Place, ready: Ready) -> None:
        super()._write(place, ready)
        place.node.advance(ready)

    def _durable(self, place: Place, ready: Ready) -> None:
        """Tell nobody: they know already."""


class SearchTests(SynchronousTestCase):
    """Nothing that must not be is found, and what is planted is."""

    def test_one_election_and_one_command(self) -> None:
        """All there is, to the end: one way it all comes to."""
        found = search(Budget(hints=1, proposals=1, crashes=0, breaks=0), 5000)
        self.assertTrue(found.is_whole)
        self.assertEqual((found.ends, found.committed, found.terms), (1, 2, 1))
        self.assertGreater(found.states, 2500)

    def test_a_crash_and_a_broken_connection(self) -> None:
        """Some of it, in several orders."""
        for seed in (1, 2):
            found = search(Budget(), SAMPLED, seed)
            self.assertFalse(found.is_whole)
            self.assertGreaterEqual(found.states, SAMPLED)

    def test_what_is_planted(self) -> None:
        """Who speaks of what is not durable is found."""
        self.assertRaises(Violation, search, Budget(), SAMPLED, kind=Hasty)

    def test_names(self) -> None:
        """States have equal names where they are equal, and not otherwise."""
        one, same, other = (Small.begun(Budget()) for _ in range(3))
        other.hint(KEYS[1])
        self.assertEqual(one.name(), same.name())
        self.assertNotEqual(one.name(), other.name())
