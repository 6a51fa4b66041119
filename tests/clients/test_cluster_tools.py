"""
A cluster of three processes, as Kafka's own tools, kcat and kafka-python show it, and as they change it.

What they show is true before the controller is killed, after another has taken over, and when all are back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic
from kafka import KafkaAdminClient

from streamline.testing import Cluster
from tests.clients.drivers.base import Deadline
from tests.clients.drivers.confluent import results_of
from tests.clients.java import Tools
from tests.clients.programs import run

pytestmark = pytest.mark.tools

NODES = [1, 2, 3]
ROLES = ("leader", "follower")
UNLIMITED = str(2**63 - 1)
ELR = "eligible.leader.replicas.version"


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    """A cluster that the module's tests share."""
    with Cluster(3, processes=True, auto_leader_rebalance_enable=False) as one:
        yield one


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    """The same, whole again after each test."""
    yield shared
    shared.restart()


@pytest.fixture
def tools(cluster: Cluster) -> Tools:
    """The tools, pointed at all nodes."""
    return Tools(cluster.bootstrap)


@pytest.fixture
def spread(cluster: Cluster, topic: str) -> str:
    """A topic of three partitions with three replicas each."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    [made] = admin.create_topics([NewTopic(topic, 3, 3)]).values()
    made.result(10)
    for partition in range(3):
        cluster.wait_isr(topic, partition)
    return topic


def eventually(what: str, look: Callable[[], Any], wanted: Any) -> None:
    """
    Look until it is as it should be: what a tool says is a moment old.

    @raise AssertionError: it never is.
    """
    deadline = Deadline(f"{what} to be {wanted}")
    while look() != wanted:
        deadline.left_s()


def status_of(tools: Tools) -> dict[str, str]:
    """What C{kafka-metadata-quorum describe --status} prints."""
    printed = tools.first("kafka-metadata-quorum", "describe", "--status")
    return dict(re.findall(r"^(\w+): +(.*)$", printed, re.MULTILINE))


def voters_of(tools: Tools) -> dict[int, tuple[str, str]]:
    """Who votes, with directory and address, by the same tool."""
    voters: list[dict[str, Any]] = json.loads(status_of(tools)["CurrentVoters"])
    return {one["id"]: (one["directoryId"], one["endpoints"][0]) for one in voters}


def replication_of(tools: Tools) -> dict[int, tuple[str, int, str]]:
    """Directory, lag and role of each replica, by C{kafka-metadata-quorum describe --replication}."""
    printed = tools.first("kafka-metadata-quorum", "describe", "--replication")
    rows = re.findall(r"^(\d+) +\t(\S+) *\t\d+ *\t(\d+) *\t\S+ *\t\S+ *\t(\w+)", printed, re.MULTILINE)
    return {int(node): (directory, int(lag), role) for node, directory, lag, role in rows}


def partitions_of(tools: Tools, topic: str) -> dict[int, tuple[int, list[int], list[int]]]:
    """Leader, replicas and sorted ISR of each partition, by C{kafka-topics --describe}."""
    printed = tools.run("kafka-topics", "--describe", "--topic", topic)
    rows = re.findall(r"Partition: (\d+)\tLeader: (\S+)\tReplicas: (\S+)\tIsr: (\S*)", printed)
    return {
        int(partition): (
            -1 if leader == "none" else int(leader),
            [int(node) for node in replicas.split(",")],
            sorted(int(node) for node in isr.split(",") if node),
        )
        for partition, leader, replicas, isr in rows
    }


def described_quorum(cluster: Cluster) -> tuple[int, list[int]]:
    """The leader and the voters, by kafka-python."""
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap.split(","))
    try:
        [described] = admin.describe_metadata_quorum()["topics"]
    finally:
        admin.close()
    [quorum] = described["partitions"]
    return quorum["leader_id"], sorted(one["replica_id"] for one in quorum["current_voters"])


def listed_by_kcat(cluster: Cluster) -> tuple[int, list[int]]:
    """The controller and all brokers, by kcat."""
    listed = json.loads(run(["kcat", "-b", cluster.bootstrap, "-L", "-J"]))
    return listed["controllerid"], sorted(one["id"] for one in listed["brokers"])


def brokers_of(tools: Tools) -> list[int]:
    """All brokers, by C{kafka-broker-api-versions}: the dead one as well, until its session would have ended."""
    listed = tools.run("kafka-broker-api-versions")
    return sorted(map(int, re.findall(r"^\S+ \(id: (\d)", listed, re.MULTILINE)))


def test_quorum(cluster: Cluster, tools: Tools) -> None:
    """Voters with their directories, and how far each has come, whoever leads."""
    directories = voters_of(tools)
    assert sorted(directories) == NODES
    leader = cluster.controller()
    roles = {node: "Leader" if node == leader else "Follower" for node in NODES}
    caught_up = {node: (directories[node][0], 0, roles[node]) for node in NODES}
    eventually("the quorum's replicas", lambda: replication_of(tools), caught_up)
    before = status_of(tools)
    assert (before["LeaderId"], before["MaxFollowerLag"], before["CurrentObservers"]) == (str(leader), "0", "[]")
    cluster.kill(leader)
    successor = cluster.controller()
    after = status_of(tools)
    assert (after["LeaderId"], after["ClusterId"]) == (str(successor), before["ClusterId"])
    assert int(after["LeaderEpoch"]) > int(before["LeaderEpoch"])
    assert voters_of(tools) == directories, "who is dead is a voter all the same"
    assert replication_of(tools)[successor] == (directories[successor][0], 0, "Leader")
    assert replication_of(tools)[leader][2] == "Follower"
    cluster.restart(leader)
    back = (directories[leader][0], 0, "Follower")
    eventually("the one that is back", lambda: replication_of(tools)[leader], back)


def test_topics(cluster: Cluster, tools: Tools, spread: str) -> None:
    """kafka-topics shows who leads and who is in sync, and the partitions that lack somebody."""
    whole = partitions_of(tools, spread)
    assert sorted(leader for leader, _, _ in whole.values()) == NODES
    assert [(replicas[0], isr) for _, replicas, isr in whole.values()] == [
        (leader, NODES) for leader, _, _ in whole.values()
    ]
    dead = cluster.controller()
    cluster.kill(dead)
    left = [node for node in NODES if node != dead]
    for partition in range(3):
        cluster.wait_isr(spread, partition, left)
    lacking = partitions_of(tools, spread)
    assert [isr for _, _, isr in lacking.values()] == [left] * 3
    assert dead not in [leader for leader, _, _ in lacking.values()]
    under = tools.run("kafka-topics", "--describe", "--topic", spread, "--under-replicated-partitions")
    assert len(re.findall(r"Partition: \d", under)) == 3
    cluster.restart(dead)
    for partition in range(3):
        cluster.wait_isr(spread, partition)
    assert [isr for _, _, isr in partitions_of(tools, spread).values()] == [NODES] * 3


def test_cluster(cluster: Cluster, tools: Tools) -> None:
    """Every node says the same of the cluster; who is dead is listed no more."""
    one = [tools.run("kafka-cluster", "cluster-id")]
    cluster.kill(cluster.controller())
    successor = cluster.controller()
    alive = [node for node in cluster.nodes if node.is_running]
    one += [Tools(str(node.address)).run("kafka-cluster", "cluster-id") for node in alive]
    assert len(set(one)) == 1 and re.fullmatch(r"Cluster ID: \S+\n", one[0])
    ids = [node.node_id for node in alive]
    eventually("kafka-broker-api-versions", lambda: brokers_of(tools), ids)
    listed = tools.run("kafka-broker-api-versions")
    assert listed.count("DescribeQuorum(55): 0 to 2 [usable: 2]") == 2
    eventually("kcat -L", lambda: listed_by_kcat(cluster), (successor, ids))
    assert described_quorum(cluster) == (successor, NODES)
    cluster.restart()
    eventually("kcat -L", lambda: listed_by_kcat(cluster), (successor, NODES))
    assert described_quorum(cluster) == (successor, NODES)


def test_features(cluster: Cluster, tools: Tools) -> None:
    """The one feature there is, at its one level."""
    pattern = r"Feature: (\S+)\s+SupportedMinVersion: 1\s+SupportedMaxVersion: 1\s+FinalizedVersionLevel: 1\s"
    described = tools.first("kafka-features", "describe")
    assert re.findall(pattern, described) == [ELR], described


def test_changing_features(cluster: Cluster, tools: Tools) -> None:
    """It can be asked for as it is; there is no other level, and nothing to lose by asking."""
    wanted = ("--feature", f"{ELR}=1")
    assert f"{ELR} can be upgraded to 1" in tools.first("kafka-features", "upgrade", *wanted, "--dry-run")
    assert f"{ELR} was upgraded to 1" in tools.first("kafka-features", "upgrade", *wanted)
    for change in (("downgrade", f"{ELR}=0"), ("upgrade", f"{ELR}=2"), ("upgrade", "group.version=1")):
        with pytest.raises(AssertionError, match="Could not"):
            tools.first("kafka-features", change[0], "--feature", change[1])
    test_features(cluster, tools)


def test_leader_election(cluster: Cluster, tools: Tools, spread: str) -> None:
    """Preferred leaders lead again when somebody asks for it."""
    preferred = {index: replicas[0] for index, (_, replicas, _) in partitions_of(tools, spread).items()}
    [moved] = [index for index, node in preferred.items() if node == cluster.controller()]
    cluster.kill(preferred[moved])
    assert cluster.leader(spread, moved) != preferred[moved]
    cluster.restart()
    cluster.wait_isr(spread, moved)
    assert cluster.leader(spread, moved) != preferred[moved], "nobody has asked for it yet"
    elect = ("--election-type", "preferred", "--topic", spread, "--partition", str(moved))
    done = tools.run("kafka-leader-election", *elect)
    assert f"Successfully completed leader election (PREFERRED) for partitions {spread}-{moved}" in done
    assert {index: leader for index, (leader, _, _) in partitions_of(tools, spread).items()} == preferred


def throttles_of(cluster: Cluster, topic: str) -> list[str]:
    """Both rates of a node, and which replicas of a topic they are for."""
    node = cluster.nodes[0].node_id
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    found: dict[str, str] = {}
    for resource in (ConfigResource("broker", str(node)), ConfigResource("topic", topic)):
        [described] = admin.describe_configs([resource]).values()
        found |= {name: one.value or "" for name, one in described.result(10).items() if "throttled" in name}
    return [found[f"{role}.replication.throttled.{what}"] for what in ("rate", "replicas") for role in ROLES]


def test_unregister(cluster: Cluster, tools: Tools, topic: str) -> None:
    """A node that is gone is taken out; one that alone has what a partition needs is not."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    results_of(admin.create_topics([NewTopic(topic, 1, 1)]))
    holder = cluster.leader(topic, 0)
    with pytest.raises(AssertionError, match=f"nobody but node {holder} is known to have everything"):
        tools.run("kafka-cluster", "unregister", "--id", str(holder))
    gone = next(node for node in NODES if node not in (holder, cluster.controller()))
    cluster.kill(gone)
    assert f"Broker {gone} is no longer registered." in tools.run("kafka-cluster", "unregister", "--id", str(gone))
    cluster.restart(gone)
    eventually("kcat -L", lambda: listed_by_kcat(cluster)[1], NODES)


def test_reassignment(cluster: Cluster, tools: Tools, topic: str, tmp_path: Path) -> None:
    """A partition with its records moves from one node to two others, under a throttle that is gone afterwards."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    results_of(admin.create_topics([NewTopic(topic, 1, 1)]))
    source = cluster.leader(topic, 0)
    lines = "".join(f"value-{number}\n" for number in range(200))
    run(["kcat", "-b", cluster.bootstrap, "-t", topic, "-P"], lines)
    wanted = [node for node in NODES if node != source]
    moves = {"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": wanted}]}
    file = tmp_path / "moves.json"
    file.write_text(json.dumps(moves))
    given = ("--reassignment-json-file", str(file))
    executed = tools.run("kafka-reassign-partitions", *given, "--execute", "--throttle", "50000000")
    assert f"Successfully started partition reassignment for {topic}-0" in executed
    assert "The inter-broker throttle limit was set to 50000000 B/s" in executed
    assert throttles_of(cluster, topic) == ["50000000", "50000000", f"0:{source}", f"0:{wanted[0]},0:{wanted[1]}"]
    cluster.wait_isr(topic, 0, wanted)
    verified = tools.run("kafka-reassign-partitions", *given, "--verify")
    assert f"Reassignment of partition {topic}-0 is completed." in verified
    assert throttles_of(cluster, topic) == [UNLIMITED, UNLIMITED, "", ""], "verifying clears them"
    assert tools.run("kafka-reassign-partitions", "--list") == "No partition reassignments found.\n"
    [(leader, replicas, isr)] = partitions_of(tools, topic).values()
    assert (leader in wanted, replicas, isr) == (True, wanted, wanted)
    read = run(["kcat", "-b", cluster.bootstrap, "-t", topic, "-C", "-e", "-o", "beginning"])
    assert read == lines
