"""The page of options says what the declarations say."""

from __future__ import annotations

import runpy
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

DOCS = Path(__file__).resolve().parents[2] / "docs"


class PageTests(SynchronousTestCase):
    """docs/options.md"""

    def test_up_to_date(self) -> None:
        page = runpy.run_path(str(DOCS / "options_page.py"))["page"]()
        self.assertEqual(
            (DOCS / "options.md").read_text(encoding="utf-8"),
            page,
            "run: python docs/options_page.py > docs/options.md",
        )
