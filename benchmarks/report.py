"""The table: on the terminal, as markdown, as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import timeit
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.ledger import STREAMLINE, Goal, Ledger, Result, Row

HEAD = ("what", STREAMLINE, "against", "ratio", "must", "aim", "stands")


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0]
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "processors": f"{os.cpu_count()} x {cpu}",
        "kernel": platform.release(),
        "python": f"{platform.python_version()} ({loop_time():.0f} ns for a turn of a plain loop)",
        "java": java,
    }


def loop_time() -> float:
    """What this interpreter takes for a dictionary's look-up and a tuple, in nanoseconds.

    Builds of one version differ by half: a distribution's is optimised by profile, one that a version manager compiled
    with its defaults is not.
    """
    turns = 100_000
    loop = f"for each in range({turns}):\n    look_up(each)\n    pair = (each, each)"
    return min(timeit.repeat(loop, "look_up = {}.get", number=1, repeat=9)) / turns * 1e9


def figure(value: float, row: Row) -> str:
    """A value with its unit, and records per second where records have a size."""
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    if not row.record_bytes:
        return f"{shown} {row.unit}"
    return f"{shown} {row.unit} ({value * 1000 / row.record_bytes:,.0f} k/s)"


def limits(goal: Goal | None, row: Row) -> tuple[str, str]:
    """The must and the aim of a row, in words."""
    if goal is None:
        return "", ""
    sign = ">=" if row.more_is_better else "<="
    unit = "x" if goal.of == "ratio" else f" {row.unit}"
    most = f", <= {goal.most} {row.unit}" if goal.most is not None else ""
    return f"{sign} {goal.must:g}{unit}{most}", f"{sign} {goal.aim:g}{unit}"


def cells(result: Result) -> tuple[str, ...]:
    """One line of the table."""
    row = result.row
    other = result.medians.get(row.against)
    against = "" if other is None else f"{row.against}: {figure(other, row)}"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}x"
    return (
        row.title,
        figure(result.medians[STREAMLINE], row),
        against,
        ratio,
        *limits(row.goal, row),
        result.verdict,
    )


def as_markdown(results: Sequence[Result], about: dict[str, Any], command: str, picture: str) -> str:
    """The whole report as a page."""
    lines = [
        "# Streamline beside Apache Kafka",
        "",
        f"`{command}`, {about['when']}, on {about['processors']}, Linux {about['kernel']}, "
        f"Python {about['python']}, {about['java']}.",
        "",
        "Medians of interleaved runs on one machine. `stands` says whether a goal's aim or only its must is reached.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + " --- |" * len(HEAD),
        *("| " + " | ".join(cells(result)) + " |" for result in results),
        "",
        f"![ratios]({picture})",
        "",
    ]
    return "\n".join(lines)


def as_text(results: Sequence[Result]) -> str:
    """The table for a terminal."""
    table = [HEAD, *(cells(result) for result in results)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
    )


def write(ledger: Ledger, directory: Path, name: str, command: str) -> None:
    """Write the page, the samples and the picture: C{name} with three endings."""
    directory.mkdir(parents=True, exist_ok=True)
    results, about = ledger.results(), machine()
    page = as_markdown(results, about, command, f"{name}.svg")
    (directory / f"{name}.md").write_text(page)
    samples = {"command": command, **about, "rows": ledger.as_json()}
    (directory / f"{name}.json").write_text(json.dumps(samples, indent=1) + "\n")
    (directory / f"{name}.svg").write_text(plot.ratios(results))
