"""What the metadata make of a process."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.model import NO_LEADER, Broker, Endpoint, PartitionState
from streamline.replication.roles import Role, role_of


class RoleTests(SynchronousTestCase):
    """Node 2 is registered with broker epoch 20."""

    def role(self, broker_epoch: int = 20, known_epoch: int | None = 20, **state: Any) -> Role:
        """Return node 2's role."""
        given: dict[str, Any] = {"index": 0, "replicas": (1, 2), "isr": (1, 2), "leader": 1}
        brokers = {1: Broker(node_id=1, endpoint=Endpoint("h", 1), epoch=10)}
        if known_epoch is not None:
            brokers[2] = Broker(node_id=2, endpoint=Endpoint("h", 2), epoch=known_epoch)
        return role_of(2, broker_epoch, PartitionState(**(given | state)), brokers)

    def test_roles(self) -> None:
        self.assertEqual(self.role(), Role.FOLLOWER)
        self.assertEqual(self.role(leader=2), Role.LEADER)
        self.assertEqual(self.role(leader=NO_LEADER), Role.WAITING)
        self.assertEqual(self.role(replicas=(1, 3)), Role.GONE)

    def test_metadata_about_another_process(self) -> None:
        """KR15, KR18: they say nothing about this one, not even that its log is not wanted."""
        for state in ({}, {"leader": 2}, {"replicas": (1, 3)}):
            for broker_epoch, known in ((-1, 20), (20, 15), (20, 25), (20, None)):
                self.assertEqual(self.role(broker_epoch, known, **state), Role.WAITING)
