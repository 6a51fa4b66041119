"""
The same run in two interpreters with different hash seeds, compared event by event (reliability 2.2).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

HASH_SEEDS = ("1", "2")


def first_difference(command: Sequence[str]) -> str:
    """
    Run a command twice, adding C{--trace FILE}, and return the first line at which the traces differ.

    @return: nothing where they are the same.
    @raise RuntimeError: a run wrote no trace.
    """
    with TemporaryDirectory() as directory:
        traces = [Path(directory, f"trace-{hash_seed}") for hash_seed in HASH_SEEDS]
        for hash_seed, trace in zip(HASH_SEEDS, traces, strict=True):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
            done = subprocess.run(
                [*command, "--trace", str(trace)], env=environment, capture_output=True, text=True, check=False
            )
            if not trace.exists():
                raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return compare(*traces)


def compare(one: Path, other: Path) -> str:
    """Return the first line at which two files differ, as each has it."""
    with one.open() as lines, other.open() as other_lines:
        for number, (line, other_line) in enumerate(zip_longest(lines, other_lines, fillvalue="(nothing more)\n"), 1):
            if line != other_line:
                return f"event {number} differs:\n  {line}  {other_line}".rstrip()
    return ""
