"""Histories of L{tests.cluster.isr_model}: what happens, how often, and in which order, as a seed has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamline.cluster.elections import balance
from streamline.cluster.membership import crashed
from tests.cluster.isr_model import Node, World


def _shut_down(world: World, node: Node) -> None:
    node.wants_shutdown = node.is_up


def _bounce(world: World, node: Node) -> None:
    """Go and come back at once, before anything that is on its way arrives; perhaps with a new disk."""
    world.chance.choice((world.lose_disk, lambda gone: world.die(gone, power=True)))(node)
    world.start(node)
    broker = world.image.brokers.get(node.node_id)
    if broker is not None:
        world.propose(crashed(world.image, world.sessions, node.node_id, broker.epoch))
    for _ in range(2):
        world.agree_on_all()
        world.register(node)
        world.agree_on_all()
        world.catch_up(node)
        world.beat(node)
    world.agree_on_all()
    world.counts["bounces"] += 1


def _append(world: World, _: Node) -> None:
    world.append(world.nodes.get(world.state.leader, world.nodes[1]))


def _ask(world: World, _: Node) -> None:
    world.ask(world.nodes.get(world.state.leader, world.nodes[1]))


Event = tuple[float, Callable[[World, Node], None]]

ANSWER: Event = (6, lambda world, node: world.answer())
LIFE: tuple[Event, ...] = (
    (30, lambda world, node: world.fetch(node, world.chance.randrange(0, 4))),
    (6, _append),
    (1, lambda world, node: world.append(node)),
    (14, lambda world, node: world.catch_up(node, world.chance.randrange(1, 6))),
    (10, lambda world, node: world.agree()),
    (10, World.beat),
    (2, _ask),
    (1, lambda world, node: world.ask(node)),
    ANSWER,
    (6, World.register),
    (6, World.start),
    (3, World.flush),
    (0.6, lambda world, node: world.silence()),
    (0.7, World.hint),
    (3, World.inquire),
    (1, lambda world, node: world.rescue(patient=world.chance.random() < 0.3)),
)
FAULTS: tuple[Event, ...] = (
    (0.5, lambda world, node: world.die(node, power=True)),
    (0.2, lambda world, node: world.die(node, power=False)),
    (0.4, World.stop),
    (0.4, _shut_down),
    (0.1, World.lose_disk),
    (0.4, _bounce),
    (0.3, lambda world, node: world.replace_controller()),
    (0.4, lambda world, node: world.set_min_isr(world.chance.randrange(1, 4))),
    (0.3, lambda world, node: world.move()),
    (0.4, lambda world, node: world.propose(balance(world.image, 1))),
    (0.05, World.remove),
)


class Chances:
    """What may happen in one history, and how often."""

    def __init__(self, world: World, life: Sequence[Event] = LIFE, answers: Sequence[Event] = (ANSWER,)) -> None:
        """
        Draw what may happen.

        @param answers: those of C{life} by which requests arrive.
        """
        chance = world.chance
        # Swarm: each kind of fault is there or not, so that some runs have few kinds and come far.
        self.events = (*life, *(fault for fault in FAULTS if chance.random() < 0.5))
        self.weights = [weight for weight, _ in self.events]
        # In every other run answers take long enough for a broker to go and come back meanwhile.
        slow = chance.choice((1, 0.05))
        for event in answers:
            self.weights[life.index(event)] *= slow

    def step(self, world: World) -> None:
        """Let something happen."""
        node = world.nodes[world.chance.randrange(1, len(world.nodes) + 1)]
        world.now += world.chance.choice((0.0, 0.0, 1.0, 4.0))
        _, event = world.chance.choices(self.events, self.weights)[0]
        event(world, node)
        world.check()


class History(World):
    """A world in which things happen by chance."""

    def __init__(self, seed: int, min_isr: int) -> None:
        super().__init__(seed, min_isr=min_isr)
        self.chances = Chances(self)

    def step(self) -> None:
        """Let something happen."""
        self.chances.step(self)
