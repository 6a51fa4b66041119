"""Pushes lead nowhere but where the log leads, and lose nothing on the way."""

from __future__ import annotations

from collections import Counter

from streamline.model import NO_LEADER
from tests.cluster.histories import HistoryCase
from tests.cluster.pushed_history import PushedHistory

SEEDS = 100

REACHED = (
    "led early", "LeaderAndIsrRequest taken", "StopReplicaRequest taken", "shown", "pushed: NONE",
    "pushed: OPERATION_NOT_ATTEMPTED", "push: STALE_CONTROLLER_EPOCH",
    "push: STALE_BROKER_EPOCH", "push: CLUSTER_AUTHORIZATION_FAILED",
    "elected", "elected from the ELR", "crashes", "moves", "bounces", "controllers",
)  # fmt: skip
"""What has to happen now and then, or the histories prove nothing."""


class PushedHistoryTests(HistoryCase):
    """Each seed is a history; a failure names it."""

    def test_where_the_log_leads(self) -> None:
        """With pushes late, lost, repeated and out of order, everybody ends where the log alone would have led."""
        reached: Counter[str] = Counter()
        for seed in range(SEEDS):
            world = self.lived(PushedHistory, seed)
            reached += world.counts
            self.assertNotEqual(world.state.leader, NO_LEADER, f"seed {seed}: nobody leads although all are there")
            for node in world.nodes.values():
                world.catch_up(node)
                self.assertTrue(node.foresight.is_empty, f"seed {seed}")
                self.assertIs(node.foresight.shown(node.image), node.image)
                self.assertEqual(node.state, world.state, f"seed {seed}")
        self.assertEqual([event for event in REACHED if not reached[event]], [], dict(reached))
