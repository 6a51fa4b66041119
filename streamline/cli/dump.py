"""
C{streamline metadata dump}: what the cluster has agreed on, as one node's data directory has it.

It is for the question that Kafka's C{kafka-metadata-shell} answers, and for a node that cannot be started.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamline.cli.written import NothingToRead, Written, read
from streamline.cluster.commands import CLUSTER_WIDE
from streamline.model import Broker, PartitionState
from streamline.raft import Configuration, Replica

EXIT_REFUSED = 1


def run(directory: str, as_json: bool) -> int:
    """
    Print what a data directory says.

    @return: the status of the process.
    """
    try:
        written = read(directory)
    except NothingToRead as error:
        sys.stderr.write(f"streamline: {error}\n")
        return EXIT_REFUSED
    content = content_of(written)
    try:
        print(json.dumps(content, indent=2) if as_json else "\n".join(lines_of(content)), flush=True)
    except BrokenPipeError:  # whoever read it has seen enough, as C{head} does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def content_of(written: Written) -> dict[str, Any]:
    """Return all of it, as JSON has it; ids are written as Kafka's tools write them."""
    image, quorum, meta = written.image, written.quorum, written.meta
    return {
        "cluster_id": image.cluster_id or None,
        "written_by": {"node_id": meta.node_id, "directory_id": meta.directory_id},
        "quorum": {
            "term": quorum.term,
            "vote": None if quorum.vote is None else quorum.vote.node_id,
            "snapshot_index": quorum.snapshot_index,
            "last_index": quorum.last_index,
            "last_term": quorum.last_term,
            **_members(quorum.members),
        },
        "features": dict(sorted(image.features.items())),
        "next_producer_id": image.next_producer_id,
        "brokers": [_broker(broker) for _, broker in sorted(image.brokers.items())],
        "broker_configs": {
            "all brokers" if name == CLUSTER_WIDE else f"broker {name}": dict(sorted(configs.items()))
            for name, configs in sorted(image.broker_configs.items())
        },
        "topics": [
            {
                "name": topic.name,
                "topic_id": _id(topic.topic_id),
                "configs": dict(sorted(image.configs.get(topic.name, {}).items())),
                "partitions": [_partition(state) for state in topic.partitions],
            }
            for _, topic in sorted(image.topics.items())
        ],
    }


def _members(members: Configuration | None) -> dict[str, list[dict[str, Any]]]:
    if members is None:
        return {"voters": [], "observers": []}
    return {
        "voters": [_replica(one) for one in members.voters],
        "observers": [_replica(one) for one in members.learners],
    }


def _replica(replica: Replica) -> dict[str, Any]:
    return {
        "node_id": replica.key.node_id,
        "directory_id": _id(replica.key.directory_id),
        "address": replica.address,
    }


def _broker(broker: Broker) -> dict[str, Any]:
    return {
        "node_id": broker.node_id,
        "address": str(broker.endpoint),
        "cluster_address": None if broker.peer_endpoint is None else str(broker.peer_endpoint),
        "rack": broker.rack,
        "epoch": broker.epoch,
        "state": "fenced" if broker.fenced else "shutting down" if broker.shutting_down else "active",
        "incarnation_id": _id(broker.incarnation_id),
        "directory_id": _id(broker.directory_id),
        "features": {name: list(levels) for name, levels in sorted(broker.features.items())},
    }


def _partition(state: PartitionState) -> dict[str, Any]:
    return {
        "partition": state.index,
        "leader": state.leader,
        "leader_epoch": state.leader_epoch,
        "partition_epoch": state.partition_epoch,
        "replicas": list(state.replicas),
        "isr": list(state.isr),
        "elr": list(state.elr),
        "last_known_elr": list(state.last_known_elr),
        "adding": list(state.adding),
        "removing": list(state.removing),
        "recovering": state.is_recovering,
    }


def _id(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


# For people


def lines_of(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the same for people."""
    by, quorum = content["written_by"], content["quorum"]
    yield f"Cluster {content['cluster_id'] or '(founded, and without an id yet)'}"
    yield f"  as node {by['node_id']} with directory {by['directory_id']} has it; its last changes may not be agreed on"
    yield f"  next producer id {content['next_producer_id']}{_settings(content['features'], '  feature ')}"
    yield ""
    vote = "nobody" if quorum["vote"] is None else f"node {quorum['vote']}"
    yield f"Quorum: term {quorum['term']}, in which this node voted for {vote}"
    last = f"last entry {quorum['last_index']} of term {quorum['last_term']}"
    yield f"  {last}, snapshot up to {quorum['snapshot_index']}"
    for kind in ("voters", "observers"):
        for one in quorum[kind]:
            yield f"  {kind[:-1]} {one['node_id']} at {one['address']}, directory {one['directory_id']}"
    yield ""
    yield f"Brokers: {len(content['brokers'])}"
    for one in content["brokers"]:
        yield from _broker_lines(one)
    for name, settings in content["broker_configs"].items():
        yield f"  settings of {name}:{_settings(settings)}"
    yield ""
    yield f"Topics: {len(content['topics'])}"
    for topic in content["topics"]:
        yield f"  {topic['name']}, id {topic['topic_id']}{_settings(topic['configs'])}"
        for state in topic["partitions"]:
            yield f"    {_partition_line(state)}"


def _broker_lines(one: Mapping[str, Any]) -> Iterator[str]:
    rack = "" if one["rack"] is None else f", rack {one['rack']}"
    peers = "" if one["cluster_address"] is None else f", for nodes {one['cluster_address']}"
    yield f"  node {one['node_id']} at {one['address']}{peers}{rack}: {one['state']}, epoch {one['epoch']}"


def _partition_line(state: Mapping[str, Any]) -> str:
    leader = "nobody" if state["leader"] < 0 else f"node {state['leader']}"
    line = f"{state['partition']}: led by {leader}, replicas {_ids(state['replicas'])}, isr {_ids(state['isr'])}"
    for name in ("elr", "last_known_elr", "adding", "removing"):
        if state[name]:
            line += f", {name.replace('_', ' ')} {_ids(state[name])}"
    recovering = ", recovering" if state["recovering"] else ""
    return f"{line}, leader epoch {state['leader_epoch']}, partition epoch {state['partition_epoch']}{recovering}"


def _ids(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids)) or "none"


def _settings(settings: Mapping[str, Any], before: str = " ") -> str:
    return "".join(f"{before}{name}={value}" for name, value in settings.items())
