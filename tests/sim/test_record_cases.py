"""Cases with a script of their own about records in clusters (reliability 8.4: KC7)."""

from __future__ import annotations

from attrs import Factory, define
from twisted.internet.defer import Deferred

from streamline.errors import ErrorCode
from streamline.model import TopicPartition
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Gone, Line, alarm
from streamline.testing.simulation.clients.consumer import read_values
from streamline.testing.simulation.clients.topics import Administrator, find_leader
from streamline.testing.simulation.clients.versions import Versions
from streamline.testing.simulation.cluster.run import ClusterRun
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.records import Record, build_batch
from tests.sim.test_cluster_cases import CaseCase

KEY = TopicPartition("reborn", 0)
LIVES = 100
DEAD_FOR = 10
"""Every so many lives a node dies, and is back after half as many."""
PRODUCE_VERSION, FETCH_VERSION = 13, 17
FETCH_BYTES = 1 << 20


@define
class Seen:
    """
    What clients saw of all lives.

    @ivar strange: records that were read in another life than that in which they were written.
    @ivar written: by topic id, how many were acknowledged; C{read} how many reads found any.
    """

    strange: list[str] = Factory(list)
    written: dict[bytes, int] = Factory(dict)
    read: int = 0
    lives: int = 0


class Client:
    """Writes into whatever has the name at the moment, says into each record which topic that is, and reads them."""

    def __init__(self, run: ClusterRun, name: str, seen: Seen) -> None:
        self._host = run._host
        self.line = Line(run._host, [place.address for place in run.places], name, History())
        self._versions = Versions(run._host.rng)
        self._seen = seen
        self._count = 0

    def start(self) -> None:
        """Begin."""
        Deferred.fromCoroutine(self._run()).addErrback(alarm)

    async def _run(self) -> None:
        while not self.line.stopped:
            try:
                self.line.leader_epoch = -1  # another life begins with its first
                topic_id = await find_leader(self.line, self._versions, KEY)
                while await self._write(topic_id) and await self._read(topic_id):
                    await self.line.sleep(0.02)
            except Gone:
                self.line.drop()
            if not self.line.stopped:
                await self.line.sleep(0.02)

    async def _write(self, topic_id: bytes) -> bool:
        self._count += 1
        record = Record(f"{topic_id.hex()}/{self._count}".encode(), timestamp=self._host.clock.wall_ms())
        part = PartitionProduceData(index=0, records=build_batch([record]))
        topic = TopicProduceData(topic_id=topic_id, partition_data=[part])
        answer = await self.line.ask(ProduceRequest(acks=-1, timeout_ms=1000, topic_data=[topic]), PRODUCE_VERSION)
        code = answer.responses[0].partition_responses[0].error_code
        if not code:
            self._seen.written[topic_id] = self._seen.written.get(topic_id, 0) + 1
        return code in (0, ErrorCode.REQUEST_TIMED_OUT)

    async def _read(self, topic_id: bytes) -> bool:
        part = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=FETCH_BYTES)
        topic = FetchTopic(topic_id=topic_id, partitions=[part])
        request = FetchRequest(max_wait_ms=10, min_bytes=1, max_bytes=FETCH_BYTES, session_epoch=-1, topics=[topic])
        found = (await self.line.ask(request, FETCH_VERSION)).responses[0].partitions[0]
        data = found.records
        data = b"".join(data) if isinstance(data, list | tuple) else bytes(data or b"")
        values = [value for _, value in read_values(data, 0)[0]]
        self._seen.strange += [f"{topic_id.hex()} has {one}" for one in values if not one.startswith(topic_id.hex())]
        self._seen.read += bool(values)
        return not found.error_code


class RebornTests(CaseCase):
    """KC7: a topic is deleted and made again under its name, again and again, while clients write and read."""

    def test_a_hundred_lives(self) -> None:
        """No record of a former life is served, be it by a replica that was dead when its topic was deleted."""
        run = self.cluster(7)
        seen = Seen()
        clients = [Client(run, f"live-{number}", seen) for number in range(2)]
        for client in clients:
            client.start()
        where = [place.address for place in run.places]
        administrator = Administrator(run._host, where, "reborn", History(), copies=3)
        living = Deferred.fromCoroutine(self.live(run, administrator, seen)).addErrback(alarm)
        self.within(300.0, lambda: bool(living.called), "it is not made so often")
        for client in clients:
            client.line.stop()
        self.assertEqual(seen.strange, [])
        self.assertEqual(seen.lives, LIVES)
        self.assertGreater(len(seen.written), LIVES * 3 // 4)
        self.assertGreater(seen.read, LIVES)
        self.together_within(60.0)
        self.assertEqual([place for place in run.places if place.number not in run.oracle.tip.brokers], [])

    async def live(self, run: ClusterRun, administrator: Administrator, seen: Seen) -> None:
        """Make it and delete it; now and then a node dies in one life and is back in another."""
        for life in range(LIVES):
            place = run.places[life // DEAD_FOR % len(run.places)]
            if life % DEAD_FOR == DEAD_FOR // 2:
                place.supervisor.restart_s = 1.5
                place.machine.crash(power=False)
            await administrator.create(KEY.topic, 1, {})
            await administrator._line.sleep(0.1)
            await administrator.delete(KEY.topic)
            seen.lives += 1
