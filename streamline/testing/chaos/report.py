"""What came of trials, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamline.testing.chaos.trial import Strike, Verdict, longest_gaps

WRONG_SHOWN = 20


def lines_of(verdict: Verdict, name: str) -> list[str]:
    """Return a trial's lines: one for all of it, one for each fault, and what is wrong."""
    sends, changes = verdict.history.sends, verdict.history.changes
    records = f"{verdict.acked} of {len(sends)} records" if sends else ""
    topics = f"{verdict.changed} of {len(changes)} operations on topics" if changes else ""
    state = "FAILED" if verdict.wrong else "passed"
    lines = [f"{name}: {state}, acknowledged were {' and '.join(filter(None, (records, topics)))}"]
    lines += [_line_of(verdict, strike) for strike in verdict.strikes]
    lines += [f"  WRONG {wrong}" for wrong in verdict.wrong[:WRONG_SHOWN]]
    if len(verdict.wrong) > WRONG_SHOWN:
        lines.append(f"  and {len(verdict.wrong) - WRONG_SHOWN} more")
    return lines


def _line_of(verdict: Verdict, strike: Strike) -> str:
    gap = f", longest gap {longest_gaps(verdict, strike):.2f} s" if verdict.keys else ""
    back = f"all back after {strike.mended_at - strike.at:.2f} s, in sync after {strike.synced_at - strike.at:.2f} s"
    return f"  {strike.at:7.2f} s  {strike.what}: {back}{gap}"


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the table of all faults: how often each struck, and its gaps' median and maximum."""
    gaps: dict[str, list[float]] = {}
    for verdict in verdicts:
        for strike in verdict.strikes:
            gaps.setdefault(strike.fault, []).append(longest_gaps(verdict, strike) if verdict.keys else 0.0)
    head = f"{'fault':<20} {'times':>6} {'gap p50':>9} {'max':>9}"
    rows = [
        f"{fault:<20} {len(found):>6} {quantile(found, 0.5):>7.2f} s {max(found):>7.2f} s"
        for fault, found in sorted(gaps.items())
    ]
    records, operations = sum(one.acked for one in verdicts), sum(one.changed for one in verdicts)
    wrong = sum(len(one.wrong) for one in verdicts)
    last = f"{len(verdicts)} trials, {records} records and {operations} operations acknowledged, {wrong} things wrong"
    return [head, *rows, last]


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
