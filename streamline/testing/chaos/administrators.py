"""
Admin clients that make and delete topics all the time, and what all nodes must agree on afterwards.

An operation that was answered with an error, or not at all, may have been carried out or not; one that was acknowledged
was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from kafka.admin import KafkaAdminClient
from kafka.admin import NewTopic as PythonTopic

from streamline.errors import ProtocolError
from streamline.testing.chaos.workers import Worker
from streamline.testing.cluster import Cluster, ClusterNode
from streamline.testing.embedded.conversation import Conversation
from streamline.testing.history import INFO, OK, Change, History
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse

OPERATION_S = 3.0
AGREED_S = 20.0
LOOK_AGAIN_S = 0.05
METADATA_VERSION = 12
KEPT_OF = 3
"""Of so many topics that were made, one is left."""
PREFIX = "made-"

Topics = dict[str, tuple[str, tuple[tuple[int, int, int, tuple[int, ...], tuple[int, ...]], ...]]]
"""By name, the id and for each partition its index, leader, leader epoch, replicas and in-sync replicas."""


class Administrator(Worker):
    """Makes topics and deletes most of them, one operation after another."""

    def __init__(
        self, name: str, bootstrap: str, history: History, replicas: int, clock: Callable[[], float]
    ) -> None:
        super().__init__(name, clock)
        self.bootstrap = bootstrap
        self.replicas = replicas
        self._history = history

    def work(self) -> None:
        """Make and delete."""
        number = 0
        while not self.is_ending:
            topic = f"{PREFIX}{self.name}-{number}"
            if self._do("create", topic, self.create) and number % KEPT_OF:
                self._do("delete", topic, self.delete)
            number += 1
            self.pause(LOOK_AGAIN_S)
        self.close()

    def _do(self, what: str, topic: str, operation: Callable[[str], None]) -> bool:
        change = Change(what, topic, 1, self.clock(), who=self.name)
        self._history.changes.append(change)
        try:
            operation(topic)
        except Exception as error:  # whatever a client raises, it means: nobody knows
            change.status, change.error = INFO, repr(error)
            self.forget()
        else:
            change.status = OK
        change.done_at = self.clock()
        return change.status == OK

    def create(self, topic: str) -> None:
        """Make a topic; raises anything if that was not acknowledged."""
        raise NotImplementedError

    def delete(self, topic: str) -> None:
        """Delete a topic; raises anything if that was not acknowledged."""
        raise NotImplementedError

    def forget(self) -> None:
        """Hear that an operation failed."""

    def close(self) -> None:
        """End."""


class RdkafkaAdministrator(Administrator):
    """librdkafka's."""

    def work(self) -> None:
        """Make the client first."""
        self._client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        super().work()

    def create(self, topic: str) -> None:
        """Make a topic."""
        made = self._client.create_topics([NewTopic(topic, 1, self.replicas)], request_timeout=OPERATION_S)
        made[topic].result()

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        self._client.delete_topics([topic], request_timeout=OPERATION_S)[topic].result()


class KafkaPythonAdministrator(Administrator):
    """kafka-python's, made anew after a failure: it may have been made for a controller that is gone."""

    _client: Any = None

    def create(self, topic: str) -> None:
        """Make a topic."""
        self._connected().create_topics([PythonTopic(topic, 1, self.replicas)])

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        self._connected().delete_topics([topic])

    def _connected(self) -> Any:
        if self._client is None:
            self._client = KafkaAdminClient(
                bootstrap_servers=self.bootstrap.split(","),
                client_id=self.name,
                request_timeout_ms=int(OPERATION_S * 1000),
                bootstrap_timeout_ms=int(OPERATION_S * 1000),
            )
        return self._client

    def forget(self) -> None:
        """Hang up."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Hang up."""
        self.forget()


def topics_of(node: ClusterNode) -> Topics:
    """
    Return the topics as one node knows them.

    @raise OSError: it does not answer.
    """
    with Conversation(node.address, OPERATION_S) as talk:
        request = MetadataRequest(topics=None, allow_auto_topic_creation=False)
        said = talk.ask(request, MetadataResponse, METADATA_VERSION)
    return {
        str(topic.name): (
            str(topic.topic_id),
            tuple(
                (one.partition_index, one.leader_id, one.leader_epoch, tuple(one.replica_nodes), tuple(one.isr_nodes))
                for one in sorted(topic.partitions, key=lambda one: one.partition_index)
            ),
        )
        for topic in said.topics
    }


def agreed_topics(cluster: Cluster, timeout_s: float = AGREED_S) -> Topics:
    """
    Return the topics that all nodes know, once all know the same.

    @raise TimeoutError: they do not; it says who knows what.
    """
    end = time.monotonic() + timeout_s
    known: dict[int, Topics] = {}
    while True:
        try:
            known = {node.node_id: topics_of(node) for node in cluster.nodes if node.is_running}
            first, *others = known.values()
            if all(other == first for other in others):
                return first
        except (OSError, ProtocolError):
            known = {}
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout_s:g} s the nodes know different topics: {_differences(known)}")
        time.sleep(LOOK_AGAIN_S)


def _differences(known: dict[int, Topics]) -> str:
    names = sorted({name for topics in known.values() for name in topics})
    apart = [name for name in names if len({repr(topics.get(name)) for topics in known.values()}) > 1]
    rows = [f"{name}: " + ", ".join(f"{one} {topics.get(name)}" for one, topics in known.items()) for name in apart]
    return "; ".join(rows[:5]) or "one does not answer"
