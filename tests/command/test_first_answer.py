"""What a start leaves for later, so that the first answer comes sooner."""

from __future__ import annotations

import subprocess
import sys

from tests.clients.brokers import free_port
from tests.command.conftest import Launch
from tests.command.launching import ROOT, TWIST
from tests.command.test_running import listen

LATER = (
    "construct",
    "prometheus_client",
    "treq",
    "twisted.web",
    "streamline.cli",
    "streamline.http.",
    "streamline.testing",
    "streamline.wire.construct_spec",
    "streamline.wire.recordcheck",
)
"""What the first answer does not need: HTTP comes a moment later, tables for odd batches with the first of those."""
LEFT_OPEN_AT_LEAST = 110
"""Of some 160 value classes, how many a node is put together without."""


def test_what_is_imported(launch: Launch) -> None:
    """The interpreter tells of each module that it imports, until the node says that it is ready."""
    settings = {"PYTHONPROFILEIMPORTTIME": "1"}
    node = launch(TWIST, *listen(free_port()), environment=settings, stderr=subprocess.STDOUT)
    told = [line.rpartition("|")[2].strip() for line in node.until_ready() if line.startswith("import time:")]
    assert {"streamline.assembly", "streamline.services.raft"} <= set(told), "it tells"
    assert [name for name in told if f"{name}.".startswith(LATER)] == []


def test_what_is_completed() -> None:
    """Importing a node makes values of hardly any class, so attrs has nothing to write for the others."""
    code = "import streamline.tap, streamline.assembly, streamline.values as it; print(len(it._UNFINISHED))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert int(told) >= LEFT_OPEN_AT_LEAST


def test_what_is_imported_is_no_garbage() -> None:
    """The command imports a node without a look for garbage; merely importing one leaves the collector as it was."""
    before = "import gc; frozen = gc.get_freeze_count(); looks = []; gc.callbacks.append(lambda *look: looks.append(1))"
    after = "gc.callbacks.clear(); print(len(looks) > 0, gc.get_freeze_count() > frozen, gc.isenabled())"
    command = "from twisted.plugins.streamline_command import streamline; looks.clear(); streamline.options"
    for importing, expected in (("import streamline.tap", "True False True"), (command, "False True True")):
        code = [sys.executable, "-c", f"{before}; {importing}; {after}"]
        told = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert told.split() == expected.split()
