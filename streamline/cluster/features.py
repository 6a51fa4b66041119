"""
Features (KIP-584): what all of the cluster is able to do, at which levels, and how that is changed.

A feature is listed when this release has it, and clients may rely on it; metadata are not Kafka's, so there is no
metadata.version.  At which level the cluster runs it is agreed on.  What this release cannot do without runs at its
lowest level, whether anybody has asked for it or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from streamline.cluster.commands import ChangeFeatures, FeatureLevel
from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused
from streamline.values import frozen

Levels = Mapping[str, tuple[int, int]]
"""Features by name, and the lowest and the highest level."""

SUPPORTED: Final[Levels] = {
    "eligible.leader.replicas.version": (1, 1),  # KIP-966: partitions always have an ELR
}
"""What this release knows."""


class Direction(IntEnum):
    """Where a level may go, as clients say it."""

    UPGRADE = 1
    SAFE_DOWNGRADE = 2
    UNSAFE_DOWNGRADE = 3


@frozen
class FeatureUpdate:
    """A level that somebody wants; C{direction} is what the client sent, and may be none that there is."""

    name: str
    level: int
    direction: int


def finalized(image: MetadataImage, supported: Levels = SUPPORTED) -> dict[str, int]:
    """Return the level at which the cluster runs each feature; those that are off are left out."""
    levels = {name: max(lowest, image.features.get(name, 0)) for name, (lowest, _) in supported.items()}
    return {name: level for name, level in levels.items() if level}


def update_features(
    image: MetadataImage, updates: Sequence[FeatureUpdate], supported: Levels = SUPPORTED
) -> list[ChangeFeatures]:
    """
    Return what changes the levels, all of them or none.

    @raise Refused: INVALID_REQUEST where nothing is asked for, or twice; INVALID_UPDATE_VERSION where a level is not
        to be had, with the feature in the text.
    """
    if not updates:
        raise Refused(ErrorCode.INVALID_REQUEST, "no feature is named")
    now, wanted = finalized(image, supported), {}
    for update in updates:
        if not update.name:
            raise Refused(ErrorCode.INVALID_REQUEST, "a feature has a name")
        if update.name in wanted:
            raise Refused(ErrorCode.INVALID_REQUEST, f"feature {update.name} is named twice")
        _check_direction(update, now.get(update.name, 0))
        _check_support(image, update, supported)
        wanted[update.name] = update.level
    changed = {name: level for name, level in wanted.items() if level != now.get(name, 0)}
    if not changed:
        return []
    return [ChangeFeatures(features=[FeatureLevel(name=name, level=level) for name, level in changed.items()])]


def _check_direction(update: FeatureUpdate, now: int) -> None:
    if update.direction not in tuple(Direction):
        raise _invalid(update, "there is no such type of upgrade")
    if update.level < 0:
        raise _invalid(update, "a level is not below 0")
    if update.level < now and update.direction == Direction.UPGRADE:
        raise _invalid(update, f"it runs at level {now}, and going below it has to be asked for as a downgrade")
    if update.level > now and update.direction != Direction.UPGRADE:
        raise _invalid(update, f"it runs at level {now}, and a downgrade does not go above it")


def _check_support(image: MetadataImage, update: FeatureUpdate, supported: Levels) -> None:
    """Everybody has to know it: whoever decides, and every broker that is registered, whether it is there or not."""
    known = [("this controller", supported)]
    known += [(f"broker {node}", broker.features) for node, broker in sorted(image.brokers.items())]
    for who, levels in known:
        lowest, highest = levels.get(update.name, (0, 0))
        if not lowest <= update.level <= highest:
            knows = f"knows levels {lowest} to {highest} only" if highest else "does not know this feature"
            raise _invalid(update, f"{who} {knows}")


def _invalid(update: FeatureUpdate, why: str) -> Refused:
    return Refused(ErrorCode.INVALID_UPDATE_VERSION, f"{update.name} cannot be at level {update.level}: {why}")
