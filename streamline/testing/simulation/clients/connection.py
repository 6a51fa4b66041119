"""
A client's connection to a node: requests out, answers in, matched by correlation id.

Answers come in the order of the requests; one that comes out of turn ends the
run, because it is the node's fault.  An answer that does not come in time ends
the connection, as in every Kafka client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, TypeAlias

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.interfaces import Host, IClock
from streamline.model import Endpoint
from streamline.testing.history import History
from streamline.wire.codec import decode, encode
from streamline.wire.frame import RESPONSE_BYTES, Frames
from streamline.wire.header import read_response_header, write_request_header
from streamline.wire.messages import REQUESTS, RESPONSES
from streamline.wire.schema import Message

RESPONSE_BYTES_MAX = 128 << 20
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 10.0
BACKOFF_S = (0.05, 0.5)

_LENGTH = Struct(">i").pack


log = Logger()

Where: TypeAlias = Endpoint | Sequence[Endpoint]
"""Where a client finds the cluster: its one node, or several of its nodes."""


class Gone(Exception):
    """The connection ended, or an answer did not come: nobody knows what became of the request."""


class BadAnswer(AssertionError):
    """A node sent what no client can use, or what cannot be."""


def alarm(failure: Failure) -> None:
    """Report what no node may do to a client: whoever reads the log of a run counts it as an anomaly."""
    log.failure("a client cannot go on", failure)


def is_passing(failure: Failure, *kinds: type[Exception]) -> bool:
    """Say whether a failure is of a kind that any client must expect; raise the alarm over any other."""
    if failure.check(Gone, *kinds) is not None:
        return True
    alarm(failure)
    return False


@frozen
class _Question:
    key: int
    version: int
    correlation_id: int
    answer: Deferred[Any]


class Connection(Protocol):
    """One connection."""

    def __init__(self, clock: IClock, client_id: str, history: History) -> None:
        self._clock = clock
        self._client_id = client_id
        self._history = history
        self._frames = Frames(RESPONSE_BYTES_MAX, RESPONSE_BYTES)
        self._questions: deque[_Question] = deque()
        self._next_id = 0
        self._late: IDelayedCall | None = None
        self.is_open = True

    def ask(self, request: Message, version: int) -> Deferred[Any]:
        """Send a request; fire with its answer, or fail with L{Gone}."""
        answer: Deferred[Any] = Deferred()
        if not self.is_open:
            answer.errback(Gone("the connection is closed"))
            return answer
        correlation_id = self.tell(request, version)
        self._questions.append(_Question(request.KEY, version, correlation_id, answer))
        if self._late is None:
            self._late = self._clock.callLater(REQUEST_TIMEOUT_S, self._timed_out)
        return answer

    def tell(self, request: Message, version: int) -> int:
        """Send a request that gets no answer."""
        self._next_id += 1
        _count(self._history.asked, type(request))
        header = write_request_header(request.KEY, version, self._next_id, self._client_id)
        body = encode(request, version)
        assert self.transport is not None
        self.transport.writeSequence([_LENGTH(len(header) + len(body)), header, body])
        return self._next_id

    def close(self) -> None:
        """End the connection."""
        if self.is_open:
            assert self.transport is not None
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Match answers with questions."""
        for frame in self._frames.feed(data):
            question = self._questions[0]
            correlation_id, at = read_response_header(frame, question.key, question.version)
            if correlation_id != question.correlation_id:
                raise AssertionError(f"answer {correlation_id} came where {question.correlation_id} was next")
            self._questions.popleft()
            self._wait_again()
            _count(self._history.answered, REQUESTS[question.key])
            question.answer.callback(decode(RESPONSES[question.key], question.version, frame[at:]))

    def _wait_again(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = self._clock.callLater(REQUEST_TIMEOUT_S, self._timed_out) if self._questions else None

    def _timed_out(self) -> None:
        self._late = None
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail every question."""
        self.is_open = False
        if self._late is not None:
            self._late.cancel()
            self._late = None
        questions, self._questions = self._questions, deque()
        for question in questions:
            question.answer.errback(Gone(str(reason.value)))


def _count(counts: dict[str, int], request: type[Message]) -> None:
    name = request.__name__.removesuffix("Request")
    counts[name] = counts.get(name, 0) + 1


class _Connections(Factory):
    noisy = False

    def __init__(self, clock: IClock, client_id: str, history: History) -> None:
        self._clock = clock
        self._client_id = client_id
        self._history = history

    def buildProtocol(self, addr: object) -> Connection:
        return Connection(self._clock, self._client_id, self._history)


class Line:
    """
    A client's way to one node: connected when it is needed, again and again.

    Where several nodes are known, each time that it hung up it begins at any of them, until it is told whom to ask.

    @ivar stopped: no new connections are made.
    @ivar is_patient: whether a node that is not there is called until it is; else its user hears of it.
    @ivar leader_epoch: the latest that its user has heard of; C{nodes} where to find each, likewise.
    """

    def __init__(self, host: Host, where: Where, client_id: str, history: History) -> None:
        self.host = host
        self.client_id = client_id
        self.stopped = False
        self.is_patient = True
        self.leader_epoch = -1
        self.nodes: Mapping[int, Endpoint] = {}
        self._known = [where] if isinstance(where, Endpoint) else list(where)
        self._address = self._any()
        self._history = history
        self._connection: Connection | None = None

    async def connection(self) -> Connection:
        """
        Return an open connection, as soon as there is one.

        @raise Gone: the line was stopped, or the node is not there, and nobody is to wait for it.
        """
        factory = _Connections(self.host.clock, self.client_id, self._history)
        while self._connection is None or not self._connection.is_open:
            if self.stopped:
                raise Gone("this client has stopped")
            connecting = self.host.network.connect(
                self._address.host, self._address.port, factory, CONNECT_TIMEOUT_S
            )
            try:
                self._connection = await connecting  # type: ignore[assignment]
            except ConnectError as error:
                if not self.is_patient:
                    self.drop()
                    raise Gone("the node is not there") from error
                await self.pause()
        return self._connection

    async def ask(self, request: Message, version: int) -> Any:
        """Connect, send a request and return its answer; fails with L{Gone}."""
        connection = await self.connection()
        return await connection.ask(request, version)

    def pause(self) -> Deferred[None]:
        """Wait a little, as clients do before they try again."""
        low, high = BACKOFF_S
        return self.sleep(low + (high - low) * self.host.rng.random())

    def sleep(self, seconds: float) -> Deferred[None]:
        """Wait."""
        over: Deferred[None] = Deferred()
        self.host.clock.callLater(seconds, over.callback, None)
        return over

    def _any(self) -> Endpoint:
        return self._known[self.host.rng.randrange(0, len(self._known)) if len(self._known) > 1 else 0]

    def aim(self, address: Endpoint) -> None:
        """Ask this node from now on, until L{drop}; who knows of one node only stays with it."""
        if len(self._known) > 1 and address != self._address:
            self.drop()
            self._address = address

    def turn(self) -> None:
        """Ask any of the nodes from now on, where several are known."""
        if len(self._known) > 1:
            self.drop()

    def drop(self) -> None:
        """Hang up; the next request connects anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._address = self._any()

    def stop(self) -> None:
        """Hang up for good."""
        self.stopped = True
        self.drop()
