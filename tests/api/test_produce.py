"""Produce: what is taken, what is refused with which error, and what is said of each partition."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from streamline.api.produce import PARTITIONS_PER_TURN
from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET, NO_TIMESTAMP, OFFSETS_TOPIC
from streamline.wire.compress import ZSTD
from streamline.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from tests.api.produce_case import ProduceCase, changed
from tests.broker import Broker, Client, batch_of, produce_request

VERSIONS = range(3, 14)
HOUR_MS = 3_600_000


class VersionTests(ProduceCase):
    """Every version, with what it can say."""

    def test_every_version(self) -> None:
        for offset, version in enumerate(VERSIONS):
            found = self.produce(batch_of(b"v"), version)
            self.assertEqual((found.error_code, found.base_offset), (ErrorCode.NONE, offset), version)
            self.assertEqual(found.log_append_time_ms, NO_TIMESTAMP)
            self.assertEqual(found.log_start_offset, 0 if version >= 5 else NO_OFFSET)

    def test_messages(self) -> None:
        """KIP-467: from version 8 people are told why."""
        for version in VERSIONS:
            found = self.produce(changed(batch_of(b"v"), 17, "I", 0, recount=False), version)
            self.assertEqual(found.error_code, ErrorCode.CORRUPT_MESSAGE)
            self.assertEqual(found.error_message is not None, version >= 8, version)

    def test_topic_ids(self) -> None:
        """KIP-516: from version 13 a topic goes by its id alone."""
        response = self.broker.ask(produce_request("", batch_of(b"v"), topic_id=self.topic_id), 13)
        self.assertEqual(response.responses[0].topic_id, self.topic_id)
        self.assertEqual(response.responses[0].partition_responses[0].error_code, ErrorCode.NONE)
        response = self.broker.ask(produce_request("", batch_of(b"v"), topic_id=bytes(15) + b"\1"), 13)
        self.assertEqual(response.responses[0].partition_responses[0].error_code, ErrorCode.UNKNOWN_TOPIC_ID)

    def test_zstd_needs_version_7(self) -> None:
        self.refuses(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, batch_of(b"v", compression=ZSTD), 6)
        self.assertEqual(self.produce(batch_of(b"v", compression=ZSTD), 7).error_code, ErrorCode.NONE)


class PartitionTests(ProduceCase):
    """Each partition succeeds or fails by itself."""

    def test_side_by_side(self) -> None:
        batch = batch_of(b"v")
        request = ProduceRequest(
            acks=-1,
            timeout_ms=1000,
            topic_data=[
                TopicProduceData(
                    name="t",
                    partition_data=[
                        PartitionProduceData(index=0, records=batch),
                        PartitionProduceData(index=1, records=batch[:-1]),
                        PartitionProduceData(index=2, records=batch),
                        PartitionProduceData(index=-1, records=batch),
                    ],
                ),
                TopicProduceData(name="missing", partition_data=[PartitionProduceData(index=0, records=batch)]),
            ],
        )
        response = self.broker.ask(request, 9)
        found = {
            (topic.name, part.index): (part.error_code, part.base_offset)
            for topic in response.responses
            for part in topic.partition_responses
        }
        unknown = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, NO_OFFSET)
        self.assertEqual(
            found,
            {
                ("t", 0): (ErrorCode.NONE, 0),
                ("t", 1): (ErrorCode.CORRUPT_MESSAGE, NO_OFFSET),
                ("t", 2): unknown,
                ("t", -1): unknown,
                ("missing", 0): unknown,
            },
        )

    def test_very_many(self) -> None:
        """They take several turns, in which others are served; and they enter the log in their order."""
        parts = [PartitionProduceData(index=number % 3, records=batch_of(b"%d" % number)) for number in range(1000)]
        topic = TopicProduceData(name="t", partition_data=parts)
        client, other = self.broker.connect(), self.broker.connect()
        many = client.frame(ProduceRequest(acks=1, timeout_ms=1000, topic_data=[topic]), 9)
        client.give(many + client.frame(produce_request("t", batch_of(b"behind"), acks=1), 9))
        self.assertEqual(client.answers(), [])
        self.assertEqual(self.broker.ask(produce_request("missing", batch_of(b"v")), 9, other).throttle_time_ms, 0)
        self.broker.wait()
        (_, first), (_, second) = client.answers()
        self.assertEqual(len(first.responses[0].partition_responses), 1000)
        self.assertEqual(second.responses[0].partition_responses[0].base_offset, 334)

    def test_written_in_the_turn_in_which_it_was_collected(self) -> None:
        """Very many partitions are not all written in one turn, once the last of them has been collected."""
        self.broker.create("wide", 2 * PARTITIONS_PER_TURN + 1)
        logs = [copy.log for copy in self.broker.node.broker.replicas if copy.log.identity.topic == "wide"]
        parts = [PartitionProduceData(index=index, records=batch_of(b"v")) for index in range(len(logs))]
        topic = TopicProduceData(name="wide", partition_data=parts)
        client = self.broker.connect()
        client.give(client.frame(ProduceRequest(acks=1, timeout_ms=1000, topic_data=[topic]), 9))
        written = [0]

        def is_done() -> bool:
            written.append(sum(log.flushed_offset for log in logs))
            return written[-1] == len(logs)

        self.broker.until(is_done)
        steps = [after - before for before, after in pairwise(written) if after > before]
        self.assertEqual(steps, [PARTITIONS_PER_TURN, PARTITIONS_PER_TURN, 1])

    def test_nothing_at_all(self) -> None:
        response = self.broker.ask(ProduceRequest(acks=1, timeout_ms=1000, topic_data=[]), 9)
        self.assertEqual(list(response.responses), [])

    def test_internal_topics(self) -> None:
        """Nobody but the coordinator writes what groups have committed."""
        found = self.broker.produce(OFFSETS_TOPIC, batch_of(b"v"))
        self.assertEqual(found.error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self.broker.create(OFFSETS_TOPIC)
        found = self.broker.produce(OFFSETS_TOPIC, batch_of(b"v"))
        self.assertEqual(found.error_code, ErrorCode.INVALID_TOPIC_EXCEPTION)
        receipt = self.broker.node.broker.replicas.append_now(OFFSETS_TOPIC, 0, batch_of(b"v"), -1)
        self.assertIsNone(receipt.refusal)


class AcksTests(ProduceCase):
    """0, 1 and all."""

    def test_unknown(self) -> None:
        for acks in (2, -2, 100):
            self.refuses(ErrorCode.INVALID_REQUIRED_ACKS, batch_of(b"v"), acks=acks)

    def test_nothing_is_said_with_0(self) -> None:
        client = self.broker.connect()
        client.send(produce_request("t", batch_of(b"v"), acks=0), 9)
        after = client.send(produce_request("t", batch_of(b"w"), acks=1), 9)
        ((number, answer),) = client.answers()
        self.assertEqual((number, answer.responses[0].partition_responses[0].base_offset), (after, 1))

    def test_refused_with_0_closes(self) -> None:
        """What was asked before is answered; the closed connection says that something was wrong."""
        client = self.broker.connect()
        frames = [
            client.frame(produce_request("t", batch_of(b"v"), acks=1), 9),
            client.frame(produce_request("missing", batch_of(b"v"), acks=0), 9),
        ]
        client.give(b"".join(frames))
        self.assertEqual([number for number, _ in client.answers()], [1])
        self.assertTrue(client.is_closed)

    def test_too_few_replicas(self) -> None:
        """KR24: with acks=all nothing is written; with fewer acks it does not matter."""
        self.broker.create("pair")
        leadership: Any = self.broker.partition("pair")._leadership
        leadership.min_isr = 2
        found = self.broker.produce("pair", batch_of(b"v"))
        self.assertEqual(found.error_code, ErrorCode.NOT_ENOUGH_REPLICAS)
        self.assertEqual(self.broker.partition("pair").log.end_offset, 0)
        self.assertEqual(self.broker.produce("pair", batch_of(b"v"), acks=1).error_code, ErrorCode.NONE)


class MemoryTests(ProduceCase):
    """A small batch keeps nothing of the large frame that it came in."""

    def test_copied_out_of_its_frame(self) -> None:
        small, rubbish = batch_of(b"v"), bytes(1 << 20)
        parts = [PartitionProduceData(index=0, records=small), PartitionProduceData(index=9, records=rubbish)]
        request = ProduceRequest(
            acks=1, timeout_ms=1000, topic_data=[TopicProduceData(name="t", partition_data=parts)]
        )
        taken: list[Any] = []
        log: Any = self.broker.partition("t").log
        append = log.append

        def seen(header: Any, parts: Any) -> None:
            taken.append(parts)
            append(header, parts)

        log.append = seen
        self.broker.ask(request, 9)
        ((_, kept),) = taken
        self.assertEqual(len(kept.obj), len(small))


class DeletedTests(ProduceCase):
    """KR30: a topic that is deleted while a produce waits answers it."""

    def test_waiting_for_a_sync(self) -> None:
        broker = Broker(storage="segments").start()
        broker.create("u", flush_messages="1")
        client: Client = broker.connect()
        broker.machine.platter.faults.stuck_until = broker.simulation.now + 30
        client.send(produce_request("u", batch_of(b"v")), 9)
        broker.machine.platter.faults.stuck_until = 0
        broker.node.broker.controller.delete_topic(lambda image: image.topics["u"])
        broker.wait(1)
        ((_, answer),) = client.answers()
        code = answer.responses[0].partition_responses[0].error_code
        self.assertEqual(code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
