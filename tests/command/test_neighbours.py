"""Plugins of others, good and bad, beside a node."""

from __future__ import annotations

import os
import signal
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command.conftest import Launch
from tests.command.launching import LAUNCHERS, ROOT, TWIST, TWISTD_DAEMON, TWISTD_FOREGROUND, Daemon, events

EPHEMERAL = "--listen=tcp:0:interface=127.0.0.1"

DROP_IN = """
    from streamline.interfaces import IStorage
    from streamline.plugins import Backend

    doubtful = Backend(IStorage, "doubtful", "Refuses to start.", "doubtful_storage.Doubtful")
"""

MODULE = """
    from twisted.internet.defer import Deferred, fail
    from streamline.errors import StartRefused
    from streamline.storage.memory import MemoryStorage

    class Doubtful(MemoryStorage):
        def __init__(self, host, config, *, after="0"):
            super().__init__(host, config)
            self.clock, self.after_s = host.clock, float(after)

        def start(self):
            refusal = StartRefused("the storage has doubts")
            if not self.after_s:
                return fail(refusal)
            started = Deferred()
            self.clock.callLater(self.after_s, started.errback, refusal)
            return started
"""


@pytest.fixture
def neighbour(tmp_path: Path) -> Path:
    """A directory on the path of Python with plugins of its own."""
    site = tmp_path / "site"
    (site / "twisted" / "plugins").mkdir(parents=True)
    (site / "twisted" / "plugins" / "doubtful_drop_in.py").write_text(textwrap.dedent(DROP_IN))
    (site / "doubtful_storage.py").write_text(textwrap.dedent(MODULE))
    return site


def beside(site: Path) -> dict[str, str]:
    """Return an environment in which Python finds ours and theirs."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}


@pytest.mark.parametrize("after", ["0", "0.05"])
@pytest.mark.parametrize("launcher", [TWIST, TWISTD_FOREGROUND])
def test_a_start_that_fails_late(launch: Launch, neighbour: Path, launcher: str, after: str, tmp_path: Path) -> None:
    """After C{makeService}, even after C{startService}: one sentence, a status, and a line in the log."""
    node = launch(launcher, EPHEMERAL, f"--storage=doubtful:after={after}", environment=beside(neighbour))
    code, out, err = node.ended()
    assert (code, err) == (1, "streamline: the storage has doubts\n")
    assert [event["level"] for event in events(out) if "has doubts" in event["message"]] == ["error"]
    assert not (tmp_path / "twistd.pid").exists()


def test_a_daemon_that_fails_before_its_parent_has_gone(launch: Launch, neighbour: Path, tmp_path: Path) -> None:
    """The parent says what it was told, and its status is not 0."""
    node = launch(TWISTD_DAEMON, EPHEMERAL, "--storage=doubtful", environment=beside(neighbour))
    code, _, err = node.ended()
    assert code == 1
    assert "the storage has doubts" in err
    with suppress(FileNotFoundError):  # the parent may be the first to end
        Daemon(int((tmp_path / "twistd.pid").read_text())).await_end()
    assert not (tmp_path / "twistd.pid").exists()


def test_a_daemon_that_fails_later_says_so_in_its_log(launch: Launch, neighbour: Path, tmp_path: Path) -> None:
    """Nobody is left to be told in another way."""
    node = launch(TWISTD_DAEMON, EPHEMERAL, "--storage=doubtful:after=0.2", environment=beside(neighbour))
    assert node.ended() == (0, "", "")
    Daemon(int((tmp_path / "twistd.pid").read_text())).await_end()
    log = events((tmp_path / "twistd.log").read_text())
    assert [event["level"] for event in log if "has doubts" in event["message"]] == ["error"]


@pytest.mark.parametrize("launcher", [TWIST, TWISTD_FOREGROUND])
def test_a_broken_drop_in(launch: Launch, neighbour: Path, launcher: str) -> None:
    """Twisted shows it as it does for any command; we add nothing to that, and start."""
    (neighbour / "twisted" / "plugins" / "broken.py").write_text("import nothing_of_that_name\n")
    node = launch(launcher, EPHEMERAL, environment=beside(neighbour))
    lines = node.until_ready()
    code, _, err = node.signalled(signal.SIGTERM)
    assert code == -signal.SIGTERM
    _, _, of_twisted = launch(launcher, "--help", environment=beside(neighbour)).ended()
    assert err.count("Traceback") == of_twisted.count("Traceback") > 0
    told = [event for event in events("\n".join(lines)) if "nothing_of_that_name" in event.get("error", "")]
    assert [event["message"] for event in told] == ["Unhandled error"] * len(told)


@pytest.mark.parametrize("launcher", [TWIST, TWISTD_FOREGROUND])
def test_a_broken_entry_point(launch: Launch, neighbour: Path, launcher: str) -> None:
    """One line in the log."""
    info = neighbour / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[streamline.plugins]\nbroken = nothing_of_that_name:broken\n")
    lines = launch(launcher, EPHEMERAL, environment=beside(neighbour)).until_ready()
    told = [event for event in events("\n".join(lines)) if "nothing_of_that_name" in event["message"]]
    assert [event["level"] for event in told] == ["warn"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_of_one_name(launch: Launch, neighbour: Path, launcher: str) -> None:
    """Both are named; which one was meant cannot be guessed."""
    again = textwrap.dedent(DROP_IN).replace("doubtful_storage.Doubtful", "other_storage.Doubtful")
    (neighbour / "twisted" / "plugins" / "doubtful_again.py").write_text(again)
    code, out, err = launch(launcher, "--storage=doubtful", environment=beside(neighbour)).ended()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "doubtful_storage.Doubtful and other_storage.Doubtful are both installed" in err
