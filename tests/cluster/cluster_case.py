"""A cluster of four nodes whose image is what the test says, and short ways to ask for decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import Command, together
from streamline.cluster.image import MetadataImage, apply
from streamline.errors import ErrorCode, Refused
from streamline.model import Broker, Endpoint, PartitionState, Topic, TopicPartition

TOPIC_ID = b"t" * 16
DISKS = {node: bytes([node]) * 16 for node in range(1, 6)}
T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


class ClusterCase(SynchronousTestCase):
    """
    Four nodes with the broker epochs 11 to 14, and a topic t of one partition on the first three.

    min.insync.replicas is 2.
    """

    def setUp(self) -> None:
        """Begin with everybody there and in sync."""
        brokers = {
            node: Broker(
                node_id=node, endpoint=Endpoint("h", node), epoch=10 + node, directory_id=DISKS[node],
                incarnation_id=bytes([node]) * 16,
            )
            for node in (1, 2, 3, 4)
        }  # fmt: skip
        self.image = MetadataImage(
            index=20, cluster_id="c", brokers=brokers, names={TOPIC_ID: "t"},
            configs={"t": {"min.insync.replicas": "2"}},
        )  # fmt: skip
        self.given()

    def given(self, index: int = 0, **state: Any) -> None:
        """Say what a partition is."""
        default: dict[str, Any] = {"replicas": (1, 2, 3), "isr": (1, 2, 3), "leader": 1}
        known = self.image.topics["t"].partitions if "t" in self.image.topics else ()
        partition = PartitionState(index=index, **(default | {"leader_epoch": 5, "partition_epoch": 7} | state))
        topic = Topic(name="t", topic_id=TOPIC_ID, partitions=(*known[:index], partition, *known[index + 1 :]))
        self.image = evolve(self.image, topics={"t": topic})

    def broker(self, node: int, **changed: Any) -> None:
        """Say what a broker is."""
        known = self.image.brokers
        self.image = evolve(self.image, brokers={**known, node: evolve(known[node], **changed)})

    def settings(self, **changed: str) -> None:
        """Say what the topic's settings are; underscores stand for dots."""
        configs = {name.replace("_", "."): value for name, value in changed.items()}
        self.image = evolve(self.image, configs={"t": {**self.image.configs["t"], **configs}})

    def do(self, commands: Sequence[Command]) -> None:
        """Have commands agreed on; they must fit."""
        command = together(commands)
        if command is not None:
            self.image, _ = apply(self.image, self.image.index + 1, command)

    def state(self, index: int = 0) -> PartitionState:
        """Return what a partition is now."""
        return self.image.topics["t"].partitions[index]

    def shows(self, index: int = 0, **expected: Any) -> None:
        """Expect a partition to be so."""
        state = self.state(index)
        self.assertEqual({name: getattr(state, name) for name in expected}, expected)

    def refused(self, code: ErrorCode, decide: Any, *arguments: Any) -> Refused:
        """Expect a decision to be refused."""
        refusal: Refused = self.assertRaises(Refused, decide, *arguments)
        self.assertEqual(refusal.code, code, refusal.message)
        return refusal
