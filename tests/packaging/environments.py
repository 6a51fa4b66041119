"""Fresh environments, into which packages are installed as users do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "streamline", "twisted")
DEADLINE_S = 300


def copy_of_source(directory: Path) -> Path:
    """Copy what the package is built of, so that building it leaves nothing in the checkout."""
    source = directory / "source"
    source.mkdir()
    leave = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.egg-info")
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=leave)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    return source


class Environment:
    """A virtual environment of its own, with nothing of ours in it yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        run([sys.executable, "-m", "venv", str(directory)], cwd=directory.parent)

    def install(self, *arguments: str) -> None:
        """Install with pip."""
        run([str(self.bin / "pip"), "install", "-q", *arguments], cwd=self.directory)

    def run(self, program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, from the root directory, where nothing can be imported by accident."""
        return run([str(self.bin / program), *arguments], **{"cwd": "/", **options})

    @property
    def site_packages(self) -> Path:
        """Where packages are installed."""
        [found] = (self.directory / "lib").glob("python3.*/site-packages")
        return found


def clean_environment() -> dict[str, str]:
    """Return the environment without what would lead Python or the command elsewhere."""
    lead_astray = ("PYTHON", "STREAMLINE_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(lead_astray)}


def run(
    command: list[str], *, environment: Mapping[str, str] | None = None, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it printed is in the failure if it fails."""
    done = subprocess.run(
        command,
        env={**clean_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        **options,
    )
    if check:
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done
