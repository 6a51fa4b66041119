"""What is done to membership: nodes come, go, and come back with an empty disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamline.errors import ErrorCode, ProtocolError
from streamline.testing.chaos.scene import MENDED_S, Scene
from streamline.testing.cluster import Cluster
from streamline.testing.embedded.conversation import Conversation
from streamline.wire.messages.cluster import UnregisterBrokerRequest, UnregisterBrokerResponse
from streamline.wire.messages.quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    PartitionData,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
    TopicData,
)

DESCRIBE_VERSION = 2
ANSWER_S = 5.0
LOOK_AGAIN_S = 0.1
QUORUM = DescribeQuorumRequest(
    topics=[TopicData(topic_name="__cluster_metadata", partitions=[PartitionData(partition_index=0)])]
)


def voters(talk: Conversation) -> dict[int, bytes]:
    """Return the directory ids of the nodes that vote, by node."""
    said = talk.ask(QUORUM, DescribeQuorumResponse, DESCRIBE_VERSION)
    return {one.replica_id: one.replica_directory_id for one in said.topics[0].partitions[0].current_voters}


def remove(cluster: Cluster, node: int) -> None:
    """
    Have a node that is dead vote no more; fine where it does not.

    @raise TimeoutError: the others did not agree on that.
    """

    def ask(talk: Conversation) -> str | None:
        directory = voters(talk).get(node)
        if directory is None:
            return None
        request = RemoveRaftVoterRequest(cluster_id=None, voter_id=node, voter_directory_id=directory)
        answer = talk.ask(request, RemoveRaftVoterResponse, 0)
        return f"{answer.error_code}: {answer.error_message}"  # what is agreed on shows when it is asked again

    _insist(cluster, ask, f"node {node} to vote no more")


def forget(cluster: Cluster, node: int) -> None:
    """
    Have the others forget a node that is dead; it was never in the cluster then.

    @raise TimeoutError: they did not agree on that.
    """
    remove(cluster, node)

    def ask(talk: Conversation) -> str | None:
        answer = talk.ask(UnregisterBrokerRequest(broker_id=node), UnregisterBrokerResponse, 0)
        is_gone = answer.error_code in (ErrorCode.NONE, ErrorCode.BROKER_ID_NOT_REGISTERED)
        return None if is_gone else f"{answer.error_code}: {answer.error_message}"

    _insist(cluster, ask, f"node {node} to be unregistered")


def wipe(cluster: Cluster, node: int) -> None:
    """Give a node that is dead an empty disk."""
    [directory] = [one.data_dir for one in cluster.nodes if one.node_id == node]
    shutil.rmtree(directory)


def _insist(cluster: Cluster, ask: Callable[[Conversation], str | None], what: str) -> None:
    """Ask the controller until it has nothing to object."""
    end = time.monotonic() + MENDED_S
    while True:
        try:
            controller = cluster.controller(MENDED_S)
            [address] = [one.address for one in cluster.nodes if one.node_id == controller]
            with Conversation(address, ANSWER_S) as talk:
                objection = ask(talk)
        except (OSError, ProtocolError) as error:
            objection = repr(error)
        if objection is None:
            return
        if time.monotonic() > end:
            raise TimeoutError(f"waited {MENDED_S:g} s in vain for {what}: {objection}")
        time.sleep(LOOK_AGAIN_S)


@contextmanager
def replace_one(scene: Scene) -> Iterator[str]:
    """Kill a node and have the others agree without it; it comes back with an empty disk, as a new member."""
    node = scene.one()
    scene.cluster.kill(node)
    remove(scene.cluster, node)
    wipe(scene.cluster, node)
    yield f"kill {node}, empty its disk"
    scene.restart(node)


@contextmanager
def add_one(scene: Scene) -> Iterator[str]:
    """Have one more node join, kill a member meanwhile, and have the new one leave for good."""
    spare = next(one for one in scene.cluster.node_ids if one not in scene.members)
    scene.restart(spare)
    dead = scene.one()
    scene.cluster.kill(dead)
    yield f"add {spare}, kill {dead}, forget {spare}"
    scene.restart(dead)
    scene.cluster.kill(spare)
    forget(scene.cluster, spare)
    wipe(scene.cluster, spare)
