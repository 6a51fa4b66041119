"""
Running the tests that a mutant must not survive, in a copy of the tree.

Each mutant has a run of pytest to itself, with a limit on its time.  A mutant is
killed when every test that it names fails; a run that could not look (an import
that fails, a test that is not there, no end in time) proves nothing and counts
as survived.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree

from attrs import field, frozen

from tests.mutants.mutant import Mutant
from tests.mutants.planting import NotPlanted, planted

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 180.0
"""What the tests of one mutant may take; they are chosen to need far less."""

LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules", "_trial_temp*", "streamline-data"
)


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    NOT_RUN = "not run"
    TOO_LATE = "out of time"
    NO_GUARD = "no guard"


@frozen
class Outcome:
    """
    A mutant's end.

    @ivar why: for any but a killed one, what people need to know.
    """

    verdict: Verdict
    why: str = ""


@frozen
class Ran:
    """
    One run of pytest.

    @ivar failed: for each test that was named, whether it failed; without those that were not run.
    @ivar said: what pytest printed.
    """

    failed: Mapping[str, bool] = field(factory=dict)
    said: str = ""
    is_late: bool = False


@contextmanager
def copied(root: Path = ROOT) -> Iterator[Path]:
    """Have a copy of the tree, which may be damaged, for a while."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        copy = Path(place) / "tree"
        shutil.copytree(root, copy, ignore=LEFT_OUT)
        yield copy


def run(tree: Path, tests: Iterable[str], limit_s: float) -> Ran:
    """Run tests in a tree."""
    wanted = sorted(frozenset(tests))
    report = tree.parent / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-m", "", "-p", "no:cacheprovider", f"--junitxml={report}", *wanted]
    environment = os.environ | {"PYTHONPATH": str(tree), "HYPOTHESIS_STORAGE_DIRECTORY": str(tree.parent / "examples")}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ran(said=f"no end within {limit_s:.0f} s", is_late=True)
    said = done.stdout + done.stderr
    return Ran(_read(report, wanted), said) if report.exists() else Ran(said=said)


def _read(report: Path, wanted: Sequence[str]) -> dict[str, bool]:
    """Return which of the tests failed; one with parameters fails where it does for any of them."""
    failed: dict[str, bool] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        dotted = f"{case.get('classname')}.{case.get('name', '').partition('[')[0]}"
        for test in wanted:
            if test.replace(".py::", "::").replace("/", ".").replace("::", ".") == dotted:
                has_run = case.find("skipped") is None and case.find("error") is None
                if has_run:
                    failed[test] = failed.get(test, False) or case.find("failure") is not None
    return failed


def sound(tree: Path, mutants: Sequence[Mutant], limit_s: float) -> list[str]:
    """
    Return what is wrong without any mutant: tests that fail, or cannot be run.

    C{limit_s} is for each mutant's tests, as it is in L{try_out}.
    """
    tests = {test: None for mutant in mutants for test in mutant.tests}
    ran = run(tree, tests, limit_s * max(1, len(mutants)))
    bad = [test for test in tests if ran.failed.get(test, True)]
    wrong = [f"{test} {'fails' if test in ran.failed else 'is not run'}" for test in bad]
    return [*wrong, ran.said] if wrong else []


def try_out(tree: Path, mutant: Mutant, limit_s: float) -> Outcome:
    """Plant one mutant in a tree and see whether its tests fail."""
    try:
        with planted(tree, mutant):
            ran = run(tree, mutant.tests, limit_s)
    except NotPlanted as error:
        return Outcome(Verdict.NO_GUARD, str(error))
    if ran.is_late:
        return Outcome(Verdict.TOO_LATE, ran.said)
    if any(test not in ran.failed for test in mutant.tests):
        return Outcome(Verdict.NOT_RUN, ran.said)
    passed = [test for test, failed in ran.failed.items() if not failed]
    return Outcome(Verdict.SURVIVED, "passed: " + ", ".join(passed)) if passed else Outcome(Verdict.KILLED)


def is_imported_from(tree: Path) -> bool:
    """Say whether a run in a tree tests that tree, and not a package that is installed."""
    command = [sys.executable, "-c", "import streamline; print(streamline.__file__)"]
    found = subprocess.run(
        command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip()).resolve().is_relative_to(tree.resolve())
