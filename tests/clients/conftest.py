"""
Fixtures of the client suites: a running broker, and names that nobody else uses.

C{STREAMLINE_TEST_BROKER=kafka} runs the same suites against Apache Kafka (C{.ci/jvm} fetches it), which
proves the suites themselves: what fails there is a wrong expectation, not a defect of Streamline.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from tests.clients.brokers import BrokerMaker, BrokerProcess, KafkaBroker, StreamlineBroker

MAKERS: Mapping[str, BrokerMaker] = {"streamline": StreamlineBroker, "kafka": KafkaBroker}

_BROKERS = pytest.StashKey[list[BrokerProcess]]()


@pytest.fixture(scope="session")
def maker() -> BrokerMaker:
    """The kind of broker under test."""
    return MAKERS[os.environ.get("STREAMLINE_TEST_BROKER", "streamline")]


@pytest.fixture(scope="module")
def broker(
    request: pytest.FixtureRequest, maker: BrokerMaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrokerProcess]:
    """A broker that the module's tests share."""
    one = maker(tmp_path_factory.mktemp("broker"))
    request.node.stash[_BROKERS] = [one]
    one.start()
    try:
        yield one
        one.stop()
    finally:
        one.kill()


@pytest.fixture
def make_broker(
    request: pytest.FixtureRequest, maker: BrokerMaker, tmp_path: Path
) -> Iterator[Callable[..., BrokerProcess]]:
    """Make brokers, with settings, that end with the test; for tests that kill and restart them."""
    made: list[BrokerProcess] = []
    request.node.stash[_BROKERS] = made

    def make(settings: Mapping[str, str] | None = None) -> BrokerProcess:
        made.append(maker(tmp_path / f"broker-{len(made)}", settings))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.kill()


@pytest.fixture
def topic() -> str:
    """A topic name of this test's own."""
    return f"topic-{uuid4().hex[:12]}"


@pytest.fixture
def group() -> str:
    """A group id of this test's own."""
    return f"group-{uuid4().hex[:12]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the broker's log beside a failure."""
    report = yield
    if report.failed:
        for node in item.listchain():
            for one in node.stash.get(_BROKERS, []):
                report.sections.append((f"{one.name}'s log", one.log_tail()))
    return report
