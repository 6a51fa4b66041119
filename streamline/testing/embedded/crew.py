"""What a cluster asks of its nodes, however they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def kill(self, one: int) -> None:
        """End a node as SIGKILL does; fine where it is dead."""

    def pause(self, one: int) -> None:
        """Hold a node as SIGSTOP does; fine where it is held or dead."""

    def resume(self, one: int) -> None:
        """Let a node go on; fine where it is not held."""

    def is_running(self, one: int) -> bool:
        """Say whether a node lives, held or not."""

    def is_paused(self, one: int) -> bool:
        """Say whether a node is held."""

    def isolate(self, one: int, *, clients: bool) -> None:
        """Cut a node's links to all other nodes, and on request to its clients."""

    def heal(self) -> None:
        """Mend all links."""

    def close(self) -> None:
        """Kill what lives, and give everything back."""


def named(ids: Sequence[int]) -> str:
    """Return what nodes are called in a message."""
    return f"node{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
