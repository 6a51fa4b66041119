"""The ratios as a picture: a bar for each row, on a logarithmic axis, with the must and the aim as marks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from benchmarks.ledger import Result

ROW_HEIGHT, LABEL_WIDTH, PLOT_WIDTH, MARGIN = 22, 400, 520, 30
Axis = Callable[[float], float]

COLOURS = {"aim": "#2e7d32", "must": "#f9a825", "missed": "#c62828", "": "#607d8b"}
LEGEND = {"aim": "reaches the aim", "must": "reaches the must", "missed": "misses", "": "no goal"}
STYLE = (
    "text{font:12px sans-serif;fill:#222}"
    ".value{font-size:11px}.grid{stroke:#ccc}.one{stroke:#222}.mark{stroke:#222;stroke-width:2}"
)


def ratios(results: Sequence[Result]) -> str:
    """An SVG of every row that has a ratio."""
    shown = [result for result in results if result.ratio]
    spread = [math.log10(result.ratio or 1) for result in shown]
    low, high = math.floor(min([*spread, -0.5])), math.ceil(max([*spread, 0.5]))

    def x(ratio: float) -> float:
        share = (math.log10(ratio) - low) / (high - low)
        return LABEL_WIDTH + PLOT_WIDTH * min(1.0, max(0.0, share))

    bottom = MARGIN + ROW_HEIGHT * len(shown)
    parts = [*_axis(range(low, high + 1), x, bottom)]
    for number, result in enumerate(shown):
        parts += _bar(result, MARGIN + ROW_HEIGHT * number, x)
    parts += _legend(bottom + 30)
    width, height = LABEL_WIDTH + PLOT_WIDTH + 80, bottom + 50
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _axis(decades: range, x: Axis, bottom: float) -> list[str]:
    parts = []
    for decade in decades:
        for step in (1, 2, 5):
            ratio = step * 10.0**decade
            if decade == decades[-1] and step > 1:
                continue
            kind = "one" if ratio == 1 else "grid"
            parts.append(_upright(kind, x(ratio), MARGIN - 6, bottom))
            parts.append(f'<text text-anchor="middle" x="{x(ratio):.1f}" y="{MARGIN - 12}">{ratio:g}x</text>')
    return parts


def _upright(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'


def _bar(result: Result, top: float, x: Axis) -> list[str]:
    assert result.ratio is not None
    left, right = sorted((x(1.0), x(result.ratio)))
    base = top + ROW_HEIGHT * 0.7
    parts = [
        f'<text text-anchor="end" x="{LABEL_WIDTH - 8}" y="{base}">{escape(result.row.title)}</text>',
        f'<rect x="{left:.1f}" y="{top + 3}" width="{max(1.0, right - left):.1f}" height="{ROW_HEIGHT - 8}" '
        f'fill="{COLOURS[result.verdict]}"/>',
        f'<text class="value" x="{LABEL_WIDTH + PLOT_WIDTH + 12}" y="{base}">{result.ratio:.2f}x</text>',
    ]
    goal = result.row.goal
    if goal is not None and goal.of == "ratio":
        parts += [_upright("mark", x(limit), top + 1, top + ROW_HEIGHT - 3) for limit in (goal.must, goal.aim)]
    return parts


def _legend(y: float) -> list[str]:
    parts = []
    for number, (verdict, words) in enumerate(LEGEND.items()):
        x = LABEL_WIDTH + number * 140
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[verdict]}"/>')
        parts.append(f'<text x="{x + 17}" y="{y}">{words}</text>')
    return parts
