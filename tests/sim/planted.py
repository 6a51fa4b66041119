"""
The tester, tested: bugs that are planted into a copy of the product, each of which some seed must find.

    python tests/sim/planted.py                    # all of them
    python tests/sim/planted.py "torn tail" marker # those with one of these words in their names

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

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("streamline", "twisted")
SEEDS_MAX = 40
TIMEOUT_S = 600.0

_FAILED = re.compile(r"^seed (\d+) FAILED", re.MULTILINE)
_RULE = re.compile(r"^  ! ([a-z0-9-]+): ", re.MULTILINE)


@frozen
class Bug:
    """
    One bug.

    @ivar says: what it is.
    @ivar file: where it is, from the root of the tree.
    @ivar guard: what stands there, once.
    @ivar instead: what takes its place.
    @ivar faults: those that bring it to light.
    @ivar seed: where to begin; one that found it, not long ago.
    @ivar pace_s: mean time between a producer's batches; who is busy syncs what others neglect.
    @ivar until_s: simulated time of trouble; where several things have to come together, one run has to see much.
    """

    says: str
    file: str
    guard: str
    instead: str
    faults: str
    seed: int = 1
    pace_s: float = 0.4
    until_s: float = 60.0


@frozen
class Finding:
    """
    How a bug was found.

    @ivar seed: the first that failed; None where none did.
    @ivar rules: what was broken.
    """

    seed: int | None
    rules: tuple[str, ...]


BUGS = (
    Bug(
        "a sync is acknowledged before it has ended",
        "streamline/storage/syncing.py",
        "        if self.recovery_point >= target:\n            return succeed(self.recovery_point)\n",
        "        if target >= 0:\n            return succeed(target)\n",
        "power,kill",
        seed=3,
    ),
    Bug(
        "the directory is not synced after a roll",
        "streamline/storage/syncing.py",
        "    disk.sync_directory(directory)\n    return saved\n",
        "    return saved\n",
        "power,kill",
        seed=3,
    ),
    Bug(
        "a sync counts although the segment before is not durable yet",
        "streamline/storage/syncing.py",
        "        if self._settling:  # also",
        "        if not target:  # also",
        "power,lost-sync,slow-disk",
        seed=27,
    ),
    Bug(
        "recovery keeps a torn tail",
        "streamline/storage/recovery.py",
        "                segment.size = whole\n",
        "",
        "power,kill",
        seed=3,
    ),
    Bug(
        "recovery drops a last batch that is whole",
        "streamline/storage/recovery.py",
        "            or position + size > segment.size\n",
        "            or position + size >= segment.size\n",
        "kill",
    ),
    Bug(
        "recovery serves what is not durable",
        "streamline/storage/recovery.py",
        "        segment.file.sync()\n        segment.synced_size = segment.size\n",
        "        segment.synced_size = segment.size\n",
        "relapse,kill",
        seed=2,
        pace_s=1.5,
        until_s=180.0,
    ),
    Bug(
        "the marker of a clean stop is not taken away",
        "streamline/storage/segments.py",
        "        self._disk.remove(path)\n        self._disk.sync_directory(self._directory)\n        return epoch\n",
        "        return epoch\n",
        "stop,power,kill",
        seed=2,
    ),
    Bug(
        "readers see what is not committed",
        "streamline/storage/readable.py",
        "        end_offset = min(end_offset, self._chain.end_offset)\n",
        "        end_offset = self._chain.end_offset\n",
        "power,slow-disk",
        seed=3,
    ),
    Bug(
        "producers are not rebuilt from the log",
        "streamline/services/opening.py",
        "    producers.wrote(header.producer_id, header.producer_epoch, batch, now_ms)\n",
        "",
        "kill,reset",
    ),
    Bug(
        "one batch is remembered of each producer, not five",
        "streamline/transactions/producers.py",
        "REMEMBERED_BATCHES = 5\n",
        "REMEMBERED_BATCHES = 1\n",
        "kill,reset",
    ),
    Bug(
        "a batch that could not be written is remembered",
        "streamline/transactions/producers.py",
        "        for offset, producer_id, before in reversed(self._undo):\n",
        "        for offset, producer_id, before in ():\n",
        "full-disk,write-error",
    ),
    Bug(
        "a metadata command is applied before its sync",
        "streamline/services/single.py",
        "        self._file.sync_later().addCallbacks(self._synced, self._sync_failed, callbackArgs=(entry.index,))\n",
        "        self._synced(None, entry.index)\n",
        "power",
        seed=3,
    ),
)


def plant(bug: Bug, directory: Path) -> None:
    """
    Copy the product, with the bug, into a directory.

    @raise ValueError: the text that it replaces is not there, or not once.
    """
    for name in COPIED:
        shutil.copytree(ROOT / name, directory / name)
    path = directory / bug.file
    text = path.read_text("utf-8")
    if text.count(bug.guard) != 1:
        raise ValueError(f"{bug.file} has {text.count(bug.guard)} places for {bug.says!r}")
    path.write_text(text.replace(bug.guard, bug.instead), "utf-8")


def find(bug: Bug, directory: Path, *, seeds: int = SEEDS_MAX) -> Finding:
    """Run seeds with the product in a directory until one fails."""
    options = ["--seed", str(bug.seed), "--seeds", str(seeds), "--first"]
    options += ["--faults", bug.faults, "--pace", str(bug.pace_s), "--until", str(bug.until_s)]
    done = subprocess.run(
        [sys.executable, "-m", "streamline.testing.simulation", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    failed = _FAILED.search(done.stdout)
    if done.returncode not in (0, 2) and failed is None:
        raise RuntimeError(f"{bug.says}: {done.stderr[-2000:]}")
    return Finding(int(failed[1]) if failed else None, tuple(dict.fromkeys(_RULE.findall(done.stdout))))


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
