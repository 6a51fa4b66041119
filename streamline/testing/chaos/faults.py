"""
What is done to a cluster: each fault is a context that strikes when it is entered, and is mended when it is left.

Whoever is struck is chosen when it strikes.  After the mending every node lives, hears the others and takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import TypeAlias

from attrs import frozen

from streamline.model import TopicPartition
from streamline.testing.cluster import Cluster

MENDED_S = 60.0


@frozen
class Scene:
    """
    What a fault can be aimed at.

    @ivar keys: partitions whose leader is one.
    """

    cluster: Cluster
    keys: Sequence[TopicPartition]
    rng: Random

    def one(self) -> int:
        """Return any node."""
        return self.rng.choice(self.cluster.node_ids)

    def controller(self) -> int:
        """Return the controller."""
        return self.cluster.controller(MENDED_S)

    def leader(self) -> int:
        """Return the leader of any partition, or any node where there is none."""
        if not self.keys:
            return self.one()
        key = self.rng.choice(self.keys)
        return self.cluster.leader(key.topic, key.partition, MENDED_S)

    def wait_isr(self, timeout_s: float = MENDED_S) -> None:
        """Wait until every replica is in sync."""
        for key in self.keys:
            self.cluster.wait_isr(key.topic, key.partition, timeout_s=timeout_s)


Aim: TypeAlias = Callable[[Scene], int]
Fault: TypeAlias = Callable[[Scene], AbstractContextManager[str]]
"""Strikes, and says what was done."""


def killing(aim: Aim) -> Fault:
    """Kill one node; start it again in the end."""

    @contextmanager
    def kill(scene: Scene) -> Iterator[str]:
        node = aim(scene)
        scene.cluster.kill(node)
        yield f"kill {node}"
        scene.cluster.restart(node, timeout_s=MENDED_S)

    return kill


def pausing(aim: Aim) -> Fault:
    """Hold one node with SIGSTOP; let it go on in the end."""

    @contextmanager
    def pause(scene: Scene) -> Iterator[str]:
        node = aim(scene)
        scene.cluster.pause(node)
        try:
            yield f"pause {node}"
        finally:
            scene.cluster.resume(node)
        scene.cluster.wait_all(node, timeout_s=MENDED_S)

    return pause


def isolating(aim: Aim) -> Fault:
    """Cut one node off from the others, though not from its clients."""

    @contextmanager
    def isolate(scene: Scene) -> Iterator[str]:
        node = aim(scene)
        scene.cluster.isolate(node)
        try:
            yield f"isolate {node}"
        finally:
            scene.cluster.heal()
        scene.cluster.wait_all(node, timeout_s=MENDED_S)

    return isolate


@contextmanager
def kill_majority(scene: Scene) -> Iterator[str]:
    """Kill all but one."""
    nodes = list(scene.cluster.node_ids)
    nodes.remove(scene.one())
    scene.cluster.kill(*nodes)
    yield f"kill {nodes}"
    scene.cluster.restart(*nodes, timeout_s=MENDED_S)


@contextmanager
def kill_all(scene: Scene) -> Iterator[str]:
    """Kill all nodes; start them again in the end, as nobody but a script would."""
    scene.cluster.kill(*scene.cluster.node_ids)
    yield "kill all"
    scene.cluster.restart(timeout_s=MENDED_S)


@contextmanager
def pause_all(scene: Scene) -> Iterator[str]:
    """Hold all nodes."""
    nodes = scene.cluster.node_ids
    scene.cluster.pause(*nodes)
    try:
        yield "pause all"
    finally:
        scene.cluster.resume()
    scene.cluster.wait_all(*nodes, timeout_s=MENDED_S)


@contextmanager
def part_kill(scene: Scene) -> Iterator[str]:
    """Cut one node off, kill another, and have the stale one and the third go on without it."""
    stale, dead = scene.rng.sample(scene.cluster.node_ids, 2)
    scene.cluster.isolate(stale)
    try:
        yield f"isolate {stale}, then kill {dead}"
        scene.cluster.kill(dead)
    finally:
        scene.cluster.heal()
    scene.cluster.wait_all(stale, timeout_s=MENDED_S)
    scene.cluster.restart(dead, timeout_s=MENDED_S)


@contextmanager
def pause_kill(scene: Scene) -> Iterator[str]:
    """Hold one node, kill another, and have the one that slept and the third go on without it."""
    asleep, dead = scene.rng.sample(scene.cluster.node_ids, 2)
    scene.cluster.pause(asleep)
    try:
        yield f"pause {asleep}, then kill {dead}"
        scene.cluster.kill(dead)
    finally:
        scene.cluster.resume(asleep)
    scene.cluster.wait_all(asleep, timeout_s=MENDED_S)
    scene.cluster.restart(dead, timeout_s=MENDED_S)


@contextmanager
def roll(scene: Scene) -> Iterator[str]:
    """Restart all nodes, one after another, each in peace (SIGTERM) and once the one before is in sync."""
    for node in scene.cluster.node_ids:
        scene.wait_isr()
        scene.cluster.restart(node, timeout_s=MENDED_S)
    yield "restart one after another"
    scene.wait_isr()


@contextmanager
def calm(scene: Scene) -> Iterator[str]:
    """Do nothing."""
    yield "nothing"


FAULTS: Mapping[str, Fault] = {
    "calm": calm,
    "isolate-controller": isolating(Scene.controller),
    "isolate-leader": isolating(Scene.leader),
    "isolate-one": isolating(Scene.one),
    "kill-all": kill_all,
    "kill-controller": killing(Scene.controller),
    "kill-leader": killing(Scene.leader),
    "kill-majority": kill_majority,
    "kill-one": killing(Scene.one),
    "part-kill": part_kill,
    "pause-all": pause_all,
    "pause-controller": pausing(Scene.controller),
    "pause-kill": pause_kill,
    "pause-leader": pausing(Scene.leader),
    "pause-one": pausing(Scene.one),
    "roll": roll,
}
"""By name."""
