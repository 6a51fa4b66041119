"""An image to apply commands to, and short ways to write commands."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import (
    ChangePartitions,
    ConfigEntry,
    CreateTopic,
    PartitionPlacement,
    RegisterBroker,
)
from streamline.cluster.image import MetadataImage, apply, change_to
from streamline.errors import ErrorCode, Refused
from streamline.model import PartitionState
from streamline.wire.schema import Message

IDS = [bytes([number]) * 16 for number in range(1, 5)]


def register(node_id: int = 1, **more: Any) -> RegisterBroker:
    """Return the registration of a node, which is there at once."""
    given: dict[str, Any] = {"incarnation_id": IDS[3], "host": "h", "port": 9092, "rack": "r"} | more
    return RegisterBroker(node_id=node_id, **given)


def create(
    name: str = "t", topic_id: bytes = IDS[0], replicas: tuple[int, ...] = (1, 2), **configs: str
) -> CreateTopic:
    """Return a command that makes a topic of two partitions; underscores in its settings stand for dots."""
    return CreateTopic(
        name=name,
        topic_id=topic_id,
        partitions=[PartitionPlacement(index=index, replicas=replicas) for index in range(2)],
        configs=[ConfigEntry(name=key.replace("_", "."), value=value) for key, value in configs.items()],
    )


STATE = PartitionState(index=0, replicas=(1, 2), isr=(2,), leader=2, leader_epoch=1, partition_epoch=1)


def change(
    index: int = 0, partition_epoch: int = 1, topic_id: bytes = IDS[0], joining: Any = (), **more: Any
) -> ChangePartitions:
    """Return a command that gives a partition another leader, or what else C{more} says of it."""
    changed = change_to(evolve(STATE, index=index, partition_epoch=partition_epoch, **more))
    changed.joining = joining
    return ChangePartitions(topic_id=topic_id, partitions=[changed])


class MetadataCase(SynchronousTestCase):
    """An image and its index."""

    def setUp(self) -> None:
        """Begin with nothing."""
        self.image = MetadataImage()

    def do(self, command: Message) -> Any:
        """Apply a command; return its result."""
        self.image, result = apply(self.image, self.image.index + 1, command)
        return result

    def refuses(self, code: ErrorCode, command: Message) -> None:
        """Expect a command to be refused and to change nothing."""
        before = self.image
        refusal = self.assertRaises(Refused, self.do, command)
        self.assertEqual(refusal.code, code)
        self.assertIs(self.image, before)
