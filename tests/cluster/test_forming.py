"""Who founds, who joins, who waits: each decision, and that no order of starts makes two clusters."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.forming import Decision, Forming, Found, Founder, Join, Wait

NAMES = ("a:9092", "b:9092", "c:9092")
ROUNDS_MAX = 50


def founder(node_id: int, disk: int = 0) -> Founder:
    """Return a node on one of its disks."""
    return Founder(node_id, bytes([node_id, disk]) + bytes(14), f"node{node_id}:9093")


ONE, TWO, THREE = founder(1), founder(2), founder(3)


def forming(name: str = "a:9092", node: Founder = ONE, seeds: Sequence[str] = NAMES, **more: object) -> Forming:
    """Return a node's own part."""
    return Forming(node, name, seeds, **more)  # type: ignore[arg-type]


class FoundingTests(SynchronousTestCase):
    """A cluster is founded by one of those who are to be in it, when all are there."""

    def wait(self, decision: Decision) -> str:
        assert isinstance(decision, Wait), decision
        return decision.why

    def test_alone(self) -> None:
        """A node without seeds, or with only itself for a seed, is a cluster."""
        for seeds in ((), ("a:9092",)):
            self.assertEqual(forming(seeds=seeds).decide(), Found((ONE,)))

    def test_all_seen(self) -> None:
        """The first name founds, with all of them; seeds come in any order and may name the node or not."""
        for seeds in (NAMES, NAMES[::-1], NAMES[1:]):
            one = forming(seeds=seeds)
            one.seen("c:9092", THREE, NAMES)
            one.seen("b:9092", TWO, NAMES)
            self.assertEqual(one.decide(), Found((ONE, TWO, THREE)))

    def test_one_missing(self) -> None:
        """One that has not been seen keeps all waiting, by name."""
        one = forming()
        one.seen("b:9092", TWO, NAMES)
        self.assertEqual(self.wait(one.decide()), "waiting for 1 of 3 founding nodes: c:9092 does not answer")
        one.silent("b:9092", "cannot be reached")
        self.assertEqual(
            self.wait(one.decide()),
            "waiting for 2 of 3 founding nodes: b:9092 cannot be reached, c:9092 does not answer",
        )

    def test_all_at_once(self) -> None:
        """One that was seen and has gone again is not there."""
        one = forming()
        one.seen("b:9092", TWO, NAMES)
        one.silent("b:9092", "does not answer")
        one.seen("c:9092", THREE, NAMES)
        self.assertIn("b:9092", self.wait(one.decide()))

    def test_others_do_not_found(self) -> None:
        """Only the first name does."""
        two = forming("b:9092", TWO)
        two.seen("a:9092", ONE, NAMES)
        two.seen("c:9092", THREE, NAMES)
        self.assertEqual(self.wait(two.decide()), "waiting for a:9092 to found the cluster")

    def test_told(self) -> None:
        """Whoever is told that it is a founder begins with the voters that it is told; others do not."""
        two = forming("b:9092", TWO)
        two.founded((ONE, THREE))
        self.wait(two.decide())
        two.founded((ONE, founder(2, disk=1), THREE))
        self.wait(two.decide())
        two.founded((ONE, TWO, THREE))
        self.assertEqual(two.decide(), Found((ONE, TWO, THREE)))

    def test_other_names(self) -> None:
        """Nodes that wait for different others do not found together."""
        one = forming()
        one.seen("b:9092", TWO, ("a:9092", "b:9092"))
        one.seen("c:9092", THREE, NAMES)
        self.assertIn("start all founding nodes with the same --seed-nodes", self.wait(one.decide()))

    def test_same_node_id(self) -> None:
        """Two nodes of one id are one too many."""
        one = forming()
        one.seen("b:9092", founder(1, disk=1), NAMES)
        one.seen("c:9092", THREE, NAMES)
        self.assertIn("both have the node id 1", self.wait(one.decide()))

    def test_another_name_for_itself(self) -> None:
        """A seed that is the node itself under another name is its name: the others know it by that."""
        one = forming("127.0.0.1:9092")
        self.assertEqual(len(one.names), 4)
        one.recognised_itself("a:9092")
        self.assertEqual(one.names, NAMES)
        one.seen("b:9092", TWO, NAMES)
        one.seen("c:9092", THREE, NAMES)
        self.assertEqual(one.decide(), Found((ONE, TWO, THREE)))


class JoiningTests(SynchronousTestCase):
    """A cluster that is there is joined, and none is founded beside it."""

    def test_any_seed(self) -> None:
        """One live seed is enough."""
        one = forming()
        one.silent("b:9092", "does not answer")
        one.formed("c:9092", "X", ["node2:9093", "node3:9093"])
        self.assertEqual(one.decide(), Join("X", ("node2:9093", "node3:9093")))

    def test_a_cluster_goes_before_founding(self) -> None:
        one = forming(seeds=NAMES[:2])
        one.formed("b:9092", "X", ["node2:9093"])
        self.assertEqual(one.decide(), Join("X", ("node2:9093",)))

    def test_a_founder_that_did_not_hear(self) -> None:
        """It begins as the others did, although the cluster has got its id by now."""
        two = forming("b:9092", TWO)
        two.formed("a:9092", "X", ["node1:9093"])
        two.founded((ONE, TWO, THREE))
        self.assertEqual(two.decide(), Found((ONE, TWO, THREE)))

    def test_two_clusters(self) -> None:
        """Which of two is meant cannot be guessed."""
        one = forming()
        one.formed("b:9092", "X", ["node2:9093"])
        one.formed("c:9092", "Y", ["node3:9093"])
        decision = one.decide()
        assert isinstance(decision, Wait)
        self.assertEqual(decision.why, "the seed nodes are of different clusters: X, Y")

    def test_only_the_one_it_had_begun_to_join(self) -> None:
        one = forming(cluster_id="X", has_begun=True)
        one.formed("b:9092", "Y", ["node2:9093"])
        decision = one.decide()
        assert isinstance(decision, Wait)
        self.assertIn("waiting for a node of the cluster X", decision.why)
        one.formed("c:9092", "X", ["node3:9093"])
        self.assertEqual(one.decide(), Join("X", ("node3:9093",)))

    def test_begun_to_join(self) -> None:
        """A node that has begun to join founds nothing, and offers itself to nobody."""
        one = forming(has_begun=True)
        self.assertEqual(one.offered_names, ())
        one.founded((ONE, TWO, THREE))
        one.seen("b:9092", TWO, NAMES)
        one.seen("c:9092", THREE, NAMES)
        self.assertIsInstance(one.decide(), Wait)


class World:
    """Nodes that ask each other in an order drawn from a seed; each may be away, restart, or lose its disk."""

    def __init__(self, rng: random.Random, count: int) -> None:
        self.rng = rng
        self.names = tuple(f"{letter}:9092" for letter in "abcde"[:count])
        self.disks = [0] * count
        self.up: list[Forming | None] = [None] * count
        self.begun: list[tuple[Founder, ...] | None] = [None] * count
        self.decided: dict[tuple[Founder, ...], None] = {}

    def start(self, at: int) -> None:
        seeds = list(self.names)
        self.rng.shuffle(seeds)
        if self.rng.random() < 0.5:
            seeds.remove(self.names[at])
        self.up[at] = forming(self.names[at], founder(at, self.disks[at]), seeds)

    def ask(self, at: int, other: int) -> None:
        mine, theirs = self.up[at], self.up[other]
        if mine is None:
            return
        voters = self.begun[other] or ()
        if theirs is None or self.rng.random() < 0.1:
            mine.silent(self.names[other], "does not answer")
            return
        mine.founded(voters)
        if voters:
            mine.silent(self.names[other], "is founding a cluster")
        else:
            mine.seen(self.names[other], founder(other, self.disks[other]), theirs.offered_names)

    def decide(self, at: int) -> None:
        mine = self.up[at]
        decision = mine.decide() if mine is not None and self.begun[at] is None else None
        if isinstance(decision, Found):
            self.begun[at] = decision.voters
            self.decided[decision.voters] = None

    def disturb(self, at: int) -> None:
        """Stop a node; sometimes, while it has begun nothing, its disk is lost."""
        self.up[at] = None
        if self.begun[at] is None and self.rng.random() < 0.3:
            self.disks[at] += 1

    def run(self, steps: int, trouble: float) -> None:
        count = len(self.names)
        for _ in range(steps):
            at = self.rng.randrange(count)
            if self.up[at] is None:
                self.start(at)
            elif self.rng.random() < trouble:
                self.disturb(at)
            elif self.rng.random() < 0.3:
                self.decide(at)
            elif count > 1:
                self.ask(at, self.rng.choice([other for other in range(count) if other != at]))


class OrderTests(SynchronousTestCase):
    """However nodes come and go, there is one founding, and in the end everybody is in it."""

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 1 << 32), st.integers(1, 5))
    def test_one_cluster(self, seed: int, count: int) -> None:
        world = World(random.Random(seed), count)
        world.run(60, trouble=0.2)
        for _ in range(ROUNDS_MAX):
            world.run(100, trouble=0.0)
            if all(world.begun):
                break
        self.assertEqual(len(world.decided), 1)
        (voters,) = world.decided
        self.assertEqual(len(voters), count)
        lost = [at for at, begun in enumerate(world.begun) if begun is None]
        for at in lost:
            self.assertNotIn(founder(at, world.disks[at]), voters, "a founder was never told")
