"""What the controller says of partitions that move."""

from __future__ import annotations

from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher

from streamline.cluster.altering import IsrChange, Member, alter_partition
from streamline.cluster.commands import RegisterBroker
from streamline.cluster.reassignment import reassign
from streamline.model import TopicPartition
from streamline.services.moving import Moving
from tests.services.controller_case import TOPIC_ID, ControllershipCase

PARTITION = TopicPartition("t", 0)


class MovingTests(ControllershipCase):
    """Topic t is on nodes 1 and 2; there are nodes 3 and 4."""

    def setUp(self) -> None:
        """Listen to the log."""
        super().setUp()
        for node in (3, 4):
            self.metadata.propose(RegisterBroker(node_id=node, incarnation_id=bytes(16), host="h", port=node))
        self.successResultOf(self.controllership.decide(lambda _: [self.topic()]))
        Moving(self.metadata, self.controllership)
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def move(self, *target: int) -> None:
        """Begin a move, or call it back."""
        self.successResultOf(self.controllership.decide(lambda image: reassign(image, PARTITION, target or None)))

    def in_sync(self, *isr: int) -> None:
        """Have the leader say who is."""
        image = self.metadata.image
        state: Any = image.partition("t", 0)
        wanted = IsrChange(
            topic_id=TOPIC_ID, index=0, leader_epoch=state.leader_epoch, partition_epoch=state.partition_epoch,
            isr=[Member(node, image.brokers[node].epoch) for node in isr],
        )  # fmt: skip
        altered = alter_partition(image, state.leader, image.brokers[state.leader].epoch, wanted)
        self.successResultOf(self.controllership.decide(lambda _: [altered.command]))

    def says(self, *expected: str) -> None:
        """Expect these lines."""
        self.assertEqual([formatEvent(event) for event in self.events], list(expected))

    def test_to_the_end(self) -> None:
        self.move(2, 3)
        self.says("t-0 moves from nodes [1, 2] to [2, 3]")
        self.in_sync(1, 2)
        self.in_sync(1, 2, 3)
        self.says("t-0 moves from nodes [1, 2] to [2, 3]", "t-0 has moved to nodes [2, 3]")

    def test_elsewhere_and_back(self) -> None:
        self.move(2, 3)
        self.move(2, 4)
        self.move()
        self.says(
            "t-0 moves from nodes [1, 2] to [2, 3]", "t-0 moves to nodes [2, 4] instead of [2, 3]",
            "t-0 moves no more, and stays on nodes [2, 1]",
        )  # fmt: skip

    def test_another_controller_says_it(self) -> None:
        self.controllership.stopService()
        self.metadata.propose(reassign(self.metadata.image, PARTITION, [2, 3])[0])
        self.says()
