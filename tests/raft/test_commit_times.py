"""How long it takes to agree."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import CommitTimes


class CommitTimesTests(SynchronousTestCase):
    """What took as long as a bound, or less, counts there and at all later ones."""

    def test_counts(self) -> None:
        times = CommitTimes()
        for seconds in (0.0001, 0.002, 0.0021, 60.0):
            times.note(seconds)
        counts = dict(times.up_to())
        self.assertEqual([counts[bound_s] for bound_s in (0.0002, 0.0015, 0.002, 0.003, 5.0)], [1, 1, 2, 3, 3])
        self.assertEqual(times.count, 4)
        self.assertAlmostEqual(times.total_s, 60.0042)
