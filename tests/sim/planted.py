"""
The tester, tested: bugs that are planted into a copy of the product, each of which some seed must find.

    python -m tests.sim.planted                    # all of them
    python -m tests.sim.planted "torn tail" marker # those with one of these words in their names

L{plant} makes the copy, L{find} runs seeds in it until one fails; neither knows of the other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from tests.sim.bugs import CLUSTER_BUGS, NODE_BUGS, Bug

BUGS = (*NODE_BUGS, *CLUSTER_BUGS)
ROOT = Path(__file__).resolve().parents[2]
COPIED = ("streamline", "twisted")
SEEDS_MAX = 40
TIMEOUT_S = 600.0

_FAILED = re.compile(r"^seed (\d+) FAILED", re.MULTILINE)
_FAILED_BY = re.compile(r"^seed (\d+) FAILED \(([^)]*)\)", re.MULTILINE)
_RULE = re.compile(r"^  ! ([A-Za-z0-9-]+): ", re.MULTILINE)


@frozen
class Finding:
    """
    How a bug was found.

    @ivar seed: the first that failed; None where none did.
    @ivar rules: what was broken.
    """

    seed: int | None
    rules: tuple[str, ...]


def copied(directory: Path) -> None:
    """Copy the product into a directory."""
    for name in COPIED:
        shutil.copytree(ROOT / name, directory / name)


def plant(bug: Bug, directory: Path) -> None:
    """
    Copy the product, with the bug, into a directory.

    @raise ValueError: the text that it replaces is not there, or not once.
    """
    copied(directory)
    for file, guard, instead in ((bug.file, bug.guard, bug.instead), *bug.more):
        path = directory / file
        text = path.read_text("utf-8")
        if text.count(guard) != 1:
            raise ValueError(f"{file} has {text.count(guard)} places for {bug.says!r}")
        path.write_text(text.replace(guard, instead), "utf-8")


def find(bug: Bug, directory: Path, *, seeds: int = SEEDS_MAX) -> Finding:
    """Run seeds with the product in a directory until one fails."""
    said = _run(bug, directory, ["--seed", str(bug.seed), "--seeds", str(seeds), "--first"])
    failed = _FAILED.search(said)
    return Finding(int(failed[1]) if failed else None, tuple(dict.fromkeys(_RULE.findall(said))))


def share(bug: Bug, directory: Path, seeds: int) -> dict[int, list[str]]:
    """Run all of some seeds with the product in a directory; return what was broken, for each that failed."""
    said = _run(bug, directory, ["--seed", str(bug.seed), "--seeds", str(seeds)])
    return {int(seed): rules.split(", ") for seed, rules in _FAILED_BY.findall(said)}


def _run(bug: Bug, directory: Path, options: list[str]) -> str:
    """Run the simulator as the product in a directory has it; return what it says."""
    options += ["--faults", bug.faults, "--pace", str(bug.pace_s), "--until", str(bug.until_s)]
    options += ["--nodes", bug.nodes] if bug.nodes else []
    options += ["--whims", bug.whims]
    options += ["--no-data"] if bug.nodes and not bug.data else []
    options += ["--records-pace", str(bug.records_pace_s)] if bug.records_pace_s else []
    done = subprocess.run(
        [sys.executable, "-m", "streamline.testing.simulation", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode not in (0, 2) and _FAILED.search(done.stdout) is None:
        raise RuntimeError(f"{bug.says}: {done.stderr[-2000:]}")
    return done.stdout


def main(words: list[str]) -> int:
    """Plant and find; print how it went; return how many bugs were not found."""
    missed = 0
    for bug in BUGS:
        if words and not any(word in bug.says for word in words):
            continue
        started = time.monotonic()
        with TemporaryDirectory() as directory:
            plant(bug, Path(directory))
            finding = find(bug, Path(directory))
        missed += finding.seed is None
        how = "NOT FOUND" if finding.seed is None else f"seed {finding.seed}: {', '.join(finding.rules)}"
        print(f"{bug.says}: {how} ({time.monotonic() - started:.0f} s)", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
