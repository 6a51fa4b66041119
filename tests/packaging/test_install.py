"""C{twist streamline} works from wherever it is installed, however it was."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from streamline import __version__
from tests.command.launching import Launched, events
from tests.command.test_refusals import heed_permissions
from tests.packaging.environments import Environment, copy_of_source

pytestmark = pytest.mark.slow

EPHEMERAL = "--listen=tcp:0:interface=127.0.0.1"


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with a regular install."""
    directory = tmp_path_factory.mktemp("regular")
    environment = Environment(directory / "venv")
    environment.install(str(copy_of_source(directory)))
    return environment


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with an editable install, by nothing but C{pip install -e}."""
    directory = tmp_path_factory.mktemp("editable")
    environment = Environment(directory / "venv")
    environment.install("-e", str(copy_of_source(directory)))
    return environment


@pytest.fixture(params=["regular", "editable"])
def installed(request: pytest.FixtureRequest) -> Environment:
    """Each kind of install."""
    environment: Environment = request.getfixturevalue(request.param)
    return environment


def test_the_command_is_known(installed: Environment) -> None:
    """Under both launchers; a wheel without the plugin, or a hidden one, makes it an unknown command."""
    for launcher in ("twist", "twistd"):
        assert "--node-id=" in installed.run(launcher, "streamline", "--help").stdout
    assert installed.run("twist", "streamline", "--version").stdout.startswith(f"streamline {__version__} ")


def test_what_is_built_in_is_found(installed: Environment) -> None:
    """By C{--help-plugins}."""
    listed = installed.run("twist", "streamline", "--help-plugins").stdout
    for name in ("segments", "memory", "single", "isr", "kafka"):
        assert f"\n    {name} " in listed


def test_the_demo_is_known(installed: Environment) -> None:
    """As a command of its own."""
    assert "--nodes N" in installed.run("streamline", "demo", "--help").stdout


def test_fixtures_are_found(installed: Environment) -> None:
    """By pytest, which looks for its plugins among entry points."""
    code = "from importlib.metadata import entry_points; print(entry_points(group='pytest11')['streamline'].value)"
    assert installed.run("python", "-c", code).stdout == "streamline.testing.fixtures\n"


def test_a_node_runs(installed: Environment, tmp_path: Path) -> None:
    """Away from any source."""
    node = Launched(tmp_path, [str(installed.bin / "twist"), "streamline", EPHEMERAL], {"PYTHONPATH": ""})
    try:
        node.until_ready()
        assert node.signalled(signal.SIGTERM)[0] == -signal.SIGTERM
    finally:
        node.kill()


def test_the_package_is_typed_and_alone(regular: Environment) -> None:
    """No tests, no docs, and no C{__init__.py} that would hide Twisted's own plugins."""
    site = regular.site_packages
    assert (site / "streamline" / "py.typed").exists()
    ours = regular.run("pip", "show", "-f", "streamline-broker").stdout.partition("Files:")[2].split()
    tops = {name.partition("/")[0] for name in ours if not name.startswith("..")}
    assert tops == {"streamline", "twisted", f"streamline_broker-{__version__}.dist-info"}
    in_twisted = {name for name in ours if name.startswith("twisted/") and "__pycache__" not in name}
    assert in_twisted == {"twisted/plugins/streamline_command.py", "twisted/plugins/streamline_builtin.py"}


def test_a_read_only_installation(regular: Environment, tmp_path: Path) -> None:
    """Twisted cannot write its plugin cache, which costs a little time and nothing else."""
    plugins = regular.site_packages / "twisted" / "plugins"
    (plugins / "dropin.cache").unlink(missing_ok=True)
    plugins.chmod(0o555)
    node = Launched(
        tmp_path, [str(regular.bin / "twist"), "streamline", EPHEMERAL], {"PYTHONPATH": ""}, preexec_fn=heed_permissions
    )
    try:
        lines = node.until_ready()
        assert node.signalled(signal.SIGTERM)[0] == -signal.SIGTERM
    finally:
        node.kill()
        plugins.chmod(0o755)
    assert {event["level"] for event in events("\n".join(lines))} == {"info"}
    assert not (plugins / "dropin.cache").exists()
