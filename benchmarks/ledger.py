"""
What is measured, what it must reach, and the samples so far.

A row compares two sides: Streamline, and what stands in its row as C{against}. A goal is about the ratio of the
two medians, or about Streamline's own median where only an absolute figure makes sense.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, Literal

from attrs import Factory, define, frozen

STREAMLINE = "Streamline"
KAFKA = "Apache Kafka"

Unit = Literal["MB/s", "requests/s", "ms", "s", "MiB", "CPU s/GB", "records"]


@frozen
class Goal:
    """
    What a row must reach, and what it aims at.

    @ivar of: whether the numbers are about the ratio of the medians, or about Streamline's median.
    @ivar most: an absolute limit on top of the ratio, in the row's unit.
    """

    must: float
    aim: float
    of: Literal["ratio", "value"] = "ratio"
    most: float | None = None


@frozen
class Row:
    """One line of the table."""

    title: str
    unit: Unit
    goal: Goal | None = None
    against: str = KAFKA
    #: For a throughput row: how large its records are, so that records per second can be shown as well.
    record_bytes: int = 0

    @property
    def more_is_better(self) -> bool:
        """Whether a larger figure is a better one."""
        return self.unit in ("MB/s", "requests/s")


@frozen
class Result:
    """One row with its medians, as it is reported."""

    row: Row
    medians: dict[str, float]

    @property
    def ratio(self) -> float | None:
        """Streamline's median over the other side's."""
        other = self.medians.get(self.row.against)
        return self.medians[STREAMLINE] / other if other else None

    @property
    def verdict(self) -> str:
        """How the row stands to its goal: "aim", "must", "missed", or nothing when it has none."""
        goal = self.row.goal
        value = self.medians[STREAMLINE]
        judged = value if goal is not None and goal.of == "value" else self.ratio
        if goal is None or judged is None:
            return ""
        if goal.most is not None and value > goal.most:
            return "missed"
        reached: Callable[[float], bool] = judged.__ge__ if self.row.more_is_better else judged.__le__
        return "aim" if reached(goal.aim) else "must" if reached(goal.must) else "missed"


@define
class Ledger:
    """The samples of every row, in the order in which the rows first came."""

    samples: dict[Row, dict[str, list[float]]] = Factory(dict)

    def add(self, row: Row, side: str, value: float) -> None:
        """Write down one sample and show it."""
        self.samples.setdefault(row, {}).setdefault(side, []).append(value)
        print(f"  {row.title}: {side} {value:.4g} {row.unit}", flush=True)

    def results(self) -> list[Result]:
        """Every row that Streamline has figures for."""
        return [
            Result(row, {side: median(values) for side, values in sides.items()})
            for row, sides in self.samples.items()
            if STREAMLINE in sides
        ]

    def as_json(self) -> list[dict[str, Any]]:
        """All samples, for a reader that wants more than medians."""
        return [
            {
                "row": result.row.title,
                "unit": result.row.unit,
                "against": result.row.against,
                "medians": result.medians,
                "ratio": result.ratio,
                "verdict": result.verdict,
                "samples": self.samples[result.row],
            }
            for result in self.results()
        ]
