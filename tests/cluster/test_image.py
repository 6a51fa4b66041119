"""The image: commands make it, and what does not fit changes nothing."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamline.cluster.commands import (
    BROKER_CONFIGS,
    CLUSTER_WIDE,
    TOPIC_CONFIGS,
    AddPartitions,
    AllocateProducerIds,
    BrokerEpoch,
    ChangeBroker,
    ChangeConfigs,
    ChangeFeatures,
    ConfigChange,
    DeleteTopic,
    FeatureLevel,
    FoundCluster,
    PartitionPlacement,
    SupportedFeature,
    UnregisterBroker,
    dump,
    load,
    together,
)
from streamline.cluster.image import MetadataImage, apply
from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import Broker, Endpoint
from streamline.wire.schema import Message
from tests.cluster.metadata_case import IDS, MetadataCase, change, create, register

BOTH = {"replicas": (1, 2), "isr": (1, 2), "leader": 1, "leader_epoch": 0}


def fence(node_id: int, epoch: int, fenced: bool = True) -> ChangeBroker:
    """Return a command that fences a broker or not."""
    return ChangeBroker(node_id=node_id, epoch=epoch, fenced=fenced, shutting_down=False)


class ClusterTests(MetadataCase):
    """What there is one of in a cluster."""

    def test_found(self) -> None:
        features = [FeatureLevel(name="metadata.version", level=3), FeatureLevel(name="off", level=0)]
        self.assertEqual(self.do(FoundCluster(cluster_id="c", features=features)), "c")
        self.assertEqual((self.image.cluster_id, self.image.index), ("c", 1))
        self.assertEqual(self.image.features, {"metadata.version": 3})
        self.refuses(ErrorCode.INVALID_REQUEST, FoundCluster(cluster_id="d"))

    def test_features(self) -> None:
        self.do(FoundCluster(cluster_id="c", features=[FeatureLevel(name="a", level=3)]))
        self.do(ChangeFeatures(features=[FeatureLevel(name="a", level=0), FeatureLevel(name="b", level=1)]))
        self.assertEqual(self.image.features, {"b": 1})

    def test_producer_ids(self) -> None:
        """KIP-730: each block begins where the last one ended."""
        command = AllocateProducerIds(node_id=1, count=1000)
        self.assertEqual([self.do(command), self.do(command)], [0, 1000])

    def test_producer_ids_for_a_process_that_is_gone(self) -> None:
        """KR15: the epoch tells a node's incarnations apart."""
        self.refuses(ErrorCode.BROKER_ID_NOT_REGISTERED, AllocateProducerIds(node_id=1, count=9, broker_epoch=1))
        self.do(register())
        self.do(register())
        self.refuses(ErrorCode.STALE_BROKER_EPOCH, AllocateProducerIds(node_id=1, count=9, broker_epoch=1))
        self.assertEqual(self.do(AllocateProducerIds(node_id=1, count=9, broker_epoch=2)), 0)

    def test_settings(self) -> None:
        self.do(create())
        for kind, name in ((TOPIC_CONFIGS, "t"), (BROKER_CONFIGS, "1"), (BROKER_CONFIGS, CLUSTER_WIDE)):
            given = [ConfigChange(name=key, value=value) for key, value in (("a", "1"), ("b", "2"))]
            self.do(ChangeConfigs(resource_type=kind, resource_name=name, changes=given))
        self.assertEqual(self.image.configs, {"t": {"a": "1", "b": "2"}})
        self.assertEqual(self.image.broker_configs, {"1": {"a": "1", "b": "2"}, "": {"a": "1", "b": "2"}})

        taken = [ConfigChange(name=key, value=None) for key in ("a", "never")]
        self.do(ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name="t", changes=taken))
        self.assertEqual(self.image.configs, {"t": {"b": "2"}})
        last = [ConfigChange(name="b", value=None)]
        self.do(ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name="t", changes=last))
        self.assertEqual(self.image.configs, {})

    def test_settings_of_no_topic(self) -> None:
        command = ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name="t", changes=[])
        self.refuses(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, command)


class BrokerTests(MetadataCase):
    """Nodes come, change and go."""

    def test_register(self) -> None:
        """The broker epoch is the index of the command (KIP-631)."""
        self.do(FoundCluster(cluster_id="c"))
        self.assertEqual(self.do(register()), 2)
        expected = Broker(node_id=1, endpoint=Endpoint("h", 9092), rack="r", epoch=2, incarnation_id=IDS[3])
        self.assertEqual(self.image.brokers, {1: expected})
        self.assertEqual(self.do(register()), 3)
        self.assertEqual(self.image.brokers, {1: evolve(expected, epoch=3)})

    def test_register_with_everything(self) -> None:
        features = [SupportedFeature(name="f", lowest=1, highest=2)]
        self.do(register(directory_id=IDS[2], peer_host="p", peer_port=9093, features=features, fenced=True))
        broker = self.image.brokers[1]
        self.assertEqual((broker.directory_id, broker.peer_endpoint), (IDS[2], Endpoint("p", 9093)))
        self.assertEqual((broker.features, broker.fenced, broker.is_active), ({"f": (1, 2)}, True, False))

    def test_change(self) -> None:
        self.do(register(fenced=True))
        self.do(fence(1, 1, fenced=False))
        self.assertTrue(self.image.is_active(1))
        self.do(ChangeBroker(node_id=1, epoch=1, fenced=False, shutting_down=True))
        self.assertFalse(self.image.is_active(1))
        self.assertTrue(self.image.brokers[1].shutting_down)

    def test_change_of_an_earlier_process(self) -> None:
        """KR15: what was decided about one incarnation never happens to the next."""
        self.do(register())
        self.do(register())
        self.refuses(ErrorCode.STALE_BROKER_EPOCH, fence(1, 1))
        self.refuses(ErrorCode.BROKER_ID_NOT_REGISTERED, fence(2, 1))
        self.refuses(ErrorCode.STALE_BROKER_EPOCH, UnregisterBroker(node_id=1, epoch=1))

    def test_unregister(self) -> None:
        self.do(register())
        self.do(UnregisterBroker(node_id=1, epoch=1))
        self.assertEqual(self.image.brokers, {})
        self.assertFalse(self.image.is_active(1))


class TopicTests(MetadataCase):
    """Topics come, grow and go."""

    def test_create(self) -> None:
        topic = self.do(create(retention="5"))
        self.assertEqual(self.image.topics, {"t": topic})
        self.assertEqual(self.image.names, {IDS[0]: "t"})
        self.assertEqual(self.image.configs, {"t": {"retention": "5"}})
        state = topic.partitions[1]
        self.assertEqual((state.index, state.replicas, state.isr, state.leader), (1, (1, 2), (1, 2), 1))
        self.assertEqual((state.leader_epoch, state.partition_epoch), (0, 0))

    def test_create_with_some_of_the_replicas(self) -> None:
        self.do(register(2))
        command = create()
        command.partitions = [PartitionPlacement(index=0, replicas=(1, 2), isr=(2,))]
        (state,) = self.do(command).partitions
        self.assertEqual((state.replicas, state.isr, state.leader), ((1, 2), (2,), 2))

    def test_create_on_nodes_that_have_gone(self) -> None:
        self.do(register(2, fenced=True))
        command = create()
        for gone in (1, 2):
            command.partitions = [PartitionPlacement(index=0, replicas=(1, 2), isr=(gone,))]
            self.refuses(ErrorCode.INELIGIBLE_REPLICA, command)

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

    def test_grow(self) -> None:
        self.do(register())
        self.do(create())
        added = [PartitionPlacement(index=2, replicas=(1,), isr=(1,))]
        self.do(AddPartitions(topic_id=IDS[0], partitions=added))
        self.assertEqual([state.index for state in self.image.topics["t"].partitions], [0, 1, 2])
        self.refuses(ErrorCode.INVALID_PARTITIONS, AddPartitions(topic_id=IDS[0], partitions=added))
        self.refuses(ErrorCode.UNKNOWN_TOPIC_ID, AddPartitions(topic_id=IDS[1], partitions=added))

    def test_partitions(self) -> None:
        self.do(create())
        self.assertIsNotNone(self.image.partition("t", 1))
        for topic, index in (("t", 2), ("t", -1), ("u", 0)):
            self.assertIsNone(self.image.partition(topic, index))

    def test_topics_by_id(self) -> None:
        topic = self.do(create())
        self.assertEqual(self.image.topic_of(IDS[0]), topic)
        self.assertIsNone(self.image.topic_of(IDS[1]))


class PartitionTests(MetadataCase):
    """A change is made to the state that it was decided on, or not at all."""

    def setUp(self) -> None:
        """A topic of two partitions on two nodes, whose epochs are 1 and 2, and a third one."""
        super().setUp()
        for node in (1, 2, 3):
            self.do(register(node))
        self.do(create(min_insync_replicas="2"))

    def test_change(self) -> None:
        self.do(change())
        state = self.image.partition("t", 0)
        assert state is not None
        self.assertEqual((state.leader, state.isr, state.leader_epoch, state.partition_epoch), (2, (2,), 1, 1))
        untouched = self.image.partition("t", 1)
        assert untouched is not None
        self.assertEqual(untouched.leader, 1)

    def test_change_that_comes_too_late(self) -> None:
        """KR13: the partition epoch is compared before it is set."""
        self.do(change())
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, change())
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, change(partition_epoch=3))
        self.refuses(ErrorCode.UNKNOWN_TOPIC_ID, change(topic_id=IDS[1]))
        for index in (2, -1):
            self.refuses(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, change(index=index))

    def test_leader_that_has_gone(self) -> None:
        for index in (0, 1):
            self.do(change(index, elr=(1,)))
        again: dict[str, Any] = {"leader": 1, "isr": (1,), "elr": (2,), "leader_epoch": 2, "partition_epoch": 2}
        again["joining"] = [BrokerEpoch(node_id=1, epoch=1)]
        self.do(fence(1, 1))
        self.refuses(ErrorCode.INELIGIBLE_REPLICA, change(**again))
        self.do(fence(1, 1, fenced=False))
        self.do(change(**again))

    def test_leader_that_was_never_there(self) -> None:
        """Not even where it is in the ISR, as of an earlier release."""
        self.do(create("u", IDS[1], (1, 4)))
        elected: dict[str, Any] = {"replicas": (1, 4), "isr": (4,), "leader": 4, "topic_id": IDS[1]}
        self.refuses(ErrorCode.INELIGIBLE_REPLICA, change(**elected))

    def test_leader_that_may_lack_records(self) -> None:
        self.do(change())
        again: dict[str, Any] = {"leader": 1, "isr": (1,), "leader_epoch": 2, "partition_epoch": 2}
        again["joining"] = [BrokerEpoch(node_id=1, epoch=1)]
        self.refuses(ErrorCode.INELIGIBLE_REPLICA, change(**again))
        self.do(change(is_recovering=True, **again))

    def test_joining(self) -> None:
        """KR16 and KR18: who joins the ISR is there, under the epoch that it caught up with."""
        for index in (0, 1):
            self.do(change(index))
        both: dict[str, Any] = {"isr": (2, 1), "partition_epoch": 2}
        for joining in ((), [BrokerEpoch(node_id=1, epoch=9)], [BrokerEpoch(node_id=2, epoch=1)]):
            self.refuses(ErrorCode.INELIGIBLE_REPLICA, change(joining=joining, **both))
        judged = [BrokerEpoch(node_id=1, epoch=1)]
        self.do(fence(1, 1))
        self.refuses(ErrorCode.INELIGIBLE_REPLICA, change(joining=judged, **both))
        self.do(fence(1, 1, fenced=False))
        self.do(change(joining=judged, **both))

    def test_joining_after_another_registration(self) -> None:
        self.do(change())
        self.do(register(1))
        judged = [BrokerEpoch(node_id=1, epoch=1)]
        self.refuses(ErrorCode.INELIGIBLE_REPLICA, change(isr=(2, 1), partition_epoch=2, joining=judged))

    def test_nonsense(self) -> None:
        for more in (
            {"isr": (3,), "leader": 3},
            {"isr": (1,), "leader": 2},
            {"isr": (2, 2)},
            {"elr": (2,)},
            {"elr": (3,)},
            {"last_known_elr": (2,)},
            {"replicas": (1, 1, 2)},
            {"leader_epoch": 0},
            {"isr": (1, 2), "leader": 1, "leader_epoch": -1},
        ):
            self.refuses(ErrorCode.INVALID_REQUEST, change(**more))

    def test_eligible_without_need(self) -> None:
        """KR20: an ISR that can commit does so without those in the ELR."""
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, change(replicas=(1, 2, 3), isr=(1, 2), elr=(3,)))
        self.do(change(elr=(1,)))

    def test_giving_up_what_somebody_can_lead(self) -> None:
        """It was decided on before he came back."""
        nobody: dict[str, Any] = {"leader": -1, "isr": (), "elr": (1, 2)}
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, change(**nobody))
        for index in (0, 1):
            self.do(change(index))
        again: dict[str, Any] = {"leader_epoch": 2, "partition_epoch": 2}
        gone = [change(index, **nobody, **again) for index in (0, 1)]
        both = together([fence(2, 2), *gone])
        assert both is not None
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, both)
        self.do(fence(1, 1))
        self.do(both)

    def test_coming_back_to_what_waits(self) -> None:
        """It was decided on before anybody was waited for."""
        self.test_giving_up_what_somebody_can_lead()
        back = fence(2, 2, fenced=False)
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, back)
        joining = [BrokerEpoch(node_id=2, epoch=2)]
        led: dict[str, Any] = {"isr": (2,), "elr": (1,), "leader_epoch": 3, "partition_epoch": 3}
        both = together([back, *(change(index, joining=joining, **led) for index in (0, 1))])
        assert both is not None
        self.do(both)

    def test_fencing_leaves_nothing_behind(self) -> None:
        """A node is fenced together with all that counts on it, or not yet."""
        for leave in (fence(1, 1), UnregisterBroker(node_id=1, epoch=1), register(1, fenced=True)):
            self.refuses(ErrorCode.INVALID_UPDATE_VERSION, leave)
        one = together([fence(1, 1), change(0)])
        assert one is not None
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, one)
        both = together([fence(1, 1), change(0), change(1)])
        assert both is not None
        self.do(both)
        self.assertEqual([state.isr for state in self.image.topics["t"].partitions], [(2,), (2,)])

    def test_an_unclean_registration_leaves_the_elr(self) -> None:
        """KR21: wherever it stood."""
        for index in (0, 1):
            self.do(change(index, elr=(1,)))
        self.do(register(1, fenced=True))
        self.refuses(ErrorCode.INVALID_UPDATE_VERSION, register(1, fenced=True, is_clean=False))
        out = [change(index, partition_epoch=2) for index in (0, 1)]
        command = together([register(1, fenced=True, is_clean=False), *out])
        assert command is not None
        self.do(command)


class TogetherTests(MetadataCase):
    """Several commands hold all or not at all."""

    def test_none_and_one(self) -> None:
        self.assertIsNone(together([]))
        command = create()
        self.assertIs(together([command]), command)

    def test_results(self) -> None:
        both = together([create(), AllocateProducerIds(node_id=1, count=5)])
        assert both is not None
        topic, first = self.do(both)
        self.assertEqual((topic.name, first, self.image.index), ("t", 0, 1))

    def test_all_or_nothing(self) -> None:
        both = together([create(), create("u")])
        assert both is not None
        self.refuses(ErrorCode.INVALID_REQUEST, both)


COMMANDS = st.one_of(
    st.builds(create, st.sampled_from("tuv"), st.sampled_from(IDS)),
    st.builds(create, st.sampled_from("tuv"), st.sampled_from(IDS), retention=st.just("5")),
    st.builds(lambda topic_id: DeleteTopic(topic_id=topic_id), st.sampled_from(IDS)),
    st.just(AllocateProducerIds(node_id=1, count=7)),
    st.builds(register, st.integers(1, 3), fenced=st.booleans()),
    st.just(FoundCluster(cluster_id="c")),
    st.builds(fence, st.integers(1, 3), st.integers(1, 5), st.booleans()),
    st.builds(change, st.integers(0, 2), st.integers(0, 3), st.sampled_from(IDS)),
)


class HistoryTests(MetadataCase):
    """What follows from any commands whatever."""

    def test_an_image_never_changes(self) -> None:
        self.do(create())
        before = self.image
        kept = (dict(before.topics), dict(before.names), dict(before.configs))
        self.do(create("u", IDS[1], retention="5"))
        self.do(DeleteTopic(topic_id=IDS[0]))
        self.assertEqual((before.topics, before.names, before.configs), kept)

    def test_what_is_not_touched_is_shared(self) -> None:
        for node in (1, 2):
            self.do(register(node))
        self.do(create())
        self.do(create("u", IDS[1]))
        before = self.image
        self.do(change())
        self.assertIs(self.image.brokers, before.brokers)
        self.assertIs(self.image.names, before.names)
        self.assertIs(self.image.topics["u"], before.topics["u"])
        self.assertIs(self.image.topics["t"].partitions[1], before.topics["t"].partitions[1])

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


FIRST_RELEASE = (
    "00010000026300",
    "00020000000000010404040404040404040404040404040402680000238402720000",
    "00030000027401010101010101010101010101010101030000000002000000010000000001020000000100"
    "020d726574656e74696f6e2e6d7302350000",
    "0003000002750202020202020202020202020202020202000000000200000001000100",
    "0005000000000001000003e800",
    "000400000202020202020202020202020202020200",
    "00060000010101010101010101010101010101010200000000020000000102000000010000000100000001000000010000",
)


class CommandBytesTests(MetadataCase):
    """What another release wrote is read, or refused, and never guessed."""

    def test_there_and_back(self) -> None:
        for command in (create(a="b"), DeleteTopic(topic_id=IDS[0]), register(), change(), fence(1, 2)):
            again = load(dump(command))
            self.assertEqual((type(again), dump(again)), (type(command), dump(command)))

    def test_unknown(self) -> None:
        good = dump(FoundCluster(cluster_id="c"))
        later = b"\0\x63" + good[2:], good[:2] + b"\0\2" + good[4:]
        for data in (b"", b"\0", good[:3], *later, good[:-1], good + b"\0"):
            self.assertRaises(ProtocolError, load, data)

    def test_the_first_releases_commands(self) -> None:
        """A data directory that version 0 of each command was written to can still be used."""
        for data in FIRST_RELEASE:
            self.do(load(bytes.fromhex(data)))
        self.assertEqual((self.image.cluster_id, self.image.next_producer_id), ("c", 1000))
        self.assertEqual(self.image.configs, {"t": {"retention.ms": "5"}})
        self.assertEqual([state.leader_epoch for state in self.image.topics["t"].partitions], [1, 0])
        self.assertTrue(self.image.is_active(1))

    def test_large(self) -> None:
        """What was agreed on can always be read again, whatever bounds there are for strangers."""
        command = create()
        command.partitions = [PartitionPlacement(index=at, replicas=[1] * 9, isr=[1] * 9) for at in range(10_000)]
        self.assertEqual(load(dump(command)), command)
