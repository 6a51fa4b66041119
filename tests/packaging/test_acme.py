"""Somebody else's storage, installed beside Streamline, keeps what a real client gives it."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.clients.drivers.base import PARTITIONS, sample_records
from tests.clients.drivers.confluent import ConfluentClient
from tests.command.launching import Launched
from tests.packaging.environments import ROOT, Environment, copy_of_source

pytestmark = pytest.mark.slow


def copy_of_example(directory: Path) -> Path:
    """Copy the example, so that installing it leaves nothing in the checkout."""
    example = directory / "acme_storage"
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "dropin.cache", ".*_cache")
    shutil.copytree(ROOT / "examples" / "acme_storage", example, ignore=leave)
    return example


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Streamline installed as users do, and the example as its authors do: editable, from its own directory."""
    directory = tmp_path_factory.mktemp("acme")
    made = Environment(directory / "venv")
    made.install(str(copy_of_source(directory)), "-e", str(copy_of_example(directory)))
    return made


def test_it_is_listed_once(environment: Environment) -> None:
    """Drop-in and entry point name the same plugin."""
    listed = environment.run("twist", "streamline", "--help-plugins").stdout
    assert len(re.findall(r"^ +acme +", listed, re.MULTILINE)) == 1


def test_it_is_found_by_its_entry_point_alone(environment: Environment, tmp_path: Path) -> None:
    """An editable install by setuptools' defaults hides the drop-in from Twisted; authors cannot all know that."""
    example = copy_of_example(tmp_path)
    settings = (example / "setup.cfg").read_text()
    by_default = settings.replace("package_dir =\n    = .\n", "")
    assert by_default != settings
    (example / "setup.cfg").write_text(by_default)
    environment.run("pip", "uninstall", "-q", "-y", "acme-storage")
    environment.install("-e", str(example))
    look = (
        "from streamline.plugins import _dropped_in, _entered\n"
        "print('acme' in [each.name for each in _dropped_in()], 'acme' in [each.name for each in _entered([])])\n"
    )
    assert environment.run("python", "-c", look).stdout == "False True\n"


def test_its_options_are_checked(environment: Environment, tmp_path: Path) -> None:
    """As those of our own are."""
    done = environment.run("twist", "streamline", "--storage=acme:pth=x", check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "plugin 'acme' for IStorage has no option 'pth'" in done.stderr
    assert "did you mean 'path'?" in done.stderr


def test_a_client_finds_its_records_after_a_restart(environment: Environment, tmp_path: Path) -> None:
    """Produce, stop, start, consume in a group; the records are in the SQLite file and nowhere else."""
    records = sample_records("zstd", 20, 1_767_225_600_000)
    command = [
        str(environment.bin / "twist"), "streamline", "--listen=tcp:0:interface=127.0.0.1",
        "--storage=acme:path=records.sqlite",
    ]  # fmt: skip

    def started() -> tuple[Launched, ConfluentClient]:
        node = Launched(tmp_path, command, {"PYTHONPATH": ""})
        nodes.append(node)
        [address] = re.findall(r"ready for clients at ([\d.]+:\d+)", node.until_ready()[-1])
        return node, ConfluentClient(address)

    nodes: list[Launched] = []
    try:
        node, client = started()
        client.create("orders")
        client.produce("orders", "zstd", records)
        assert node.signalled(signal.SIGTERM)[0] == -signal.SIGTERM
        _, client = started()
        consumed = client.consume("orders", "readers", len(records))
    finally:
        for each in nodes:
            each.kill()
    assert sorted(consumed.records) == sorted(records)
    assert sum(consumed.committed.values()) == len(records)
    assert len(consumed.committed) == PARTITIONS
    [found] = tmp_path.rglob("records.sqlite")
    with sqlite3.connect(found) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list(tmp_path.rglob("0*.log")), "no segment of ours"
