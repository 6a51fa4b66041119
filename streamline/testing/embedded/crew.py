"""What a cluster asks of its nodes, however they run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from streamline.testing.embedded.seeing import Sight


class Crew(Sight, Protocol):
    """All nodes of a cluster.  What is asked of them has happened when a call returns."""

    @property
    def pids(self) -> Mapping[int, int]:
        """The processes of those that have one of their own and live."""

    def start(self, ids: Sequence[int], timeout_s: float) -> None:
        """
        Have dead nodes begin, together, and wait until they serve.

        @raise TimeoutError: they do not.
        @raise streamline.errors.StartRefused: one cannot.
        """

    def stop(self, ids: Sequence[int], timeout_s: float) -> None:
        """
        Have nodes end in peace; those that are paused are killed.

        @raise TimeoutError: they do not.
        """

    def kill(self, ids: Sequence[int]) -> None:
        """End nodes as SIGKILL does, all at once; fine where they are dead."""

    def pause(self, one: int) -> None:
        """Hold a node as SIGSTOP does; fine where it is held or dead."""

    def resume(self, one: int) -> None:
        """Let a node go on; fine where it is not held."""

    def is_running(self, one: int) -> bool:
        """Say whether a node lives, held or not."""

    def is_paused(self, one: int) -> bool:
        """Say whether a node is held."""

    def cut(self, links: Collection[tuple[int, int]]) -> None:
        """
        Let nothing through from the first node of each pair to the second.

        @raise ValueError: nodes in one process are cut off from each other in both directions or not at all.
        """

    def cut_clients(self, one: int) -> None:
        """
        Cut a node off from its clients.

        @raise ValueError: they connect to a process of its own.
        """

    def slow(self, delay_s: tuple[float, float], resets_per_s: float) -> None:
        """
        Have what nodes say to each other arrive later, and connections between them be reset.

        @raise ValueError: they are in one process.
        """

    def heal(self, *, reset: bool) -> None:
        """
        Mend all links.

        @param reset: whether connections end that were concerned, instead of bringing what waits.
        @raise ValueError: to reset connections of nodes in one process.
        """

    def close(self) -> None:
        """Kill what lives, and give everything back."""


def apart(ids: Collection[int], cut: Collection[tuple[int, int]]) -> set[int]:
    """
    Return the nodes that do not talk with a majority, themselves included.

    @param ids: the nodes that live.
    """
    return {
        one
        for one in ids
        if 2 * sum((one, other) not in cut and (other, one) not in cut for other in ids) <= len(ids)
    }


def named(ids: Sequence[int]) -> str:
    """Return what nodes are called in a message."""
    return f"node{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
