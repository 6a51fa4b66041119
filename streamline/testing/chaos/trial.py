"""One trial: clients work, faults strike one after another, everything is mended, and what was seen is judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streamline.model import TopicPartition
from streamline.testing.chaos.administrators import (
    ADMINISTRATORS,
    Administrator,
    agreed_topics,
)
from streamline.testing.chaos.clients import WRITERS, writers_here
from streamline.testing.chaos.crashing import CRASHING
from streamline.testing.chaos.faults import FAULTS
from streamline.testing.chaos.readers import Reader, read_everything
from streamline.testing.chaos.scene import MENDED_S, Scene
from streamline.testing.chaos.workers import Worker
from streamline.testing.checks import broken_changes, check_all
from streamline.testing.cluster import Cluster, ClusterNode
from streamline.testing.history import OK, History

REPLICAS = 3
GOING_S = 30.0
BAD_LEVELS = ("critical", "error")


@frozen(kw_only=True)
class Settings:
    """
    How a trial is run.

    @ivar held_s: the shortest and the longest time that a fault lasts; C{calm_s} how long peace lasts after it.
    @ivar per_second: how many records each producer sends.
    @ivar clients: which producers there are.
    @ivar administers: whether admin clients make and delete topics beside them.
    @ivar replicas: of every topic.
    @ivar crash_s: how often clients crash that are processes, a producer, a consumer and a group; None for no such.
    """

    partitions: int = 3
    per_second: float = 150.0
    held_s: tuple[float, float] = (0.5, 3.0)
    calm_s: tuple[float, float] = (0.5, 2.0)
    clients: Sequence[str] = field(factory=writers_here)
    administers: bool = False
    replicas: int = REPLICAS
    crash_s: float | None = None


@define
class Strike:
    """
    One fault.

    @ivar at: when it struck; C{mended_at} when all nodes took part again, C{synced_at} when all were in sync.
    """

    fault: str
    what: str
    at: float
    mended_at: float = 0.0
    synced_at: float = 0.0


@define
class Verdict:
    """
    What came of a trial.

    @ivar wrong: what must not be; nothing in a trial that passed.
    """

    history: History
    keys: Sequence[TopicPartition]
    strikes: list[Strike] = field(factory=list)
    wrong: list[str] = field(factory=list)

    @property
    def acked(self) -> int:
        """How many records were acknowledged."""
        return sum(send.status == OK for send in self.history.sends)

    @property
    def changed(self) -> int:
        """How many operations on topics were acknowledged."""
        return sum(change.status == OK for change in self.history.changes)


def start_cluster(nodes: int = 3, **settings: Any) -> Cluster:
    """Return a cluster of processes, not started yet, that acknowledges what two of three replicas have."""
    return Cluster(nodes, processes=True, **{"min_insync_replicas": 2, **settings})


def make_topic(cluster: Cluster, topic: str, partitions: int, replicas: int = REPLICAS) -> list[TopicPartition]:
    """Make a topic, and return its partitions when all replicas are in sync."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    made = admin.create_topics([NewTopic(topic, partitions, replicas)], request_timeout=GOING_S)
    made[topic].result()
    for index in range(partitions):
        cluster.wait_isr(topic, index)
    return [TopicPartition(topic, index) for index in range(partitions)]


class Trial:
    """
    Clients at work, from the entry to L{judge}.

    @param topic: a new one, for the records of this trial alone.
    """

    def __init__(self, cluster: Cluster, topic: str, rng: Random, settings: Settings) -> None:
        self.settings = settings
        self._cluster = cluster
        self._rng = rng
        self._began = time.monotonic()
        self._logged = {node.node_id: log_size(node) for node in cluster.nodes}
        keys = make_topic(cluster, topic, settings.partitions, settings.replicas) if settings.partitions else []
        self.verdict = Verdict(History(), keys)
        self.scene = Scene(cluster, keys, rng, self._hold)
        self._workers = [*self._data_workers(topic), *self._admin_workers(topic)]

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began

    def _data_workers(self, topic: str) -> list[Worker]:
        history, keys, bootstrap = self.verdict.history, self.verdict.keys, self._cluster.bootstrap
        if not keys:
            return []
        writers = [
            WRITERS[name](f"{topic}-{name}", bootstrap, history, keys, self.settings.per_second, self.now)
            for name in self.settings.clients
        ]
        reader = Reader(f"{topic}-reader", bootstrap, history, keys, self.now)
        return [*writers, *self._crashing_workers(topic), reader]

    def _crashing_workers(self, topic: str) -> list[Worker]:
        crash_s = self.settings.crash_s
        if crash_s is None:
            return []
        history, keys, bootstrap = self.verdict.history, self.verdict.keys, self._cluster.bootstrap
        return [
            kind(f"{topic}-{name}", bootstrap, history, keys, self.now, Random(f"{topic}-{name}"), crash_s, self._began)
            for name, kind in CRASHING.items()
        ]

    def _admin_workers(self, topic: str) -> list[Administrator]:
        if not self.settings.administers:
            return []
        bootstrap, history = self._cluster.bootstrap, self.verdict.history
        return [
            kind(f"{topic}-{name}-admin", bootstrap, history, self.settings.replicas, self.now)
            for name, kind in ADMINISTRATORS.items()
        ]

    def run(self, faults: Iterable[str]) -> Verdict:
        """Have each of these faults strike once, and judge."""
        self.begin()
        try:
            for fault in faults:
                self.strike(fault)
        except TimeoutError as error:
            self.verdict.wrong.append(f"not mended: {error}")
        return self.end()

    def chosen(self, faults: Sequence[str], seconds: float) -> Iterator[str]:
        """Yield any of these faults, again and again, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield self._rng.choice(faults)

    def begin(self) -> None:
        """Have the clients begin, and wait until each has had something acknowledged; that one has not is wrong."""
        for worker in self._workers:
            worker.start()
        try:
            self.until_going()
        except TimeoutError as error:
            self.verdict.wrong.append(str(error))

    def end(self) -> Verdict:
        """Have the clients end, and judge."""
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.finish()
            self.verdict.wrong += worker.complaints
        self._judge()
        return self.verdict

    def until_going(self) -> None:
        """
        Wait until each client has had something acknowledged.

        @raise TimeoutError: one has not.
        """
        end = time.monotonic() + GOING_S
        wanted = len(self.settings.clients) * bool(self.verdict.keys) + len(ADMINISTRATORS) * self.settings.administers
        while time.monotonic() < end:
            going = {send.producer for send in self.verdict.history.sends if send.status == OK}
            going |= {change.who for change in self.verdict.history.changes if change.status == OK}
            if len(going) >= wanted:
                return
            time.sleep(0.02)
        raise TimeoutError(f"a client had nothing acknowledged in {GOING_S:g} s; only these had: {sorted(going)}")

    def strike(self, fault: str) -> Strike:
        """
        Have one fault strike, last, and be mended; then have peace.

        @raise TimeoutError: it could not be mended.
        """
        strike = Strike(fault, fault, self.now())
        self.verdict.strikes.append(strike)
        with FAULTS[fault](self.scene) as strike.what:
            self._hold()
        strike.mended_at = self.now()
        self.scene.wait_isr(MENDED_S)
        strike.synced_at = self.now()
        time.sleep(self._rng.uniform(*self.settings.calm_s))
        return strike

    def _hold(self) -> None:
        time.sleep(self._rng.uniform(*self.settings.held_s))

    def _judge(self) -> None:
        verdict = self.verdict
        if verdict.keys:
            verdict.wrong += read_everything(self._cluster.bootstrap, verdict.history, verdict.keys, self.now)
        verdict.wrong += [str(anomaly) for anomaly in check_all(verdict.history)]
        verdict.wrong += self._judged_metadata()
        for node in self._cluster.nodes:
            verdict.wrong += bad_log_lines(node, self._logged[node.node_id])

    def _judged_metadata(self) -> list[str]:
        try:
            topics = agreed_topics(self._cluster)
        except TimeoutError as error:
            return [str(error)]
        return [str(anomaly) for anomaly in broken_changes(self.verdict.history, topics)]


def log_size(node: ClusterNode) -> int:
    """Return how many bytes a node has logged."""
    log = log_of(node)
    return log.stat().st_size if log.exists() else 0


def log_of(node: ClusterNode) -> Path:
    """Return where a node's log is kept; nowhere if it never ran."""
    return node.data_dir.with_suffix(".log")


def bad_log_lines(node: ClusterNode, since: int = 0) -> list[str]:
    """
    Return what a node logged that is never right, as bugs are.

    @param since: how many bytes it had logged before.
    """
    found: list[str] = []
    if log_size(node) <= since:
        return found
    with log_of(node).open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if (said := _bad(line.decode(errors="replace"))) is not None:
                found.append(f"node {node.node_id} logged: {said}")
    return found


def _bad(line: str) -> str | None:
    try:
        said = json.loads(line)
    except ValueError:
        return line.strip() if line.startswith("Traceback") else None
    return line.strip()[:2000] if said.get("level") in BAD_LEVELS else None


def longest_gaps(verdict: Verdict, strike: Strike, is_client: Callable[[str], bool] = lambda name: True) -> float:
    """
    Return the longest time without an acknowledgement from any one partition, around a fault, in seconds.

    @param is_client: which producers count.
    """
    return max(gaps_by_key(verdict, strike, is_client).values(), default=0.0)


def gaps_by_key(
    verdict: Verdict, strike: Strike, is_client: Callable[[str], bool] = lambda name: True
) -> dict[TopicPartition, float]:
    """Return the same by partition: gaps that begin before the fault is mended and end after it struck."""
    acks: dict[TopicPartition, list[float]] = {}
    for send in verdict.history.sends:
        if send.status == OK and is_client(send.producer):
            acks.setdefault(send.key, []).append(send.done_at)
    found = {}
    for key, times in acks.items():
        times.sort()
        pairs = zip(times, times[1:], strict=False)
        found[key] = max((b - a for a, b in pairs if b > strike.at and a < strike.mended_at), default=0.0)
    return found
