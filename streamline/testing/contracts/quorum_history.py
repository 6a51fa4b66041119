"""
That there is one history, whatever happens to a quorum: see L{streamline.testing.contracts.quorum}.
"""

from __future__ import annotations

from random import Random

from twisted.python.failure import Failure

from streamline.errors import ErrorCode, Refused
from streamline.testing.contracts.quorum_harness import Member, QuorumHarness, Register


class QuorumHistoryContract(QuorumHarness):
    """
    Whatever happens, there is one history.

    @ivar seeds: how many are tried.
    """

    seeds = 20
    lives = 8

    def test_histories(self) -> None:
        """Deaths in the middle of any write, power cuts, stalls, lost messages; nobody was told what is not so."""
        for seed in range(self.seeds):
            self.answered: list[str] = []
            self.dropped: list[str] = []
            self.agreed: dict[int, str] = {}
            self.begin(seed)
            rng = Random(seed)
            for life in range(self.lives):
                self.live(rng, life)
            self.recover()
            texts = [text.strip() for text in self.run_until_equal()]
            self.look()
            self.assertLessEqual(set(self.answered), set(texts), f"seed {seed}")
            self.assertFalse(set(self.dropped) & set(texts), f"seed {seed}")
            self.assertEqual(len(set(texts)), len(texts), f"seed {seed}")
            self.assertGreater(len(self.answered), self.lives, f"seed {seed}")
        self.forget_the_dead()

    def live(self, rng: Random, life: int) -> None:
        """Have some proposed, let something go wrong meanwhile, and start again what is down."""
        self.post.loss_chance, self.post.double_chance = rng.choice((0.0, 0.0, 0.1)), rng.choice((0.0, 0.1))
        for number in range(40):
            self.simulation.after(rng.random() * 2, self.propose, rng, f"{life}.{number}")
        for member in rng.sample(list(self.members.values()), rng.choice((1, 1, 2, 3))):
            self.harm(rng, member)
        for _ in range(30):
            self.wait(0.1)
            self.notice_deaths()
            self.look()
        self.post.heal()
        for member in self.members.values():
            if rng.random() < 0.7:
                self.revive(member)
        self.wait(rng.random() * 2)

    def harm(self, rng: Random, member: Member) -> None:
        """Have something happen to a node."""
        faults = member.machine.platter.faults
        harm = rng.randrange(5)
        if harm <= 1 and member.is_up:
            faults.dies_in, faults.dies_of_power = rng.randrange(1, 60), harm == 1
        elif harm == 2:
            self.post.cut(member.number)
        elif harm == 3 and member.machine.process is not None and member.is_up:
            member.machine.process.reactor.stall(rng.random() * 3)
        else:
            faults.sync_mean_s = rng.choice((0.0005, 0.01, 0.1))

    def notice_deaths(self) -> None:
        """Tell the others of who died in the middle of a write."""
        for member in self.members.values():
            if not member.machine.running:
                self.post.died(member.key, power=not member.machine.powered)

    def revive(self, member: Member) -> None:
        """Start a node that is down."""
        member.machine.platter.faults.dies_in = None
        if member.failures:
            self.crash(member.number)
        if not member.machine.running:
            try:
                self.start(member.number)
            finally:
                self.look()

    def recover(self) -> None:
        """Have everything work again, and something agreed on."""
        self.post.loss_chance = self.post.double_chance = 0.0
        self.post.heal()
        for member in self.members.values():
            self.revive(member)
        self.agree("the end")

    def propose(self, rng: Random, text: str) -> None:
        """Propose something to whoever takes it."""
        leading = [member for member in self.up if member.quorum.leader_id == member.number]
        if leading:
            command = text.ljust(rng.choice((10, 10, 5000))).encode()
            rng.choice(leading).quorum.propose(command).addBoth(self.note, text)

    def note(self, outcome: object, text: str) -> None:
        """Note what was said of a proposal."""
        if not isinstance(outcome, Failure):
            self.answered.append(text)
        elif outcome.check(Refused) is None or outcome.value.code != ErrorCode.REQUEST_TIMED_OUT:  # type: ignore[union-attr]
            self.dropped.append(text)

    def look(self) -> None:
        """See that whatever anybody has applied at an index is what everybody else has there."""
        for member in self.members.values():
            register: Register = member.register
            for index, text in register.entries:
                self.assertEqual(self.agreed.setdefault(index, text), text, f"seed {self.simulation.seed}")
