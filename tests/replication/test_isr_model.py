"""KC2 with the product's leaders and followers: whatever happens, no committed record is lost."""

from __future__ import annotations

from collections import Counter

from tests.cluster.histories import HistoryCase
from tests.replication.isr_history import ReplicaHistory

SEEDS = 60

REACHED = (
    "elected", "elected from the ELR", "rescues", "crashes", "moves", "bounces", "disks", "cuts", "late fetches",
    "given up", "asked for what is", "asked: NONE", "asked: NOT_CONTROLLER",
    "asked: INELIGIBLE_REPLICA", "asked: INVALID_UPDATE_VERSION",
    "asked: FENCED_LEADER_EPOCH", "fetch: FENCED_LEADER_EPOCH", "fetch: UNKNOWN_LEADER_EPOCH",
    "fetch: NOT_LEADER_OR_FOLLOWER",
)  # fmt: skip
"""What has to happen now and then, or the model proves nothing."""


class ReplicaModelTests(HistoryCase):
    """Each seed is a history; a failure names it."""

    def test_nothing_is_lost(self) -> None:
        """And once all faults have ended, everybody is in sync and everything is committed."""
        reached: Counter[str] = Counter()
        for seed in range(SEEDS):
            world = self.lived(ReplicaHistory, seed)
            reached += world.counts
            reached["committed"] += len(world.committed)
            state = world.state
            self.assertEqual(sorted(state.isr), sorted(state.replicas), f"seed {seed}: {state}")
            logs = [world.nodes[node].log for node in state.replicas]
            self.assertEqual([log == world.committed for log in logs], [True] * len(logs), f"seed {seed}")
        self.assertGreater(reached["committed"], 10 * SEEDS)
        self.assertEqual([event for event in REACHED if not reached[event]], [], dict(reached))

    def test_one_seed_is_one_history(self) -> None:
        one, two = self.lived(ReplicaHistory, 7), self.lived(ReplicaHistory, 7)
        self.assertEqual((one.image, one.counts, one.committed), (two.image, two.counts, two.committed))
