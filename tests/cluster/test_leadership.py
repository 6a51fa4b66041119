"""That most partitions rest whatever happens is found without the rules, and never says otherwise than the rules do."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster import leadership
from streamline.cluster.leadership import Aim, Election, Move, settle
from streamline.model import NO_LEADER, PartitionState

REPLICAS = (1, 2, 3)
MEMBERS = some.lists(some.sampled_from(REPLICAS), unique=True).map(tuple)


@some.composite
def states(draw: some.DrawFn) -> PartitionState:
    """Draw a partition; most are as plain as they come."""
    isr = draw(MEMBERS)
    out = [node for node in REPLICAS if node not in isr]
    rest = some.lists(some.sampled_from(out), unique=True).map(tuple) if out else some.just(())
    is_plain = draw(some.booleans())
    return PartitionState(
        index=0,
        replicas=REPLICAS,
        isr=isr,
        leader=draw(some.sampled_from([NO_LEADER, *isr])),
        leader_epoch=3,
        partition_epoch=5,
        elr=() if is_plain else draw(rest),
        last_known_elr=() if is_plain else draw(rest),
        adding=() if is_plain else draw(some.sampled_from([(), (3,)])),
        removing=() if is_plain else draw(some.sampled_from([(), (1,)])),
        is_recovering=not is_plain and draw(some.booleans()),
    )


@some.composite
def aims(draw: some.DrawFn) -> Aim:
    """Draw what is to become of it; most often nothing."""
    able = draw(some.frozensets(some.sampled_from(REPLICAS)))
    is_plain = draw(some.booleans())
    return Aim(
        min_isr=draw(some.integers(1, 3)),
        can_lead=able.__contains__,
        isr=draw(some.none() | MEMBERS),
        move=None if is_plain else draw(some.sampled_from([None, Move(REPLICAS), Move((1, 2, 3), (), (1,))])),
        lost=() if is_plain else draw(MEMBERS),
        election=draw(some.sampled_from(Election)),
        has_recovered=draw(some.booleans()),
    )


class RestingTests(SynchronousTestCase):
    """Of partitions and aims at random."""

    @given(states(), aims())
    def test_as_the_rules_say(self, state: PartitionState, aim: Aim) -> None:
        if leadership._rests(state, aim):
            self.assertEqual(leadership._settled(state, aim), state)
            self.assertIs(settle(state, aim), state)
        else:
            self.assertEqual(settle(state, aim), leadership._settled(state, aim))

    def test_what_rests(self) -> None:
        """Almost everything, when a controller looks what is overdue."""
        state = PartitionState(index=0, replicas=REPLICAS, isr=(1, 2), leader=1)
        self.assertTrue(leadership._rests(state, Aim(min_isr=2, can_lead=bool, isr=(1, 2))))

    def test_what_does_not(self) -> None:
        """Each of these is for the rules."""
        state = PartitionState(index=0, replicas=REPLICAS, isr=(2, 1), leader=2)
        aim = Aim(min_isr=2, can_lead=bool)
        self.assertTrue(leadership._rests(state, aim))
        for other in (
            evolve(aim, isr=(1, 2, 3)),
            evolve(aim, lost=(3,)),
            evolve(aim, move=Move((1, 2))),
            evolve(aim, election=Election.PREFERRED),
            evolve(aim, can_lead=lambda node: node != 2),
            evolve(aim, min_isr=3),
        ):
            self.assertFalse(leadership._rests(state, other), other)
        for changed in (
            evolve(state, leader=NO_LEADER),
            evolve(state, adding=(3,)),
            evolve(state, removing=(3,)),
            evolve(state, elr=(3,)),
            evolve(state, last_known_elr=(3,)),
            evolve(state, is_recovering=True),
        ):
            self.assertFalse(leadership._rests(changed, evolve(aim, can_lead=lambda node: True)), changed)
