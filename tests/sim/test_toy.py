"""The simulator itself, proven with a toy broker before any real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.simulation.faults import KIND_NAMES, draw, swarm
from tests.sim.toy import FLAWS, run

ROOT = Path(__file__).parents[2]
SEEDS = range(8)
UNTIL_S = 90.0


class ToyTests(SynchronousTestCase):
    """A toy broker survives everything, unless it has a flaw."""

    def test_keeps_what_it_answered(self) -> None:
        """No line that was answered is lost, whatever happened, and all kinds of fault happened."""
        injected: dict[str, int] = {}
        for seed in SEEDS:
            outcome = run(seed, until=UNTIL_S)
            self.assertEqual(outcome.missing, [], seed)
            self.assertGreater(outcome.acked, 100, seed)
            injected.update(outcome.injected)
        self.assertEqual([kind for kind in KIND_NAMES if kind not in injected], [])

    def test_each_flaw_is_found(self) -> None:
        """A broker that is careless in one way loses lines in some run."""
        for flaw in FLAWS:
            runs = (run(seed, until=UNTIL_S, flaw=flaw, kinds=("power", "sync-error")) for seed in range(40))
            self.assertTrue(any(outcome.missing for outcome in runs), flaw)

    def test_same_digest_under_two_hash_seeds(self) -> None:
        """One seed is one history, in any interpreter."""
        digests = []
        for hash_seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, str(ROOT / "tests/sim/toy.py"), "3"]
            digests.append(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        self.assertEqual(digests[0], digests[1])
        self.assertEqual(len(digests[0].strip()), 32)


class PlanTests(SynchronousTestCase):
    """Fault plans are data."""

    def test_same_seed_same_plan(self) -> None:
        """The seed decides the plan."""
        self.assertEqual(draw(1, 100, KIND_NAMES), draw(1, 100, KIND_NAMES))
        self.assertNotEqual(draw(1, 100, KIND_NAMES), draw(2, 100, KIND_NAMES))

    def test_kinds_do_not_disturb_each_other(self) -> None:
        """A kind's faults are the same whichever other kinds there are."""
        alone = [(one.at, one.length_s) for one in draw(1, 200, ("reset",)).faults]
        among = [(one.at, one.length_s) for one in draw(1, 200, KIND_NAMES).faults if one.kind == "reset"]
        self.assertEqual(alone, among)
        self.assertTrue(alone)

    def test_calm_is_calm(self) -> None:
        """Nothing begins in a calm span, and there are some."""
        plan = draw(1, 600, KIND_NAMES)
        self.assertGreater(len(plan.calm), 3)
        broken = [one for one in plan.faults for start, end in plan.calm if start <= one.at < end]
        self.assertEqual(broken, [])

    def test_leaving_out(self) -> None:
        """A plan without one fault has all the others."""
        plan = draw(1, 200, KIND_NAMES)
        left = plan.without([2, 4])
        self.assertEqual([one for one in plan.faults if one.number not in (2, 4)], list(left.faults))

    def test_swarm(self) -> None:
        """Each kind is in about half of the runs."""
        for kind in KIND_NAMES:
            self.assertTrue(40 < sum(kind in swarm(seed) for seed in range(200)) < 140, kind)
        self.assertFalse(any({"power", "sync-error"} <= set(swarm(seed)) for seed in range(200)))
        self.assertFalse(any({"relapse", "sync-error"} <= set(swarm(seed)) for seed in range(200)))

    def test_unknown_kind(self) -> None:
        """An unknown kind is named, with those that there are."""
        with self.assertRaisesRegex(ValueError, "no such fault: quake; there are kill, power"):
            draw(1, 10, ("quake",))
