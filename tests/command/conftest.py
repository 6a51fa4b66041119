"""Fixtures that start the command and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command.launching import LAUNCHERS, Launched

Launch = Callable[..., Launched]
"""Takes a launcher's name and the command's arguments; C{before} goes before the word C{streamline}."""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start the command in an empty directory; whatever still runs when the test ends is killed."""
    running: list[Launched] = []

    def start(launcher: str, *arguments: str, before: Sequence[str] = (), **options: Any) -> Launched:
        command = [*LAUNCHERS[launcher], *before, "streamline", *arguments]
        running.append(Launched(options.pop("directory", tmp_path), command, **options))
        return running[-1]

    yield start
    for each in running:
        each.kill()
