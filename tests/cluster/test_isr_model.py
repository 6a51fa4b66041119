"""KC2: whatever happens to brokers and to what they ask, no committed record is lost."""

from __future__ import annotations

from collections import Counter

from streamline.model import NO_LEADER
from tests.cluster.histories import HistoryCase
from tests.cluster.isr_history import History

SEEDS = 120

REACHED = (
    "elected", "elected from the ELR", "rescues", "crashes", "clean stops", "orderly stops", "controllers", "moves",
    "bounces", "disks", "asked: NONE",
    "asked: INELIGIBLE_REPLICA", "asked: INVALID_UPDATE_VERSION", "asked: FENCED_LEADER_EPOCH",
    "not registered: DUPLICATE_BROKER_REGISTRATION", "out of date: INVALID_UPDATE_VERSION",
    "out of date: INELIGIBLE_REPLICA",
)  # fmt: skip
"""What has to happen now and then, or the model proves nothing."""


class IsrModelTests(HistoryCase):
    """Each seed is a history; a failure names it."""

    def test_nothing_is_lost(self) -> None:
        reached: Counter[str] = Counter()
        for seed in range(SEEDS):
            world = self.lived(History, seed)
            reached += world.counts
            self.assertNotEqual(world.state.leader, NO_LEADER, f"seed {seed}: nobody leads although all are there")
            reached["committed"] += len(world.committed)
        self.assertGreater(reached["committed"], 10 * SEEDS)
        self.assertEqual([event for event in REACHED if not reached[event]], [], dict(reached))

    def test_one_seed_is_one_history(self) -> None:
        one, two = self.lived(History, 7), self.lived(History, 7)
        self.assertEqual((one.image, one.counts, one.committed), (two.image, two.counts, two.committed))
