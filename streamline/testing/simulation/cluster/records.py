"""
Records in a simulated cluster: what clients were promised of them, and what the copies of a partition have.

The clients are those of a node on its own (L{streamline.testing.simulation.workload}), which begin at any node and
follow the leaders.  Their topics have three replicas, and two have to be in sync.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from attrs import evolve

from streamline.interfaces import Host
from streamline.model import LogIdentity, TopicPartition
from streamline.services.replica import Replica
from streamline.testing.checks import Anomaly, check_all, double_owners, lost_commits, moved_starts, wrong_lookups
from streamline.testing.history import INFO, OK, History, Send
from streamline.testing.simulation.cluster.copies import Copies, replicas_of
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.places import DATA, Place
from streamline.testing.simulation.names import Directory
from streamline.testing.simulation.pages import Inode
from streamline.testing.simulation.workload import KEPT, Workload
from streamline.testing.simulation.world import Simulation

COPIES = 3
LOOK_EVERY_S = 0.2
ALL = -1


class Records:
    """
    The records of one run.

    @ivar workload: who writes and reads them.
    @ivar copies: looks at what is on the disks.
    """

    def __init__(
        self, simulation: Simulation, places: Sequence[Place], oracle: Oracle, host: Host, rng: Random, pace_s: float
    ) -> None:
        self.workload = Workload(host, [place.address for place in places], rng, pace_s=pace_s, copies=COPIES)
        self.workload.history.acknowledged = self._acknowledged
        self.copies = Copies(places, oracle)
        self._simulation = simulation
        self._places = {place.number: place for place in places}
        self._oracle = oracle

    def begin(self) -> None:
        """Begin to write and to read, and to look at the copies."""
        self.workload.start()
        self._look_again()

    # While it runs

    def _look_again(self) -> None:
        self._simulation.after(LOOK_EVERY_S, self._look_again)
        self.copies.look()

    def _acknowledged(self, send: Send) -> None:
        """What a producer with C{acks=all} is told is there for good is committed by then."""
        topic = self._oracle.tip.topics.get(send.key.topic)
        if send.acks == ALL and send.offset >= 0 and topic is not None:
            truth = self.copies.truth(LogIdentity(*send.key, topic.topic_id))
            if send.offset >= truth.end_offset:
                what = f"{send.value} at {send.offset}, and {truth.end_offset} are committed"
                self._oracle.broke("AckedIsCommitted", f"{send.key}: {what}")

    # In the end

    def missing_copy(self) -> str:
        """Name a partition with a replica that is not in sync."""
        for topic in self._oracle.tip.topics.values():
            for state in topic.partitions:
                if len(state.isr) < len(state.replicas):
                    return f"{topic.name}-{state.index} is not in sync everywhere: {state}"
        return ""

    def differing(self) -> str:
        """Say how the copies of a partition from which nothing is ever taken differ, byte for byte."""
        for topic in self._oracle.tip.topics.values():
            for state in topic.partitions if topic.name in KEPT else ():
                where = TopicPartition(topic.name, state.index)
                copies = {node: self._copy(node, where) for node in state.replicas}
                ends = {node: copy.log.end_offset for node, copy in copies.items() if copy is not None}
                marks = [copy.high_watermark for copy in copies.values() if copy is not None]
                if len(ends) < len(copies) or len({*ends.values(), *marks}) > 1:
                    return f"{where} ends at {ends}, with {marks} committed"
                logs = [_bytes_of(self._places[node], where) for node in copies]
                if any(log != logs[0] for log in logs):
                    return f"{where} is not the same on {list(copies)}, up to {ends}"
        return ""

    def _copy(self, node: int, where: TopicPartition) -> Replica | None:
        for replica in replicas_of(self._places[node]):
            identity = replica.log.identity
            if (identity.topic, identity.partition) == where:
                return replica
        return None

    def judge(self) -> list[Anomaly]:
        """Judge what clients saw, once everything was read."""
        history = promised(self.workload.history)
        return [
            *check_all(history),
            *moved_starts(history, KEPT),
            *wrong_lookups(history, KEPT),
            *lost_commits(history, _never),
            *double_owners(history, _never),
            *thrown_back(history),
            *forgotten(history),
        ]


def _never(before: float, after: float) -> bool:
    return False


def promised(history: History) -> History:
    """Only who asked for all has been promised anything: other records may be lost with their leader (KC13)."""
    sends = [evolve(one, status=INFO) if one.status == OK and one.acks != ALL else one for one in history.sends]
    return evolve(history, sends=sends)


def thrown_back(history: History) -> Iterator[Anomaly]:
    """Find consumers that were told that what comes next is out of range, although nothing is taken there."""
    begun: set[tuple[str, TopicPartition]] = set()
    for poll in history.polls:
        if poll.is_reset and poll.key.topic in KEPT:
            if (poll.consumer, poll.key) in begun:
                yield Anomaly("thrown-back", str(poll.key), f"{poll.consumer} was thrown back at {poll.at:.3f}")
            begun.add((poll.consumer, poll.key))


def forgotten(history: History) -> Iterator[Anomaly]:
    """
    Find idempotent producers with C{acks=all} that were told that what they send does not follow what is there.

    Where retention has come by, a copy that began behind it knows nothing of the batches before, as in Kafka.
    """
    for change in history.changes:
        topic, _, _ = change.name.rpartition(" ")[2].rpartition("-")
        if change.what == "forgotten" and topic in KEPT:
            yield Anomaly("forgotten", change.name, f"told {change.detail} at {change.done_at:.3f}")


def _bytes_of(place: Place, where: TopicPartition) -> bytes:
    """Return a log as it is in the files."""
    directory = place.machine.platter.names.find(f"{DATA}/{where}")
    entries = sorted(directory.entries.items(), key=lambda entry: entry[0]) if isinstance(directory, Directory) else []
    return b"".join(bytes(file.data) for name, file in entries if name.endswith(".log") and isinstance(file, Inode))
