"""Histories of L{tests.replication.isr_world}: those of KC2, with fetches and requests that are late."""

from __future__ import annotations

from typing import cast

from tests.cluster.isr_history import ANSWER, LIFE, Chances, Event
from tests.cluster.isr_model import Node, World
from tests.replication.isr_world import ReplicaWorld


def _arrive(world: World, _: Node) -> None:
    cast(ReplicaWorld, world).arrive(world.chance.randrange(0, 4))


def _give_up(world: World, node: Node) -> None:
    cast(ReplicaWorld, world).give_up(node)


def _count(world: World, node: Node) -> None:
    cast(ReplicaWorld, world).count(node)


ARRIVE: Event = (3, _arrive)
MORE: tuple[Event, ...] = (
    *LIFE,
    ARRIVE,
    (2, _give_up),
    (3, _count),
    (4, lambda world, node: world.ask(node)),
)


class ReplicaHistory(ReplicaWorld):
    """A world in which things happen by chance."""

    def __init__(self, seed: int, min_isr: int) -> None:
        super().__init__(seed, min_isr=min_isr)
        self.chances = Chances(self, MORE, (ANSWER, ARRIVE))

    def step(self) -> None:
        """Let something happen."""
        self.chances.step(self)

    def heal(self) -> None:
        """End all faults; nothing is late any more."""
        for node in self.nodes.values():
            self.give_up(node)
        super().heal()
        for _ in range(12):
            while self.requests:
                self.answer()
                self.agree_on_all()
            for node in self.nodes.values():
                self.give_up(node)
                self.catch_up(node)
                self.count(node)
                for _ in range(3):
                    self.fetch(node, 1000)
                self.ask(node)
                self.check()
            self.now += 1.0
