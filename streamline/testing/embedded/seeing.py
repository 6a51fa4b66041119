"""What can be seen of a cluster, and how a test waits until it sees what it wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from attrs import frozen

from streamline.model import PartitionState

T = TypeVar("T")


class Unmet(str):
    """Why something is not yet as it should be: the end of a sentence."""


@frozen
class Topology:
    """
    The cluster, as those of its nodes see it that live and hear each other.

    @ivar there: the nodes that live, neither paused nor isolated.
    @ivar controller_id: the controller; None while there is none.
    @ivar active: those of them that serve, and may lead.
    @ivar partition: looks one up, by topic and index.
    """

    there: Sequence[int]
    controller_id: int | None
    active: Sequence[int]
    partition: Callable[[str, int], PartitionState | None]


Judge = Callable[[Topology], T | Unmet]
"""Finds what is wanted, or says what is missing."""


class Sight(Protocol):
    """Looks at a cluster."""

    def until(self, judge: Judge[T], what: str, timeout_s: float) -> T:
        """
        Wait until C{judge} finds something in what is seen, and return that.

        @raise TimeoutError: it does not; the message says what was waited for, and what was missing in the end.
        """


def in_vain(what: str, timeout_s: float, unmet: object) -> TimeoutError:
    """Return the error of a wait that has failed."""
    return TimeoutError(f"waited {timeout_s:g} s in vain for {what}: {unmet}")


def has_controller(topology: Topology) -> int | Unmet:
    """Find the controller."""
    return Unmet("there is none") if topology.controller_id is None else topology.controller_id


def all_take_part(nodes: Sequence[int]) -> Judge[bool]:
    """Judge whether these nodes may lead partitions, and all others that are there, and one is the controller."""

    def judge(topology: Topology) -> bool | Unmet:
        missing = sorted({*nodes, *topology.there}.difference(topology.active))
        if missing:
            return Unmet(f"missing are {missing}")
        return True if topology.controller_id is not None else Unmet("there is no controller")

    return judge


def has_leader(topic: str, partition: int) -> Judge[int]:
    """Find a partition's leader, which lives."""

    def judge(topology: Topology) -> int | Unmet:
        state = topology.partition(topic, partition)
        if state is None:
            return Unmet("there is no such partition")
        if state.leader not in topology.active:
            return Unmet("it has no leader" if state.leader < 0 else f"its leader, node {state.leader}, is not there")
        return state.leader

    return judge


def has_isr(topic: str, partition: int, wanted: Sequence[int] | int | None) -> Judge[tuple[int, ...]]:
    """Find a partition's in-sync replicas, once they are those nodes, so many, or all replicas."""

    def judge(topology: Topology) -> tuple[int, ...] | Unmet:
        state = topology.partition(topic, partition)
        if state is None:
            return Unmet("there is no such partition")
        isr = tuple(sorted(state.isr))
        target = state.replicas if wanted is None else wanted
        is_so = len(isr) == target if isinstance(target, int) else isr == tuple(sorted(target))
        return isr if is_so else Unmet(f"in sync are {list(isr)}, and the replicas are {list(state.replicas)}")

    return judge
