"""Processes that start one after another, or all at once, and become one cluster (simulated)."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StartRefused
from streamline.testing.simulation import Weather
from tests.services.founders import FoundingNode, FoundingWorld

PATIENCE_S = 20.0


class FoundingTests(SynchronousTestCase):
    """Three nodes with each other's addresses are one cluster soon after the last of them has started."""

    def test_at_once(self) -> None:
        world = FoundingWorld()
        nodes = world.three()
        for node in nodes:
            node.start()
        self.assertTrue(world.run(2.0, world.is_one), [node.ended for node in nodes])
        self.assertEqual([node.voters for node in nodes], [[1, 2, 3]] * 3)

    def test_alone(self) -> None:
        world = FoundingWorld()
        node = world.node(7)
        node.start()
        self.assertTrue(world.run(1.0, world.is_one))
        self.assertEqual(node.voters, [7])

    def test_one_is_late(self) -> None:
        """Nothing is founded before the last one is there."""
        world = FoundingWorld()
        nodes = world.three()
        for node in nodes[:2]:
            node.start()
        world.run(30.0)
        self.assertEqual([node.ended for node in nodes], [[], [], []])
        self.assertFalse(any(node.quorum.is_founded() for node in nodes[:2]))
        nodes[2].start()
        self.assertTrue(world.run(2.0, world.is_one))

    def test_many_orders(self) -> None:
        """Whatever the order, the delays and the cuts: one cluster, with everybody in it."""
        for seed in range(25):
            rng = random.Random(seed)
            world = FoundingWorld(seed, Weather(split_chance=0.2, delay_mean_s=rng.choice((0.0005, 0.01, 0.05))))
            nodes = world.three()
            for node in rng.sample(nodes, 3):
                node.start()
                world.run(rng.choice((0.0, 0.05, 0.3, 2.0)))
                if rng.random() < 0.3:
                    self.restart(world, rng.choice(nodes), rng)
            self.assertTrue(world.run(PATIENCE_S, world.is_one), f"seed {seed}: {[node.ended for node in nodes]}")
            self.assertEqual([node.voters for node in nodes], [[1, 2, 3]] * 3, f"seed {seed}")

    def restart(self, world: FoundingWorld, node: FoundingNode, rng: random.Random) -> None:
        if node.machine.running:
            node.machine.crash(power=rng.random() < 0.5)
            world.run(rng.random())
            node.start()

    def test_power_comes_back(self) -> None:
        """A whole cluster that loses power goes on by itself, with one of the seeds away."""
        world = FoundingWorld()
        nodes = world.three()
        for node in nodes:
            node.start()
        self.assertTrue(world.run(PATIENCE_S, world.is_one))
        before = nodes[0].cluster_id
        for node in nodes:
            node.machine.crash(power=True)
        world.run(1.0)
        for node in nodes[:2]:
            node.start()
        world.nodes = nodes[:2]
        self.assertTrue(world.run(PATIENCE_S, world.is_one))
        self.assertEqual(nodes[0].cluster_id, before)


class JoiningTests(SynchronousTestCase):
    """A cluster that is there takes more nodes."""

    def founded(self, world: FoundingWorld) -> None:
        for node in world.nodes:
            node.start()
        self.assertTrue(world.run(PATIENCE_S, world.is_one))

    def test_one_to_three(self) -> None:
        """One node grows to three without stopping; the others know any one of its members."""
        world = FoundingWorld()
        first = world.node(1)
        self.founded(world)
        cluster_id = first.cluster_id
        world.node(2, [1]).start()
        self.assertTrue(world.run(PATIENCE_S, world.is_one))
        third = world.node(3, [2])
        third.start()
        self.assertTrue(world.run(PATIENCE_S, lambda: world.is_one() and third.voters == [1, 2, 3]))
        self.assertEqual(third.cluster_id, cluster_id)

    def test_no_more_voters(self) -> None:
        """Beyond --max-voters, nodes follow and do not vote."""
        world = FoundingWorld()
        world.node(1, max_voters=1)
        self.founded(world)
        second = world.node(2, [1], max_voters=1)
        second.start()
        self.assertTrue(world.run(PATIENCE_S, world.is_one))
        world.run(5.0)
        self.assertEqual(second.voters, [1])

    def test_wiped_disk(self) -> None:
        """RF15: a node that lost its disk does not come back under its old identity."""
        world = FoundingWorld()
        nodes = world.three()
        self.founded(world)
        nodes[2].machine.crash(power=True)
        again = FoundingNode(world.fabric, 3, [1, 2, 3], name="n3-with-a-new-disk")
        again.start()
        world.run(PATIENCE_S, lambda: bool(again.ended))
        again.ended[0].trap(StartRefused)
        self.assertIn("a node 3 with another data directory", again.ended[0].getErrorMessage())

    def test_reused_id(self) -> None:
        """Another node with the id of one that lives is not taken."""
        world = FoundingWorld()
        world.three()
        self.founded(world)
        again = FoundingNode(world.fabric, 2, [1, 2, 3], place=4)
        again.start()
        world.run(5.0)
        self.assertNotEqual(again.ended, [None])
        self.assertEqual(world.nodes[0].voters, [1, 2, 3])

    def test_metadata_gone(self) -> None:
        """A directory whose log is gone, but not its name, begins no other one: that would forget votes."""
        world = FoundingWorld()
        node = world.three()[2]
        self.founded(world)
        process = node.machine.process
        assert process is not None
        disk = process.host.disk
        disk.remove_tree("/data/metadata")
        disk.sync_directory("/data")
        node.machine.crash(power=False)
        world.run(0.5)
        node.start()
        world.run(2.0)
        node.ended[0].trap(StartRefused)
