"""
Three nodes as processes that talk to each other directly, and what they say and use.

L{streamline.testing.Cluster} puts a proxy between any two of its processes, so that a test can cut them apart; what one
node says to another passes through the process that measures then.  Here nothing stands between them.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.processes import cpu_s, wakeups
from streamline.errors import ErrorCode, ProtocolError
from streamline.testing.embedded.conversation import Conversation
from streamline.testing.embedded.outer_node import OuterNode
from streamline.testing.embedded.plans import sort_out
from streamline.testing.embedded.premises import Premises
from streamline.wire.messages.configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
)
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse

NODES = 3
CREATE_VERSION = 5
ALTER_VERSION = 1
METADATA_VERSION = 8
TOPIC = 2
ANSWER_S = 60.0
GIVE_UP_S = 60.0
LOOK_AGAIN_S = 0.02


class Trio:
    """
    Three nodes, from the entry to the exit; their data stays in C{directory}.

    @param settings: as those of L{streamline.testing.Cluster}.
    """

    def __init__(self, directory: str, **settings: Any) -> None:
        self._premises = Premises(NODES, Path(directory), 0)
        plans = self._premises.open(*sort_out(settings))
        self.plans = {plan.node_id: plan for plan in plans}
        self._nodes = {plan.node_id: OuterNode(plan, _heard) for plan in plans}

    def __enter__(self) -> Self:
        self.start(*self.plans)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for node in self._nodes.values():
            node.signal(signal.SIGKILL)
        for node in self._nodes.values():
            node.wait(GIVE_UP_S)
        self._premises.close()

    def start(self, *ids: int) -> None:
        """Start processes together; return when all of them serve clients, which is the last thing a node does."""
        for serving in [self._nodes[one].start() for one in ids]:
            serving.result(GIVE_UP_S)

    def end(self, one: int, number: signal.Signals) -> None:
        """End a process with a signal, and wait for that."""
        self._nodes[one].signal(number)
        self._nodes[one].wait(GIVE_UP_S)

    # What they say

    def commit_counts(self, one: int) -> dict[float, int]:
        """Return how many commands took a node no longer than each bound, in seconds, to have agreed on, so far."""
        with urlopen(f"http://{self._pages(one)}/metrics", timeout=ANSWER_S) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples]
        name = "streamline_quorum_commit_seconds_bucket"
        return {float(one.labels["le"]): int(one.value) for one in samples if one.name == name}

    def _pages(self, one: int) -> str:
        """Return where a node has its metrics, which it says when it has begun to serve clients."""
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            for line in list(self._nodes[one].tail):
                said = json.loads(line)
                if said["logger"] == "streamline.http.site":
                    return str(said["address"])
            time.sleep(LOOK_AGAIN_S)
        raise TimeoutError(f"node {one} has no metrics")

    def talk(self, one: int) -> Conversation:
        """Connect to a node as a client."""
        return Conversation(self.plans[one].kafka.address, ANSWER_S)

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes."""
        return ",".join(str(plan.kafka.address) for plan in self.plans.values())

    def metadata(self, one: int, *, topics: bool = False) -> MetadataResponse:
        """Ask a node for the brokers, and on request for all topics."""
        with self.talk(one) as talk:
            wanted = MetadataRequest(topics=None if topics else [], allow_auto_topic_creation=False)
            return talk.ask(wanted, MetadataResponse, METADATA_VERSION)

    def controller(self) -> int:
        """
        Wait for three brokers and a controller, and return it.

        @raise TimeoutError: it takes too long.
        """
        began = time.monotonic()
        while time.monotonic() < began + GIVE_UP_S:
            try:
                said = [self.metadata(one) for one in self.plans]
            except (OSError, ProtocolError):
                said = []
            known = {one.controller_id for one in said if len(one.brokers) == NODES}
            if len(said) == NODES and len(known) == 1 and known <= set(self.plans):
                return known.pop()
            time.sleep(LOOK_AGAIN_S)
        raise TimeoutError("three nodes do not agree on a controller")

    def wait_isr(self, replicas: int) -> None:
        """
        Wait until every partition has so many replicas in sync.

        @raise TimeoutError: it takes too long.
        """
        began = time.monotonic()
        while time.monotonic() < began + GIVE_UP_S:
            topics = self.metadata(self.controller(), topics=True).topics
            if all(len(one.isr_nodes) >= replicas for topic in topics for one in topic.partitions):
                return
            time.sleep(LOOK_AGAIN_S)
        raise TimeoutError(f"not all partitions have {replicas} replicas in sync")

    # What they use

    def _pids(self) -> list[int]:
        return [node.process.pid for node in self._nodes.values() if node.process is not None]

    def cpu_s(self) -> float:
        """Return the processor seconds of all three together."""
        return sum(map(cpu_s, self._pids()))

    def wakeups(self) -> int:
        """Return how often a thread of any of the three has waited for something."""
        return sum(map(wakeups, self._pids()))


def _heard() -> None:
    """Hear that a process has ended; whoever ended it waits for that by itself."""


def create(talk: Conversation, topic: str, partitions: int, replicas: int, timeout_s: float = ANSWER_S) -> bool:
    """Have a node make a topic, and say whether it did."""
    wanted = CreatableTopic(
        name=topic, num_partitions=partitions, replication_factor=replicas, assignments=[], configs=[]
    )
    request = CreateTopicsRequest(topics=[wanted], timeout_ms=int(timeout_s * 1000), validate_only=False)
    [made] = talk.ask(request, CreateTopicsResponse, CREATE_VERSION).topics
    return made.error_code == 0


def set_retention(talk: Conversation, topic: str, retention_ms: int) -> None:
    """
    Change one setting of a topic.

    @raise RuntimeError: it was refused.
    """
    setting = IncrementalAlterConfigsRequestAlterableConfig(
        name="retention.ms", config_operation=0, value=str(retention_ms)
    )
    resource = IncrementalAlterConfigsRequestAlterConfigsResource(
        resource_type=TOPIC, resource_name=topic, configs=[setting]
    )
    request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=False)
    [changed] = talk.ask(request, IncrementalAlterConfigsResponse, ALTER_VERSION).responses
    if changed.error_code:
        raise RuntimeError(f"a setting was not changed: {ErrorCode(changed.error_code).name}")

