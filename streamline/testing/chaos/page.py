"""What came of trials, as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from streamline.testing.chaos.picture import picture
from streamline.testing.chaos.report import lines_of, summary
from streamline.testing.chaos.trial import Verdict

STYLE = (
    "body{font:14px sans-serif;max-width:1240px;margin:2em auto;color:#222}pre{font-size:12px;overflow-x:auto}"
    "h2.failed{color:#c62828}h2.passed{color:#2e7d32}svg{width:100%;border:1px solid #ddd}"
)


def page(trials: Sequence[tuple[str, Verdict]]) -> str:
    """
    Return the page.

    @param trials: names and what came of them.
    """
    wrong = sum(len(verdict.wrong) for _, verdict in trials)
    head = f"{len(trials)} trials, {'nothing wrong' if not wrong else f'{wrong} things wrong'}"
    table = escape("\n".join(summary([verdict for _, verdict in trials])))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{head}</title><style>{STYLE}</style>'
        f"</head><body><h1>{head}</h1><pre>{table}</pre>{''.join(_trials(trials))}</body></html>\n"
    )


def _trials(trials: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    for name, verdict in trials:
        state = "failed" if verdict.wrong else "passed"
        yield f'<h2 class="{state}">{escape(name)}: {state}</h2>'
        if verdict.keys:
            yield picture(verdict)
        yield f"<pre>{escape(chr(10).join(lines_of(verdict, name)))}</pre>"
