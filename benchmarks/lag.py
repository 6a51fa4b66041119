"""How long after the leader its followers have what was appended, as it can be seen on the disk."""

from __future__ import annotations

import subprocess
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from benchmarks.native import compiled

SLACK_S = 1.0
"""How long the files are watched after the last record."""


class Watch:
    """
    Watches files grow, from now on.

    @param seconds: for how long.
    """

    def __init__(self, files: Sequence[Path], seconds: float) -> None:
        program = compiled("watch.c")
        command = [str(program), str(seconds + SLACK_S), *map(str, files)]
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
        lags = [max(reached(others, size) - at for others in list(grown.values())[1:]) / 1e6 for size, at in grown[0]]
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
