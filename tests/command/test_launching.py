"""The tests' own way to start commands says that one hangs where it does, and only there."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import pytest

from tests.command.launching import Launched

ENDS_SOON = "import time; time.sleep(0.5); raise SystemExit('refused')"
NEVER_ENDS = "import signal; signal.pause()"


def test_one_that_ended_while_we_were_stopped_has_ended(tmp_path: Path) -> None:
    """Stopping the tests is no reason to fail: what they wait for went on, or was stopped just as long."""
    launched = Launched(tmp_path, [sys.executable, "-c", ENDS_SOON])

    def be_stopped(number: int, frame: FrameType | None) -> None:
        os.waitid(os.P_PID, launched.process.pid, os.WEXITED | os.WNOWAIT)

    usual = signal.signal(signal.SIGALRM, be_stopped)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert launched.ended(deadline_s=0.3) == (1, "", "refused\n")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def test_one_that_hangs_is_killed(tmp_path: Path) -> None:
    """It is said, and nothing stays behind."""
    launched = Launched(tmp_path, [sys.executable, "-c", NEVER_ENDS])
    with pytest.raises(AssertionError, match="still running after 0.3 s"):
        launched.ended(deadline_s=0.3)
    assert launched.process.returncode == -signal.SIGKILL
