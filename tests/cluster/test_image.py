"""The image: commands make it, snapshots carry it, and what does not fit changes nothing."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import (
    AllocateProducerIds,
    ChangePartitions,
    ConfigEntry,
    CreateTopic,
    DeleteTopic,
    FoundCluster,
    ImageSnapshot,
    PartitionChange,
    PartitionPlacement,
    RegisterBroker,
    dump,
    load,
)
from streamline.cluster.image import MetadataImage, apply, from_snapshot, to_snapshot
from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import Broker, Endpoint
from streamline.wire.schema import Message

IDS = [bytes([number]) * 16 for number in range(1, 5)]
REGISTER = RegisterBroker(node_id=1, incarnation_id=IDS[3], host="h", port=9092, rack="r")


def create(
    name: str = "t", topic_id: bytes = IDS[0], replicas: tuple[int, ...] = (1, 2), **configs: str
) -> CreateTopic:
    """Return a command that makes a topic of two partitions."""
    return CreateTopic(
        name=name,
        topic_id=topic_id,
        partitions=[PartitionPlacement(index=index, replicas=replicas) for index in range(2)],
        configs=[ConfigEntry(name=key, value=value) for key, value in configs.items()],
    )


def change(index: int = 0, partition_epoch: int = 1, topic_id: bytes = IDS[0]) -> ChangePartitions:
    """Return a command that gives a partition another leader."""
    changed = PartitionChange(
        index=index, replicas=(1, 2), isr=(2,), leader=2, leader_epoch=1, partition_epoch=partition_epoch
    )
    return ChangePartitions(topic_id=topic_id, partitions=[changed])


class ImageCase(SynchronousTestCase):
    """An image and its index."""

    def setUp(self) -> None:
        """Begin with nothing."""
        self.image = MetadataImage()

    def do(self, command: Message) -> Any:
        """Apply a command; return its result."""
        self.image, result = apply(self.image, self.image.index + 1, command)
        return result

    def refuses(self, code: ErrorCode, command: Message) -> None:
        """Expect a command to be refused and to change nothing."""
        before = self.image
        refusal = self.assertRaises(Refused, self.do, command)
        self.assertEqual(refusal.code, code)
        self.assertIs(self.image, before)


class CommandTests(ImageCase):
    """What each command does."""

    def test_found(self) -> None:
        self.assertEqual(self.do(FoundCluster(cluster_id="c")), "c")
        self.assertEqual((self.image.cluster_id, self.image.index), ("c", 1))
        self.refuses(ErrorCode.INVALID_REQUEST, FoundCluster(cluster_id="d"))

    def test_register(self) -> None:
        """The broker epoch is the index of the command (KIP-631)."""
        self.do(FoundCluster(cluster_id="c"))
        self.assertEqual(self.do(REGISTER), 2)
        expected = Broker(node_id=1, endpoint=Endpoint("h", 9092), rack="r", epoch=2, incarnation_id=IDS[3])
        self.assertEqual(self.image.brokers, {1: expected})
        self.assertEqual(self.do(REGISTER), 3)
        self.assertEqual(self.image.brokers, {1: evolve(expected, epoch=3)})

    def test_create(self) -> None:
        topic = self.do(create(retention="5"))
        self.assertEqual(self.image.topics, {"t": topic})
        self.assertEqual(self.image.names, {IDS[0]: "t"})
        self.assertEqual(self.image.configs, {"t": {"retention": "5"}})
        state = topic.partitions[1]
        self.assertEqual((state.index, state.replicas, state.isr, state.leader), (1, (1, 2), (1, 2), 1))
        self.assertEqual((state.leader_epoch, state.partition_epoch), (0, 0))

    def test_create_what_is_there(self) -> None:
        """Of two that asked at once, the second is refused, on every node alike."""
        self.do(create())
        self.refuses(ErrorCode.TOPIC_ALREADY_EXISTS, create(topic_id=IDS[1]))
        self.refuses(ErrorCode.INVALID_REQUEST, create("u"))

    def test_delete(self) -> None:
        self.do(create(retention="5"))
        self.do(create("u", IDS[1]))
        self.assertEqual(self.do(DeleteTopic(topic_id=IDS[0])).name, "t")
        self.assertEqual(list(self.image.topics), ["u"])
        self.assertEqual((self.image.names, self.image.configs), ({IDS[1]: "u"}, {}))
        self.refuses(ErrorCode.UNKNOWN_TOPIC_ID, DeleteTopic(topic_id=IDS[0]))

    def test_producer_ids(self) -> None:
        """KIP-730: each block begins where the last one ended."""
        command = AllocateProducerIds(node_id=1, count=1000)
        self.assertEqual([self.do(command), self.do(command)], [0, 1000])

    def test_change(self) -> None:
        self.do(create())
        self.do(change())
        state = self.image.partition("t", 0)
        assert state is not None
        self.assertEqual((state.leader, state.isr, state.leader_epoch, state.partition_epoch), (2, (2,), 1, 1))
        untouched = self.image.partition("t", 1)
        assert untouched is not None
        self.assertEqual(untouched.leader, 1)

    def test_change_that_comes_too_late(self) -> None:
        """KR13: the partition epoch is compared before it is set."""
        self.do(create())
        self.do(change())
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, change())
        self.refuses(ErrorCode.UNKNOWN_TOPIC_ID, change(topic_id=IDS[1]))
        for index in (2, -1):
            self.refuses(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, change(index=index))

    def test_an_image_never_changes(self) -> None:
        self.do(create())
        before = self.image
        kept = (dict(before.topics), dict(before.names), dict(before.configs))
        self.do(create("u", IDS[1], retention="5"))
        self.do(DeleteTopic(topic_id=IDS[0]))
        self.assertEqual((before.topics, before.names, before.configs), kept)


class LookupTests(ImageCase):
    """What is not there is None, never a mistake."""

    def test_partitions(self) -> None:
        self.do(create())
        self.assertIsNotNone(self.image.partition("t", 1))
        for topic, index in (("t", 2), ("t", -1), ("u", 0)):
            self.assertIsNone(self.image.partition(topic, index))

    def test_topics_by_id(self) -> None:
        topic = self.do(create())
        self.assertEqual(self.image.topic_of(IDS[0]), topic)
        self.assertIsNone(self.image.topic_of(IDS[1]))


COMMANDS = st.one_of(
    st.builds(create, st.sampled_from("tuv"), st.sampled_from(IDS)),
    st.builds(lambda topic_id: DeleteTopic(topic_id=topic_id), st.sampled_from(IDS)),
    st.just(AllocateProducerIds(node_id=1, count=7)),
    st.just(REGISTER),
    st.just(FoundCluster(cluster_id="c")),
    st.builds(change, st.integers(0, 2), st.integers(0, 3), st.sampled_from(IDS)),
)


class SnapshotTests(ImageCase):
    """A snapshot stands for all commands before it."""

    @given(st.lists(COMMANDS, max_size=20))
    def test_any_history(self, commands: list[Message]) -> None:
        self.setUp()
        for command in commands:
            try:
                self.do(command)
            except Refused:
                continue
        snapshot = load(dump(to_snapshot(self.image)))
        assert isinstance(snapshot, ImageSnapshot)
        self.assertEqual(from_snapshot(snapshot), self.image)

    @given(st.lists(COMMANDS, max_size=20))
    def test_every_node_alike(self, commands: list[Message]) -> None:
        """What went over the wire does the same as what was proposed."""
        here, there = MetadataImage(), MetadataImage()
        for index, command in enumerate(commands, 1):
            try:
                here, result = apply(here, index, command)
            except Refused as refusal:
                again = self.assertRaises(Refused, apply, there, index, load(dump(command)))
                self.assertEqual(again.code, refusal.code)
            else:
                there, same = apply(there, index, load(dump(command)))
                self.assertEqual((there, same), (here, result))


class CommandBytesTests(SynchronousTestCase):
    """What this release does not know is refused, not guessed."""

    def test_there_and_back(self) -> None:
        for command in (create(a="b"), DeleteTopic(topic_id=IDS[0]), REGISTER, change(), FoundCluster(cluster_id="c")):
            again = load(dump(command))
            self.assertEqual((type(again), dump(again)), (type(command), dump(command)))

    def test_unknown(self) -> None:
        good = dump(FoundCluster(cluster_id="c"))
        later = b"\0\x63" + good[2:], good[:2] + b"\0\1" + good[4:]
        for data in (b"", b"\0", good[:3], *later, good[:-1], good + b"\0"):
            self.assertRaises(ProtocolError, load, data)
