"""What one connection holds of requests and answers: the accounts are told of it, and the watchman looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.protocol import Protocol

from streamline.net.accounts import Share
from streamline.net.answers import Answers
from streamline.services.sending import Sender
from streamline.wire.frame import Frames

if TYPE_CHECKING:
    from streamline.net.kafka import KafkaFactory


class Held(Protocol):
    """
    A connection as others see it.

    @ivar heard: grows with each pass over the socket; C{finished} with each whole request.  The watchman compares
        them with what they were.
    @ivar is_paused: whether it is we who do not read.
    """

    factory: KafkaFactory
    _sender: Sender

    def __init__(self, factory: KafkaFactory, address: str) -> None:
        self.factory = factory
        self.address = address
        self.heard = 0
        self.finished = 0
        self.is_paused = False
        self._frames = Frames(factory.limits.frame_bytes_max)
        self._share = Share(self)
        self._answers = Answers()
        self._backlog_bytes = 0
        self._is_ending = False

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken."""
        return self._sender.unsent_bytes

    @property
    def taken_bytes(self) -> int:
        """What it has taken since it came."""
        return self._sender.given_bytes - self._sender.unsent_bytes

    @property
    def partial_bytes(self) -> int:
        """What has come of a frame that is not whole."""
        return self._frames.buffered_bytes

    @property
    def is_waiting(self) -> bool:
        """Whether it is our turn: a request has not been answered."""
        return bool(self._answers.slots)

    @property
    def is_ending(self) -> bool:
        """Whether it only has to close."""
        return self._is_ending

    def look_again(self) -> None:
        """Go on if there is room by now."""
        raise NotImplementedError

    def _settle(self) -> int:
        """Tell the accounts what this connection holds; return how much of it has not been sent."""
        share, answers = self._share, self._answers
        unsent_bytes = self._sender.unsent_bytes
        inbound_bytes = self._frames.buffered_bytes + self._backlog_bytes
        outbound_bytes = answers.ready_bytes + unsent_bytes
        if (
            inbound_bytes != share.inbound_bytes
            or outbound_bytes != share.outbound_bytes
            or answers.waiting_bytes != share.waiting_bytes
        ) and self.factory.accounts.settle(share, inbound_bytes, answers.waiting_bytes, outbound_bytes):
            self.factory.relieved()
        return unsent_bytes
