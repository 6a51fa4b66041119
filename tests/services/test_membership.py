"""The controller's timer for those who are silent, on a clock that the test sets."""

from __future__ import annotations

from streamline.cluster.membership import Heartbeat
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.raft import ReplicaKey
from streamline.services.membership import AGAIN_S, Membership
from tests.services.controller_case import ControllershipCase

SESSION_S = 3.0
STEP_S = 0.25


class SilenceTests(ControllershipCase):
    """Nodes 1 and 2 are there; node 1 is the controller."""

    def setUp(self) -> None:
        """Give them their sessions."""
        super().setUp()
        self.quorum.lead(2, 4)
        self.membership = Membership(self.host, NodeConfig(), self.metadata, self.controllership, None)
        self.quorum.lead(1, 5)

    def beat(self, node: int) -> None:
        """Have a broker say that it lives."""
        epoch = self.metadata.image.brokers[node].epoch
        beat = Heartbeat(node_id=node, broker_epoch=epoch, metadata_index=99)
        self.successResultOf(self.membership.heartbeat(beat))

    def wait(self, seconds: float, *living: int) -> None:
        """Let time pass, while some brokers say now and then that they live."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            for node in living:
                self.beat(node)

    @property
    def fenced(self) -> list[int]:
        """The brokers that are fenced."""
        return sorted(key for key, broker in self.metadata.image.brokers.items() if broker.fenced)

    def test_nobody_is_silent(self) -> None:
        self.wait(10 * SESSION_S, 1, 2)
        self.assertEqual(self.fenced, [])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_silent(self) -> None:
        self.beat(2)
        self.wait(SESSION_S - STEP_S, 1)
        self.assertEqual(self.fenced, [])
        self.wait(STEP_S, 1)
        self.assertEqual(self.fenced, [2])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_back_again(self) -> None:
        """Who was fenced and lives is there again, and is waited for again."""
        self.wait(SESSION_S, 1)
        self.beat(2)
        self.assertEqual(self.fenced, [])
        self.wait(SESSION_S, 1)
        self.assertEqual(self.fenced, [2])

    def test_a_controller_that_stood_still(self) -> None:
        """RF18: timers come before what waits in the sockets, so it looks again before it fences anybody."""
        self.wait(1.0, 1, 2)
        self.clock.advance(20 * SESSION_S)
        self.assertEqual(self.fenced, [])
        self.wait(1.0, 1)
        self.assertEqual(self.fenced, [])
        self.wait(SESSION_S / 2, 1)
        self.assertEqual(self.fenced, [2])

    def test_fencing_that_is_not_agreed_on(self) -> None:
        """It is tried again, and not without a pause."""
        self.quorum.refuses = Refused(ErrorCode.KAFKA_STORAGE_ERROR)
        self.wait(SESSION_S + STEP_S, 1)
        self.assertEqual((self.fenced, len(self.clock.getDelayedCalls())), ([], 1))
        self.quorum.refuses = None
        self.clock.advance(AGAIN_S)
        self.assertEqual(self.fenced, [2])

    def test_one_fencing_at_a_time(self) -> None:
        self.quorum.is_held = True
        self.wait(SESSION_S, 1)
        self.beat(1)
        self.assertEqual(self.clock.getDelayedCalls(), [], "nobody looks while that is not agreed on")
        self.quorum.release()
        self.assertEqual((self.fenced, len(self.clock.getDelayedCalls())), ([2], 1))

    def test_one_that_is_gone_is_not_silent_as_well(self) -> None:
        """It has no session from then on; what is being agreed on about it is not proposed again."""
        self.quorum.is_held = True
        index = self.metadata.image.index
        self.membership.peer_gone(ReplicaKey(2, self.metadata.image.brokers[2].directory_id))
        self.wait(SESSION_S - STEP_S, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [], "nobody looks while that is not agreed on")
        self.quorum.release()
        self.assertEqual((self.metadata.image.index, self.fenced), (index + 1, [2]))
        self.quorum.is_held = False
        self.wait(SESSION_S + STEP_S)
        self.assertEqual(self.fenced, [1, 2], "the others are looked after again")

    def test_a_broker_whose_return_takes_long(self) -> None:
        """It says again that it lives while that is not agreed on, and is decided about once."""
        self.wait(SESSION_S, 1)
        self.quorum.is_held = True
        epoch = self.metadata.image.brokers[2].epoch
        beat = Heartbeat(node_id=2, broker_epoch=epoch, metadata_index=99)
        waiting = []
        for _ in range(8):
            waiting.append(self.membership.heartbeat(beat))
            self.wait(1.0, 1)
        index = self.metadata.image.index
        self.quorum.release()
        self.assertEqual([self.successResultOf(one).is_fenced for one in waiting], [False] * 8)
        self.assertEqual((self.metadata.image.index, self.fenced), (index + 1, []))
        self.wait(STEP_S, 1)
        self.assertEqual(self.fenced, [], "it has been heard of")

    def test_another_leads(self) -> None:
        """Whoever leads then sees to it; here nothing is known any more."""
        self.wait(1.0, 1, 2)
        self.quorum.lead(2, 6)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(SESSION_S)
        self.assertEqual(self.fenced, [])
        self.quorum.lead(1, 7)
        self.wait(SESSION_S / 2 - STEP_S)
        self.assertEqual(self.fenced, [])
        self.wait(STEP_S)
        self.assertEqual(self.fenced, [1, 2])

    def test_another_leads_while_fencing(self) -> None:
        self.quorum.is_held = True
        self.wait(SESSION_S, 1)
        self.quorum.lead(2, 6)
        self.quorum.release()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        self.membership.startService()
        self.membership.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
