"""Records of C{__consumer_offsets}: the same bytes as Kafka's, and the inverse of what the machine emits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.groups.entries import CommittedOffset, Entry, GroupEntry, GroupMetadata, MemberMetadata, OffsetEntry
from streamline.groups.messages import Leaving
from streamline.groups.records import to_entry, to_record
from streamline.groups.shard import GroupShard
from streamline.model import TopicPartition
from tests.groups.harness import GROUP, Harness

ORDERS = TopicPartition("orders", 3)
OFFSET_KEY = "000100077265616465727300066f726465727300000003"
GROUP_KEY = "0002000772656164657273"

# Key and value as org.apache.kafka:kafka-group-coordinator:4.3.1 serializes them.
KAFKA: list[tuple[Entry, str, str | None]] = [
    (
        OffsetEntry(
            GROUP,
            ORDERS,
            CommittedOffset(offset=42, leader_epoch=5, metadata="host-7", commit_timestamp_ms=1700000000000),
        ),
        OFFSET_KEY,
        "0004000000000000002a0000000507686f73742d370000018bcfe5680000",
    ),
    (
        OffsetEntry(
            GROUP,
            ORDERS,
            CommittedOffset(offset=42, commit_timestamp_ms=1700000000000, topic_id=bytes(range(1, 17))),
        ),
        OFFSET_KEY,
        "0004000000000000002affffffff010000018bcfe568000100100102030405060708090a0b0c0d0e0f10",
    ),
    (
        OffsetEntry(
            GROUP,
            ORDERS,
            CommittedOffset(
                offset=42, metadata="x", commit_timestamp_ms=1700000000000, expire_timestamp_ms=1700000005000
            ),
        ),
        OFFSET_KEY,
        "0001000000000000002a0001780000018bcfe568000000018bcfe57b88",
    ),
    (OffsetEntry(GROUP, ORDERS, None), OFFSET_KEY, None),
    (GroupEntry(GROUP, None), GROUP_KEY, None),
    (
        GroupEntry(
            GROUP,
            GroupMetadata(
                generation_id=7,
                protocol_type="consumer",
                protocol="range",
                leader_id="m-1",
                state_timestamp_ms=1700000000001,
                members=(
                    MemberMetadata(
                        member_id="m-1",
                        instance_id=None,
                        client_id="client",
                        client_host="/127.0.0.1",
                        rebalance_timeout_ms=300000,
                        session_timeout_ms=45000,
                        subscription=b"\0\1\2",
                        assignment=b"\3\4",
                    ),
                    MemberMetadata(
                        member_id="ship-2",
                        instance_id="ship",
                        client_id="client",
                        client_host="/::1",
                        rebalance_timeout_ms=60000,
                        session_timeout_ms=10000,
                        subscription=b"",
                        assignment=b"\x09",
                    ),
                ),
            ),
        ),
        GROUP_KEY,
        "00030008636f6e73756d657200000007000572616e676500036d2d310000018bcfe568010000000200036d2d31ffff0006636c69"
        "656e74000a2f3132372e302e302e31000493e00000afc8000000030001020000000203040006736869702d320004736869700006"
        "636c69656e7400042f3a3a310000ea6000002710000000000000000109",
    ),
    (
        GroupEntry(
            GROUP,
            GroupMetadata(
                generation_id=8,
                protocol_type="consumer",
                protocol=None,
                leader_id=None,
                state_timestamp_ms=1700000000002,
            ),
        ),
        GROUP_KEY,
        "00030008636f6e73756d657200000008ffffffff0000018bcfe5680200000000",
    ),
]


class KafkaBytesTests(SynchronousTestCase):
    """What Kafka 4.3.1 writes, we write and read."""

    def test_written(self) -> None:
        for entry, key, value in KAFKA:
            self.assertEqual(to_record(entry), (bytes.fromhex(key), None if value is None else bytes.fromhex(value)))

    def test_read(self) -> None:
        for entry, key, value in KAFKA:
            self.assertEqual(to_entry(bytes.fromhex(key), None if value is None else bytes.fromhex(value)), entry)

    def test_read_from_a_slice_of_a_log(self) -> None:
        entry, key, value = KAFKA[5]
        assert value is not None
        parts = memoryview(bytes.fromhex(key + value))
        read = to_entry(parts[: len(key) // 2], parts[len(key) // 2 :])
        self.assertEqual(read, entry)
        assert isinstance(read, GroupEntry) and read.metadata is not None
        self.assertIsInstance(read.metadata.members[0].subscription, bytes, "keeps no slice of the log alive")

    def test_offset_as_old_brokers_kept_it(self) -> None:
        key = bytes.fromhex("0000" + OFFSET_KEY[4:])
        value = bytes.fromhex("0000" + "000000000000002a" + "000178" + "0000018bcfe56800")
        committed = CommittedOffset(offset=42, metadata="x", commit_timestamp_ms=1700000000000)
        self.assertEqual(to_entry(key, value), OffsetEntry(GROUP, ORDERS, committed))

    def test_kinds_that_are_not_ours_are_passed_over(self) -> None:
        # The tombstone of a group of the newer protocol.
        self.assertIsNone(to_entry(bytes.fromhex("0003000772656164657273"), None))

    def test_malformed_records_are_refused(self) -> None:
        key, value = bytes.fromhex(OFFSET_KEY), bytes.fromhex(KAFKA[0][2] or "")
        bad = [(b"", value), (key[:-1], value), (key, b""), (key, value[:9]), (key, b"\0\x09" + value[2:])]
        for bad_key, bad_value in bad:
            with self.assertRaises(ProtocolError):
                to_entry(bad_key, bad_value)


def reread(log: list[Entry]) -> list[Entry]:
    """Return entries after a trip through the bytes of the log."""
    return [entry for entry in (to_entry(*to_record(entry)) for entry in log) if entry is not None]


class ReplayTests(SynchronousTestCase):
    """Bytes replayed in order give back what the machine said."""

    def test_whole_life_of_a_group(self) -> None:
        it = Harness()
        members = it.stable_group(3)
        it.commit({("t", 0): 5, ("t", 1): 6}, member_id=members[0], generation_id=1)
        it.join(instance_id="ship")
        it.leave(members[2])
        for member in members[:2]:
            it.join(member)
        it.sync_all(it.member_ids, 2)
        it.commit({("t", 0): 9}, member_id=members[1], generation_id=2)
        it.commit({("u", 0): 1}, group_id="keeper")
        shard = GroupShard(it.config)
        for entry in reread(it.log):
            shard.replay(entry)
        for group_id in (GROUP, "keeper"):
            self.assertEqual(shard.describe(group_id), it.shard.describe(group_id))
            self.assertEqual(shard.all_offsets(group_id), it.shard.all_offsets(group_id))
        self.assertEqual(len(shard.listed()), 2)
        it.leave(*it.member_ids[:2], Leaving("", "ship"))
        it.store()
        it.log.extend(it.shard.delete_received(GROUP, it.now_ms).entries)
        for entry in reread(it.log):
            shard.replay(entry)
        self.assertEqual([group.group_id for group in shard.listed()], ["keeper"])

    @given(
        offset=st.integers(-1, 2**63 - 1),
        epoch=st.integers(-1, 2**31 - 1),
        metadata=st.text(max_size=40),
        topic_id=st.binary(min_size=16, max_size=16),
        group_id=st.text(max_size=20),
    )
    def test_any_offset(self, offset: int, epoch: int, metadata: str, topic_id: bytes, group_id: str) -> None:
        committed = CommittedOffset(
            offset=offset, leader_epoch=epoch, metadata=metadata, commit_timestamp_ms=7, topic_id=topic_id
        )
        entry = OffsetEntry(group_id, ORDERS, committed)
        self.assertEqual(to_entry(*to_record(entry)), entry)
