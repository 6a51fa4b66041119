"""Elections of replicas that lack records, by request (reliability 8.4: KC14)."""

from __future__ import annotations

from attrs import evolve

from streamline.errors import ErrorCode
from streamline.model import NO_LEADER, TopicPartition
from streamline.testing.history import INFO, OK, Send
from streamline.testing.simulation.clients.connection import Gone, Line
from streamline.testing.simulation.clients.producer import Habits
from streamline.testing.simulation.clients.topics import find_leader
from streamline.testing.simulation.clients.versions import Versions
from streamline.testing.simulation.cluster.copies import Truth
from streamline.testing.simulation.cluster.places import Place
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, PartitionData
from streamline.wire.messages.leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from streamline.wire.messages.reassignment import ElectLeadersRequest, TopicPartitions
from tests.sim.scripts import SLOWLY_S, RecordCase

TOPIC = "dirty"
KEY = TopicPartition(TOPIC, 0)
CONFIGS = {"min.insync.replicas": "1"}
"""What one replica alone has is committed, so that it can be lost with that one."""
HABITS = Habits(pace_s=0.05, idempotent=False)
FETCH_VERSION, END_VERSION, ELECT_VERSION = 13, 4, 2
UNCLEAN = 1
FETCH_BYTES = 1 << 20
FOREVER_S = 10_000.0
WAITING_S = 15.0


class UncleanTests(RecordCase):
    """
    KC14: a partition's last replica in sync is gone, and an operator has one lead that lacks records.

    It fails, as was tried, where whoever is there is elected unasked (C{if True} for C{aim.election is
    Election.UNCLEAN} in L{streamline.cluster.leadership}), where readers are not told where logs part
    (C{Partition} without C{find_divergence}), and where a follower cuts nothing that it takes to be committed
    (C{FollowedPartition}).
    """

    def test_what_is_lost(self) -> None:
        """Nobody is elected unasked; lost is what the ends of the logs said before, and consumers are told where."""
        self.records(14, {TOPIC: CONFIGS}, nodes=5)
        self.line = Line(self.run_._host, self.addresses, "operator", self.history)
        self.line.is_patient = False
        self.versions = Versions(self.run_._host.rng)
        behind, last, best = self.fall_behind()
        position, epoch = self.copies.truth(self.identity(TOPIC)).end_offset, self.state(TOPIC).leader_epoch
        predicted = self.predict(behind, last, best)
        self.assertGreater(len(predicted), 10)
        self.elect(behind)
        self.write_for(3.0)
        self.consumers_are_told(position, epoch, best)
        for place in (last, *(self.place(node) for node in self.state(TOPIC).replicas)):
            place.supervisor.start()
        self.read_everything([TOPIC])
        self.judge_loss(predicted, best)

    def fall_behind(self) -> tuple[Place, Place, int]:
        """
        Have one replica miss some records, the next one more, and the last in sync all of its power.

        @return: the one that is back, the one that had everything and is gone, and where the log of the first one ends.
        """
        self.write_for(2.0)
        leader = self.leader_of(TOPIC)
        assert leader is not None
        first, second = (self.place(node) for node in self.state(TOPIC).replicas if node != leader.number)
        for place in (first, second):
            place.supervisor.restart_s = FOREVER_S
            place.machine.crash(power=False)
            self.within(SLOWLY_S, lambda place=place: place.number not in self.state(TOPIC).isr, "it counts on")  # type: ignore[misc]
            self.write_for(2.0)
        self.assertEqual(self.state(TOPIC).isr, (leader.number,))
        leader.supervisor.restart_s = FOREVER_S
        leader.machine.crash(power=False)
        first.supervisor.start()  # with the two that have no copy it is a majority, which can agree on something
        self.within(SLOWLY_S, lambda: self.state(TOPIC).leader == NO_LEADER, "somebody leads")
        self.within(SLOWLY_S, lambda: self.run_.oracle.tip.is_active(first.number), "it does not come back")
        self.passes(WAITING_S)
        self.assertEqual(self.state(TOPIC).leader, NO_LEADER, "who lacks records leads, and nobody asked for it")
        return first, leader, self.ends(TOPIC)[first.number]

    def write_for(self, seconds: float) -> None:
        """Have two write for a while, and be answered."""
        for number in range(2):
            self.produce(TOPIC, f"p{len(self.producers)}-{number}", HABITS)
        self.passes(seconds)
        self.quiet_down()

    def predict(self, behind: Place, last: Place, best: int) -> list[Send]:
        """Return what is lost when one leads whose log ends there: what was acknowledged behind that."""
        truth = self.copies.truth(self.identity(TOPIC))
        disk = self.copies._copy(last.number, self.identity(TOPIC)).disk
        disk.refresh()
        self.assertEqual(disk.end_offset, truth.end_offset)
        predicted = [one for one in self.history.sends if one.status == OK and one.offset >= best]
        self.assertEqual(len(predicted), truth.end_offset - best)
        # From here on nothing else may be lost: what is left is the truth, for all that watch the copies.
        batches = {offset: batch for offset, batch in truth.batches.items() if batch[0] <= best}
        self.copies.truths[self.identity(TOPIC)] = Truth(best, batches)
        return predicted

    def elect(self, behind: Place) -> None:
        """Have it lead, as a person does with kafka-leader-election."""
        self.run_.agreements.asked.append(TOPIC)
        codes = self.comes(self._elect())
        self.assertEqual(codes, [ErrorCode.NONE])
        self.within(SLOWLY_S, lambda: self.state(TOPIC).leader == behind.number, "it does not lead")

    async def _elect(self) -> list[int]:
        wanted = [TopicPartitions(topic=TOPIC, partitions=[0])]
        request = ElectLeadersRequest(election_type=UNCLEAN, topic_partitions=wanted, timeout_ms=5000)
        while True:
            try:
                answer = await self.line.ask(request, ELECT_VERSION)
            except Gone:
                self.line.drop()
                await self.line.pause()
                continue
            results = [part for topic in answer.replica_election_results for part in topic.partition_result]
            if not answer.error_code:
                return [part.error_code for part in results]
            self.line.drop()
            await self.line.pause()

    def consumers_are_told(self, position: int, epoch: int, best: int) -> None:
        """Whoever has read what is lost is told where the logs part, though there are records at its offset again."""
        self.assertGreater(self.copies.truth(self.identity(TOPIC)).end_offset, best)
        for at in (position, best + 1):
            part = self.comes(self._fetch(at, epoch))
            self.assertEqual(part.error_code, ErrorCode.NONE)
            assert part.diverging_epoch is not None, f"a consumer at {at} goes on as if nothing was lost"
            self.assertEqual((part.diverging_epoch.end_offset, part.records or b""), (best, b""))
        self.assertEqual(self.comes(self._end_of(epoch)), best)
        part = self.comes(self._fetch(best, epoch - 1))
        self.assertIsNone(part.diverging_epoch)

    async def _fetch(self, position: int, epoch: int) -> PartitionData:
        """Fetch as somebody does whose last record was of an epoch."""
        topic_id = await find_leader(self.line, self.versions, KEY)
        part = FetchPartition(
            partition=0, fetch_offset=position, last_fetched_epoch=epoch, partition_max_bytes=FETCH_BYTES
        )
        request = FetchRequest(
            max_wait_ms=10, min_bytes=1, max_bytes=FETCH_BYTES, session_epoch=-1,
            topics=[FetchTopic(topic_id=topic_id, partitions=[part])],
        )  # fmt: skip
        found: PartitionData = (await self.line.ask(request, FETCH_VERSION)).responses[0].partitions[0]
        return found

    async def _end_of(self, epoch: int) -> int:
        part = OffsetForLeaderPartition(partition=0, leader_epoch=epoch)
        request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic=TOPIC, partitions=[part])])
        end: int = (await self.line.ask(request, END_VERSION)).topics[0].partitions[0].end_offset
        return end

    def judge_loss(self, predicted: list[Send], best: int) -> None:
        """Of what was acknowledged, exactly that is gone which was predicted; all copies are one."""
        read = {value for poll in self.history.polls if poll.is_final for _, value in poll.records}
        gone = [one.value for one in self.history.sends if one.status == OK and one.value not in read]
        self.assertEqual(gone, [one.value for one in predicted])
        lost = {one.value for one in predicted}
        sends = [evolve(one, status=INFO) if one.value in lost else one for one in self.history.sends]
        self.history = evolve(self.history, sends=sends)
        self.judge()
        ends = self.ends(TOPIC)
        self.assertEqual((len(ends), len(set(ends.values()))), (3, 1))
        self.assertGreater(min(ends.values()), best)
