"""Deciding where this node leads, and only there."""

from __future__ import annotations

from collections.abc import Sequence

from streamline.cluster.commands import Command, DeleteTopic
from streamline.cluster.failover import fence
from streamline.cluster.image import MetadataImage, step
from streamline.errors import ErrorCode, Refused
from streamline.services.controllership import PLANS_MAX, REPAIR_AGAIN_S
from tests.services.controller_case import ControllershipCase


class LeadingTests(ControllershipCase):
    """Who leads the quorum is the controller, once what was overdue is repaired."""

    def test_it_takes_over(self) -> None:
        self.assertTrue(self.controllership.is_active)
        self.assertEqual((self.controllership.epoch, self.duty.heard), (3, ["took over"]))

    def test_another_leads(self) -> None:
        self.quorum.lead(2, 4)
        self.assertFalse(self.controllership.is_active)
        self.assertEqual(self.duty.heard, ["took over", "resigned"])
        self.assertEqual(self.refused(self.controllership.decide(lambda _: [self.topic()])), ErrorCode.NOT_CONTROLLER)
        self.assertEqual(self.metadata.image.topics, {})

    def test_another_term(self) -> None:
        """What was known in the last one is worth nothing: somebody else may have led between."""
        self.quorum.lead(1, 5)
        self.assertEqual(self.duty.heard, ["took over", "resigned", "took over"])

    def test_stopped(self) -> None:
        self.controllership.stopService()
        self.quorum.lead(1, 5)
        self.assertEqual(self.duty.heard, ["took over", "resigned"])

    def test_repair_comes_first(self) -> None:
        """KR31: nothing is decided before what the last controller left behind is in order."""
        self.metadata.propose(self.topic())
        self.quorum.lead(2, 4)
        self.spoil()
        self.quorum.is_held = True
        self.quorum.lead(1, 5)
        self.assertEqual(self.duty.heard, ["took over", "resigned"])
        self.assertEqual(self.refused(self.controllership.decide(lambda _: [])), ErrorCode.NOT_CONTROLLER)
        self.quorum.release()
        self.assertEqual(self.duty.heard[2:], ["took over"])
        state = self.metadata.image.partition("t", 0)
        assert state is not None
        self.assertEqual((state.leader, state.isr), (2, (2,)))

    def spoil(self) -> None:
        """Have the image show a broker as gone that the partition still counts on, as an older release could."""
        image = self.metadata.image
        self.metadata.image, _ = step(image, image.index, fence(image, 1)[:1])

    def test_repair_that_fails(self) -> None:
        """It is tried again, for as long as this node leads."""
        self.metadata.propose(self.topic())
        self.quorum.lead(2, 4)
        self.spoil()
        self.quorum.refuses = Refused(ErrorCode.KAFKA_STORAGE_ERROR)
        self.quorum.lead(1, 5)
        self.clock.advance(REPAIR_AGAIN_S)
        self.assertFalse(self.controllership.is_active)
        self.quorum.refuses = None
        self.clock.advance(REPAIR_AGAIN_S)
        self.assertTrue(self.controllership.is_active)

    def test_repair_of_a_term_that_is_over(self) -> None:
        self.metadata.propose(self.topic())
        self.quorum.lead(2, 4)
        self.spoil()
        self.quorum.is_held = True
        self.quorum.lead(1, 5)
        self.quorum.lead(2, 6)
        self.quorum.release()
        self.assertFalse(self.controllership.is_active)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DecidingTests(ControllershipCase):
    """See Note [Planned again]."""

    def test_results(self) -> None:
        """One a command, in order."""
        decided = self.controllership.decide(lambda _: [self.topic(), self.topic("u", b"u" * 16)])
        self.assertEqual([topic.name for topic in self.successResultOf(decided)], ["t", "u"])

    def test_nothing_to_decide(self) -> None:
        index = self.metadata.image.index
        self.assertEqual(self.successResultOf(self.controllership.decide(lambda _: [])), [])
        self.assertEqual(self.metadata.image.index, index)

    def test_a_plan_that_refuses(self) -> None:
        def plan(_: MetadataImage) -> Sequence[Command]:
            raise Refused(ErrorCode.INVALID_PARTITIONS)

        self.assertEqual(self.refused(self.controllership.decide(plan)), ErrorCode.INVALID_PARTITIONS)

    def test_planned_again(self) -> None:
        """What was decided on an image that is gone by then is decided once more."""
        self.quorum.is_held = True
        asked: list[int] = []

        def plan(image: MetadataImage) -> Sequence[Command]:
            asked.append(image.index)
            return [] if "t" in image.topics else [self.topic()]

        both = [self.controllership.decide(plan) for _ in range(2)]
        self.quorum.release()
        first, second = map(self.successResultOf, both)
        self.assertEqual(([topic.name for topic in first], second), (["t"], []))
        self.assertEqual(len(asked), 3)

    def test_a_plan_that_never_fits(self) -> None:
        asked: list[int] = []

        def plan(image: MetadataImage) -> Sequence[Command]:
            asked.append(image.index)
            return [DeleteTopic(topic_id=b"x" * 16)]

        self.assertEqual(self.refused(self.controllership.decide(plan)), ErrorCode.REQUEST_TIMED_OUT)
        self.assertEqual(len(asked), PLANS_MAX)

    def test_what_was_not_applied_is_not_planned_again(self) -> None:
        """RF17: it may yet be agreed on."""
        self.quorum.refuses = Refused(ErrorCode.REQUEST_TIMED_OUT)
        asked: list[int] = []

        def plan(image: MetadataImage) -> Sequence[Command]:
            asked.append(image.index)
            return [self.topic()]

        self.assertEqual(self.refused(self.controllership.decide(plan)), ErrorCode.REQUEST_TIMED_OUT)
        self.assertEqual(len(asked), 1)

    def test_another_leads_before_it_is_planned_again(self) -> None:
        self.quorum.is_held = True
        decided = [self.controllership.decide(lambda _: [self.topic()]) for _ in range(2)]
        self.quorum.lead(2, 4)
        self.quorum.release()
        self.successResultOf(decided[0])
        self.assertEqual(self.refused(decided[1]), ErrorCode.NOT_CONTROLLER)
