"""What a fault can be aimed at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import TypeAlias

from attrs import field, frozen

from streamline.model import TopicPartition
from streamline.testing.cluster import Cluster

MENDED_S = 60.0


@frozen
class Scene:
    """
    A cluster at work.

    @ivar keys: partitions whose leader is one that can be aimed at.
    @ivar hold: waits for as long as a fault lasts, for those that have more than one part.
    @ivar members: the nodes that are there when nothing is wrong; the cluster may have others, which never started.
    """

    cluster: Cluster
    keys: Sequence[TopicPartition]
    rng: Random
    hold: Callable[[], None]
    members: Sequence[int] = field()

    @members.default
    def _running(self) -> Sequence[int]:
        return [node.node_id for node in self.cluster.nodes if node.is_running]

    def one(self) -> int:
        """Return any node."""
        return self.rng.choice(self.members)

    def minority(self) -> list[int]:
        """Return as many nodes as are not missed."""
        return self.rng.sample(self.members, (len(self.members) - 1) // 2 or 1)

    def majority(self) -> list[int]:
        """Return all but a minority."""
        spared = self.minority()
        return self.others(*spared)

    def others(self, *nodes: int) -> list[int]:
        """Return all nodes but these."""
        return [one for one in self.members if one not in nodes]

    def shuffled(self) -> list[int]:
        """Return all nodes in any order."""
        return self.rng.sample(self.members, len(self.members))

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

    def wait_all(self) -> None:
        """Wait until every node takes part."""
        self.cluster.wait_all(*self.members, timeout_s=MENDED_S)

    def restart(self, *nodes: int) -> None:
        """Start nodes, and wait until they take part."""
        self.cluster.restart(*nodes, timeout_s=MENDED_S)


Aim: TypeAlias = Callable[[Scene], int]
Fault: TypeAlias = Callable[[Scene], AbstractContextManager[str]]
"""Strikes, and says what was done; when it is left, every node lives, hears the others and takes part."""


def alone(aim: Aim) -> Callable[[Scene], list[int]]:
    """Aim at several nodes, of which there is one."""
    return lambda scene: [aim(scene)]
