"""Requests that begin as one before did: taken faster, and answered the same."""

from __future__ import annotations

from typing import Any

from streamline.api.familiar import AT_MOST, FROM_VERSION, RECORDS_BYTES_MAX, Familiar
from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET, ZERO_UUID
from streamline.net import routes
from streamline.wire.codec import decode, encode
from streamline.wire.compress import GZIP
from streamline.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from streamline.wire.messages.topics import DeleteTopicsRequest
from streamline.wire.varints import unsigned
from tests.api.produce_case import ProduceCase, changed
from tests.broker import batch_of, produce_request

VERSIONS = range(3, 14)


class FamiliarCase(ProduceCase):
    """One client that produces again and again."""

    settings: dict[str, Any] = {"log_message_timestamp_after_max_ms": 1 << 50}

    def setUp(self) -> None:
        """Connect it."""
        super().setUp()
        self.client = self.broker.connect()
        self.routes = self.broker.node.factory.routes
        self.read = 0

    def count_reads(self, version: int) -> None:
        """Count the requests of a version that are read from now on."""
        route = self.routes.find(0, version)
        read = route.read

        def counted(*args: Any) -> Any:
            self.read += 1
            return read(*args)

        route.read = counted
        self.addCleanup(setattr, route, "read", read)

    def batch(self, *values: bytes, **more: Any) -> bytes:
        """Return a batch as clients send it."""
        return batch_of(*values or (b"v",), timestamp=self.now_ms, **more)

    def request(self, batch: bytes, version: int, **more: Any) -> ProduceRequest:
        """Return a request, by id where the version wants that."""
        more = {"acks": 1, "topic_id": self.topic_id if version >= 13 else ZERO_UUID, **more}
        return produce_request("" if version >= 13 else "t", batch, **more)

    def give(self, batch: bytes, version: int = 9, **more: Any) -> Any:
        """Produce over the one connection; return what is said of the batch."""
        response = self.broker.ask(self.request(batch, version, **more), version, self.client)
        return response.responses[0].partition_responses[0]


class TakenTests(FamiliarCase):
    """What is taken without being read."""

    def test_every_version(self) -> None:
        """The answer is that of a request that was read, with all its numbers."""
        for version in VERSIONS:
            self.count_reads(version)
            for acks in (1, -1):
                self.read = 0
                first = self.give(self.batch(), version, acks=acks)
                self.assertEqual(self.read, 1)
                for values in ([b"v"], [b"w" * 500, b"x"], [b"y" * 50]):
                    after = self.give(self.batch(*values), version, acks=acks)
                    self.assertEqual(after.error_code, ErrorCode.NONE)
                    self.assertEqual(after.log_start_offset, first.log_start_offset)
                    self.assertEqual(after.log_append_time_ms, first.log_append_time_ms)
                    end_offset = self.broker.partition("t").log.end_offset
                    self.assertEqual(after.base_offset, end_offset - len(values))
                self.assertEqual(self.read, 1 if version >= FROM_VERSION else 4, version)

    def test_the_whole_answer(self) -> None:
        """Byte for byte what would be written for it."""
        for version in range(FROM_VERSION, 14):
            answers = []
            for _ in range(2):
                self.client.give(self.client.frame(self.request(self.batch(), version), version))
                answers += list(self.client.frames())
            at = 5 if version >= 9 else 4
            first, second = [decode(ProduceResponse, version, answer[at:]) for answer in answers]
            part = first.responses[0].partition_responses[0]
            part.base_offset += 1
            self.assertEqual(encode(first, version), answers[1][at:])
            self.assertEqual(first, second)

    def test_partitions_and_settings_are_kept_apart(self) -> None:
        for index in (0, 1, 0, 1):
            for acks in (1, -1):
                self.give(self.batch(), index=index, acks=acks)
        self.assertEqual([self.broker.partition("t", index).log.end_offset for index in (0, 1)], [4, 4])
        self.assertEqual(len(self.routes.familiar), 4)

    def test_other_connections_learn_from_it(self) -> None:
        self.give(self.batch())
        self.client = self.broker.connect()
        self.give(self.batch())
        self.assertEqual(len(self.routes.familiar), 1)

    def test_served_are_counted(self) -> None:
        for _ in range(3):
            self.give(self.batch())
        self.assertEqual(self.routes.find(0, 9).served, 3)
        self.assertEqual(self.client.connection.finished, 3)

    def test_idempotent_producers(self) -> None:
        """A batch that comes twice is answered as it was the first time."""
        batches = [
            self.batch(producer_id=7, producer_epoch=0, base_sequence=sequence) for sequence in (0, 1, 1, 3, 2)
        ]
        found = [self.give(batch) for batch in batches]
        self.assertEqual([one.base_offset for one in found], [0, 1, 1, NO_OFFSET, 2])
        self.assertEqual(found[3].error_code, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)

    def test_together_in_one_pass(self) -> None:
        frames = [self.client.frame(self.request(self.batch(b"%d" % n), 9), 9) for n in range(10)]
        self.client.give(b"".join(frames))
        offsets = [answer.responses[0].partition_responses[0].base_offset for _, answer in self.client.answers()]
        self.assertEqual(offsets, list(range(10)))


class LeftTests(FamiliarCase):
    """What is left to be read, and answered as if nobody had seen its like."""

    def setUp(self) -> None:
        """Make it familiar."""
        super().setUp()
        self.give(self.batch())
        self.assertEqual(len(self.routes.familiar), 1)

    def delete(self) -> None:
        """Delete the topic."""
        self.broker.ask(DeleteTopicsRequest(topic_names=["t"], timeout_ms=10_000), 5)

    def test_batches_that_are_wrong(self) -> None:
        found = self.give(changed(self.batch(), 17, "I", 0, recount=False))
        self.assertEqual((found.error_code, found.base_offset), (ErrorCode.CORRUPT_MESSAGE, NO_OFFSET))
        self.assertIn("checksum", found.error_message)

    def test_batches_that_are_not_plain(self) -> None:
        self.assertEqual(self.give(self.batch(b"v", b"w", compression=GZIP)).base_offset, 1)
        self.assertEqual(self.give(batch_of(b"w", timestamp=-1)).base_offset, 3)

    def test_no_batch(self) -> None:
        self.assertEqual(self.give(b"").error_code, ErrorCode.INVALID_RECORD)
        self.assertEqual(self.give(None).error_code, ErrorCode.INVALID_RECORD)  # type: ignore[arg-type]

    def test_a_topic_that_is_gone(self) -> None:
        self.give(self.batch(), 13)
        self.delete()
        self.assertEqual(self.give(self.batch()).error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.give(self.batch(), 13).error_code, ErrorCode.UNKNOWN_TOPIC_ID)

    def test_a_topic_that_was_made_again(self) -> None:
        """By name it is the new one; by the old id there is none."""
        self.give(self.batch(), 13)
        self.delete()
        self.broker.create("t")
        self.assertEqual(self.give(self.batch(), 13).error_code, ErrorCode.UNKNOWN_TOPIC_ID)
        self.assertEqual(self.give(self.batch()).base_offset, 0)

    def test_no_answer_wanted(self) -> None:
        for _ in range(2):
            self.client.send(self.request(self.batch(), 9, acks=0), 9)
        self.assertEqual(self.client.answers(), [])
        self.assertEqual(self.broker.partition("t").log.end_offset, 3)

    def test_a_length_that_is_not_that_of_the_batch(self) -> None:
        """Shorter, with something behind; or longer than the request."""
        for version in (7, 9):
            self.give(self.batch(), version)
            frame = self.client.frame(self.request(self.batch(), version), version)
            (at,) = {familiar.at for route, familiar in self.routes.familiar.values() if route.version == version}
            for change in (-1, 1):
                wrong = bytearray(frame)
                wrong[4 + at + (3 if version == 7 else 0)] += change
                client = self.broker.connect()
                client._asked, client.connection._alike._up_to = self.client._asked, at
                client.give(bytes(wrong))
                before = self.broker.partition("t").log.end_offset
                for _, answer in client.answers():
                    self.assertNotEqual(answer.responses[0].partition_responses[0].error_code, ErrorCode.NONE)
                self.assertEqual(self.broker.partition("t").log.end_offset, before)

    def test_where_the_batch_lies(self) -> None:
        """Its length is written before it, and takes as much as it takes; of some sizes there is no request."""
        at, behind = 40, 3
        kind = Familiar(at, 9, None, self.request(self.batch(), 9))
        for size in (*range(2, 400), *range(16_300, 16_500), *range(2_097_000, 2_097_400)):
            prefix, begin, end = kind._place(at + size + behind)
            self.assertEqual(end, at + size)
            if size in (128, 16_385, 2_097_154):
                self.assertEqual((prefix, begin), (b"", end))
            else:
                self.assertEqual((prefix, begin), (unsigned(end - begin + 1), at + len(prefix)), str(size))

    def test_what_follows_the_batch(self) -> None:
        """Tagged fields that nobody knows are passed over; what are none end the connection, as ever."""
        frame = self.client.frame(self.request(self.batch(), 9), 9)
        for tags, is_taken in ((b"\0\0\1\7\2ab", True), (b"\0\0\1\7\2a", False), (b"\0\0", False)):
            client = self.broker.connect()
            client.connection._alike._up_to = self.client.connection._alike._up_to
            before = self.broker.partition("t").log.end_offset
            body = frame[4:-3] + tags
            client.wire.clear()
            client.give(len(body).to_bytes(4, "big") + body)
            self.assertEqual(client.is_closed, not is_taken)
            self.assertEqual(self.broker.partition("t").log.end_offset, before + is_taken)

    def test_a_node_that_stops(self) -> None:
        self.broker.node.factory.is_serving = False
        self.client.send(self.request(self.batch(), 9), 9)
        self.assertTrue(self.client.is_closed)
        self.assertEqual(self.broker.partition("t").log.end_offset, 1)

    def test_several_partitions(self) -> None:
        parts = [PartitionProduceData(index=index, records=self.batch()) for index in (0, 1)]
        request = ProduceRequest(
            acks=1, timeout_ms=1, topic_data=[TopicProduceData(name="t", partition_data=parts)]
        )
        for _ in range(2):
            self.broker.ask(request, 9, self.client)
        self.assertEqual(len(self.routes.familiar), 1)
        self.assertEqual(self.broker.partition("t", 1).log.end_offset, 2)

    def test_what_is_not_kept_in_mind(self) -> None:
        """Long beginnings, and large batches."""
        self.give(self.batch(bytes(RECORDS_BYTES_MAX)), index=1)
        self.client.give(self.client.frame(self.request(self.batch(), 9, index=1), 9, "c" * AT_MOST))
        self.assertEqual(len(self.routes.familiar), 1)

    def test_only_so_many_are_kept(self) -> None:
        self.patch(routes, "FAMILIAR_MAX", 5)
        for timeout_ms in range(12):
            self.give(self.batch(), timeout_ms=timeout_ms + 1)
            self.assertLessEqual(len(self.routes.familiar), 5)
