"""Says, where this node is the controller, that partitions begin to move to other nodes, and that they have arrived."""

from __future__ import annotations

from twisted.logger import Logger

from streamline.cluster.delta import difference
from streamline.cluster.image import MetadataImage
from streamline.model import PartitionState
from streamline.services.controllership import Controllership
from streamline.services.metadata import Metadata

log = Logger()


class Moving:
    """Watches moves (KIP-455)."""

    def __init__(self, metadata: Metadata, controllership: Controllership) -> None:
        self._controllership = controllership
        metadata.listen(self._changed)

    def _changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if old.topics is new.topics or not self._controllership.is_active:
            return
        for part in difference(old, new).partitions:
            if part.old is not None and (said := _said(part.old, part.new)):
                partition = f"{part.topic.name}-{part.new.index}"
                log.info("{partition} {said}", partition=partition, said=said)


def _said(old: PartitionState, new: PartitionState) -> str:
    """Return what has become of a partition, where it moves or has moved."""
    was_moving, is_moving = (bool(state.adding or state.removing) for state in (old, new))
    if is_moving and not was_moving:
        return f"moves from nodes {list(old.replicas)} to {list(new.target)}"
    if is_moving and new.target != old.target:
        return f"moves to nodes {list(new.target)} instead of {list(old.target)}"
    if was_moving and not is_moving:
        arrived = new.replicas == old.target
        return f"{'has moved to' if arrived else 'moves no more, and stays on'} nodes {list(new.replicas)}"
    return ""
