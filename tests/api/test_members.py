"""A node that was removed while it was away comes back with what it has: it is taken in anew, or refused (RF15)."""

from __future__ import annotations

from typing import Any

from streamline.errors import ErrorCode
from streamline.services.joining import HEARD_TICKS
from streamline.services.rejoining import ALONE_S
from streamline.wire.messages.cluster import UnregisterBrokerRequest
from streamline.wire.messages.quorum import RemoveRaftVoterRequest
from tests.api.cluster_case import Cluster, ClusterCase

TICK_S = 0.1
LONG_S = 6 * ALONE_S


class RemovedCase(ClusterCase):
    """Three nodes, of which one that does not decide has died, and is removed as a voter and as a broker."""

    def setUp(self) -> None:
        """Remove it."""
        self.cluster = Cluster(storage="segments", broker_session_timeout_ms=3000)
        self.gone = self.cluster.others[0].config.node_id
        self.key = next(key for key in self.quorum.configuration.voter_keys if key.node_id == self.gone)
        self.cluster.kill(self.gone)
        self.cluster.wait(2 * HEARD_TICKS * TICK_S)
        remove = RemoveRaftVoterRequest(
            cluster_id=None, voter_id=self.gone, voter_directory_id=self.key.directory_id
        )
        for request in (remove, UnregisterBrokerRequest(broker_id=self.gone)):
            answer = self.cluster.ask(self.cluster.controller, request)
            self.assertEqual(answer.error_code, ErrorCode.NONE, answer.error_message)
        self.assertNotIn(self.key, self.quorum.configuration.member_keys)
        self.term = self.quorum.term

    @property
    def quorum(self) -> Any:
        """The quorum, at the controller."""
        return self.cluster.controller.broker.metadata.consensus

    def is_voter(self) -> bool:
        """Say whether the one that was removed votes."""
        return self.key in self.quorum.configuration.voter_keys


class ReturningTests(RemovedCase):
    """It was believed to be gone for good."""

    def test_it_comes_back_with_its_disk(self) -> None:
        """It is let in as a node that joins: it follows first, and votes when it has caught up; nobody is disturbed."""
        self.cluster.start(self.gone)
        self.cluster.wait(ALONE_S / 2)
        self.assertNotIn(self.key, self.quorum.configuration.member_keys)
        self.cluster.until(self.is_voter, LONG_S)
        self.cluster.all_serve()
        self.assertEqual(self.quorum.term, self.term, "nobody had to be elected")
        self.assertIn(self.gone, self.cluster.controller.broker.metadata.image.brokers)

    def test_another_has_its_id_by_now(self) -> None:
        """Then it is refused for as long as that one is a member, and counts for nothing."""
        old = self.cluster.machines[self.gone]
        self.cluster.replace(self.gone, "10.0.0.9")
        self.cluster.start(self.gone)
        self.cluster.all_serve()
        (key,) = [one for one in self.quorum.configuration.voter_keys if one.node_id == self.gone]
        self.assertNotEqual(key, self.key)
        epoch = self.cluster.controller.broker.metadata.image.brokers[self.gone].epoch
        replaced, self.cluster.machines[self.gone] = self.cluster.machines[self.gone], old
        node = self.cluster.nodes.pop(self.gone)
        self.cluster.start(self.gone)
        stranger = self.cluster.nodes[self.gone]
        self.cluster.nodes[self.gone], self.cluster.machines[self.gone] = node, replaced
        self.cluster.wait(LONG_S)
        self.assertFalse(stranger.factory.is_serving)
        self.assertIsNone(stranger.broker.metadata.consensus.leader_id)
        self.assertFalse(self.is_voter())
        self.assertEqual(self.quorum.term, self.term, "nobody had to be elected")
        broker = self.cluster.controller.broker.metadata.image.brokers[self.gone]
        self.assertEqual((broker.epoch, broker.is_active), (epoch, True))
