"""A follower's fetch of one partition: answered with the record as it is written, or on the long way like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from streamline.api.lone_fetch import COMMITTED_S, LONE_BYTES, LoneReading
from streamline.api.standing import LOOK_AT_ALL_S
from streamline.errors import ErrorCode
from streamline.model import Part
from streamline.raft import ReplicaKey
from streamline.replication.roles import Role
from streamline.replication.throttle import Throttle
from streamline.wire.codec import decode, encode
from streamline.wire.lone import VERSIONS
from streamline.wire.messages.fetch import FetchResponse, ReplicaState
from streamline.wire.messages.peer_raft import FetchNowRequest
from tests.api.test_standing import FOLLOWER, WAIT_MS, FollowerCase
from tests.broker import batch_of

VERSION = VERSIONS[1]
HEADER = b"a header"
BROKER_EPOCH = 1 << 40
INDEX = 3


class Connection:
    """
    The follower's.

    @ivar came: what it was answered, by number.
    @ivar short: which of that came the short way.
    """

    def __init__(self) -> None:
        self.came: dict[int, FetchResponse] = {}
        self.short: list[int] = []

    def respond(self, parts: Sequence[Part]) -> None:
        """Read it as any node would."""
        frame = b"".join(map(bytes, parts))  # type: ignore[arg-type]
        number = int.from_bytes(frame[:4], "big")
        self.short.append(number)
        self.came[number] = decode(FetchResponse, VERSION, frame[5:])

    def answered(self, number: int, answer: Any) -> None:
        """Take it when it comes."""
        if isinstance(answer, Deferred):
            answer.addCallback(lambda come: self.answered(number, come))
        else:
            self.came[number] = answer


class LoneCase(FollowerCase):
    """
    Node 2 has all five partitions, and waits.

    @ivar asker: its connection.
    """

    def setUp(self) -> None:
        """Have it know everything."""
        super().setUp()
        self.rest()
        self.asker = Connection()

    def take(self, index: int = INDEX, offset: int = 0, **more: Any) -> LoneReading | None:
        """Send the next fetch of the session as bytes; its number is its epoch."""
        self.epoch += 1
        given = {"session_id": self.session_id, "session_epoch": self.epoch, "offset": offset} | more
        frame = HEADER + encode(self.request(index, **given), VERSION)
        return self.fetches.take(FOLLOWER, self.asker, self.epoch, frame, len(HEADER))

    def waits(self, **more: Any) -> LoneReading:
        """Send one that goes the short way, and waits."""
        reading = self.take(**more)
        assert reading is not None and reading.is_waiting
        self.assertNotIn(self.epoch, self.asker.came)
        return reading

    def refused(self, **more: Any) -> None:
        """Send one that has to be read, and see that nothing has happened to the session."""
        self.assertIsNone(self.take(**more))
        self.assertNotIn(self.epoch, self.asker.came)
        self.assertEqual(self.fetches._standings[2][0].epoch, self.epoch)
        self.epoch -= 1

    @property
    def answer(self) -> Any:
        """Return what the latest was answered of the partition."""
        return self.of(self.asker.came[self.epoch])[INDEX]

    def is_short(self) -> bool:
        """Say whether that came the short way."""
        return self.epoch in self.asker.short

    def commit(self) -> None:
        """Have a record copied and committed, of which the follower is not told."""
        self.waits()
        self.write(INDEX)
        self.waits(offset=1)
        self.assertEqual(self.replica(INDEX).high_watermark, 1)


class ShortWayTests(LoneCase):
    """What is usual."""

    def test_the_record(self) -> None:
        """It comes as it is written, with what is known of the log; the next fetch says that it is there."""
        self.waits()
        self.write(INDEX)
        self.assertTrue(self.is_short())
        data = self.answer
        log = self.replica(INDEX).log
        whole: Any = log.read(0, 1 << 20, end_offset=1, at_least_one=True)
        self.assertEqual(bytes(data.records), b"".join(map(bytes, whole.parts)))
        self.assertEqual([data.high_watermark, data.log_start_offset, data.error_code], [0, 0, ErrorCode.NONE])
        self.assertEqual(self.replica(INDEX).high_watermark, 0)
        self.waits(offset=1)
        self.assertEqual(self.replica(INDEX).high_watermark, 1)

    def test_as_any_answer(self) -> None:
        """It says what the long way says."""
        self.waits()
        self.write(INDEX)
        short = self.asker.came[self.epoch]
        ordinary: Any = self.fetches.answer(
            FOLLOWER, self.request(INDEX, session_id=self.session_id, session_epoch=self.epoch + 1)
        )
        data: Any = short.responses[0].partitions[0]
        data.records = bytes(data.records)
        self.assertEqual(encode(short, VERSION), encode(ordinary, VERSION))

    def test_again_and_again(self) -> None:
        """Each brings the high watermark of the one before."""
        for offset in range(5):
            self.waits(offset=offset)
            self.write(INDEX)
            self.assertEqual(self.answer.high_watermark, max(0, offset))
        self.assertEqual(len(self.asker.short), 5)

    def test_what_moved_comes_last(self) -> None:
        """As on the long way, a partition with much to copy does not keep out the others."""
        self.waits()
        self.write(INDEX)
        self.assertEqual([key[2] for key in self.fetches._standings[2][0].partitions][-1], INDEX)

    def test_committed(self) -> None:
        """Another high watermark is told soon, without a record."""
        self.commit()
        self.broker.wait(COMMITTED_S + 0.011)
        self.assertEqual([self.answer.high_watermark, bytes(self.answer.records)], [1, b""])
        self.waits(offset=1)
        self.broker.wait(COMMITTED_S + 0.011)
        self.assertNotIn(self.epoch, self.asker.came, "it has been told")

    def test_committed_by_others(self) -> None:
        """So is one that moves while it waits."""
        self.waits()
        self.write(INDEX)
        self.waits(offset=1)
        self.broker.wait(COMMITTED_S + 0.011)
        self.waits(offset=1)
        partition = self.replica(INDEX)
        partition.start_moved()
        partition.log.advance_start(1)
        self.broker.wait(COMMITTED_S + 0.011)
        self.assertEqual(self.answer.log_start_offset, 1)

    def test_nothing(self) -> None:
        """At the end of its time it is told nothing."""
        self.waits()
        self.broker.wait(WAIT_MS / 1000 + 0.1)
        self.assertEqual(self.of(self.asker.came[self.epoch]), {})

    def test_answer_now(self) -> None:
        """It asks for something else."""
        self.waits()
        self.fetches.answer_now(FOLLOWER, FetchNowRequest())
        self.assertEqual(self.of(self.asker.came[self.epoch]), {})

    def test_nobody_waits_any_more(self) -> None:
        """Its connection has ended."""
        reading = self.waits()
        reading.cancel()
        self.write(INDEX)
        self.broker.wait(WAIT_MS / 1000 + 0.1)
        self.assertEqual(self.asker.came, {})


class LongWayTests(LoneCase):
    """What is not."""

    def test_two_partitions(self) -> None:
        """What another one has goes the long way, and so does what comes while that is about to be told."""
        self.waits()
        self.write(1)
        self.assertEqual([list(self.of(self.asker.came[self.epoch])), self.is_short()], [[1], False])
        self.go_on(1, offset=1)
        self.broker.wait(WAIT_MS / 1000 + 0.1)
        self.rest()
        self.waits()
        self.replica(1).start_moved()
        self.write(INDEX)
        self.assertEqual([list(self.of(self.asker.came[self.epoch])), self.is_short()], [[INDEX], False])

    def test_much(self) -> None:
        """It is not read here."""
        self.waits()
        self.broker.produce("t", batch_of(bytes(LONE_BYTES)), index=INDEX, acks=1)
        self.assertFalse(self.is_short())
        self.assertGreater(len(self.answer.records[0]), LONE_BYTES)

    def test_out_of_sync(self) -> None:
        """Who is not in sync may be throttled."""
        self.waits()
        replica, replicas = self.replica(INDEX), self.broker.node.broker.replicas
        throttle, now_s = Throttle(), self.broker.node.broker.host.clock.seconds()
        throttle.limit(1, now_s)
        throttle.used(1000, now_s)
        self.patch(self.broker.node.broker.throttles, "leading", lambda topic, index: throttle)
        replica.become(Role.LEADER, evolve(replica.state, isr=(1,)), 1, replicas._replicator)
        self.write(INDEX)
        self.assertNotIn(self.epoch, self.asker.came)

    def test_it_leads_no_longer(self) -> None:
        """It says so at once (KR26)."""
        self.waits()
        self.become(INDEX, Role.FOLLOWER)
        self.assertEqual(self.answer.error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_it_leads_anew(self) -> None:
        """Whoever waits is told that the epoch before has ended (KR14, KR26)."""
        self.waits()
        replica, replicas = self.replica(INDEX), self.broker.node.broker.replicas
        state = evolve(replica.state, leader_epoch=2)
        replica.become(Role.LEADER, state, 1, replicas._replicator)
        self.assertFalse(self.is_short())
        self.assertEqual(self.answer.error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_it_leads_anew_and_writes(self) -> None:
        """Whoever is told of more before it is told that, gets nothing by what was said in the epoch before (KR14)."""
        reading = self.waits()
        replica, replicas = self.replica(INDEX), self.broker.node.broker.replicas
        replica.drop_copier(self.standing._watches[self.topic_id, "", INDEX])
        replica.become(Role.LEADER, evolve(replica.state, leader_epoch=2), 1, replicas._replicator)
        self.write(INDEX)
        self.standing.mark((self.topic_id, "", INDEX))
        reading.more(100)
        self.assertEqual(self.answer.error_code, ErrorCode.FENCED_LEADER_EPOCH)

    def test_another_epoch(self) -> None:
        """A follower of another leader is refused, and what it says moves nothing."""
        self.waits()
        self.write(INDEX)
        self.epoch += 1
        request = self.request(INDEX, offset=1, session_id=self.session_id, session_epoch=self.epoch)
        request.topics[0].partitions[0].current_leader_epoch = 0
        frame = HEADER + encode(request, VERSION)
        self.assertIsNotNone(self.fetches.take(FOLLOWER, self.asker, self.epoch, frame, len(HEADER)))
        self.assertEqual(self.answer.error_code, ErrorCode.FENCED_LEADER_EPOCH)
        self.assertEqual(self.replica(INDEX).high_watermark, 0)

    def test_parted(self) -> None:
        """It is told where, and what it says moves nothing."""
        self.waits()
        self.write(INDEX)
        self.epoch += 1
        request = self.request(INDEX, offset=1, session_id=self.session_id, session_epoch=self.epoch)
        request.topics[0].partitions[0].last_fetched_epoch = 0
        frame = HEADER + encode(request, VERSION)
        self.assertIsNotNone(self.fetches.take(FOLLOWER, self.asker, self.epoch, frame, len(HEADER)))
        self.assertIsNotNone(self.answer.diverging_epoch)
        self.assertEqual(self.replica(INDEX).high_watermark, 0)

    def test_told_at_once(self) -> None:
        """It knows of no high watermark."""
        wanted = self.fetches._standings[2][0].partitions[self.key(INDEX)]
        wanted.told_high_watermark = -1
        self.take()
        self.assertEqual(self.answer.high_watermark, 0)

    def test_what_came_meanwhile(self) -> None:
        """Somebody who waited for what this follower has may have written the next."""
        self.waits()
        self.write(INDEX)
        committed: Any = self.replica(INDEX).when_committed(1)
        committed.addCallback(lambda _: self.write(INDEX))
        self.take(offset=1)
        self.assertEqual([self.answer.high_watermark, self.is_short()], [1, False])
        self.assertTrue(self.answer.records)

    def key(self, index: int) -> tuple[bytes, str, int]:
        """Return what a session calls a partition."""
        return self.topic_id, "", index


class RefusalTests(LoneCase):
    """What has to be read; nothing has happened by then."""

    def test_of_another_node(self) -> None:
        """Nobody speaks for another one, nor in another one's session."""
        other = ReplicaKey(3, bytes(16))
        replica, replicas = self.replica(INDEX), self.broker.node.broker.replicas
        replica.become(Role.LEADER, evolve(replica.state, replicas=(1, 2, 3)), 1, replicas._replicator)
        begins = self.request(INDEX)
        begins.replica_state = ReplicaState(replica_id=3, replica_epoch=BROKER_EPOCH)
        begun: Any = self.fetches.answer(other, begins)
        said = self.request(INDEX, session_id=begun.session_id, session_epoch=1)
        frame = HEADER + encode(said, VERSION)
        self.assertIsNone(self.fetches.take(other, self.asker, 1, frame, len(HEADER)))
        self.assertIsNone(self.fetches.take(FOLLOWER, self.asker, 1, frame, len(HEADER)))
        said.replica_state = begins.replica_state
        frame = HEADER + encode(said, VERSION)
        self.assertIsNotNone(self.fetches.take(other, self.asker, 1, frame, len(HEADER)))

    def test_another_session(self) -> None:
        """Or another epoch of it."""
        self.refused(session_id=self.session_id + 1)
        self.refused(session_epoch=self.epoch + 5)

    def test_it_lacks_something(self) -> None:
        """Then there is something to read, and it may be much."""
        self.write(INDEX)
        self.rest_of(INDEX)
        self.refused(offset=0)

    def rest_of(self, index: int) -> None:
        """Have one partition due no more."""
        self.standing.rests((self.topic_id, "", index))

    def test_others_have_news(self) -> None:
        """All of it goes in one answer."""
        self.write(1)
        self.refused()

    def test_what_nobody_wanted(self) -> None:
        """Or is not led here, or is no topic."""
        self.become(1, Role.FOLLOWER)
        self.rest_of(1)
        self.refused(index=1)
        self.refused(index=99)
        known, self.topic_id = self.topic_id, bytes(15) + b"x"
        self.refused()
        self.topic_id = known
        self.waits()

    def test_another_broker_epoch(self) -> None:
        """It says so of everything."""
        self.refused(replica_epoch=BROKER_EPOCH + 1)

    def test_everything_once_in_a_while(self) -> None:
        """Nothing rests for ever."""
        self.broker.wait(LOOK_AT_ALL_S)
        self.refused()

    def test_one_at_a_time(self) -> None:
        """Another one, while the first waits, is read."""
        self.waits()
        self.refused()

    def test_the_session_has_ended(self) -> None:
        """With another one, nothing goes by the one before; what waits in it hears nothing."""
        self.waits()
        first, epoch = self.session_id, self.epoch
        self.fetches.answer(FOLLOWER, self.request(0))
        self.assertIsNone(self.take(session_id=first))
        self.write(INDEX)
        self.assertEqual(self.asker.came, {})
        self.broker.wait(WAIT_MS / 1000 + 0.1)
        self.assertEqual(self.of(self.asker.came[epoch]), {})
