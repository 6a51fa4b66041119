"""
What a node says in numbers about its cluster: who is there, who decides, and how far replicas are behind.

Where several nodes are scraped, numbers about the whole cluster are the same on each but for a moment; numbers about
what a node leads add up.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from streamline.cluster.greeting import Reason
from streamline.cluster.image import MetadataImage
from streamline.interfaces import IConsensus, IQuorum
from streamline.raft import CommitTimes
from streamline.services.peers import Peers
from streamline.services.replicas import Replicas

NOBODY = -1


def cluster_metrics(image: MetadataImage) -> Iterator[Metric]:
    """Yield what the cluster has agreed on."""
    states = [state for topic in image.topics.values() for state in topic.partitions]
    fenced = sum(broker.fenced for broker in image.brokers.values())
    leaderless = sum(state.leader < 0 for state in states)
    reassigning = sum(bool(state.adding or state.removing) for state in states)
    yield GaugeMetricFamily("streamline_cluster_brokers", "Nodes of the cluster.", len(image.brokers))
    yield GaugeMetricFamily("streamline_cluster_fenced_brokers", "Nodes that do not take part just now.", fenced)
    yield GaugeMetricFamily("streamline_cluster_topics", "Topics.", len(image.topics))
    yield GaugeMetricFamily("streamline_cluster_partitions", "Partitions.", len(states))
    yield GaugeMetricFamily("streamline_cluster_leaderless_partitions", "Partitions that nobody leads.", leaderless)
    yield GaugeMetricFamily("streamline_cluster_reassigning_partitions", "Partitions on the move.", reassigning)
    yield CounterMetricFamily("streamline_metadata_commands", "Commands applied to the metadata.", image.index)


def quorum_metrics(consensus: IConsensus) -> Iterator[Metric]:
    """Yield who decides, and how far this node has followed."""
    leader_id = NOBODY if consensus.leader_id is None else consensus.leader_id
    yield GaugeMetricFamily(
        "streamline_quorum_controller", f"Node id of the controller, {NOBODY} while none is known.", leader_id
    )
    yield GaugeMetricFamily("streamline_quorum_term", "The term of the quorum, which is its epoch.", consensus.term)
    yield GaugeMetricFamily(
        "streamline_quorum_applied_index", "The last command that this node has applied.", consensus.applied_index
    )
    if IQuorum.providedBy(consensus):
        yield _commit_times(consensus.commit_times)


def _commit_times(times: CommitTimes) -> Metric:
    return HistogramMetricFamily(
        "streamline_quorum_commit_seconds",
        "From a proposal on this node, as the controller, until a majority was known to have it on its disks.",
        buckets=[*((str(bound_s), count) for bound_s, count in times.up_to()), ("+Inf", times.count)],
        sum_value=times.total_s,
    )


def replication_metrics(replicas: Replicas) -> Iterator[Metric]:
    """Yield how this node leads, and how its followers follow."""
    led = under_replicated = under_min_isr = 0
    lags: dict[int, int] = {}
    for partition in replicas:
        leadership = partition.leadership
        if leadership is None:
            continue
        led += 1
        under_replicated += len(leadership.isr) < len(partition.state.target)
        under_min_isr += len(leadership.isr) < leadership.min_isr
        for node, lag in leadership.lags().items():
            lags[node] = max(lag, lags.get(node, 0))
    yield GaugeMetricFamily("streamline_replicas", "Partitions that this node has a copy of.", len(list(replicas)))
    yield GaugeMetricFamily("streamline_replicas_leading", "Partitions that this node leads.", led)
    yield GaugeMetricFamily(
        "streamline_replicas_under_replicated", "Of these, those that lack a replica in sync.", under_replicated
    )
    yield GaugeMetricFamily(
        "streamline_replicas_under_min_isr", "Of these, those that refuse acks=all just now.", under_min_isr
    )
    lag_metric = GaugeMetricFamily(
        "streamline_follower_lag_records",
        "The most records that a follower lacks of any partition that this node leads.",
        labels=["follower"],
    )
    for node, lag in sorted(lags.items()):
        lag_metric.add_metric([str(node)], lag)
    yield lag_metric


def refusal_metrics(peers: Peers | None) -> Iterator[Metric]:
    """Yield who is connected, and how many were refused, and why."""
    if peers is None:
        return
    yield GaugeMetricFamily("streamline_peers_connected", "Nodes that this one is connected to.", len(peers.connected))
    refused = CounterMetricFamily(
        "streamline_peers_refused", "Refused connections with whoever seemed a node.", labels=["reason"]
    )
    for reason in Reason:
        refused.add_metric([reason.value], peers.refusals.counts[reason])
    yield refused
