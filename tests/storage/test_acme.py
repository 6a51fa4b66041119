"""The example of a third party's storage: it keeps the contract, installs, and serves a real client."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.clients.brokers import ROOT, StreamlineBroker
from tests.clients.drivers.base import sample_records
from tests.clients.drivers.confluent import ConfluentClient

EXAMPLE = ROOT / "examples" / "acme_storage"
START_MS = 1_767_225_600_000


def its_tests() -> ModuleType:
    """Import the example's own test module."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        spec = importlib.util.spec_from_file_location("acme_tests", EXAMPLE / "tests" / "test_acme_storage.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLE))
    return module


AcmeTests = its_tests().AcmeTests


class AcmeBroker(StreamlineBroker):
    """A node with the example's package installed."""

    def __init__(self, directory: Path, installed: Path) -> None:
        self._installed = installed
        super().__init__(directory, options=(f"--storage=acme:path={directory / 'records.sqlite'}",))

    def environment(self) -> dict[str, str]:
        """The environment, with the package beside this source tree."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(self._installed)))}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which pip has installed the example."""
    directory = tmp_path_factory.mktemp("acme")
    source = directory / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    target = directory / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={target}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def broker(installed: Path, tmp_path: Path) -> Iterator[AcmeBroker]:
    """A node with that storage, running."""
    node = AcmeBroker(tmp_path / "node", installed)
    node.start()
    try:
        yield node
    finally:
        node.kill()


def test_listed(installed: Path, tmp_path: Path) -> None:
    """Installed, it is listed like the storages that Streamline brings along."""
    node = AcmeBroker(tmp_path, installed)
    command = [sys.executable, "-m", "twisted", "streamline", "--help-plugins"]
    done = subprocess.run(command, env=node.environment(), capture_output=True, text=True, timeout=60, check=True)
    assert "Records in a SQLite file." in done.stdout


@pytest.mark.slow
def test_real_client(broker: AcmeBroker) -> None:
    """A client's records are there after the node was killed and started again."""
    client = ConfluentClient(broker.bootstrap)
    client.create("orders")
    sent = sample_records("none", 20, START_MS)
    client.produce("orders", "none", sent)
    broker.kill()
    assert not list(broker.directory.rglob("orders-0")), "nothing lies in segments"
    broker.start()
    received = ConfluentClient(broker.bootstrap).consume("orders", "readers", len(sent)).records
    assert sorted(record.value for record in received) == sorted(record.value for record in sent)
