"""A snapshot stands for all commands before it."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamline.cluster.commands import (
    BROKER_CONFIGS,
    ChangeConfigs,
    ConfigChange,
    FeatureLevel,
    FoundCluster,
    SupportedFeature,
)
from streamline.cluster.image import MetadataImage
from streamline.cluster.snapshot import MAGIC, chunks_of, dump_image, load_image
from streamline.errors import ProtocolError, Refused
from streamline.model import Broker, Endpoint, PartitionState, Topic
from streamline.wire.schema import Message
from tests.cluster.metadata_case import IDS, MetadataCase, create, register
from tests.cluster.test_image import COMMANDS

FIRST_RELEASE = (
    "000700000000000000000006026300000000000003e8020000000104040404040404040404040404040404000000000000000202680000238402"
    "7200000202740101010101010101010101010101010103000000000200000001020000000100000001000000000000000000000000010200"
    "000001020000000100000001000000000000000000020d726574656e74696f6e2e6d730235000000"
)


class SnapshotTests(MetadataCase):
    """Every image can be written down and read again."""

    @given(st.lists(COMMANDS, max_size=20))
    def test_any_history(self, commands: list[Message]) -> None:
        self.setUp()
        for command in commands:
            try:
                self.do(command)
            except Refused:
                continue
        self.assertEqual(load_image(dump_image(self.image)), self.image)

    def everything(self) -> MetadataImage:
        """Return an image in which nothing has its default."""
        self.do(FoundCluster(cluster_id="c", features=[FeatureLevel(name="f", level=1)]))
        features = [SupportedFeature(name="f", lowest=1, highest=2)]
        self.do(register(1, directory_id=IDS[2], peer_host="p", peer_port=9093, features=features))
        self.do(register(2, rack=None, fenced=True, features=features))
        self.do(create(retention="5"))
        setting = [ConfigChange(name="a", value="1")]
        self.do(ChangeConfigs(resource_type=BROKER_CONFIGS, resource_name="", changes=setting))
        topic = self.image.topics["t"]
        state = PartitionState(
            index=0, replicas=(1, 2, 3, 4), isr=(1,), leader=1, leader_epoch=3, partition_epoch=7, elr=(2,),
            last_known_elr=(3,), adding=(4,), removing=(3,), is_recovering=True,
        )  # fmt: skip
        topic = evolve(topic, partitions=(state, *topic.partitions[1:]))
        brokers = {**self.image.brokers, 2: evolve(self.image.brokers[2], shutting_down=True)}
        return evolve(self.image, topics={"t": topic}, brokers=brokers, next_producer_id=5)

    def test_everything(self) -> None:
        image = self.everything()
        self.assertEqual(load_image(dump_image(image)), image)

    def test_equal_images_have_equal_snapshots(self) -> None:
        """Whatever order things came in; so images can be compared by a digest."""
        image = self.everything()
        turned = evolve(image, brokers=dict(reversed(list(image.brokers.items()))))
        self.assertEqual(list(turned.brokers), [2, 1])
        self.assertEqual(dump_image(turned), dump_image(image))

    def test_pieces(self) -> None:
        for number in range(50):
            self.do(create(f"t{number}", number.to_bytes(16, "big")))
        pieces = list(chunks_of(self.image, 1000))
        self.assertGreater(len(pieces), 5)
        self.assertLess(max(map(len, pieces)), 1200)
        self.assertEqual(load_image(b"".join(pieces)), self.image)

    def test_damage(self) -> None:
        """Whatever is missing, and wherever, is noticed."""
        whole = dump_image(self.everything())
        for end in range(len(whole)):
            self.assertRaises(ProtocolError, load_image, whole[:end])
        for more in (b"\0", whole[4:], whole):
            self.assertRaises(ProtocolError, load_image, whole + more)

    def test_missing_records(self) -> None:
        at, records = len(MAGIC), []
        whole = dump_image(self.everything())
        while at < len(whole):
            end = at + 4 + int.from_bytes(whole[at : at + 4], "big")
            records.append(whole[at:end])
            at = end
        for gone in range(len(records)):
            self.assertRaises(ProtocolError, load_image, MAGIC + b"".join(records[:gone] + records[gone + 1 :]))

    def test_the_first_releases_snapshot(self) -> None:
        broker = Broker(node_id=1, endpoint=Endpoint("h", 9092), rack="r", epoch=2, incarnation_id=IDS[3])
        states = tuple(PartitionState(index=index, replicas=(1,), isr=(1,), leader=1) for index in range(2))
        topic = Topic(name="t", topic_id=IDS[0], partitions=states)
        expected = MetadataImage(
            index=6, cluster_id="c", next_producer_id=1000, brokers={1: broker}, topics={"t": topic},
            names={IDS[0]: "t"}, configs={"t": {"retention.ms": "5"}},
        )  # fmt: skip
        self.assertEqual(load_image(bytes.fromhex(FIRST_RELEASE)), expected)

    def test_something_else(self) -> None:
        for data in (b"", b"\0", b"SLM", bytes.fromhex(FIRST_RELEASE)[:-1], bytes.fromhex("00010000026300")):
            self.assertRaises(ProtocolError, load_image, data)
