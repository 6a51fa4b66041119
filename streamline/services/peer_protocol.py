"""
What both ends of a connection between nodes have in common: frames, the quorum's messages, and a limit on what waits.

The messages of the quorum are said one way and in both directions.  They begin with an api key of ours; a response
begins with its correlation id, and those stay small enough that the two cannot be taken for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from zope.interface import implementer

from streamline.errors import ProtocolError
from streamline.model import Buffer, Part
from streamline.raft import Message as RaftMessage
from streamline.raft import translation
from streamline.services.sending import Sender, sender_over
from streamline.wire.codec import reader
from streamline.wire.frame import RESPONSE_BYTES, Frames
from streamline.wire.header import read_request_header, write_request_header
from streamline.wire.messages.peer_raft import FIRST_KEY, ONE_WAY

log = Logger()

GREETING_BYTES_MAX: Final = 64 * 1024
"""The longest frame from somebody who has not said who it is."""
FRAME_BYTES_MAX: Final = 128 << 20
"""The longest frame from another node."""
UNSENT_BYTES_MAX: Final = 32 << 20
"""What may wait to be sent over one connection; beyond it, nothing is taken."""
CORRELATION_IDS: Final = 1 << 30
"""Correlation ids are below this, so that their first two bytes are no api key of ours."""

_LENGTH = Struct(">i")
_KEY = Struct(">h")


def _said_one_way(api_key: int, api_version: int) -> bool | None:
    return True if api_key in ONE_WAY and api_version == translation.VERSION else None


def is_message(frame: Buffer) -> bool:
    """Say whether a frame is a message of ours and not a response."""
    return len(frame) > 1 and _KEY.unpack_from(frame)[0] >= FIRST_KEY


def read_message(frame: bytes | memoryview) -> RaftMessage:
    """
    Read a frame that holds a message of the quorum.

    @raise ProtocolError: it does not.
    """
    header = read_request_header(frame, _said_one_way)
    declared, end = reader(ONE_WAY[header.api_key], header.api_version)(memoryview(frame), header.at)
    if end != len(frame):
        raise ProtocolError(f"{len(frame) - end} bytes behind a message")
    return translation.understand(declared)


@implementer(IPushProducer)
class PeerProtocol(Protocol):
    """
    One end of a connection to another node.

    Bytes that no node sends end this connection and nothing else.
    """

    transport: Any

    def __init__(self) -> None:
        self.is_closed = False
        self._frames = Frames(GREETING_BYTES_MAX, RESPONSE_BYTES)
        self._sender: Sender | None = None

    # For those who inherit

    def frame_received(self, frame: bytes | memoryview) -> None:
        """
        Take a frame.

        @raise ProtocolError: no node sends it.
        """
        raise NotImplementedError

    def misbehaved(self, why: str) -> None:
        """Hear that the other end sent what no node sends; the connection is being dropped."""
        raise NotImplementedError

    def trust(self) -> None:
        """Take large frames from now on."""
        self._frames.max_bytes = FRAME_BYTES_MAX

    # Twisted's side

    def connectionMade(self) -> None:
        """Begin."""
        self.transport.setTcpNoDelay(True)
        self._sender = sender_over(self.transport, self)

    def dataReceived(self, data: bytes) -> None:
        """Take what a pass over the socket brought."""
        try:
            for frame in self._frames.feed(data):
                if self.is_closed:
                    return
                self.frame_received(frame)
            if self._sender is not None:
                self._sender.expects(self._frames.missing_bytes)
        except ProtocolError as error:
            self._failed(str(error))
        except Exception:
            log.failure("what another node sent could not be taken")
            self._failed("the node's log says what is wrong")

    def _failed(self, why: str) -> None:
        if not self.is_closed:
            self.drop()
            self.misbehaved(why)

    def pauseProducing(self) -> None:
        """The transport has too much that it could not send."""
        if self._sender is not None:
            self._sender.blocked()

    def resumeProducing(self) -> None:
        """It has sent everything."""
        if self._sender is not None:
            self._sender.drained()

    def stopProducing(self) -> None:
        """It is being closed."""
        self.is_closed = True

    # Sending

    def say(self, message: RaftMessage) -> bool:
        """Send a message of the quorum; return whether it was taken."""
        header = write_request_header(translation.key_of(message), translation.VERSION, 0, None, flexible=True)
        return self.send([header, *translation.write(message)])

    def send(self, parts: Sequence[Part]) -> bool:
        """Send a frame; return whether it was taken: not where the connection is closed, or too much waits."""
        length = sum(map(len, parts))
        sender = self._sender
        if self.is_closed or sender is None:
            return False
        unsent_bytes = sender.unsent_bytes
        if unsent_bytes and unsent_bytes + length > UNSENT_BYTES_MAX:
            return False
        sender.send([_LENGTH.pack(length), *parts], length + 4)
        return True

    def drop(self) -> None:
        """Close at once."""
        if not self.is_closed:
            self.is_closed = True
            self.transport.abortConnection()

    def finish(self) -> None:
        """Close when everything has been sent."""
        if not self.is_closed:
            self.is_closed = True
            if self._sender is not None:
                self._sender.finish()
