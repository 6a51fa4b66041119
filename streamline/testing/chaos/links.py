"""What is done to links between nodes: they are cut, in one direction or both, and slowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from streamline.testing.chaos.nodes import names
from streamline.testing.chaos.scene import MENDED_S, Aim, Fault, Scene

Sides: TypeAlias = Callable[[Scene], Sequence[Sequence[int]]]
SLOW_S = (0.05, 0.15)
RESETS_PER_S = 0.2
HALF = 0.5


def how(resets: bool) -> str:
    """Say how links were mended, if there is something to say."""
    return ", then reset" if resets else ""


@contextmanager
def mended(scene: Scene) -> Iterator[str]:
    """
    Mend all links in the end, in one of two ways; say in which.

    After a short partition connections bring what waits, after a long one they end.
    """
    resets = scene.rng.random() < HALF
    try:
        yield how(resets)
    finally:
        scene.cluster.heal(reset=resets)
    scene.wait_all()


def parting(choose: Sides) -> Fault:
    """Cut nodes off from those that are on none of their sides, though not from clients."""

    @contextmanager
    def part(scene: Scene) -> Iterator[str]:
        sides = choose(scene)
        scene.cluster.partition(*sides)
        with mended(scene) as after:
            yield f"part {' | '.join(map(names, sides))}{after}"

    return part


def apart(aim: Aim) -> Sides:
    """Return one node and all the others."""

    def choose(scene: Scene) -> list[list[int]]:
        node = aim(scene)
        return [[node], scene.others(node)]

    return choose


def halves(scene: Scene) -> list[list[int]]:
    """Return a majority and the others."""
    large = scene.majority()
    return [large, scene.others(*large)]


def each(scene: Scene) -> list[list[int]]:
    """Return every node alone."""
    return [[one] for one in scene.members]


def bridge(scene: Scene) -> list[list[int]]:
    """Return two halves that only one node is on both of."""
    nodes = scene.shuffled()
    middle = len(nodes) // 2
    return [nodes[: middle + 1], nodes[middle:]]


@contextmanager
def ring(scene: Scene) -> Iterator[str]:
    """
    Have each node hear a majority, and each another one: those next to it in a ring.

    Of three, each hears the next and not the one before, which hears it: all links are cut in one direction.
    """
    nodes = scene.shuffled()
    count, heard = len(nodes), len(nodes) // 2
    before = heard // 2
    for at, listener in enumerate(nodes):
        near = {nodes[(at + step) % count] for step in range(-before, heard - before + 1)}
        for speaker in nodes:
            if speaker not in near:
                scene.cluster.cut(speaker, listener)
    with mended(scene) as after:
        yield f"ring {' '.join(map(str, nodes))}{after}"


def one_way(aim: Aim) -> Fault:
    """Have one node be deaf, or mute, or have just one other node not hear it."""

    @contextmanager
    def cut(scene: Scene) -> Iterator[str]:
        node = aim(scene)
        others = scene.others(node)
        kind = scene.rng.choice(("deaf", "mute", "unheard"))
        for other in scene.rng.sample(others, 1) if kind == "unheard" else others:
            scene.cluster.cut(*((other, node) if kind == "deaf" else (node, other)))
        with mended(scene) as after:
            yield f"{node} is {kind}{after}"

    return cut


def slowing(resets_per_s: float) -> Fault:
    """Have everything between nodes take its time, and connections be reset now and then."""

    @contextmanager
    def slow(scene: Scene) -> Iterator[str]:
        shortest_s, longest_s = SLOW_S
        scene.cluster.slow(shortest_s, longest_s, resets_per_s=resets_per_s)
        try:
            yield f"{shortest_s:g} to {longest_s:g} s between nodes, {resets_per_s:g} resets a second"
        finally:
            scene.cluster.heal()
        scene.wait_all()

    return slow


@contextmanager
def part_kill(scene: Scene) -> Iterator[str]:
    """Cut one node off, kill another, and have the stale one and the third go on without it."""
    stale, dead = scene.rng.sample(scene.members, 2)
    scene.cluster.isolate(stale)
    resets = scene.rng.random() < HALF
    try:
        yield f"isolate {stale}, then kill {dead}{how(resets)}"
        scene.cluster.kill(dead)
    finally:
        scene.cluster.heal(reset=resets)
    scene.cluster.wait_all(stale, timeout_s=MENDED_S)
    scene.restart(dead)


@contextmanager
def part_swap(scene: Scene) -> Iterator[str]:
    """Cut a minority off and kill one of the rest; then have that one come back on the stale side, without the rest."""
    stale = scene.minority()
    dead, *fresh = scene.others(*stale)
    scene.cluster.partition(stale, [dead, *fresh])
    with mended(scene) as after:
        yield f"part {names(stale)} | {names([dead, *fresh])}, kill {dead}, part {names([*stale, dead])}{after}"
        scene.cluster.kill(dead)
        scene.cluster.heal()
        scene.cluster.partition([*stale, dead], fresh)
        scene.restart(dead)
        scene.hold()
