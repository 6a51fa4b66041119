"""The example that shows a fail-over."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0


class DemoTests(SynchronousTestCase):
    """C{examples/chaos_demo.py}, without a terminal."""

    def test_it_ends_well(self) -> None:
        """It shows a leader, kills it, shows another, and loses nothing."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        told = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "chaos_demo.py"), "--calm", "0.5", "--dead", "2"],
            env={**kept, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        self.assertNotIn("\x1b", told.stdout)
        [dead] = re.findall(r"kill -9 of node (\d)", told.stdout)
        before, _, after = told.stdout.partition("kill -9")
        self.assertIn(f"leader {dead}", before)
        self.assertRegex(after, rf"{dead}:-- .* leader [^{dead}-] ")
        [(sent, acked, failed)] = re.findall(r"(\d+) records sent, (\d+) acknowledged, (\d+) failed", told.stdout)
        self.assertEqual((acked, failed), (sent, "0"))
        self.assertGreater(int(acked), 0)
        self.assertIn("0 lost, 0 doubled", told.stdout)
