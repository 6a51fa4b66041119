"""
What a node can say about itself in numbers, as Prometheus reads them.

Every number is a plain integer that its owner keeps anyway; nothing is counted
twice and nothing on the way of a request knows of Prometheus.  A snapshot is
taken in the reactor and rendered elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest

from streamline.http.cluster_gauges import cluster_metrics, quorum_metrics, refusal_metrics, replication_metrics
from streamline.services.metadata import Metadata
from streamline.services.peers import Peers
from streamline.services.pulse import Pulse
from streamline.services.replicas import Replicas
from streamline.values import frozen

STALL_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 2500, 5000)


class Front(Protocol):
    """What faces the clients, as far as it is counted."""

    @property
    def connections(self) -> Sized:
        """Those that are open."""

    @property
    def turned_away(self) -> int:
        """Connections refused because of a limit."""

    @property
    def ended(self) -> int:
        """Connections ended because of what the client did."""

    def served(self) -> Iterator[tuple[str, int, int]]:
        """Yield (API, version, requests so far)."""


@frozen(eq=False)
class Snapshot:
    """All numbers at one moment."""

    metrics: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        """Give them to a registry."""
        return self.metrics

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)


def take_snapshot(
    version: str,
    front: Front,
    metadata: Metadata,
    replicas: Replicas,
    pulse: Pulse,
    peers: Peers | None,
    recovered: int,
) -> Snapshot:
    """
    Read every number once.

    @param peers: the other nodes; None where this one takes none.
    @param recovered: how many partitions this node, as the controller, has had led again after all lost power.
    """
    metrics: list[Metric] = [InfoMetricFamily("streamline_build", "The release that runs.", {"version": version})]
    metrics += _requests(front)
    metrics += cluster_metrics(metadata.image)
    metrics += quorum_metrics(metadata.consensus)
    metrics.append(
        CounterMetricFamily(
            "streamline_partitions_recovered",
            "Partitions given to the best replica that was left, after all that had everything had lost power.",
            recovered,
        )
    )
    metrics += replication_metrics(replicas)
    metrics += refusal_metrics(peers)
    metrics += _logs(replicas)
    metrics += _stalls(pulse)
    return Snapshot(tuple(metrics))


def _requests(front: Front) -> Iterator[Metric]:
    served = CounterMetricFamily("streamline_requests", "Requests taken from clients.", labels=["api", "version"])
    for name, version, count in front.served():
        served.add_metric([name, str(version)], count)
    yield served
    yield GaugeMetricFamily("streamline_connections", "Open connections of clients.", len(front.connections))
    yield CounterMetricFamily(
        "streamline_connections_turned_away", "Connections refused because of a limit.", front.turned_away
    )
    yield CounterMetricFamily(
        "streamline_connections_ended", "Connections ended because the client misbehaved.", front.ended
    )


def _logs(replicas: Replicas) -> Iterator[Metric]:
    bytes_in = CounterMetricFamily("streamline_topic_bytes_in", "Bytes of batches appended.", labels=["topic"])
    records_in = CounterMetricFamily("streamline_topic_records_in", "Records appended.", labels=["topic"])
    sizes = GaugeMetricFamily("streamline_topic_size_bytes", "Bytes of batches kept.", labels=["topic"])
    totals: dict[str, list[int]] = {}
    offline = 0
    for partition in replicas:
        total = totals.setdefault(partition.log.identity.topic, [0, 0, 0])
        total[0] += partition.appended_bytes
        total[1] += partition.appended_records
        total[2] += partition.log.size_bytes
        offline += partition.offline is not None
    for topic, (size_in, count_in, size) in totals.items():
        bytes_in.add_metric([topic], size_in)
        records_in.add_metric([topic], count_in)
        sizes.add_metric([topic], size)
    yield bytes_in
    yield records_in
    yield sizes
    yield GaugeMetricFamily("streamline_cluster_offline_replicas", "Partitions of this node out of order.", offline)
    yield GaugeMetricFamily(
        "streamline_log_refusing", "1 while records are refused for want of space.", int(replicas.full is not None)
    )


def _stalls(pulse: Pulse) -> Iterator[Metric]:
    counts = zip(STALL_BOUNDS_MS, pulse.up_to(STALL_BOUNDS_MS), strict=True)
    buckets = [(str(bound_ms / 1000), float(count)) for bound_ms, count in counts]
    yield HistogramMetricFamily(
        "streamline_reactor_stall_seconds",
        "How long the reactor was held up, asked once a second: what a client would have waited at that moment.",
        buckets=[*buckets, ("+Inf", float(pulse.beats))],
        sum_value=pulse.total_ms / 1000,
    )
    yield GaugeMetricFamily(
        "streamline_reactor_stall_longest_seconds",
        "The longest of these since the node started.",
        pulse.longest_ms / 1000,
    )
