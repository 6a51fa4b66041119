"""The clients of the simulated world: what they send, what they conclude, and what they raise the alarm about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import TopicPartition
from streamline.testing.history import FAIL, INFO, OK, History
from streamline.testing.simulation.clients.connection import REQUEST_TIMEOUT_S, BadAnswer, Gone, Line
from streamline.testing.simulation.clients.consumer import Appetite, Consumer, read_values
from streamline.testing.simulation.clients.producer import Habits, Producer
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.batch import headers
from streamline.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from streamline.wire.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from streamline.wire.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from streamline.wire.messages.metadata import MetadataRequest
from streamline.wire.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from streamline.wire.messages.producer_ids import InitProducerIdRequest, InitProducerIdResponse
from streamline.wire.records import Record, build_batch
from tests.testing.scripted import ScriptedBroker

KEY = TopicPartition("topic", 0)


class LineTests(SynchronousTestCase):
    """One connection, and the way to the next."""

    def setUp(self) -> None:
        """Make a broker."""
        self.broker = ScriptedBroker({})
        self.history = History()
        self.line = Line(self.broker.client_host, self.broker.address, "me", self.history)

    def ask(self) -> Deferred[Any]:
        """Ask for versions."""
        return Deferred.fromCoroutine(self.line.ask(ApiVersionsRequest(), 3))

    def test_answers_are_counted(self) -> None:
        """A question gets its answer, and both are counted."""
        asked = self.ask()
        self.broker.later(1)
        self.assertEqual(self.successResultOf(asked).error_code, 0)
        self.assertEqual((self.history.asked, self.history.answered), ({"ApiVersions": 1}, {"ApiVersions": 1}))

    def test_no_answer_in_time(self) -> None:
        """A connection that is silent for too long is given up, with every question on it."""
        self.broker.answers[ApiVersionsRequest] = lambda _: None
        asked = [self.ask()]
        self.broker.later(1)
        asked.append(self.ask())
        self.broker.later(REQUEST_TIMEOUT_S - 2)
        self.assertNoResult(asked[0])
        self.broker.later(2)
        for one in asked:
            self.failureResultOf(one, Gone)
        self.assertEqual((self.broker.open, self.history.answered), ([], {}))

    def test_wrong_answer(self) -> None:
        """An answer to another question is an error that the log shows."""
        self.broker.answers[ApiVersionsRequest] = lambda _: b"\0\0\0\4\0\0\0\x63"
        asked = self.ask()
        self.broker.later(1)
        self.assertEqual(len(self.flushLoggedErrors(AssertionError)), 1)
        self.failureResultOf(asked, Gone)

    def test_stopped(self) -> None:
        """After its end a line makes no connection."""
        self.line.stop()
        self.failureResultOf(self.ask(), Gone)

    def test_versions(self) -> None:
        """A client speaks a version that both sides know, and learns nothing from a refusal."""
        broker = ScriptedBroker({ProduceRequest: 9})
        versions = Versions(broker.client_host.rng)
        line = Line(broker.client_host, broker.address, "me", self.history)
        learned = Deferred.fromCoroutine(versions.learn(line))
        broker.later(1)
        self.successResultOf(learned)
        self.assertEqual((versions.known, versions.of(ProduceRequest)), (True, 9))
        broker.answers[ApiVersionsRequest] = lambda _: ApiVersionsResponse(error_code=35, api_keys=[])
        refused = Versions(broker.client_host.rng)
        learned = Deferred.fromCoroutine(refused.learn(line))
        broker.later(1)
        self.failureResultOf(learned, Gone)
        self.assertFalse(refused.known)


class ProducerTests(SynchronousTestCase):
    """A producer of one partition."""

    def setUp(self) -> None:
        """Make a broker that accepts all."""
        self.broker = ScriptedBroker({ProduceRequest: 9, InitProducerIdRequest: 4, MetadataRequest: 12})
        self.history = History()
        self.errors: list[int] = []
        self.end = 0
        self.ids = 0
        self.broker.answers[InitProducerIdRequest] = self.new_id
        self.broker.answers[ProduceRequest] = self.take

    def new_id(self, _: object) -> InitProducerIdResponse:
        """Give the next producer id."""
        self.ids += 1
        return InitProducerIdResponse(producer_id=self.ids, producer_epoch=0)

    def take(self, request: ProduceRequest) -> ProduceResponse | None:
        """Answer with the next error there is; accept where there is none."""
        error = self.errors.pop(0) if self.errors else 0
        if error < 0:
            self.broker.open[0].hang_up()
            return None
        batch = next(headers(self.sent(request)))[1]
        offset = -1 if error else self.end
        self.end += 0 if error else batch.record_count
        if request.acks == 0:
            return None
        part = PartitionProduceResponse(index=0, error_code=error, base_offset=offset)
        return ProduceResponse(responses=[TopicProduceResponse(name=KEY.topic, partition_responses=[part])])

    @staticmethod
    def sent(request: ProduceRequest) -> bytes:
        """Return a request's batch."""
        return bytes(cast(bytes, request.topic_data[0].partition_data[0].records or b""))

    def sequences(self) -> list[tuple[int, int]]:
        """Return the producer id and first sequence number of each batch that was sent."""
        batches = [next(headers(self.sent(request)))[1] for request in self.broker.of(ProduceRequest)]
        return [(batch.producer_id, batch.base_sequence) for batch in batches]

    def produce(self, seconds: float = 10.0, **habits: Any) -> Producer:
        """Let a producer work, and come to an end."""
        habits = {"records_max": 1, "padding_bytes": (0, 0), "pace_s": 1.0, **habits}
        producer = Producer(self.broker.client_host, self.broker.address, "p", KEY, self.history, Habits(**habits))
        producer.start()
        self.broker.later(seconds)
        producer.stop_making()
        self.broker.later(30)
        return producer

    def statuses(self) -> set[str]:
        """Return how sends ended."""
        return {send.status for send in self.history.sends}

    def test_all_is_well(self) -> None:
        """Everything is acknowledged where the broker says, numbered from 0 on."""
        producer = self.produce()
        count = len(self.history.sends)
        self.assertGreater(count, 3)
        self.assertEqual((self.statuses(), producer.unanswered), ({OK}, 0))
        self.assertEqual([send.offset for send in self.history.sends], list(range(count)))
        self.assertEqual(self.sequences(), [(1, number) for number in range(count)])
        self.assertFalse(any(send.retried for send in self.history.sends))

    def test_sent_again_with_the_same_number(self) -> None:
        """After a lost connection an idempotent producer repeats itself, and is marked for it."""
        self.errors = [0, -1]
        self.produce()
        self.assertEqual(self.statuses(), {OK})
        self.assertEqual(self.sequences()[1], self.sequences()[2])
        self.assertEqual([send.retried for send in self.history.sends][:2], [False, True])
        self.assertEqual({send.incarnation for send in self.history.sends}, {0})

    def test_no_more_than_five_behind_what_comes_again(self) -> None:
        """Brokers remember five: a batch that is refused again and again while later ones are taken is still known."""
        first: list[int] = []

        def refuse_the_first(request: ProduceRequest) -> ProduceResponse | None:
            sequence = next(headers(self.sent(request)))[1].base_sequence
            first.append(sequence)
            self.errors = [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND] if sequence == 0 and len(first) < 40 else []
            return self.take(request)

        self.broker.answers[ProduceRequest] = refuse_the_first
        self.produce(20.0, pace_s=0.1)
        self.assertEqual((self.statuses(), max(first[:40])), ({OK}, 4))

    def test_duplicate_is_success(self) -> None:
        """DUPLICATE_SEQUENCE_NUMBER says that it is there, but not where."""
        self.errors = [ErrorCode.DUPLICATE_SEQUENCE_NUMBER]
        self.produce()
        self.assertEqual((self.history.sends[0].status, self.history.sends[0].offset), (OK, -1))

    def test_forgotten(self) -> None:
        """Whom the broker has forgotten takes a new id, numbers from 0 again, and is another incarnation."""
        self.errors = [0, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER]
        self.produce()
        self.assertEqual(self.statuses(), {OK})
        self.assertEqual(self.sequences()[:3], [(1, 0), (1, 1), (2, 0)])
        self.assertEqual([send.incarnation for send in self.history.sends][:2], [0, 1])

    def test_refused_for_good(self) -> None:
        """A batch that is too large has certainly failed, and is not sent again."""
        self.errors = [ErrorCode.MESSAGE_TOO_LARGE]
        self.produce()
        first, *others = self.history.sends
        self.assertEqual((first.status, first.error), (FAIL, str(int(ErrorCode.MESSAGE_TOO_LARGE))))
        self.assertEqual({send.status for send in others}, {OK})

    def test_refused_after_doubt(self) -> None:
        """If it may have been written the first time, a refusal later makes it no certain failure."""
        self.errors = [-1, ErrorCode.MESSAGE_TOO_LARGE]
        self.produce()
        self.assertEqual(self.history.sends[0].status, INFO)

    def test_without_idempotence(self) -> None:
        """A producer without a number does not repeat itself: nobody knows what became of what was lost."""
        self.errors = [0, -1]
        self.produce(idempotent=False)
        self.assertEqual([send.status for send in self.history.sends][:3], [OK, INFO, OK])
        self.assertEqual({first for _, first in self.sequences()}, {-1})

    def test_without_answers(self) -> None:
        """With acks=0 nobody knows, and nothing waits."""
        producer = self.produce(idempotent=False, acks=0)
        self.assertEqual((self.statuses(), producer.unanswered), ({INFO}, 0))
        self.assertEqual(len(self.broker.of(ProduceRequest)), len(self.history.sends))

    def test_old_versions_know_no_zstd(self) -> None:
        """A codec that came later than the version is not used with it (KIP-110)."""
        self.broker.answers[ApiVersionsRequest] = ScriptedBroker({ProduceRequest: 3}).answers[ApiVersionsRequest]
        self.produce(idempotent=False, compression=4)
        codecs = {next(headers(self.sent(request)))[1].compression for request in self.broker.of(ProduceRequest)}
        self.assertEqual(codecs, {3})


class ConsumerTests(SynchronousTestCase):
    """A consumer of one partition."""

    def setUp(self) -> None:
        """Make a broker with three records."""
        self.broker = ScriptedBroker({FetchRequest: 12, ListOffsetsRequest: 6, MetadataRequest: 12})
        self.history = History()
        self.values = [b"a", b"b", b"c"]
        self.start = 0
        self.broker.answers[ListOffsetsRequest] = self.list_offsets
        self.broker.answers[FetchRequest] = self.fetch
        self.spoil: Callable[[bytes], bytes] = bytes
        self.error = 0

    def list_offsets(self, request: ListOffsetsRequest) -> ListOffsetsResponse:
        """Say where the log starts or ends."""
        asked = request.topics[0].partitions[0].timestamp
        found = ListOffsetsPartitionResponse(
            partition_index=0, offset=self.start if asked == -2 else len(self.values), timestamp=-1
        )
        return ListOffsetsResponse(topics=[ListOffsetsTopicResponse(name=KEY.topic, partitions=[found])])

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Give one record at a time."""
        at = request.topics[0].partitions[0].fetch_offset
        data, error = b"", 0
        if self.error:
            error, self.error = self.error, 0
        elif at < len(self.values):
            batch = bytearray(build_batch([Record(self.values[at], timestamp=at)]))
            batch[0:8] = at.to_bytes(8, "big")
            data = self.spoil(bytes(batch))
        part = PartitionData(
            partition_index=0, error_code=error, high_watermark=len(self.values), records=data, aborted_transactions=[]
        )
        topic = FetchableTopicResponse(topic=KEY.topic, partitions=[part])
        return FetchResponse(session_id=0, responses=[topic])

    def consume(self) -> Consumer:
        """Let a consumer read for a while."""
        appetite = Appetite(max_wait_ms=100)
        consumer = Consumer(self.broker.client_host, self.broker.address, "c", KEY, self.history, appetite)
        consumer.start()
        self.broker.later(5)
        consumer.stop()
        self.broker.later(1)
        return consumer

    def test_reads_on(self) -> None:
        """It goes on where it stands, and only its first poll is a new position."""
        consumer = self.consume()
        self.assertEqual([poll.records for poll in self.history.polls], [[(0, "a")], [(1, "b")], [(2, "c")]])
        self.assertEqual([poll.is_reset for poll in self.history.polls], [True, False, False])
        self.assertEqual(consumer.position, 3)

    def test_out_of_range(self) -> None:
        """Where its position is gone, it begins at the start again, and says so."""
        self.error, self.start = ErrorCode.OFFSET_OUT_OF_RANGE, 1
        self.consume()
        self.assertEqual([poll.position for poll in self.history.polls if poll.is_reset], [1])

    def test_passing_errors(self) -> None:
        """Any other error is tried again."""
        self.error = ErrorCode.KAFKA_STORAGE_ERROR
        self.assertEqual(self.consume().position, 3)

    def test_damage_raises_the_alarm(self) -> None:
        """A batch that no consumer can use is reported at once."""

        def flipped(batch: bytes) -> bytes:
            return batch[:-1] + bytes([batch[-1] ^ 1])

        self.spoil = flipped
        self.consume()
        self.assertEqual(len(self.flushLoggedErrors(BadAnswer)), 1)
        self.assertEqual(self.history.polls, [])

    def test_read_values(self) -> None:
        """Whole batches are read from the position on; what lies before it, or comes in part, is left."""
        batch = build_batch([Record(value, timestamp=7 + at) for at, value in enumerate(self.values)])
        self.assertEqual(read_values(batch, 1), ([(1, "b"), (2, "c")], [8, 9], 3))
        self.assertEqual(read_values(batch + batch[:40], 0)[2], 3)
        with self.assertRaisesRegex(BadAnswer, "ends before 3"):
            read_values(batch, 3)
