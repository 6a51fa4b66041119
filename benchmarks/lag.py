"""How long after the leader its followers have what was appended, as it can be seen on the disk."""

from __future__ import annotations

import subprocess
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from benchmarks.native import compiled

SLACK_S = 1.0
"""What the leader has appended in the last moments does not count, as followers may not have it when it ends."""
END = -1


class Watch:
    """
    Watches files grow, from now on.

    @param seconds: for how long.
    """

    def __init__(self, files: Sequence[Path], seconds: float) -> None:
        program = compiled("watch.c")
        command = [str(program), str(seconds), *map(str, files)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def finish(self) -> list[float]:
        """
        Wait for the end.

        @return: milliseconds from each growth of the first file until all others were as long; without the first
            tenth, in which everything warms up.
        """
        printed, _ = self._process.communicate(timeout=120)
        grown: dict[int, list[tuple[int, int]]] = {}
        for line in printed.splitlines():
            at, which, size = map(int, line.split())
            grown.setdefault(which, []).append((size, at))
        [(_, ended)] = grown.pop(END)
        leader = [(size, at) for size, at in grown.pop(0) if at < ended - SLACK_S * 1e9]
        lags = [max(reached(others, size) - at for others in grown.values()) / 1e6 for size, at in leader]
        return lags[len(lags) // 10 :]


def reached(growth: Sequence[tuple[int, int]], size: int) -> int:
    """
    Return when a file was so long, of what was seen of its growth.

    @raise RuntimeError: it never was.
    """
    found = bisect_left(growth, (size, 0))
    if found == len(growth):
        raise RuntimeError("a follower has not had all that its leader has")
    return growth[found][1]
