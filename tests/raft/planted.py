"""
Break the consensus core, one rule at a time, in a copy of the tree; the simulator has to find each.

    python -m tests.raft.planted                     # all, until the simulator finds them
    python -m tests.raft.planted --rule RF3 --tests  # the tests that guard a rule instead

The exit code is 1 if something planted is not found, or its guard has gone.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from tests.raft.plants import PLANTS, Plant

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 80
"""How many runs the simulator has, at most, to find what was planted."""
LIMIT_S = 240
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "_trial_temp*")
FOUND = re.compile(r"seed (\d+) FAILED \((\w+)\)")


class NotPlanted(Exception):
    """A guard does not stand in its file, or not exactly once."""


def broken(text: str, plant: Plant) -> str:
    """
    Return a file's text with the guard replaced.

    @raise NotPlanted: it is not there exactly once.
    """
    lines = text.split("\n")
    size = len(plant.guard)
    places = [at for at in range(len(lines)) if _stands_at(lines[at : at + size], plant.guard)]
    if len(places) != 1:
        raise NotPlanted(f"{plant.file} has the guard of {plant.rule} {len(places)} times: {plant.guard[0]}")
    at = places[0]
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    lines[at : at + size] = [(indent + line).rstrip() for line in plant.instead]
    return "\n".join(lines)


def _stands_at(lines: Sequence[str], guard: Sequence[str]) -> bool:
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return list(lines) == [(indent + line).rstrip() for line in guard]


@contextmanager
def copied() -> Iterator[Path]:
    """Have a copy of the tree, as far as the core and its tests need it."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        shutil.copytree(ROOT / "streamline", tree / "streamline", ignore=LEFT_OUT)
        for name in ("raft", "sim"):
            shutil.copytree(ROOT / "tests" / name, tree / "tests" / name, ignore=LEFT_OUT)
        shutil.copy(ROOT / "tests" / "__init__.py", tree / "tests")
        shutil.copy(ROOT / "pyproject.toml", tree)
        yield tree


@contextmanager
def planted(tree: Path, plant: Plant) -> Iterator[None]:
    """Have a tree with one rule broken."""
    path = tree / plant.file
    text = path.read_text("utf-8")
    path.write_text(broken(text, plant), "utf-8")
    try:
        yield
    finally:
        path.write_text(text, "utf-8")


def _run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )


def simulate(tree: Path, plant: Plant, seeds: int) -> str:
    """Return what the simulator found, or nothing."""
    simulator = ("-m", "streamline.testing.simulation", "--level", "1", "--first", "--seeds", str(seeds))
    try:
        done = _run(tree, *simulator, *plant.options)
    except subprocess.TimeoutExpired:
        return ""
    found = FOUND.search(done.stdout)
    if found is None and done.returncode == 1 and not done.stdout:
        return f"the simulator itself failed: {done.stderr.strip().splitlines()[-1:]}"
    return f"seed {found[1]}: {found[2]}" if found else ""


def run_tests(tree: Path, plant: Plant) -> str:
    """Return how many tests failed, if each of those named did."""
    done = _run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *plant.tests)
    failed = done.stdout.count("\nFAILED ")
    return f"{failed} tests fail" if plant.tests and failed == len(plant.tests) else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.planted", description=__doc__)
    parser.add_argument("--rule", action="append", default=[], metavar="ID")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N")
    parser.add_argument("--tests", action="store_true", help="run the tests that guard a rule, not the simulator")
    options = parser.parse_args(arguments)
    plants = [one for one in PLANTS if not options.rule or one.rule in options.rule]
    plants = [one for one in plants if (one.tests if options.tests else one.simulated)]
    missed = 0
    with copied() as tree:
        for plant in plants:
            began = monotonic()
            with planted(tree, plant):
                found = run_tests(tree, plant) if options.tests else simulate(tree, plant, options.seeds)
            missed += not found
            print(f"{plant.rule:5} {monotonic() - began:5.1f} s  {found or 'NOT FOUND':38} {plant.says}", flush=True)
    print(f"{len(plants) - missed} of {len(plants)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
