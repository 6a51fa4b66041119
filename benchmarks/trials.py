"""What many trials of one thing took."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

from streamline.testing.chaos.report import quantile


def show(name: str, seconds: Sequence[float]) -> None:
    """Print a row, in milliseconds, with the machine's load."""
    figures = (min(seconds), statistics.median(seconds), quantile(seconds, 0.99), max(seconds))
    shown = " / ".join(f"{figure * 1000:.2f}" if figure < 0.1 else f"{figure * 1000:.0f}" for figure in figures)
    load = os.getloadavg()[0]
    print(f"{name:<52} {len(seconds):>4} trials, min / p50 / p99 / max: {shown} ms   (load {load:.1f})", flush=True)
