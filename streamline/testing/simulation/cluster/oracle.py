"""
What is known of a run that no node knows: all that was ever agreed on, and all that anybody was ever told.

Where the nodes' replicas are concerned, level 1's monitor judges.  Here are the images that applying comes to, and
whether clients' answers fit them.  The first thing that must not be ends the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import Factory, define

from streamline.cluster.delta import PartitionDelta, difference
from streamline.cluster.image import MetadataImage
from streamline.errors import StartRefused
from streamline.model import NO_LEADER
from streamline.raft import ReplicaKey
from streamline.testing.checks import Anomaly
from streamline.testing.simulation.cluster.durable import NothingDurable
from streamline.testing.simulation.cores.monitor import Durable, Monitor, Violation

View: TypeAlias = frozenset[tuple[str, bytes]]
"""The names and ids of all topics."""


def is_recovery(part: PartitionDelta) -> bool:
    """Say whether a partition is led again of which nobody surely had everything (KR22)."""
    old, new = part.old, part.new
    if old is None or old.leader != NO_LEADER or new.leader == NO_LEADER:
        return False
    return new.is_recovering and len(new.replicas) > 1


class _Disks(dict[ReplicaKey, Durable]):
    """By replica, of everybody that ever was; who has not begun has nothing."""

    def __missing__(self, key: ReplicaKey) -> Durable:
        return NothingDurable(key)


@define
class Oracle:
    """
    All that was agreed on, and what became of it.

    @ivar anomalies: what must not be.
    @ivar monitor: judges the replicas.
    @ivar tip: the latest image that anybody came to.
    @ivar tip_index: of the last entry in it.
    @ivar born: by the ids of all topics there ever were, the index at which each came to be.
    @ivar gone: the same of those that were deleted.
    @ivar denied: ids of topics of which somebody was told that they will never be.
    @ivar recoveries: how often a partition was led again of which nobody surely had everything (KR22).
    @ivar views: what the topics were, one after the other, and from which index on.
    @ivar listeners: hear of every image that is agreed on, and of the one before it.
    """

    anomalies: list[Anomaly]
    monitor: Monitor = Factory(lambda: Monitor(disks=_Disks()))
    tip: MetadataImage = Factory(MetadataImage)
    born: dict[bytes, int] = Factory(dict)
    gone: dict[bytes, int] = Factory(dict)
    denied: dict[bytes, str] = Factory(dict)
    tip_index: int = 0
    listeners: list[Callable[[MetadataImage, MetadataImage], object]] = Factory(list)
    recoveries: int = 0
    views: list[tuple[int, View]] = Factory(lambda: [(0, frozenset())])
    _places: dict[View, list[int]] = Factory(lambda: {frozenset(): [0]})

    @property
    def is_broken(self) -> bool:
        """Whether something must not be."""
        return bool(self.anomalies)

    def broke(self, rule: str, what: str) -> None:
        """Note what must not be."""
        self.anomalies.append(Anomaly(rule, "cluster", what))

    def check(self, judge: Callable[..., object], *args: Any) -> None:
        """Have something judged; what it raises is no business of the node's that is looked at."""
        try:
            judge(*args)
        except Violation as violation:
            self.broke(violation.rule, str(violation))
        except (AssertionError, LookupError, StartRefused) as error:
            self.broke(type(error).__name__, f"{judge.__qualname__}: {error}")

    # What was agreed on

    def applied(self, index: int, image: MetadataImage) -> None:
        """Hear what applying an entry came to somewhere."""
        is_news = index not in self.monitor.states
        self.monitor.applied(index, image)
        if is_news:
            before, self.tip, self.tip_index = self.tip, image, index
            self._moved(index, before, image)
            for listener in self.listeners:
                listener(before, image)
            self.recoveries += sum(is_recovery(part) for part in difference(before, image).partitions)

    def _moved(self, index: int, before: MetadataImage, after: MetadataImage) -> None:
        if after.names is before.names or after.names == before.names:
            return
        for topic_id in after.names:
            if topic_id not in before.names:
                self._was_born(topic_id, index)
        for topic_id in before.names:
            if topic_id not in after.names:
                self.gone[topic_id] = index
        view = frozenset((name, topic_id) for topic_id, name in after.names.items())
        self._places.setdefault(view, []).append(len(self.views))
        self.views.append((index, view))

    def _was_born(self, topic_id: bytes, index: int) -> None:
        if topic_id in self.gone:
            self.broke("DeletedStaysDeleted", f"topic {topic_id.hex()} is back at {index}")
        if topic_id in self.denied:
            self.broke("DroppedIsDropped", f"topic {topic_id.hex()} came to be at {index}: {self.denied[topic_id]}")
        self.born[topic_id] = index

    def leads(self, key: ReplicaKey, term: int, applied_index: int) -> None:
        """Hear that a node says of itself that it leads: it has applied all that was committed before its term."""
        for known in self.monitor.committed[applied_index:]:
            if known.seen_in_term < term:
                self.broke(
                    "LeadersKnowAll", f"{key} leads term {term} from {applied_index}, without {known.entry.index}"
                )

    # What somebody was told

    def created(self, name: str, topic_id: bytes) -> None:
        """Hear that a client was told that its topic is there."""
        if topic_id not in self.born:
            self.broke("AckedIsAgreed", f"topic {name} was acknowledged as {topic_id.hex()}, and nobody agreed on it")

    def deleted(self, name: str, topic_id: bytes) -> None:
        """Hear that a client was told that a topic is gone."""
        if topic_id not in self.gone:
            self.broke("AckedIsAgreed", f"topic {name} ({topic_id.hex()}) was said to be deleted, and is not")

    def happened(self, since: int, holds: Callable[[MetadataImage], bool], otherwise: str) -> None:
        """Hear that a client was told of something that holds, or held at some moment since that index."""
        states = self.monitor.states
        if not any(holds(states[index]) for index in range(since, self.tip_index + 1) if index in states):
            self.broke("AckedIsAgreed", otherwise)

    def denied_for_good(self, topic_id: bytes, why: str) -> None:
        """Hear that somebody was told that a topic was not made, and will not be (RF17)."""
        self.denied[topic_id] = why
        if topic_id in self.born:
            self.broke("DroppedIsDropped", f"topic {topic_id.hex()} is there: {why}")

    def seen(self, view: View, at: int) -> int:
        """
        Hear which topics a node said there are.

        @param at: what this returned for the last such answer on the same connection, or 0.
        @return: the earliest place among L{views} that the answer can be from.
        """
        places = self._places.get(view)
        if places is None:
            named = ", ".join(sorted(name for name, _ in view))
            self.broke("SeenIsAgreed", f"there were never just these topics: {named or 'none'}")
            return at
        place = next((one for one in places if one >= at), None)
        if place is None:
            self.broke("TimeGoesOn", f"what was true at {self.views[places[-1]][0]} came after {self.views[at][0]}")
            return at
        return place

    def read(self, asked_index: int, applied_index: int, key: ReplicaKey) -> None:
        """Hear that a barrier is passed that somebody came to when C{asked_index} was committed (RF11)."""
        if applied_index < asked_index:
            self.broke("ReadIsFresh", f"{key} reads at {applied_index} after {asked_index} was committed")
