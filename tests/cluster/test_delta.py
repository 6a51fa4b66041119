"""What changed from one image to another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamline.cluster.commands import (
    BROKER_CONFIGS,
    TOPIC_CONFIGS,
    AddPartitions,
    AllocateProducerIds,
    ChangeConfigs,
    ChangeFeatures,
    ConfigChange,
    DeleteTopic,
    FeatureLevel,
    PartitionPlacement,
)
from streamline.cluster.delta import Delta, difference
from streamline.cluster.image import MetadataImage
from streamline.cluster.snapshot import dump_image, load_image
from streamline.errors import Refused
from streamline.wire.schema import Message
from tests.cluster.metadata_case import IDS, MetadataCase, change, create, register
from tests.cluster.test_image import COMMANDS


def setting(value: str) -> ChangeConfigs:
    """Return a command that changes a setting of the topic."""
    changes = [ConfigChange(name="a", value=value)]
    return ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name="t", changes=changes)


class DeltaTests(MetadataCase):
    """Each kind of change is found, and nothing else."""

    def setUp(self) -> None:
        """Two nodes and a topic."""
        super().setUp()
        for node in (1, 2):
            self.do(register(node))
        self.do(create())

    def found(self, *commands: Message) -> Delta:
        """Apply commands; return what changed."""
        before = self.image
        for command in commands:
            self.do(command)
        return difference(before, self.image)

    def parts(self, delta: Delta) -> list[tuple[str, int]]:
        """Return the names and numbers of changed partitions."""
        return [(part.topic.name, part.new.index) for part in delta.partitions]

    def test_nothing(self) -> None:
        self.assertTrue(self.found(AllocateProducerIds(node_id=1, count=1)).is_empty)

    def test_brokers(self) -> None:
        delta = self.found(register(3), register(1))
        self.assertEqual((delta.brokers, delta.is_empty), ((1, 3), False))

    def test_topics(self) -> None:
        delta = self.found(create("u", IDS[1]), DeleteTopic(topic_id=IDS[0]))
        self.assertEqual([topic.name for topic in delta.created], ["u"])
        self.assertEqual([topic.name for topic in delta.deleted], ["t"])
        self.assertEqual(self.parts(delta), [("u", 0), ("u", 1)])
        self.assertEqual([part.old for part in delta.partitions], [None, None])

    def test_a_topic_made_again(self) -> None:
        """KR30: one of the same name is another topic."""
        delta = self.found(DeleteTopic(topic_id=IDS[0]), create(topic_id=IDS[1], retention="5"))
        self.assertEqual([topic.topic_id for topic in delta.deleted], [IDS[0]])
        self.assertEqual([topic.topic_id for topic in delta.created], [IDS[1]])
        self.assertEqual([part.old for part in delta.partitions], [None, None])
        self.assertEqual(delta.topic_configs, ())

    def test_partitions(self) -> None:
        delta = self.found(change())
        self.assertEqual(self.parts(delta), [("t", 0)])
        (part,) = delta.partitions
        assert part.old is not None
        self.assertEqual((part.old.leader, part.new.leader, part.is_new_leadership), (1, 2, True))

    def test_an_isr_alone_is_no_new_leadership(self) -> None:
        (part,) = self.found(change(isr=(1,), leader=1, leader_epoch=0)).partitions
        self.assertFalse(part.is_new_leadership)

    def test_more_partitions(self) -> None:
        added = [PartitionPlacement(index=2, replicas=(1,), isr=(1,))]
        self.assertEqual(self.parts(self.found(AddPartitions(topic_id=IDS[0], partitions=added))), [("t", 2)])

    def test_settings(self) -> None:
        given = [ConfigChange(name="a", value="1")]
        delta = self.found(
            ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name="t", changes=given),
            ChangeConfigs(resource_type=BROKER_CONFIGS, resource_name="2", changes=given),
            ChangeFeatures(features=[FeatureLevel(name="f", level=1)]),
        )
        self.assertEqual((delta.topic_configs, delta.broker_configs, delta.features), (("t",), ("2",), True))

    def test_what_is_concerned(self) -> None:
        """A topic's settings concern its partitions, all of them and no others; what changed besides comes first."""
        self.assertEqual(self.found(create("u", IDS[1])).concerned, [("u", 0), ("u", 1)])
        self.assertEqual(self.found(setting("1")).concerned, [("t", 0), ("t", 1)])
        both = self.found(change(index=1, topic_id=IDS[1]), setting("2"))
        self.assertEqual(both.concerned, [("u", 1), ("t", 0), ("t", 1)])

    @given(st.lists(COMMANDS, max_size=12), st.lists(COMMANDS, max_size=12))
    def test_a_snapshot_changes_what_the_commands_would_have(self, one: list[Message], two: list[Message]) -> None:
        """A node that was sent a snapshot hears of the same changes as one that applied the commands."""
        self.image = MetadataImage()
        for command in one:
            self.attempt(command)
        before = self.image
        for command in two:
            self.attempt(command)
        stepwise, jumped = difference(before, self.image), difference(before, load_image(dump_image(self.image)))
        self.assertEqual(stepwise, jumped)

    def attempt(self, command: Message) -> None:
        """Apply a command, if it can be."""
        try:
            self.do(command)
        except Refused:
            return
