"""
The calling end of a connection between nodes: requests go out, responses come back by their correlation ids.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from streamline.errors import ProtocolError, StreamlineError
from streamline.raft import Message as RaftMessage
from streamline.services.deadlines import Deadline, Deadlines
from streamline.services.peer_protocol import CORRELATION_IDS, PeerProtocol, is_message, read_message
from streamline.values import frozen
from streamline.wire.codec import reader, writer
from streamline.wire.header import read_response_header, write_request_header
from streamline.wire.messages.peer_raft import FIRST_KEY
from streamline.wire.reading import skip_tags
from streamline.wire.schema import Message, is_flexible

R = TypeVar("R", bound=Message)

PENDING_MAX = 1000
"""Requests that may wait for their answers over one connection."""
TAGS_MAX = 100


class NoAnswer(StreamlineError):
    """A request got no answer; whether it was carried out is not known."""


@frozen
class _Pending:
    version: int
    response: type[Message]
    answer: Deferred[Any]
    deadline: Deadline


def read_response(frame: bytes | memoryview, declared: type[Message], version: int) -> Message:
    """
    Read a response to a request of that version.

    @raise ProtocolError: it is none.
    """
    key, at = declared.KEY, 4
    if key < FIRST_KEY:
        _, at = read_response_header(frame, key, version)
    else:
        try:
            at, _ = skip_tags(frame, 4, TAGS_MAX)
        except IndexError:
            raise ProtocolError("a response header is cut short") from None
    answer, _ = reader(declared, version)(memoryview(frame), at)
    return answer


class PeerCall(PeerProtocol):
    """
    A connection that this node opened.

    @ivar was_heard: whether anything has come over it since this was last made false.
    @param deadlines: of requests; one timer for all of them, as nearly every one is answered in time.
    @param client_id: what this node calls itself.
    @param connected: called when it is there.
    @param received: takes messages of the quorum that come back over it.
    @param ended: called once, with a sentence, when it has ended; empty where it just closed.
    """

    def __init__(
        self,
        deadlines: Deadlines,
        client_id: str,
        connected: Callable[[PeerCall], None],
        received: Callable[[RaftMessage], None],
        ended: Callable[[PeerCall, str], None],
    ) -> None:
        super().__init__()
        self.was_heard = False
        self._deadlines = deadlines
        self._client_id = client_id
        self._connected = connected
        self._received = received
        self._ended = ended
        self._pending: dict[int, _Pending] = {}
        self._correlation_id = 0
        self._why = ""

    def connectionMade(self) -> None:
        """Begin."""
        super().connectionMade()
        self._connected(self)

    def ask(self, request: Message, response: type[R], timeout_s: float, version: int | None = None) -> Deferred[R]:
        """
        Send a request; fire with its answer.

        @param version: the highest by default.
        @raise NoAnswer: through the Deferred: none came in time, or the connection ended, or too much waits.
        """
        key, last = type(request).KEY, type(request).VERSIONS[1] if version is None else version
        if len(self._pending) >= PENDING_MAX:
            return fail(NoAnswer("too many requests wait for their answers"))
        correlation_id = self._correlation_id = (self._correlation_id + 1) % CORRELATION_IDS
        flexible = is_flexible(type(request), last)
        header = write_request_header(key, last, correlation_id, self._client_id, flexible=flexible)
        if not self.send([header, *writer(type(request), last)(request)]):
            return fail(NoAnswer("the connection is closed or takes no more"))
        answer: Deferred[R] = Deferred()
        deadline = self._deadlines.after(timeout_s, partial(self._timed_out, correlation_id))
        self._pending[correlation_id] = _Pending(last, response, answer, deadline)
        return answer

    def frame_received(self, frame: bytes | memoryview) -> None:
        """Take a response, or a message of the quorum."""
        self.was_heard = True
        if is_message(frame):
            self._received(read_message(frame))
            return
        correlation_id = int.from_bytes(frame[:4], "big", signed=True)
        pending = self._pending.pop(correlation_id, None)
        if pending is None:
            if 0 <= correlation_id <= self._correlation_id:
                return  # its time was up
            raise ProtocolError(f"an answer to request {correlation_id}, which was never sent")
        pending.deadline.cancel()
        try:
            answer = read_response(frame, pending.response, pending.version)
        except ProtocolError as error:
            pending.answer.errback(NoAnswer(str(error)))
            raise
        pending.answer.callback(answer)

    def _timed_out(self, correlation_id: int) -> None:
        self._pending.pop(correlation_id).answer.errback(NoAnswer("no answer came in time"))

    def misbehaved(self, why: str) -> None:
        """Keep it for whoever hears of the end."""
        self._why = why

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give up what waits."""
        self.is_closed = True
        pending, self._pending = self._pending, {}
        for one in pending.values():
            one.deadline.cancel()
            one.answer.errback(NoAnswer("the connection ended"))
        self._ended(self, self._why)
