"""A start that cannot succeed ends with one sentence and a status, however it was started."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command.conftest import Launch
from tests.command.launching import LAUNCHERS, TWIST

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2

EPHEMERAL = "--listen=tcp:0:interface=127.0.0.1"


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> str:
    """Each way to start."""
    name: str = request.param
    return name


def refusal(launch: Launch, launcher: str, *arguments: str, status: int = 1, **options: object) -> str:
    """Return the sentence; there is nothing else, and nothing stays behind."""
    launched = launch(launcher, *arguments, **options)
    code, out, err = launched.ended()
    assert code == status, (out, err)
    assert out == ""
    assert err.startswith("streamline: "), err
    assert err.count("\n") == 1, err
    assert not (launched.directory / "twistd.pid").exists()
    return err


@pytest.fixture
def taken() -> Iterator[str]:
    """An endpoint that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"


def test_the_port_is_taken(launch: Launch, launcher: str, taken: str, tmp_path: Path) -> None:
    """Nothing is made on disk for a node that cannot listen."""
    message = refusal(launch, launcher, f"--listen={taken}")
    assert f"cannot listen on {taken}: Address already in use" in message
    assert not (tmp_path / "streamline-data").exists()


def test_a_live_node_has_the_data_directory(launch: Launch, launcher: str) -> None:
    """Two nodes that were started in the same place by mistake."""
    first = launch(TWIST, EPHEMERAL)
    first.until_ready()
    assert "is in use by a node that is running" in refusal(launch, launcher, EPHEMERAL)
    assert first.process.poll() is None


def test_the_data_directory_is_of_another_node(launch: Launch, launcher: str, tmp_path: Path) -> None:
    """The node id is kept in the directory."""
    (tmp_path / "streamline-data").mkdir()
    (tmp_path / "streamline-data" / "meta.properties").write_text("version=1\nnode.id=7\ndirectory.id=x\n")
    message = refusal(launch, launcher, EPHEMERAL)
    assert "belongs to node 7, not to node 1; start with --node-id 7" in message


def test_the_data_directory_is_a_file(launch: Launch, launcher: str, tmp_path: Path) -> None:
    """Somebody else's file stays as it is."""
    (tmp_path / "streamline-data").write_text("mine")
    assert "is not a directory" in refusal(launch, launcher, EPHEMERAL)
    assert (tmp_path / "streamline-data").read_text() == "mine"


def heed_permissions() -> None:
    """Make root subject to file permissions, as everybody else is, in the process that is being started."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_the_data_directory_may_not_be_entered(launch: Launch, launcher: str, tmp_path: Path) -> None:
    """No permission."""
    (tmp_path / "streamline-data").mkdir(mode=0)
    message = refusal(launch, launcher, EPHEMERAL, preexec_fn=heed_permissions)
    assert "cannot be used: Permission denied" in message


@pytest.mark.parametrize("launcher", ["twistd -n", "twistd"])
def test_the_log_file_cannot_be_opened(launch: Launch, launcher: str, tmp_path: Path) -> None:
    """C{twist} opens its own and says so in its own words."""
    message = refusal(launch, launcher, EPHEMERAL, before=[f"--logfile={tmp_path}"])
    assert f"the log file {tmp_path} cannot be opened: " in message


def test_a_wrong_option(launch: Launch, launcher: str) -> None:
    """Status 2, and no pages of help around the reason."""
    message = refusal(launch, launcher, "--node-idd=1", status=2)
    assert message == "streamline: --node-idd is no option; did you mean '--node-id'?\n"


def test_a_wrong_variable(launch: Launch, launcher: str) -> None:
    """The environment is looked at as closely as the command line."""
    message = refusal(launch, launcher, status=2, environment={"STREAMLINE_NODE_IDD": "1"})
    assert "did you mean 'STREAMLINE_NODE_ID'?" in message


def test_a_plugin_that_is_not_there(launch: Launch, launcher: str) -> None:
    """The candidates are listed."""
    message = refusal(launch, launcher, "--storage=segmints", status=2)
    assert "memory, segments; did you mean 'segments'?" in message


def test_an_option_that_the_plugin_does_not_have(launch: Launch, launcher: str) -> None:
    """Only the plugin's maker knows; it is asked before anything is touched."""
    message = refusal(launch, launcher, EPHEMERAL, "--acks=kafka:patience=1")
    assert "plugin 'kafka' for IAcksPolicy has no option 'patience'" in message
