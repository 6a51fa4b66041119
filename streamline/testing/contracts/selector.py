"""
The contract of L{IReplicaSelector}.

Subclass L{SelectorContract} and say how to make yours::

    class MySelectorTests(selector.SelectorContract):
        def make_selector(self):
            return MySelector()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.interfaces import IReplicaSelector

RACKS = ("a", "b", "", None)


class SelectorContract(SynchronousTestCase):
    """A suite to be subclassed."""

    def make_selector(self) -> IReplicaSelector:
        """Return the selector under test."""
        raise NotImplementedError("say how to make the selector")

    def test_interface(self) -> None:
        """It has everything that its interface names."""
        selector = self.make_selector()
        verifyObject(IReplicaSelector, selector)
        self.assertIsInstance(selector.reads_followers, bool)

    def test_one_of_them(self) -> None:
        """Whoever is chosen is one of the replicas, and the leader where followers serve nobody."""
        selector = self.make_selector()
        for leader, racks, rack in _questions():
            chosen = selector.select(leader, racks, rack)
            self.assertIn(chosen, racks)
            if not selector.reads_followers:
                self.assertEqual(chosen, leader)

    def test_same_question_same_answer(self) -> None:
        """A consumer that was sent to a replica is not sent on by the next leader who knows the same."""
        for leader, racks, rack in _questions():
            one, two = (self.make_selector().select(leader, racks, rack) for _ in range(2))
            self.assertEqual(one, two)


def _questions() -> Iterator[tuple[int, Mapping[int, str | None], str | None]]:
    """Yield every leader of up to three replicas in any racks, with every rack that a consumer may be in."""
    for count in (1, 2, 3):
        for placed in product(RACKS, repeat=count):
            racks = dict(enumerate(placed, 1))
            for leader, rack in product(racks, RACKS):
                yield leader, racks, rack
