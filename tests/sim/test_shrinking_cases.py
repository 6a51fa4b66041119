"""Logs that lose their oldest records while their leaders change (reliability 8.4: KC10)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from streamline.model import LogIdentity, TopicPartition
from streamline.testing.history import OK
from streamline.testing.simulation.clients.connection import Gone, Line, alarm
from streamline.testing.simulation.clients.producer import Habits
from streamline.testing.simulation.clients.topics import find_leader
from streamline.testing.simulation.clients.versions import Versions
from streamline.testing.simulation.cluster.copies import replicas_of
from streamline.testing.simulation.cluster.places import Place
from streamline.wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from streamline.wire.messages.topics import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from streamline.wire.schema import Message
from tests.sim.scripts import SLOWLY_S, RecordCase

ASKED, AGED, COMPACTED = "asked", "aged", "compacted"
KEPT_BYTES = 20_000
TOPICS = {
    ASKED: {"retention.ms": "-1", "segment.ms": "1000", "file.delete.delay.ms": "500"},
    AGED: {"retention.bytes": str(KEPT_BYTES), "segment.ms": "1000", "file.delete.delay.ms": "500"},
    COMPACTED: {"cleanup.policy": "compact", "retention.bytes": str(KEPT_BYTES), "segment.ms": "1000"},
}
KEYS = 5
ROUNDS = 12
WAYS = ("kill", "power", "cut", "kill", "stop")
"""In which leaders go; each round another."""
APART_S = 4.0
FOREVER_S = 10_000.0
LIST_OFFSETS_VERSION, DELETE_RECORDS_VERSION = 7, 2
EARLIEST = -2


@define
class Starts:
    """
    Where logs begin.

    @ivar said: where every replica was said to begin, when somebody deleted records.
    @ivar seen: by node and log, the latest that was seen there.
    @ivar fallen: what began earlier later.
    """

    said: int = 0
    seen: dict[tuple[int, LogIdentity], int] = field(factory=dict)
    fallen: list[str] = field(factory=list)

    def look(self, place: Place) -> None:
        """Look at a node's copies."""
        for replica in replicas_of(place):
            at, start = (place.number, replica.log.identity), replica.log.start_offset
            if start < (before := self.seen.get(at, 0)):
                self.fallen.append(f"{replica.log.identity.topic} at node {place.number}: {start} after {before}")
            self.seen[at] = max(start, before)


class ShrinkingTests(RecordCase):
    """
    KC10: retention, and somebody who deletes records, while whoever leads is killed, cut off, stopped or without power.

    Nothing is compacted in this release: of a compacted topic every record stays, the newest of each key among them.

    It fails, as was tried, where DeleteRecords is answered before every living replica has forgotten what it is to
    (in C{LedPartition.low_watermark}: the next leader begins at 336, and 877 was promised), where followers do not
    follow the start (C{FollowedPartition.due_start_offset}), where a compacted log is kept to a size
    (C{config.deletes} in L{streamline.storage.retention}), and where nobody waits for who is gone and may lead
    (C{node in self._state.elr}).
    """

    def test_leaders_go(self) -> None:
        """No acknowledged record is lost that nobody deleted, and no log begins earlier again."""
        self.begin(10, TOPICS)
        for topic in TOPICS:
            for number in range(2):
                habits = Habits(pace_s=0.1, idempotent=not number, keys=KEYS, padding_bytes=(50, 300))
                self.produce(topic, f"p{number} {topic}", habits)
            self.consume(topic, f"c {topic}")
        for _, way in zip(range(ROUNDS), cycle(WAYS), strict=False):
            self.passes(1.0)
            self.delete_and_lose_the_leader(way)
            self.assertGreaterEqual(self.earliest(), self.starts.said, f"after a {way}")
            for topic in TOPICS:
                self.within(SLOWLY_S, lambda topic=topic: self.is_full(topic), f"{topic} is not in sync")  # type: ignore[misc]
        self.read_everything(list(TOPICS))
        self.judge()
        self.assertEqual(self.starts.fallen, [])
        self.check_kept()

    def test_who_may_lead(self) -> None:
        """Where one that is gone may be the next leader, nothing is said to be deleted before that one has heard."""
        self.begin(11, {ASKED: TOPICS[ASKED]}, nodes=5)
        self.produce(ASKED, "p", Habits(pace_s=0.05))
        self.passes(3.0)
        self.quiet_down()
        leader = self.leader_of(ASKED)
        assert leader is not None
        first, second = (self.place(node) for node in self.state(ASKED).replicas if node != leader.number)
        for place in (first, second):
            self.lose(place, "kill", FOREVER_S)
            self.within(SLOWLY_S, lambda place=place: place.number not in self.state(ASKED).isr, "it counts on")  # type: ignore[misc]
        self.assertEqual(self.state(ASKED).elr, (second.number,))
        done: Deferred[None] = Deferred.fromCoroutine(self.delete()).addErrback(alarm)
        self.passes(12.0)
        self.assertFalse(done.called, "who may lead next has not heard of it")
        second.supervisor.start()
        self.within(SLOWLY_S, lambda: bool(done.called), "nothing can be deleted")
        self.within(SLOWLY_S, lambda: second.number in self.state(ASKED).isr, "it does not count again")
        self.lose(leader, "kill", FOREVER_S)
        self.assertEqual(self.earliest(), self.starts.said)

    def begin(self, seed: int, topics: Mapping[str, Mapping[str, str]], nodes: int = 3) -> None:
        """Form a cluster, and have somebody who deletes."""
        self.starts = Starts()
        self.records(seed, topics, nodes)
        self.line = Line(self.run_._host, self.addresses, "deleter", self.history)
        self.line.is_patient = False
        self.versions = Versions(self.run_._host.rng)

    def look(self) -> None:
        """Look where logs begin as well."""
        super().look()
        for place in self.run_.places:
            self.starts.look(place)

    def check_kept(self) -> None:
        """Nothing was taken that nobody asked for, and something was."""
        first = {topic: self.history.starts[TopicPartition(topic, 0)] for topic in TOPICS}
        self.assertEqual(first[COMPACTED], 0)
        self.assertEqual(first[ASKED], self.starts.said)
        self.assertGreater(first[ASKED], 0)
        self.assertGreater(first[AGED], 0)
        for place in self.run_.places:
            disk = self.copies._copy(place.number, self.identity(AGED)).disk
            disk.refresh()
            left = sum(header.size for header in disk.headers if header.next_offset > first[AGED])
            self.assertGreaterEqual(left, KEPT_BYTES, f"too little is left at node {place.number}")

    # Deleting

    def delete_and_lose_the_leader(self, way: str) -> None:
        """Delete half of what is acknowledged; the moment that everybody has, lose whoever leads each topic."""
        done: Deferred[None] = Deferred.fromCoroutine(self.delete()).addErrback(alarm)
        self.within(SLOWLY_S, lambda: bool(done.called), "nothing can be deleted")
        for place in dict.fromkeys(self.leader_of(topic) for topic in TOPICS):
            if place is not None and (way != "power" or place is self.leader_of(ASKED)):
                self.lose(place, way)

    def lose(self, place: Place, way: str, seconds: float = APART_S) -> None:
        """Have a node gone for a while."""
        place.supervisor.restart_s = seconds
        if way == "stop":
            place.supervisor.stop()
        elif way == "cut":
            machines = [place.machine for place in self.run_.places]
            for link in self.run_._clients.fabric.cut([place.machine], machines):
                self.run_.simulation.after(APART_S, link.mend)
        else:
            place.machine.crash(power=way == "power")

    async def delete(self) -> None:
        """Delete half of what is acknowledged, and try until every replica is said to have done so."""
        acked = max(one.offset for one in self.history.sends if one.key.topic == ASKED and one.status == OK)
        offset = (self.starts.said + acked) // 2
        part = DeleteRecordsPartition(partition_index=0, offset=offset)
        topic = DeleteRecordsTopic(name=ASKED, partitions=[part])
        request = DeleteRecordsRequest(topics=[topic], timeout_ms=5000)
        while True:
            answer = await self.ask(request, DELETE_RECORDS_VERSION)
            found = None if answer is None else answer.topics[0].partitions[0]
            if found is not None and not found.error_code:
                self.starts.said = max(self.starts.said, found.low_watermark)
                return

    def earliest(self) -> int:
        """Return where the log begins, as soon as somebody leads and says so."""
        earliest: int = self.comes(self._earliest())
        return earliest

    async def _earliest(self) -> int:
        part = ListOffsetsPartition(partition_index=0, timestamp=EARLIEST)
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=ASKED, partitions=[part])])
        while True:
            answer = await self.ask(request, LIST_OFFSETS_VERSION)
            found = None if answer is None else answer.topics[0].partitions[0]
            if found is not None and not found.error_code:
                offset: int = found.offset
                return offset

    async def ask(self, request: Message, version: int) -> Any:
        """Ask whoever leads; None where nobody answers."""
        try:
            await find_leader(self.line, self.versions, TopicPartition(ASKED, 0))
            return await self.line.ask(request, version)
        except Gone:
            self.line.drop()
            await self.line.pause()
            return None
