"""
What changed from one image to another, for those who act on it.

It is found by comparing the two, so it is right for a command, for several
together, and for a snapshot that took the place of everything.  What was not
touched is the same object in both images, which makes the comparison cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import compress, filterfalse
from operator import is_not
from typing import Any

from streamline.cluster.image import MetadataImage
from streamline.model import PartitionState, Topic
from streamline.values import frozen


@frozen(kw_only=True)
class PartitionDelta:
    """
    One partition that is new or changed.

    @ivar old: what it was, or None where it is new.
    """

    topic: Topic
    old: PartitionState | None
    new: PartitionState

    @property
    def is_new_leadership(self) -> bool:
        """Whether the leader epoch has grown, or has begun."""
        return self.old is None or self.new.leader_epoch > self.old.leader_epoch


@frozen(kw_only=True)
class Delta:
    """
    What two images differ in, each part sorted.

    @ivar brokers: ids of brokers that came, went or changed.
    @ivar deleted: topics that are gone; one of the same name and another id is gone and new.
    @ivar created: topics that are new.
    @ivar partitions: partitions that are new or changed, in the order of their topics' names; those of new topics
        too, those of deleted ones not.
    @ivar topic_configs: names of topics that are in both, with other settings.
    @ivar broker_configs: ids (as text) of brokers with other settings.
    @ivar features: whether feature levels differ.
    """

    old: MetadataImage
    new: MetadataImage
    brokers: tuple[int, ...] = ()
    deleted: tuple[Topic, ...] = ()
    created: tuple[Topic, ...] = ()
    partitions: tuple[PartitionDelta, ...] = ()
    topic_configs: tuple[str, ...] = ()
    broker_configs: tuple[str, ...] = ()
    features: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed but the index (and the next producer id)."""
        return not (
            self.brokers or self.deleted or self.created or self.partitions
            or self.topic_configs or self.broker_configs or self.features
        )  # fmt: skip

    @property
    def concerned(self) -> list[tuple[str, int]]:
        """Topic and index of each partition that is new or changed, or whose topic has other settings."""
        keys = dict.fromkeys((part.topic.name, part.new.index) for part in self.partitions)
        for name in self.topic_configs:
            keys.update(((name, state.index), None) for state in self.new.topics[name].partitions)
        return list(keys)


def difference(old: MetadataImage, new: MetadataImage) -> Delta:
    """Return what changed from one image to another."""
    names = sorted(_differing(old.topics, new.topics))
    before = [topic for name in names if (topic := old.topics.get(name)) is not None]
    after = [topic for name in names if (topic := new.topics.get(name)) is not None]
    return Delta(
        old=old,
        new=new,
        brokers=tuple(sorted(_differing(old.brokers, new.brokers))),
        deleted=tuple(topic for topic in before if not _is_there(new, topic)),
        created=tuple(topic for topic in after if not _is_there(old, topic)),
        partitions=tuple(part for topic in after for part in _partitions(old.topics.get(topic.name), topic)),
        topic_configs=tuple(
            name
            for name in sorted(_differing(old.configs, new.configs))
            if name in old.topics and name in new.topics and _is_there(old, new.topics[name])
        ),
        broker_configs=tuple(sorted(_differing(old.broker_configs, new.broker_configs))),
        features=old.features != new.features,
    )


def _differing(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Any]:
    """Yield the keys whose values differ; a value that was not touched is the same object."""
    if old is new:
        return
    # Thousands of topics are compared for each that changes: those that are the same object without a step in Python.
    before = map(old.get, new)
    for key in compress(new, map(is_not, before, new.values())):
        if old.get(key) != new[key]:
            yield key
    yield from filterfalse(new.__contains__, old)


def _is_there(image: MetadataImage, topic: Topic) -> bool:
    known = image.topics.get(topic.name)
    return known is not None and known.topic_id == topic.topic_id


def _partitions(old: Topic | None, new: Topic) -> Iterator[PartitionDelta]:
    known = old.partitions if old is not None and old.topic_id == new.topic_id else ()
    for index, state in enumerate(new.partitions):
        before = known[index] if index < len(known) else None
        if before is not state and before != state:
            yield PartitionDelta(topic=new, old=before, new=state)
