"""What is done to processes: they are killed, held, and restarted in peace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from streamline.testing.chaos.scene import MENDED_S, Fault, Scene

Choice: TypeAlias = Callable[[Scene], Sequence[int]]


def killing(choose: Choice) -> Fault:
    """Kill nodes at once; start them again in the end, together, as nobody but a script would."""

    @contextmanager
    def kill(scene: Scene) -> Iterator[str]:
        nodes = choose(scene)
        scene.cluster.kill(*nodes)
        yield f"kill {names(nodes)}"
        scene.restart(*nodes)

    return kill


def pausing(choose: Choice) -> Fault:
    """Hold nodes with SIGSTOP; let them go on in the end."""

    @contextmanager
    def pause(scene: Scene) -> Iterator[str]:
        nodes = choose(scene)
        scene.cluster.pause(*nodes)
        try:
            yield f"pause {names(nodes)}"
        finally:
            scene.cluster.resume(*nodes)
        scene.wait_all()

    return pause


@contextmanager
def pause_kill(scene: Scene) -> Iterator[str]:
    """Hold one node, kill another, and have the one that slept and the third go on without it."""
    asleep, dead = scene.rng.sample(scene.members, 2)
    scene.cluster.pause(asleep)
    try:
        yield f"pause {asleep}, then kill {dead}"
        scene.cluster.kill(dead)
    finally:
        scene.cluster.resume(asleep)
    scene.cluster.wait_all(asleep, timeout_s=MENDED_S)
    scene.restart(dead)


@contextmanager
def roll(scene: Scene) -> Iterator[str]:
    """Restart all nodes, one after another, each in peace (SIGTERM) and once the one before is in sync."""
    for node in scene.members:
        scene.wait_isr()
        scene.restart(node)
    yield "restart one after another"
    scene.wait_isr()


@contextmanager
def calm(scene: Scene) -> Iterator[str]:
    """Do nothing."""
    yield "nothing"


def names(nodes: Sequence[int]) -> str:
    """Return nodes as a sentence has them."""
    return " and ".join(map(str, sorted(nodes)))
