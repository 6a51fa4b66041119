"""A node that is the controller, of brokers that are there in name only."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import Command, RegisterBroker
from streamline.cluster.image import MetadataImage
from streamline.model import PartitionState
from streamline.wire.messages.topics import CreatableReplicaAssignment, CreatableTopic
from tests.broker import Broker


class ControllerCase(SynchronousTestCase):
    """Node 1; nodes 2 and 3 are registered, and topic C{t} has one partition on node 1."""

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker().start()
        for node_id in (2, 3):
            self.agree(RegisterBroker(node_id=node_id, incarnation_id=bytes(16), host="h", port=1))
        self.assign("t", [1])

    def agree(self, command: Command) -> Any:
        """Have something agreed on that no client asks for."""
        return self.result_of(self.broker.node.broker.metadata.propose(command))

    def result_of(self, deferred: Deferred[Any]) -> Any:
        """Wait for it."""
        found: list[Any] = []
        deferred.addBoth(found.append)
        self.broker.until(lambda: bool(found))
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]

    def assign(self, name: str, *replicas: list[int]) -> None:
        """Make a topic with these replicas."""
        given = [
            CreatableReplicaAssignment(partition_index=index, broker_ids=nodes) for index, nodes in enumerate(replicas)
        ]
        topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1, assignments=given)
        result = self.broker.try_to_create(topic)
        self.assertEqual(result.error_code, 0, result.error_message)

    @property
    def image(self) -> MetadataImage:
        """What is agreed on."""
        return self.broker.node.broker.metadata.image

    def state(self, topic: str = "t", index: int = 0) -> PartitionState:
        """Return a partition's state."""
        state = self.image.partition(topic, index)
        assert state is not None
        return state
