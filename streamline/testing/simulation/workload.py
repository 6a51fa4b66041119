"""
What clients do to a node in a run: topics, producers, consumers, and the reading of everything at the end.

All of it is drawn from the seed before the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults

from streamline.interfaces import Host
from streamline.model import Endpoint, TopicPartition
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Where, alarm
from streamline.testing.simulation.clients.consumer import Appetite, Consumer
from streamline.testing.simulation.clients.decider import Decider
from streamline.testing.simulation.clients.member import Member
from streamline.testing.simulation.clients.onlooker import Onlooker
from streamline.testing.simulation.clients.passing import Passer
from streamline.testing.simulation.clients.producer import Habits, Producer
from streamline.testing.simulation.clients.topics import Administrator

PASSING = "passing"

GROUPS = (("pair", ("plain", 2)), ("crowd", ("synced", 2)))
"""Consumer groups, with the topic that each reads and its partitions."""

STATIC_CHANCE = 0.3
OLD_OF = 3
"""One of so many producers of a cluster is too old to be told who leads."""
REPLACED_AFTER_S = (1.0, 15.0)

RACKS = ("r1", "r2", "r3")
"""Where nodes are, and consumers."""


@frozen
class TopicPlan:
    """A topic of the workload."""

    name: str
    partitions: int
    configs: Mapping[str, str]


SMALL = {"segment.bytes": str(1 << 20), "index.interval.bytes": "512"}
SEGMENT_MS = ("700", "4000", "4000")
"""Logs roll often, so that rolling is met by every fault (F18)."""

VARIANTS: Sequence[Mapping[str, str]] = (
    {},
    {},
    {"message.timestamp.type": "LogAppendTime"},
    {"compression.type": "zstd"},
    {"flush.ms": "700"},
    {"max.message.bytes": "20000"},
)
RETENTIONS: Sequence[Mapping[str, str]] = (
    {"retention.ms": "15000"},
    {"retention.ms": "15000"},
    {"retention.bytes": "100000"},
)

NAMES = (("plain", 2), ("synced", 2), ("short", 1))
"""The topics that are there from the beginning to the end, and how many partitions they have."""
SYNCED = ("synced",)
"""The topics whose acknowledged records survive even power cuts."""
KEPT = ("plain", "synced")
"""The topics from which retention takes nothing."""


def draw_topics(rng: Random) -> tuple[TopicPlan, ...]:
    """Draw what the topics are like."""
    topics = []
    for name, partitions in NAMES:
        configs = {**SMALL, "segment.ms": rng.choice(SEGMENT_MS), **rng.choice(VARIANTS)}
        if name in SYNCED:
            configs["flush.messages"] = "1"
        if name not in KEPT:
            configs |= {"file.delete.delay.ms": "1000", **rng.choice(RETENTIONS)}
        topics.append(TopicPlan(name, partitions, configs))
    return tuple(topics)


@frozen
class Manner:
    """
    How the producers of one partition go about it, as far as they are alike.

    What the busy or the idempotent make the node do would hide what it neglects for others.
    """

    idempotent_share: float
    pace_s: float

    @classmethod
    def drawn(cls, rng: Random, pace_s: float) -> Manner:
        """Draw one."""
        return cls(rng.choice((0.0, 0.8, 0.8, 1.0)), pace_s * rng.choice((1.0, 1.0, 1.0, 6.0)))


class Workload:
    """
    The clients of one run, be it of a node or of a cluster.

    @ivar history: what they did and saw.
    @ivar topics: those that stay.
    @ivar producers: all of them.
    @ivar is_ready: whether the topics are there and everybody has begun.
    """

    def __init__(self, host: Host, where: Where, rng: Random, *, pace_s: float, copies: int = 1) -> None:
        """
        @param copies: replicas of each topic.
        """
        self.history = History()
        self.is_ready = False
        self._host = host
        self._where = where
        self._rng = rng
        self._copies = copies
        self._members_made = 0
        self._admin = Administrator(host, where, "admin", self.history, copies=copies)
        self.topics = draw_topics(rng)
        manners = {key: Manner.drawn(rng, pace_s) for key in self._keys()}
        self.producers = [self._producer(number, key, manners[key]) for number, key in enumerate(self._keys() * 2)]
        self._members = [self._member() for _ in range(4)]
        self._consumers = [self._consumer(f"c{number}", key) for number, key in enumerate(self._keys())]
        self._is_passing = True
        self._over: Deferred[None] = Deferred()

    @staticmethod
    def _keys() -> list[TopicPartition]:
        return [TopicPartition(name, index) for name, partitions in NAMES for index in range(partitions)]

    def _producer(self, number: int, key: TopicPartition, manner: Manner) -> Producer:
        rng = self._rng
        is_idempotent = rng.random() < manner.idempotent_share
        habits = Habits(
            acks=rng.choice((-1, -1, 1)) if is_idempotent else rng.choice((-1, 1, 0)),
            idempotent=is_idempotent,
            pace_s=manner.pace_s * rng.uniform(0.5, 2.0),
            records_max=rng.choice((1, 4, 20)),
            padding_bytes=rng.choice(((0, 10), (0, 200), (500, 3000))),
            compression=rng.choice((0, 0, 1, 2, 3, 4)),
            is_old=number % OLD_OF == OLD_OF - 1 and not isinstance(self._where, Endpoint),
        )
        return Producer(self._host, self._where, f"p{number}", key, self.history, habits)

    def _member(self, before: Member | None = None) -> Member:
        """Return a new member; where the one before was static, it may take its place."""
        rng = self._rng
        group, topic = rng.choice(GROUPS)
        self._members_made += 1
        name = f"m{self._members_made}"
        instance = f"static-{name}" if rng.random() < STATIC_CHANCE else None
        if before is not None and before.instance is not None and rng.random() < 0.5:
            group, topic, instance = before.group, before.topic, before.instance
        return Member(self._host, self._where, name, group, topic, self.history, instance)

    def _consumer(self, name: str, key: TopicPartition, *, is_final: bool = False) -> Consumer:
        rng = self._rng
        appetite = Appetite(
            max_wait_ms=100 if is_final else rng.choice((0, 500, 3000)) or 100,
            min_bytes=rng.choice((1, 1, 1000)),
            partition_max_bytes=rng.choice((1000, 64 << 10, 1 << 20)),
            uses_session=rng.random() < 0.5,
            rack="" if is_final or self._copies == 1 else rng.choice(("", *RACKS)),
        )
        return Consumer(self._host, self._where, name, key, self.history, appetite, is_final=is_final)

    def start(self) -> None:
        """Make the topics, then begin."""
        self._over = Deferred.fromCoroutine(self._begin()).addErrback(alarm)

    async def _begin(self) -> None:
        for topic in self.topics:
            await self._admin.create(topic.name, topic.partitions, topic.configs)
        for producer in self.producers:
            producer.start()
        for consumer in self._consumers:
            consumer.start()
        for member in self._members:
            member.start()
        self.is_ready = True
        Deferred.fromCoroutine(self._replace_members()).addErrback(alarm)

    async def _replace_members(self) -> None:
        """Let a member end, with or without a goodbye, and a new one come, now and then."""
        while self._is_passing:
            await self._pause(*REPLACED_AFTER_S)
            before = self._members.pop(0)
            if self._rng.random() < 0.5:
                before.leave()
            else:
                before.stop()
            self._members.append(self._member(before))
            self._members[-1].start()

    def _pause(self, low_s: float = 0.2, high_s: float = 4.0) -> Deferred[None]:
        over: Deferred[None] = Deferred()
        self._host.clock.callLater(self._rng.uniform(low_s, high_s), over.callback, None)
        return over

    def wind_down(self) -> None:
        """Begin nothing new; what was begun is brought to an end."""
        self._is_passing = False
        for producer in self.producers:
            producer.stop_making()

    def rove(self, rng: Random) -> bool:
        """Have each consumer be in a rack, or in none that it knows of."""
        for consumer in self._consumers:
            consumer.move(rng.choice(RACKS))
        return True

    @property
    def unanswered(self) -> int:
        """How many batches nobody has answered yet."""
        return sum(producer.unanswered for producer in self.producers)

    def read_everything(self) -> Deferred[list[str]]:
        """Read every partition from its start to its end; fire with the names of all topics."""
        return self._over.addCallback(lambda _: self._read())

    def _read(self) -> Deferred[list[str]]:
        for consumer in self._consumers:
            consumer.stop()
        readers = [self._consumer(f"final {key}", key, is_final=True) for key in self._keys()]
        for reader in readers:
            reader.start()
        for member in self._members:
            member.stop()
        lookers = [Member(self._host, self._where, f"final {name}", name, on, self.history) for name, on in GROUPS]
        looks = [Deferred.fromCoroutine(looker.read_back()).addErrback(alarm) for looker in lookers]
        everything: Deferred[list[None]] = gatherResults([*looks, *(reader.done for reader in readers)])
        return everything.addCallback(lambda _: Deferred.fromCoroutine(self._admin.topics()))


class NodeWorkload(Workload):
    """
    The clients of a node on its own: topics come and go as well, and somebody asks about all of it.

    @ivar onlooker: who asks about everything.
    """

    def __init__(self, host: Host, address: Endpoint, rng: Random, *, pace_s: float) -> None:
        super().__init__(host, address, rng, pace_s=pace_s)
        self._decider = Decider(host, address, self.history)
        self._passer = Passer(host, address, self.history, self._admin)
        wanted = {topic.name: topic.configs for topic in self.topics}
        self.onlooker = Onlooker(host, address, "onlooker", self.history, wanted, [group for group, _ in GROUPS])

    async def _begin(self) -> None:
        await super()._begin()
        self.onlooker.start()
        await self._pass_topics()

    async def _pass_topics(self) -> None:
        """Make topics and delete them again, now and then; their names come again too."""
        number = 0
        while self._is_passing:
            await self._pause()
            name = f"{PASSING}-{number}"
            if self._is_passing and await self._passer.begin(name, self._rng.randrange(1, 4), SMALL):
                await self._passer.use(name)
                await self._passer.use_group(name)
                await self._decider.use(name)
                if self._rng.random() < 0.7:
                    await self._admin.delete(name)
                else:
                    number += 1

    def _read(self) -> Deferred[list[str]]:
        self.onlooker.stop()
        return super()._read()
