"""What a client notices when nodes go: the longest time that a steady producer is without an acknowledgement."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks import rdkafka
from benchmarks.clusters import NODES, PATIENCE_S, ThreeNodes
from streamline.model import TopicPartition
from streamline.testing.chaos.writers import RdkafkaWriter
from streamline.testing.history import OK, History

PER_SECOND = 500.0
CALM_S = 1.0
"""How long acknowledgements have to come before a fault, and after the gap."""
ASK_S = 2.0


@frozen
class Outage:
    """
    What one fault did.

    @ivar gap_s: the longest time between two acknowledgements around it.
    @ivar back_s: from starting the node again until all replicas were in sync.
    """

    gap_s: float
    back_s: float
    failed: int


class Stream:
    """A producer with the client's defaults, idempotent and with acks=all, that writes down what was acknowledged."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._history = History()
        self._writer = RdkafkaWriter(
            "bench", bootstrap, self._history, [TopicPartition(topic, 0)], PER_SECOND, time.monotonic
        )

    def __enter__(self) -> Stream:
        self._writer.start()
        self.wait_acked(time.monotonic())
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.finish()

    @property
    def failed(self) -> int:
        """How many sends ended with an error, or have no answer."""
        return sum(send.status != OK for send in self._history.sends)

    def wait_acked(self, since: float) -> None:
        """
        Wait until acknowledgements come, and have come for a while.

        @param since: a time of the monotonic clock, after which they count.
        @raise TimeoutError: none came.
        """
        end = time.monotonic() + PATIENCE_S
        while not any(sent.sent_at > since and sent.status == OK for sent in self._history.sends[-1000:]):
            if time.monotonic() > end:
                raise TimeoutError(f"nothing was acknowledged for {PATIENCE_S:g} s")
            time.sleep(0.02)
        time.sleep(CALM_S)

    def longest_gap(self, since: float) -> float:
        """Return the longest time between two acknowledgements, of which the second came after C{since}."""
        acked = sorted(send.done_at for send in self._history.sends if send.status == OK)
        return max(b - a for a, b in zip(acked, acked[1:], strict=False) if b > since)


@contextmanager
def topic_of_one(cluster: ThreeNodes, name: str) -> Iterator[str]:
    """Make a topic of one partition on all nodes, for a while."""
    rdkafka.create_topic(cluster.bootstrap, name, 1, replicas=NODES)
    cluster.wait_isr(name)
    try:
        yield name
    finally:
        rdkafka.delete_topic(cluster.bootstrap, name)


def kill_leader(cluster: ThreeNodes, topic: str) -> Outage:
    """Kill the node that leads, and start it again once others go on."""
    with Stream(cluster.bootstrap, topic) as stream:
        victim = cluster.members[cluster.leader(topic)]
        victim.kill()
        killed = time.monotonic()
        stream.wait_acked(killed)
        gap_s = stream.longest_gap(killed)
        started = time.monotonic()
        victim.start()
        cluster.wait_isr(topic)
        back_s = time.monotonic() - started
    return Outage(gap_s, back_s, stream.failed)


def roll(cluster: ThreeNodes, topic: str) -> Outage:
    """Stop and start one node after the other, under load."""
    with Stream(cluster.bootstrap, topic) as stream:
        began = time.monotonic()
        back_s = 0.0
        for member in cluster.members.values():
            member.stop()
            started = time.monotonic()
            member.start()
            cluster.wait_isr(topic)
            back_s = max(back_s, time.monotonic() - started)
            time.sleep(CALM_S)
        gap_s = stream.longest_gap(began)
    return Outage(gap_s, back_s, stream.failed)


def kill_controller(cluster: ThreeNodes, number: int) -> float:
    """Kill the controller, and return the seconds until the others have made a topic; then start it again."""
    dead = cluster.controller()
    others = ",".join(member.bootstrap for one, member in cluster.members.items() if one != dead)
    cluster.members[dead].kill()
    killed = time.monotonic()
    attempt = 0
    while not _makes_topic(others, f"after-{number}-{attempt}"):
        attempt += 1
        if time.monotonic() - killed > PATIENCE_S:
            raise TimeoutError("no other node became the controller")
    seconds = time.monotonic() - killed
    cluster.members[dead].start()
    cluster.wait_isr(f"after-{number}-{attempt}", NODES - 1)
    return seconds


def _makes_topic(bootstrap: str, topic: str) -> bool:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    asked = admin.create_topics([NewTopic(topic, 1, NODES - 1)], request_timeout=ASK_S, operation_timeout=ASK_S)
    try:
        asked[topic].result()
    except KafkaException:
        return False
    return True
