"""A node under each launcher: it starts, says so in its log, and stops when it is told."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
from pathlib import Path

import pytest

from streamline.services.host import SWITCH_S
from tests.clients.brokers import free_port
from tests.command.conftest import Launch
from tests.command.launching import (
    TWIST,
    TWISTD_DAEMON,
    TWISTD_FOREGROUND,
    Daemon,
    Launched,
    events,
    read_until,
    until_served,
)

FOREGROUND = (TWIST, TWISTD_FOREGROUND)
REACTORS = ("epoll", "poll", "select", "asyncio")


def listen(port: int) -> list[str]:
    """Return the options for a port; those beside it might be somebody else's."""
    anywhere = "tcp:0:interface=127.0.0.1"
    return [f"--listen=tcp:{port}:interface=127.0.0.1", f"--cluster-listen={anywhere}", f"--http-listen={anywhere}"]


def is_clean(directory: Path) -> bool:
    """Say whether the node that had this data directory stopped in good order."""
    return (directory / "streamline-data" / ".kafka_cleanshutdown").exists()


@pytest.mark.parametrize("launcher", FOREGROUND)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_stops(launch: Launch, launcher: str, number: signal.Signals, tmp_path: Path) -> None:
    """Status: the signal, which is how both launchers end, so that a shell's loop ends as well."""
    port = free_port()
    node = launch(launcher, *listen(port))
    node.until_ready()
    until_served(port)
    assert not is_clean(tmp_path), "a node that runs has not stopped"
    code, _, err = node.signalled(number)
    assert (code, err) == (-number, "")
    assert is_clean(tmp_path)


def test_it_serves_and_stops_as_a_daemon(launch: Launch, tmp_path: Path) -> None:
    """The terminal has it back once the node listens; the log is beside the data."""
    port = free_port()
    assert launch(TWISTD_DAEMON, *listen(port)).ended() == (0, "", "")
    until_served(port)
    pid = int((tmp_path / "twistd.pid").read_text())
    assert pid != os.getpid()
    Daemon(pid).end(signal.SIGTERM)
    assert is_clean(tmp_path)
    assert not (tmp_path / "twistd.pid").exists()
    log = events((tmp_path / "twistd.log").read_text())
    assert [event["message"] for event in log if "is ready for clients" in event["message"]]


@pytest.mark.parametrize("reactor", REACTORS)
def test_any_reactor(launch: Launch, reactor: str) -> None:
    """Nothing imports the default reactor before the launcher has chosen."""
    port = free_port()
    node = launch(TWIST, *listen(port), before=[f"--reactor={reactor}"])
    node.until_ready()
    until_served(port)
    code, _, err = node.signalled(signal.SIGTERM)
    assert (code, err) == (-signal.SIGTERM, "")


@pytest.mark.parametrize("reactor", ["epoll", "asyncio"])
def test_any_reactor_of_a_daemon(launch: Launch, reactor: str, tmp_path: Path) -> None:
    """The socket is bound before the fork and served after it."""
    port = free_port()
    assert launch(TWISTD_DAEMON, *listen(port), before=[f"--reactor={reactor}"]).ended() == (0, "", "")
    until_served(port)
    Daemon(int((tmp_path / "twistd.pid").read_text())).end(signal.SIGTERM)
    assert is_clean(tmp_path)


def test_a_daemon_that_moves(launch: Launch, tmp_path: Path) -> None:
    """C{--rundir} counts for the data directory as well."""
    home = tmp_path / "home"
    home.mkdir()
    port = free_port()
    daemon = launch(TWISTD_DAEMON, *listen(port), before=["--rundir=home", "--logfile=node.log"])
    assert daemon.ended() == (0, "", "")
    until_served(port)
    Daemon(int((tmp_path / "twistd.pid").read_text())).end(signal.SIGTERM)
    assert is_clean(home)
    assert not (tmp_path / "streamline-data").exists()


def test_two_nodes_in_one_place(launch: Launch, tmp_path: Path) -> None:
    """They need a data directory each, and nothing else."""
    first, second = free_port(), free_port()
    for port in (first, second):
        launch(TWIST, *listen(port), f"--data-dir=data-{port}").until_ready()
    until_served(first)
    until_served(second)


@pytest.mark.parametrize("launcher", FOREGROUND)
def test_json_lines(launch: Launch, launcher: str) -> None:
    """Without a terminal each event is a JSON object in one line, from the first to the last."""
    node = launch(launcher, "--node-id=7", "--listen=tcp:0:interface=127.0.0.1")
    lines = node.until_ready()
    _, out, _ = node.signalled(signal.SIGTERM)
    log = events("\n".join(lines) + "\n" + out)
    for event in log:
        assert {"time", "level", "logger", "node", "message"} <= set(event)
        assert event["node"] == 7
    [ready] = [event for event in log if "is ready for clients" in event["message"]]
    assert ready["logger"] == "streamline.node"


@pytest.mark.parametrize("launcher", FOREGROUND)
def test_text_on_a_terminal(launch: Launch, launcher: str) -> None:
    """People get one line of text for each event."""
    ours, theirs = pty.openpty()
    node = launch(launcher, "--listen=tcp:0:interface=127.0.0.1", stdout=theirs)
    os.close(theirs)
    with open(ours, encoding="utf-8", newline="\n") as terminal:
        lines = read_until(terminal, "is ready for clients")
    assert node.signalled(signal.SIGTERM)[0] == -signal.SIGTERM
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (info|warn|error) +\[[\w.]+\] \S", line), line


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_format_can_be_chosen(launch: Launch, log_format: str) -> None:
    """By our option, or by that of C{twist}."""
    by_ours = launch(TWIST, f"--log-format={log_format}", "--listen=tcp:0:interface=127.0.0.1")
    by_theirs = launch(
        TWIST, "--listen=tcp:0:interface=127.0.0.1", "--data-dir=other", before=[f"--log-format={log_format}"]
    )
    for node in (by_ours, by_theirs):
        assert node.until_ready()[-1].startswith("{") == (log_format == "json")


@pytest.mark.parametrize("launcher", FOREGROUND)
def test_hang_up_begins_the_log_anew(launch: Launch, launcher: str, tmp_path: Path) -> None:
    """SIGHUP, after something has moved the log away; left to themselves both launchers die of it."""
    port = free_port()
    log = tmp_path / "node.log"
    node = launch(launcher, *listen(port), before=[f"--log{'-' if launcher == TWIST else ''}file={log}"])
    node.until_answering(port)
    moved = log.rename(tmp_path / "node.log.1")
    node.process.send_signal(signal.SIGHUP)
    # The signal interrupts the reactor's wait, so it is served before this is answered.
    until_served(port)
    code, _, err = node.signalled(signal.SIGTERM)
    assert (code, err) == (-signal.SIGTERM, "")
    assert [event for event in events(moved.read_text()) if "listening for clients" in event["message"]]
    assert [event for event in events(log.read_text()) if "SIGTERM" in event["message"]]


def test_threads_share_the_interpreter(tmp_path: Path) -> None:
    """They give it to the reactor sooner than Python by itself has them do."""
    program = (
        "import sys\n"
        "from streamline.tap import Options, makeService\n"
        "options = Options()\n"
        "options.parseOptions(['--listen=tcp:0:interface=127.0.0.1'])\n"
        "before = sys.getswitchinterval()\n"
        "makeService(options)\n"
        "print(before, sys.getswitchinterval())\n"
    )
    code, out, err = Launched(tmp_path, [sys.executable, "-c", program]).ended()
    assert code == 0, err
    before, after = map(float, out.split())
    assert after == pytest.approx(SWITCH_S)
    assert after < before
