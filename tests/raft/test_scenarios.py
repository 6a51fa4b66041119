"""The scenarios in C{scenarios/}: what happens is what is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raft.scenario import SCENARIOS, replay

FILES = sorted(SCENARIOS.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """Nothing else happens than the file says; C{python -m tests.raft.scenario} writes it anew."""
    text = path.read_text("utf-8")
    assert replay(text) == text


def test_there_are_scenarios() -> None:
    """The subjects of the paper's tests are there."""
    assert len(FILES) >= 25
