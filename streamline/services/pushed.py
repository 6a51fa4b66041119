"""
What arrives of the controller's pushes: checked against where this node is, taken, and told to those who act on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamline.cluster.foresight import Here, PartitionOutcome
from streamline.model import TopicPartition
from streamline.raft import ReplicaKey
from streamline.services.metadata import Metadata
from streamline.services.neighbours import own_epoch
from streamline.wire.messages.peer_pushes import LeaderAndIsrRequest, StopReplicaRequest, UpdateMetadataRequest


class Pushed:
    """
    Takes pushes; see L{streamline.cluster.foresight}.

    @param incarnation_id: of this process: what is pushed to an earlier one is not for this one.
    """

    def __init__(self, node_id: int, incarnation_id: bytes, metadata: Metadata) -> None:
        self._node_id = node_id
        self._incarnation_id = incarnation_id
        self._metadata = metadata

    def lead_and_follow(self, sender: ReplicaKey, push: LeaderAndIsrRequest) -> Sequence[PartitionOutcome]:
        """
        Take roles; return what became of each partition, nothing where all of it was applied long ago.

        @raise Refused: as L{Foresight.admit<streamline.cluster.foresight.Foresight.admit>}.
        """
        here = self._admit(sender, push)
        return () if here is None else self._told(self._metadata.foresight.lead_and_follow(push, here))

    def stop(self, sender: ReplicaKey, push: StopReplicaRequest) -> Sequence[PartitionOutcome]:
        """Give roles up; as L{lead_and_follow}."""
        here = self._admit(sender, push)
        return () if here is None else self._told(self._metadata.foresight.stop(push, here))

    def show(self, sender: ReplicaKey, push: UpdateMetadataRequest) -> None:
        """
        Tell clients so from now on.

        @raise Refused: as L{Foresight.admit<streamline.cluster.foresight.Foresight.admit>}.
        """
        here = self._admit(sender, push)
        if here is not None and self._metadata.foresight.show(push, here.image):
            self._metadata.foreseen(())

    def _admit(self, sender: ReplicaKey, push: Any) -> Here | None:
        """Return where it arrives; None where nothing in it is new here."""
        metadata = self._metadata
        image = metadata.image
        here = Here(
            node_id=self._node_id,
            image=image,
            broker_epoch=own_epoch(image.brokers, self._node_id, self._incarnation_id),
            term=metadata.consensus.term,
        )
        is_new = metadata.foresight.admit(push, sender.node_id, sender.directory_id, here)
        return here if is_new else None

    def _told(self, outcomes: Sequence[PartitionOutcome]) -> Sequence[PartitionOutcome]:
        taken = [TopicPartition(one.name, one.index) for one in outcomes if one.is_taken]
        if taken:
            self._metadata.foreseen(taken)
        return outcomes
