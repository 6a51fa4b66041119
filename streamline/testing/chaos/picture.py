"""
A trial as a picture: time from left to right, what struck in the top row, and a row for each producer.

A producer's row has its latencies on a logarithmic axis, the median and the longest in each slice of time, and a band
wherever it had nothing acknowledged for a while.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from xml.sax.saxutils import escape

from streamline.testing.chaos.trial import Strike, Verdict
from streamline.testing.history import OK, Send

LABEL_WIDTH, PLOT_WIDTH, MARGIN = 170, 1000, 30
FAULTS_HEIGHT, ROW_HEIGHT, SPACE = 46, 90, 12
SLICES = 500
"""How many slices of time there are."""
GAP_S = 0.5
"""The shortest time without an acknowledgement that is shown as a gap."""
LATENCIES_S = (0.001, 0.01, 0.1, 1.0, 10.0)
COLOURS = {
    "fault": "#c62828", "mending": "#f9a825", "gap": "#f8bbd0", "median": "#1565c0", "longest": "#90a4ae",
}  # fmt: skip
LEGEND = {
    "fault": "a fault, until all took part again",
    "mending": "until all were in sync",
    "gap": f"nothing acknowledged for more than {GAP_S:g} s",
    "median": "median latency",
    "longest": "longest latency",
}
STYLE = "text{font:12px sans-serif;fill:#222}.small{font-size:10px}.grid{stroke:#ddd}.axis{stroke:#888}"

Axis = Callable[[float], float]


def gaps(times: Sequence[float], end: float) -> list[tuple[float, float]]:
    """
    Return when nothing happened for longer than L{GAP_S}.

    @param times: when something did, sorted.
    @param end: until when it should have.
    """
    edges = [*times, max(end, times[-1])] if times else [0.0, end]
    return [(one, other) for one, other in zip(edges, edges[1:], strict=False) if other - one > GAP_S]


def picture(verdict: Verdict) -> str:
    """Return an SVG."""
    producers: dict[str, list[Send]] = {}
    for send in verdict.history.sends:
        if send.status == OK:
            producers.setdefault(send.producer, []).append(send)
    length_s = _length(verdict)

    def x(seconds: float) -> float:
        return LABEL_WIDTH + PLOT_WIDTH * min(max(seconds / length_s, 0.0), 1.0)

    bottom = MARGIN + FAULTS_HEIGHT + len(producers) * (ROW_HEIGHT + SPACE)
    parts = [*_times(x, length_s, bottom), *_faults(verdict.strikes, x, length_s)]
    for number, (name, sends) in enumerate(producers.items()):
        top = MARGIN + FAULTS_HEIGHT + number * (ROW_HEIGHT + SPACE)
        parts += _row(name, sends, top, x, length_s)
    parts += _legend(bottom + SPACE)
    width, height = LABEL_WIDTH + PLOT_WIDTH + MARGIN, bottom + 3 * SPACE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><style>{STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _length(verdict: Verdict) -> float:
    """Return how long a trial took: until the last that is shown."""
    ends = [send.done_at for send in verdict.history.sends if send.status == OK]
    ends += [strike.synced_at for strike in verdict.strikes]
    return max([*ends, 1.0])


def _times(x: Axis, length_s: float, bottom: float) -> Iterator[str]:
    step = next((one for one in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if length_s / one <= 20), 1800)
    for number in range(int(length_s / step) + 1):
        at = number * step
        yield f'<line class="grid" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{MARGIN - 6}" y2="{bottom}"/>'
        yield f'<text class="small" text-anchor="middle" x="{x(at):.1f}" y="{MARGIN - 12}">{at} s</text>'


def _faults(strikes: Sequence[Strike], x: Axis, length_s: float) -> Iterator[str]:
    yield f'<text text-anchor="end" x="{LABEL_WIDTH - 8}" y="{MARGIN + 12}">faults</text>'
    for number, strike in enumerate(strikes):
        mended = strike.mended_at or length_s  # it never was
        synced = strike.synced_at or mended
        title = f"<title>{escape(strike.fault)}: {escape(strike.what)}</title>"
        yield _bar("fault", x(strike.at), x(mended), MARGIN, 16, title)
        yield _bar("mending", x(mended), x(synced), MARGIN, 16, title)
        y = MARGIN + 28 + 12 * (number % 2)  # neighbours do not write over each other
        yield f'<text class="small" x="{x(strike.at):.1f}" y="{y}">{escape(strike.fault)}</text>'


def _bar(kind: str, left: float, right: float, top: float, height: float, inside: str = "") -> str:
    return (
        f'<rect x="{left:.1f}" y="{top}" width="{max(right - left, 0.5):.1f}" height="{height}" '
        f'fill="{COLOURS[kind]}">{inside}</rect>'
    )


def _row(name: str, sends: Sequence[Send], top: float, x: Axis, length_s: float) -> Iterator[str]:
    low, high = math.log10(LATENCIES_S[0]), math.log10(LATENCIES_S[-1])

    def y(latency_s: float) -> float:
        share = (math.log10(max(latency_s, LATENCIES_S[0])) - low) / (high - low)
        return top + ROW_HEIGHT * (1.0 - min(share, 1.0))

    yield f'<text text-anchor="end" x="{LABEL_WIDTH - 40}" y="{top + 16}">{escape(name)}</text>'
    acked = sorted(send.done_at for send in sends)
    yield f'<text class="small" text-anchor="end" x="{LABEL_WIDTH - 40}" y="{top + 32}">{len(acked)} records</text>'
    for begin, end in gaps(acked, acked[-1]):
        yield _bar("gap", x(begin), x(end), top, ROW_HEIGHT, f"<title>{end - begin:.2f} s</title>")
    for latency_s in LATENCIES_S:
        at = y(latency_s)
        yield f'<line class="grid" x1="{LABEL_WIDTH}" x2="{LABEL_WIDTH + PLOT_WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/>'
        label = f"{latency_s:g} s" if latency_s >= 1 else f"{latency_s * 1000:g} ms"
        yield f'<text class="small" text-anchor="end" x="{LABEL_WIDTH - 4}" y="{at + 3:.1f}">{label}</text>'
    timed = [send for send in sends if send.done_at > send.sent_at]  # of others it is not known when they were sent
    yield from _latencies(timed, x, y, length_s)


def _latencies(sends: Sequence[Send], x: Axis, y: Axis, length_s: float) -> Iterator[str]:
    slices: dict[int, list[float]] = {}
    for send in sends:
        slices.setdefault(int(send.sent_at / length_s * SLICES), []).append(send.done_at - send.sent_at)
    for kind, of in (("longest", max), ("median", statistics.median)):
        for number, latencies in slices.items():
            found = float(of(latencies))
            yield (
                f'<circle cx="{x((number + 0.5) / SLICES * length_s):.1f}" cy="{y(found):.1f}" r="1.6" '
                f'fill="{COLOURS[kind]}"/>'
            )


def _legend(y: float) -> Iterator[str]:
    left = float(LABEL_WIDTH)
    for kind, words in LEGEND.items():
        yield _bar(kind, left, left + 12, y - 10, 12)
        yield f'<text class="small" x="{left + 17:.0f}" y="{y}">{words}</text>'
        left += 40 + 6 * len(words)
