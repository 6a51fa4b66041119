"""
The image in use, and those who want to hear when it changes.

This is the state machine behind consensus: it applies commands in the agreed
order and tells each listener (old image, new image).  Nothing changes topics,
settings or ids any other way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from zope.interface import implementer

from streamline.cluster.commands import dump, load
from streamline.cluster.image import MetadataImage, apply
from streamline.cluster.snapshot import dump_image, load_image
from streamline.errors import ProtocolError, Refused, StartRefused
from streamline.interfaces import IConsensus, IStateMachine
from streamline.wire.schema import Message

Listener = Callable[[MetadataImage, MetadataImage], None]


@implementer(IStateMachine)
class Metadata:
    """Holds the image; proposes commands that change it."""

    def __init__(self, consensus: IConsensus) -> None:
        self.consensus = consensus
        self.image = MetadataImage()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call this with (old, new) after each change, in the order of listening."""
        self._listeners.append(listener)

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
        for listener in self._listeners:
            listener(old, image)
