"""
What the command lines of both levels have in common: faults by name and number, traces, and runs done twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from streamline.testing.simulation.twins import first_difference
from streamline.testing.simulation.whims import SITES


def kinds_of(options: argparse.Namespace, every: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the kinds of fault that C{--faults} names; None leaves them to the seed."""
    named: dict[str, tuple[str, ...] | None] = {"swarm": None, "all": every, "none": ()}
    return named.get(options.faults, tuple(word for word in options.faults.split(",") if word))


def left_out(options: argparse.Namespace) -> tuple[int, ...]:
    """Return the numbers of the faults that C{--without} names."""
    return tuple(int(number) for number in options.without.split(",") if number)


def faults_option(kinds: tuple[str, ...] | None, without: tuple[int, ...]) -> str:
    """Return what L{kinds_of} and L{left_out} read these from."""
    named = "swarm" if kinds is None else ",".join(kinds) or "none"
    return f"--faults {named}" + (f" --without {','.join(map(str, without))}" if without else "")


def whims_of(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the sites whose whims C{--whims} names; None leaves them to the seed."""
    named: dict[str, tuple[str, ...] | None] = {"swarm": None, "all": tuple(SITES), "none": ()}
    return named.get(options.whims, tuple(word for word in options.whims.split(",") if word))


def whims_option(whims: tuple[str, ...] | None) -> str:
    """Return what L{whims_of} reads these from; nothing where the seed draws them."""
    return "" if whims is None else f" --whims {'all' if whims == tuple(SITES) else ','.join(whims) or 'none'}"


def show_plan(options: argparse.Namespace, faults: Sequence[object]) -> None:
    """Print the faults of a run, if C{--plan} asks for them."""
    if options.plan:
        print("\n".join(f"  {fault}" for fault in faults))


@contextmanager
def traced(options: argparse.Namespace) -> Iterator[Callable[[str], object] | None]:
    """Give what writes a line into the file that C{--trace} names, or None where it names none."""
    if not options.trace:
        yield None
        return
    with open(options.trace, "w", encoding="utf-8") as lines:
        yield lambda line: lines.write(f"{line}\n")


def run_twice(command: str) -> int:
    """Run a command of ours in two interpreters, say where they differ, and return the exit code."""
    difference = first_difference([sys.executable, *command.split()[1:]])
    print(difference or "both runs were the same, event by event")
    return 1 if difference else 0
