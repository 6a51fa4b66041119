"""Fetch: whole batches, waiting, limits, and what is said of each partition."""

from __future__ import annotations

import gc
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET
from streamline.net.accounts import LEAST_ROOM_BYTES
from streamline.wire.batch import headers
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from tests.broker import Broker, Client, batch_of, fetch_request, joined, produce_request

VERSIONS = range(4, 19)
TOPIC_IDS_FROM = 13


class FetchCase(SynchronousTestCase):
    """A node with a topic of three partitions; the first holds three batches of two records."""

    storage = "memory"

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(storage=self.storage).start()
        self.topic_id = self.broker.create("t", 3)
        self.batches = [batch_of(b"value %d" % number, bytes(100)) for number in range(3)]
        for batch in self.batches:
            self.broker.produce("t", batch)
        self.size = len(self.batches[0])

    def offsets(self, data: PartitionData) -> list[int]:
        """Return the base offsets of the batches that came."""
        return [header.base_offset for _, header in headers(joined(data))]

    def waiting(self, **more: Any) -> Client:
        """Let a client wait at the end of the first partition."""
        client = self.broker.connect()
        self.broker.fetch_later("t", 6, client=client, **{"max_wait_ms": 10_000, **more})
        return client

    def append(self, *, index: int = 0, count: int = 1) -> None:
        """Append batches of 100 bytes and more."""
        client = self.broker.connect()
        for _ in range(count):
            client.send(produce_request("t", batch_of(bytes(100)), index=index, acks=1), 9)

    def came(self, client: Client) -> PartitionData:
        """Return what the client got."""
        ((_, answer),) = client.answers()
        data: PartitionData = answer.responses[0].partitions[0]
        return data


class ReadingTests(FetchCase):
    """Batches come back as they were stored."""

    def test_every_version(self) -> None:
        for version in VERSIONS:
            named: dict[str, Any] = {"topic_id": self.topic_id} if version >= TOPIC_IDS_FROM else {}
            data = self.broker.fetch("" if named else "t", version=version, **named)
            self.assertEqual(joined(data)[16 : self.size], self.batches[0][16:], version)
            self.assertEqual(self.offsets(data), [0, 2, 4])
            self.assertEqual((data.high_watermark, data.last_stable_offset), (6, 6))
            self.assertEqual(data.log_start_offset, 0 if version >= 5 else NO_OFFSET)
            self.assertEqual(data.preferred_read_replica, NO_OFFSET)

    def test_within_a_batch(self) -> None:
        """The whole batch comes; the client skips what it did not ask for."""
        self.assertEqual(self.offsets(self.broker.fetch("t", 3)), [2, 4])

    def test_at_the_end(self) -> None:
        data = self.broker.fetch("t", 6)
        self.assertEqual((data.error_code, joined(data)), (ErrorCode.NONE, b""))

    def test_out_of_range(self) -> None:
        for offset in (7, -1, 2**63 - 1, -(2**63)):
            data = self.broker.fetch("t", offset)
            self.assertEqual(data.error_code, ErrorCode.OFFSET_OUT_OF_RANGE)
            self.assertEqual((data.high_watermark, data.log_start_offset), (NO_OFFSET, NO_OFFSET))

    def test_before_the_start(self) -> None:
        self.broker.partition("t").log.advance_start(2)
        self.assertEqual(self.broker.fetch("t", 1).error_code, ErrorCode.OFFSET_OUT_OF_RANGE)
        self.assertEqual(self.broker.fetch("t", 2).log_start_offset, 2)

    def test_read_committed(self) -> None:
        """Without transactions all that is committed is stable; the list of aborted ones is there and empty."""
        request = fetch_request("t")
        self.assertIsNone(self.broker.ask(request, 12).responses[0].partitions[0].aborted_transactions)
        request.isolation_level = 1
        self.assertEqual(list(self.broker.ask(request, 12).responses[0].partitions[0].aborted_transactions), [])

    def test_unknown(self) -> None:
        self.assertEqual(self.broker.fetch("missing").error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.broker.fetch("t", index=3).error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        found = self.broker.fetch("", version=13, topic_id=bytes(15) + b"\1")
        self.assertEqual(found.error_code, ErrorCode.UNKNOWN_TOPIC_ID)

    def test_log_of_another_topic(self) -> None:
        """KR30: the id that counts is that of the log, should the name lead to another one."""
        log: Any = self.broker.partition("t").log
        log.identity = evolve(log.identity, topic_id=bytes(15) + b"\1")
        found = self.broker.fetch("", version=13, topic_id=self.topic_id)
        self.assertEqual((found.error_code, joined(found)), (ErrorCode.INCONSISTENT_TOPIC_ID, b""))

    def test_passing_for_a_replica(self) -> None:
        """CVE-2018-1288: it could move the high watermark."""
        for version, more in ((4, {"replica_id": 1}), (11, {"replica_id": 0})):
            client = self.broker.connect()
            client.send(fetch_request("t", **more), version)  # type: ignore[arg-type]
            self.assertTrue(client.is_closed)
        for replica_id in (-1, -2):
            data = self.broker.ask(fetch_request("t", replica_id=replica_id), 11).responses[0].partitions[0]
            self.assertEqual(data.error_code, ErrorCode.NONE)


class EpochTests(FetchCase):
    """Clients say which epoch they believe in (KIP-320), and of which epoch their last record was (KIP-595)."""

    def test_current_epoch(self) -> None:
        """KR5."""
        self.assertEqual(self.broker.fetch("t", epoch=0).error_code, ErrorCode.NONE)
        self.assertEqual(self.broker.fetch("t", epoch=1).error_code, ErrorCode.UNKNOWN_LEADER_EPOCH)
        partition = self.broker.partition("t")
        partition.state = type(partition.state)(index=0, replicas=(1,), isr=(1,), leader=1, leader_epoch=3)
        self.assertEqual(self.broker.fetch("t", epoch=2).error_code, ErrorCode.FENCED_LEADER_EPOCH)

    def test_who_leads_is_said_with_a_fence(self) -> None:
        """KIP-951, from version 16 on."""
        partition = self.broker.partition("t")
        partition.state = type(partition.state)(index=0, replicas=(1,), isr=(1,), leader=1, leader_epoch=3)
        for version in (15, 16):
            request = fetch_request("", topic_id=self.topic_id, epoch=2)
            response: FetchResponse = self.broker.ask(request, version)
            leader = response.responses[0].partitions[0].current_leader
            self.assertEqual(leader is not None and leader.leader_id == 1, version >= 16)
            self.assertEqual([node.node_id for node in response.node_endpoints], [1] if version >= 16 else [])

    def test_divergence(self) -> None:
        """KR6: a reader whose log is another one is told where the two part, at once and without records."""
        epochs = self.broker.partition("t").epochs
        epochs.assign(4, 2)
        data = self.broker.fetch("t", 5, last_epoch=2, max_wait_ms=60_000, min_bytes=1)
        self.assertEqual((data.error_code, joined(data)), (ErrorCode.NONE, b""))
        assert data.diverging_epoch is not None
        client = self.broker.connect()
        few, many = {"partition_max_bytes": 100}, {"max_wait_ms": 60_000, "min_bytes": 1 << 20}
        self.broker.fetch_later("t", 5, client=client, last_epoch=2, **few, **many)
        self.assertIsNotNone(self.came(client).diverging_epoch, "at once, as more records would change nothing")
        self.assertEqual((data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (0, 2))
        self.assertIsNone(self.broker.fetch("t", 5, last_epoch=4).diverging_epoch)
        self.assertIsNone(self.broker.fetch("t", 2, last_epoch=0).diverging_epoch)

    def test_divergence_that_cannot_be_said(self) -> None:
        self.assertEqual(self.broker.fetch("t", 5, last_epoch=9).error_code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_before_the_start_there_is_no_divergence(self) -> None:
        """The reader has to begin anew, whatever its epochs are."""
        partition = self.broker.partition("t")
        partition.epochs.assign(4, 5)
        self.assertIsNotNone(self.broker.fetch("t", 3, last_epoch=2).diverging_epoch)
        partition.log.advance_start(4)
        self.assertEqual(self.broker.fetch("t", 3, last_epoch=2).error_code, ErrorCode.OFFSET_OUT_OF_RANGE)


class LimitTests(FetchCase):
    """How much comes."""

    def many(self, max_bytes: int, *partition_max_bytes: int) -> list[int]:
        """Fetch from several partitions; return how many batches each gave."""
        parts = [
            FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=most)
            for index, most in enumerate(partition_max_bytes)
        ]
        request = FetchRequest(
            min_bytes=0, max_bytes=max_bytes, max_wait_ms=0, isolation_level=0,
            topics=[FetchTopic(topic="t", partitions=parts)],
        )  # fmt: skip
        response: FetchResponse = self.broker.ask(request, 12)
        return [len(self.offsets(data)) for data in response.responses[0].partitions]

    def test_partition_limit(self) -> None:
        for batches in (1, 2, 3):
            self.assertEqual(self.many(1 << 20, batches * self.size), [batches])
        self.assertEqual(self.many(1 << 20, 2 * self.size - 1), [1])

    def test_first_batch_comes_however_large(self) -> None:
        """A reader always gets on."""
        for most in (0, 1, -5):
            self.assertEqual(self.many(1 << 20, most), [1])
            self.assertEqual(self.many(most, 1 << 20), [1])

    def test_only_the_first_partition_gets_more_than_it_may(self) -> None:
        for batch in self.batches:
            self.broker.produce("t", batch, index=1)
        self.assertEqual(self.many(1 << 20, 1, 1), [1, 0])
        self.assertEqual(self.many(1 << 20, self.size, self.size), [1, 1])

    def test_request_limit(self) -> None:
        for batch in self.batches:
            self.broker.produce("t", batch, index=1)
        self.assertEqual(self.many(4 * self.size, 1 << 20, 1 << 20), [3, 1])
        self.assertEqual(self.many(3 * self.size, 1 << 20, 1 << 20), [3, 0])

    def test_a_partition_named_twice(self) -> None:
        """As in Kafka, the last one counts."""
        part = [FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20) for offset in (0, 4)]
        request = FetchRequest(
            min_bytes=0, max_bytes=1 << 20, max_wait_ms=0, isolation_level=0,
            topics=[FetchTopic(topic="t", partitions=part)],
        )  # fmt: skip
        (data,) = self.broker.ask(request, 12).responses[0].partitions
        self.assertEqual(self.offsets(data), [4])

    def test_very_many_partitions(self) -> None:
        """They are read in several turns, and answered in several; others are served in between."""
        parts = [
            FetchPartition(partition=index % 4 if index < 4 else index, fetch_offset=0, partition_max_bytes=1 << 20)
            for index in range(5000)
        ]
        request = FetchRequest(
            min_bytes=1, max_bytes=1 << 20, max_wait_ms=1000, isolation_level=0,
            topics=[FetchTopic(topic="t", partitions=parts)],
        )  # fmt: skip
        client = self.broker.connect()
        client.send(request, 12)
        self.assertEqual(client.answers(), [])
        self.assertEqual(self.broker.fetch("t").error_code, ErrorCode.NONE)
        self.broker.wait()
        ((_, answer),) = client.answers()
        codes = [data.error_code for data in answer.responses[0].partitions]
        self.assertEqual(codes, [ErrorCode.NONE] * 3 + [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 4997)


class WaitingTests(FetchCase):
    """A fetch waits for as much as it asked for, and no longer than it said."""

    def test_answered_in_the_turn_of_the_append(self) -> None:
        client = self.waiting()
        self.assertEqual(client.answers(), [])
        self.append()
        self.assertEqual(self.offsets(self.came(client)), [6])

    def test_time_is_up(self) -> None:
        client = self.waiting(max_wait_ms=500)
        self.broker.wait(0.49)
        self.assertEqual(client.answers(), [])
        self.broker.wait(0.03)
        data = self.came(client)
        self.assertEqual((data.error_code, data.high_watermark, joined(data)), (ErrorCode.NONE, 6, b""))

    def test_adds_up(self) -> None:
        """Two batches are too few, three are enough."""
        client = self.waiting(min_bytes=400)
        self.append(count=2)
        self.assertEqual(client.answers(), [])
        self.append()
        self.assertEqual(self.offsets(self.came(client)), [6, 7, 8])

    def test_less_than_asked_for_when_time_is_up(self) -> None:
        client = self.waiting(min_bytes=400, max_wait_ms=500)
        self.append()
        self.broker.wait(0.6)
        self.assertEqual(self.offsets(self.came(client)), [6])

    def test_more_than_it_may_have_is_not_waited_for(self) -> None:
        """SE15: min.bytes is never more than max.bytes, as in Kafka."""
        client = self.waiting(min_bytes=2**31 - 1, max_bytes=200, max_wait_ms=2**31 - 1)
        self.append()
        self.assertEqual(client.answers(), [])
        self.append()
        self.assertEqual(self.offsets(self.came(client)), [6])

    def test_more_than_a_partition_may_give_is_not_waited_for(self) -> None:
        """What a limit keeps out counts up to that limit: more of it would change nothing."""
        client = self.waiting(min_bytes=200, partition_max_bytes=200)
        self.append(count=2)
        self.assertEqual(self.offsets(self.came(client)), [6])

    def test_no_wait_for_errors(self) -> None:
        client = self.broker.connect()
        self.broker.fetch_later("t", 99, client=client, max_wait_ms=10_000)
        self.assertEqual(self.came(client).error_code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_no_wait_for_nothing(self) -> None:
        client = self.broker.connect()
        request = FetchRequest(min_bytes=1, max_bytes=100, max_wait_ms=10_000, isolation_level=0, topics=[])
        client.send(request, 12)
        self.assertEqual(len(client.answers()), 1)

    def test_other_partitions_say_nothing(self) -> None:
        client = self.waiting()
        self.append(index=1)
        self.assertEqual(client.answers(), [])

    def test_whoever_was_answered_waits_no_more(self) -> None:
        client = self.waiting()
        partition = self.broker.partition("t")
        self.assertEqual(len(partition._readers), 1)
        self.append()
        self.came(client)
        self.assertEqual(len(partition._readers), 0)

    def test_records_that_come_during_a_long_look(self) -> None:
        """See Note [Long looks]: they are not missed, though their partition had been looked at already."""
        self.broker.create("wide", 1500)
        parts = [FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=1 << 20) for index in range(1500)]
        request = FetchRequest(
            min_bytes=1, max_bytes=1 << 20, max_wait_ms=60_000, isolation_level=0,
            topics=[FetchTopic(topic="wide", partitions=parts)],
        )  # fmt: skip
        client = self.broker.connect()
        client.send(request, 12)
        self.broker.connect().send(produce_request("wide", batch_of(b"v"), acks=1), 9)
        self.broker.wait(1)
        ((_, answer),) = client.answers()
        self.assertEqual(self.offsets(answer.responses[0].partitions[0]), [0])

    def test_many_wait(self) -> None:
        clients = [self.waiting() for _ in range(20)]
        self.append()
        for client in clients:
            self.assertEqual(self.offsets(self.came(client)), [6])

    def test_client_that_went_away(self) -> None:
        client = self.waiting()
        client.hang_up()
        self.broker.wait()
        self.append()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_later_requests_are_answered_after_it(self) -> None:
        client = self.waiting(max_wait_ms=500)
        client.send(produce_request("t", batch_of(b"v"), index=1, acks=1), 9)
        self.assertEqual(client.answers(), [])
        self.broker.wait(0.6)
        self.assertEqual([number for number, _ in client.answers()], [1, 2])

    def test_produce_behind_it_on_the_same_connection(self) -> None:
        """The append releases the fetch before it, so that both leave in their order."""
        client = self.waiting()
        client.send(produce_request("t", batch_of(b"v"), acks=1), 9)
        self.assertEqual([number for number, _ in client.answers()], [1, 2])

    def test_topic_deleted(self) -> None:
        """KR30: it is told so, not kept until its time is up."""
        client = self.waiting()
        self.broker.node.broker.controller.delete_topic(lambda image: image.topics["t"])
        self.broker.wait()
        self.assertEqual(self.came(client).error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def test_topic_deleted_and_made_again(self) -> None:
        """A fetch by id never sees the records of another topic of the same name."""
        client = self.broker.connect()
        client.send(fetch_request("", 6, topic_id=self.topic_id, min_bytes=1, max_wait_ms=60_000), 13)
        self.broker.node.broker.controller.delete_topic(lambda image: image.topics["t"])
        self.broker.wait()
        self.assertEqual(self.came(client).error_code, ErrorCode.UNKNOWN_TOPIC_ID)
        self.broker.create("t", 1)
        found = self.broker.fetch("", 0, version=13, topic_id=self.topic_id)
        self.assertEqual(found.error_code, ErrorCode.UNKNOWN_TOPIC_ID)
        self.assertEqual(self.broker.fetch("t").high_watermark, 0)


class ColdTests(FetchCase):
    """What has to come from the device is waited for, without holding up anybody."""

    storage = "segments"

    def setUp(self) -> None:
        """Let nothing be in the page cache, and have the tail forgotten."""
        super().setUp()
        self.broker.stop()
        self.broker.start()
        self.broker.machine.platter.faults.uncached_chance = 1.0
        self.broker.machine.platter.faults.thread_mean_s = 0.05

    def test_comes(self) -> None:
        self.assertEqual(self.offsets(self.broker.fetch("t", 2)), [2, 4])

    def test_others_are_served_meanwhile(self) -> None:
        client = self.broker.connect()
        client.send(fetch_request("t"), 12)
        self.assertEqual(client.answers(), [])
        self.assertEqual(self.broker.fetch("t", index=1).error_code, ErrorCode.NONE)
        self.broker.wait(2)
        self.assertEqual(self.offsets(self.came(client)), [0, 2, 4])

    def test_what_is_being_read_is_promised(self) -> None:
        """Or a thousand who wait for the device together would be given the room of one."""
        accounts = self.broker.node.factory.accounts
        clients = [self.broker.connect() for _ in range(3)]
        for number, client in enumerate(clients, 1):
            client.send(fetch_request("t", partition_max_bytes=5000), 12)
            self.assertEqual(accounts.promised_bytes, number * 5000)
        accounts.promised_bytes += accounts.room_bytes - 1000
        late = self.broker.connect()
        before = accounts.promised_bytes
        late.send(fetch_request("t", partition_max_bytes=2 << 20, max_bytes=2 << 20), 12)
        self.assertEqual(accounts.promised_bytes - before, LEAST_ROOM_BYTES)
        accounts.promised_bytes -= before - 3 * 5000
        clients[0].hang_up()
        self.broker.wait(2)
        self.assertEqual(accounts.promised_bytes, 0)

    def test_client_that_went_away(self) -> None:
        client = self.broker.connect()
        client.send(fetch_request("t"), 12)
        client.hang_up()
        self.broker.wait(2)
        gc.collect()  # a failure that nobody took is logged when its Deferred goes
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_device_that_cannot_be_read(self) -> None:
        """DK13: an error for this partition; old clients get one that they know."""
        self.broker.machine.platter.faults.read_error_chance = 1.0
        self.assertEqual(self.broker.fetch("t").error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.broker.fetch("t", version=5).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.broker.machine.platter.faults.read_error_chance = 0.0
        self.assertEqual(self.broker.fetch("t", index=1).error_code, ErrorCode.NONE)
