"""
pytest's fixtures C{streamline_cluster} and C{streamline_broker}, in every project where Streamline is installed.

pytest imports this at each start, wanted or not: so it imports nothing that a test has not asked for.

    def test_orders_arrive(streamline_broker):
        producer = confluent_kafka.Producer({"bootstrap.servers": streamline_broker.bootstrap})

    @pytest.mark.streamline(num_partitions=6)
    def test_survives(streamline_cluster):
        streamline_cluster.kill(streamline_cluster.leader("orders", 0))
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from streamline.testing.cluster import Cluster

MARKER = "streamline"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{MARKER}(**settings): what streamline.testing.Cluster is made with")


@pytest.fixture
def streamline_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes that form a cluster, in this process; C{@pytest.mark.streamline(...)} makes them otherwise."""
    yield from _running(request, tmp_path, 3)


@pytest.fixture
def streamline_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """One node, in this process: a L{streamline.testing.Cluster} of one."""
    yield from _running(request, tmp_path, 1)


def _running(request: pytest.FixtureRequest, tmp_path: Path, nodes: int) -> Iterator[Cluster]:
    from streamline.testing.cluster import Cluster

    settings: dict[str, Any] = {"nodes": nodes, "data_dir": tmp_path / "streamline", "sync": False}
    # The nearest to the test comes first, and goes before those of its class and module.
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        settings.update(marker.kwargs)
    cluster = Cluster(**settings)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop(clean=False)
