"""
The image in use, and those who want to hear when it changes.

This is the state machine behind consensus: it applies commands in the agreed
order and tells each listener (old image, new image).  Nothing changes topics,
settings or ids any other way.  What the controller has pushed lies on top of the
image until the log brings it: see L{streamline.cluster.foresight}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from zope.interface import implementer

from streamline.cluster.commands import dump, load
from streamline.cluster.foresight import Foresight
from streamline.cluster.image import MetadataImage, apply
from streamline.cluster.snapshot import dump_image, load_image
from streamline.errors import ProtocolError, Refused, StartRefused
from streamline.interfaces import IConsensus, IStateMachine
from streamline.model import PartitionState, Topic, TopicPartition
from streamline.wire.schema import Message

Listener = Callable[[MetadataImage, MetadataImage], None]
EarlyListener = Callable[[Sequence[TopicPartition]], None]


@implementer(IStateMachine)
class Metadata:
    """
    Holds the image; proposes commands that change it.

    @ivar foresight: what was pushed here and not applied yet.
    """

    def __init__(self, consensus: IConsensus) -> None:
        self.consensus = consensus
        self.image = MetadataImage()
        self.foresight = Foresight()
        self._shown: MetadataImage | None = None
        self._listeners: list[Listener] = []
        self._early: list[EarlyListener] = []

    def listen(self, listener: Listener) -> None:
        """Call this with (old, new) after each change, in the order of listening."""
        self._listeners.append(listener)

    # What is known before it is applied

    @property
    def shown(self) -> MetadataImage:
        """What clients are told of brokers and partitions; topics and settings in it are those of the image."""
        if self._shown is None:
            self._shown = self.foresight.shown(self.image)
        return self._shown

    def expected(self, topic: Topic, index: int) -> PartitionState:
        """Return what this node's copy of a partition is to follow, C{topic} being that of the image."""
        return self.foresight.expected(topic, topic.partitions[index])

    def listen_early(self, listener: EarlyListener) -> None:
        """Call this with partitions of which L{expected} has changed, and the image has not."""
        self._early.append(listener)

    def foreseen(self, partitions: Sequence[TopicPartition]) -> None:
        """Hear that something was pushed here; C{partitions} are those with other roles."""
        self._shown = None
        for listener in self._early if partitions else ():
            listener(partitions)

    # The log

    def propose(self, command: Message) -> Deferred[Any]:
        """Have a command agreed on and applied; fire with its result."""
        return self.consensus.propose(dump(command))

    def apply(self, index: int, command: bytes) -> Any:
        """Carry out an agreed command."""
        try:
            image, result = apply(self.image, index, load(command))
        except Refused:
            self._show(evolve(self.image, index=index))
            raise
        except ProtocolError as error:
            raise StartRefused(f"cannot read the metadata: {error}; run the release that wrote it") from error
        self._show(image)
        return result

    def take_snapshot(self) -> bytes:
        """Return the image as bytes."""
        return dump_image(self.image)

    def restore(self, snapshot: bytes) -> None:
        """Start over from a snapshot."""
        try:
            image = load_image(snapshot)
        except ProtocolError as error:
            raise StartRefused(f"cannot read the metadata snapshot: {error}") from error
        self._show(image)

    def _show(self, image: MetadataImage) -> None:
        old, self.image = self.image, image
        self._shown = None
        if not self.foresight.is_empty:
            self.foresight.applied(image)
        for listener in self._listeners:
            listener(old, image)
