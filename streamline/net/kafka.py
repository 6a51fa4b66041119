"""
A client's connection: frames in, answers out, in the order of the requests.

A pass over the socket brings any number of frames.  Each is read, looked up in
the api table and given to its handler; then everything that the handlers
collected is written, the answers that waited for that are made, and all answers
that are ready leave in one go.  A connection that misbehaves ends alone.

It never looks into records, and never decides anything about partitions.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.api.api_versions import API_VERSIONS, unsupported
from streamline.api.call import BrokerServices, Call, Caller, Hold, Later
from streamline.api.table import TABLE, Api, flexible_of
from streamline.errors import ProtocolError
from streamline.model import Buffer, Endpoint
from streamline.net.limits import Limits, Turnstile
from streamline.net.sending import Sender
from streamline.services.deadlines import Deadlines
from streamline.services.sharing import Shared
from streamline.wire.codec import reader, writer
from streamline.wire.frame import Frames
from streamline.wire.header import read_request_header
from streamline.wire.schema import Message

log = Logger()

COMPLAINTS_PER_LOOK = 10
"""Closed connections that are logged one by one between two looks of the watchman; more are only counted."""

_HEADER = struct.Struct(">ii")
_FLEXIBLE_HEADER = struct.Struct(">iiB")


@define(slots=True, eq=False)
class Route:
    """
    How one API in one version is read, answered and written.

    @ivar served: how many requests took it.
    """

    name: str
    version: int
    read: Callable[..., tuple[Any, int]]
    handler: Callable[[Call, Any], Any]
    write: Callable[[Any], list[Buffer]]
    has_tags: bool
    served: int = 0


def make_route(api: Api, version: int, elements_max: int) -> Route:
    """Put together what it takes to serve an API in a version."""
    return Route(
        api.request.__name__.removesuffix("Request"),
        version,
        reader(api.request, version, elements_max),
        api.handler,
        writer(api.response, version),
        bool(flexible_of(api.key, version)) and api.key != API_VERSIONS,
    )


class Slot:
    """The place of one answer in the order of answers."""

    __slots__ = ("correlation_id", "is_owed", "parts", "route", "size_bytes", "waiting")

    def __init__(self, correlation_id: int, route: Route) -> None:
        self.correlation_id = correlation_id
        self.route = route
        self.parts: list[Buffer] | None = None
        self.size_bytes = 0
        self.waiting: Deferred[Any] | None = None
        self.is_owed = False
        """Whether something was done for it, so that a stopping node must not leave it unanswered."""


@implementer(IPushProducer)
class KafkaConnection(Protocol):
    """
    One client.

    @ivar heard: grows with each pass over the socket; C{finished} with each whole request.  The watchman compares
        them with what they were.
    """

    factory: KafkaFactory

    def __init__(self, factory: KafkaFactory, address: str) -> None:
        self.factory = factory
        self.address = address
        self.heard = 0
        self.finished = 0
        self._frames = Frames(factory.limits.frame_bytes_max)
        self._slots: deque[Slot] = deque()
        self._later: list[tuple[Slot, Later]] = []
        self._backlog: deque[bytes] = deque()
        self._is_closed = False
        self._is_paused = False
        self._is_blocked = False
        self._is_busy = False
        self._is_held = False
        self._is_finishing = False

    # Twisted's side

    def connectionMade(self) -> None:
        """Begin."""
        transport = self.transport
        assert transport is not None
        self._sender = Sender(transport)
        host = transport.getHost()
        self.caller = Caller(
            self.address, Endpoint(getattr(host, "host", ""), getattr(host, "port", 0)), self.refuse, self._room_bytes
        )
        transport.setTcpNoDelay(True)  # type: ignore[attr-defined]
        transport.registerProducer(self, True)  # type: ignore[attr-defined]
        self.factory.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget everything that waits on behalf of this client."""
        self._is_closed = True
        self.factory.closed(self)
        for slot in self._slots:
            if slot.waiting is not None:
                slot.waiting.cancel()
        self._slots.clear()
        self._backlog.clear()

    def dataReceived(self, data: bytes) -> None:
        """Take what a pass over the socket brought."""
        self.heard += 1
        self._is_busy = True
        try:
            for frame in self._frames.feed(data):
                if self._is_closed:
                    break
                if self._is_full() or self._backlog:
                    self._backlog.append(frame)
                else:
                    self._request(frame)
        except ProtocolError as error:
            self.refuse(str(error))
        finally:
            self._is_busy = False
        self._after_requests()

    def pauseProducing(self) -> None:
        """The transport has too much that it could not send: take no further request."""
        self._is_blocked = True
        self._sender.blocked()
        self._pace()

    def resumeProducing(self) -> None:
        """The transport has sent everything."""
        self._sender.drained()
        self._is_blocked = False
        self._go_on()

    def stopProducing(self) -> None:
        """The transport is being closed."""
        self._is_closed = True

    # Requests

    def _request(self, frame: bytes) -> None:
        self.finished += 1
        header = read_request_header(frame, flexible_of)
        route = self.factory.route(header.api_key, header.api_version) if header.is_known else self.factory.unknown
        route.served += 1
        slot = Slot(header.correlation_id, route)
        self._slots.append(slot)
        if not header.is_known:
            self._encode(slot, unsupported())
            return
        if not self.factory.is_serving and header.api_key != API_VERSIONS:
            raise ProtocolError("the node is not serving")
        # Bytes behind the request are let be, as Kafka does: librdkafka leaves some behind its Metadata requests.
        request, _ = route.read(memoryview(frame), header.at)
        call = Call(self.factory.broker, self.caller, header.api_version, header.client_id)
        self._answer(slot, route.handler(call, request))

    def _answer(self, slot: Slot, answer: Any) -> None:
        if isinstance(answer, Message):
            self._encode(slot, answer)
        elif isinstance(answer, Later):
            slot.is_owed = True
            self._later.append((slot, answer))
        elif answer is None:
            slot.parts = []
        elif isinstance(answer, Hold):
            self._is_held = True
            slot.is_owed = True
            slot.waiting = answer.work
            answer.work.addCallbacks(self._held, self._failed, callbackArgs=(slot,))
        else:
            slot.waiting = answer
            answer.addCallbacks(self._answered, self._failed, callbackArgs=(slot,))

    def _held(self, answer: Any, slot: Slot) -> None:
        self._is_held = False
        slot.waiting = None
        if not self._is_closed:
            self._answer(slot, answer)
            self._after_requests()

    def _answered(self, answer: Message, slot: Slot) -> None:
        slot.waiting = None
        if not self._is_closed:
            self._encode(slot, answer)
            if not self._is_busy:
                self._after_requests()

    def _failed(self, failure: Failure) -> None:
        # Once the connection is gone, what it waited for is cancelled, and says so in one way or another.
        if not self._is_closed and not failure.check(CancelledError):
            log.failure("a request of {address} failed", failure, address=self.address)
            self.refuse("the request failed in a way that should not happen; the node's log has the details")

    def _encode(self, slot: Slot, answer: Message) -> None:
        route = slot.route
        parts = route.write(answer)
        size_bytes = sum(map(len, parts))
        if route.has_tags:
            head = _FLEXIBLE_HEADER.pack(size_bytes + 5, slot.correlation_id, 0)
        else:
            head = _HEADER.pack(size_bytes + 4, slot.correlation_id)
        parts.insert(0, head)
        slot.parts = parts
        slot.size_bytes = size_bytes + len(head)

    # Between requests

    def _after_requests(self) -> None:
        """Write what was collected, make the answers that waited for that, and send what is ready."""
        if self._later:
            self._is_busy = True
            self.factory.broker.replicas.flush()
            later, self._later = self._later, []
            for slot, answer in later:
                self._answer(slot, answer.finish())
            self._is_busy = False
        self._send()
        self._go_on()
        if self._is_finishing:
            self._close_if_finished()

    def _send(self) -> None:
        slots = self._slots
        if self._is_closed or not slots or slots[0].parts is None:
            return
        parts: list[Buffer] = []
        size_bytes = 0
        while slots and slots[0].parts is not None:
            slot = slots.popleft()
            parts += slot.parts or ()
            size_bytes += slot.size_bytes
        if parts:
            self._sender.send(parts, size_bytes)

    def _go_on(self) -> None:
        """Take requests that had to wait, as long as there is room, then read or pause."""
        while self._backlog and not self._is_full() and not self._is_closed:
            self._is_busy = True
            try:
                while self._backlog and not self._is_full():
                    self._request(self._backlog.popleft())
            except ProtocolError as error:
                self.refuse(str(error))
                return
            finally:
                self._is_busy = False
            if self._later:
                self._after_requests()
                return
            self._send()
        self._pace()

    def _is_full(self) -> bool:
        limits = self.factory.limits
        return (
            self._is_blocked
            or self._is_held
            or len(self._slots) >= limits.pending_max
            or self._sender.unsent_bytes > limits.unsent_bytes_max
        )

    def _pace(self) -> None:
        """Read from the socket only while there is room for what comes."""
        if self._is_closed:
            return
        self.factory.keep_account(self, self._frames.buffered_bytes)
        wants_pause = self._is_finishing or bool(self._backlog) or self._is_full() or self.factory.is_flooded(self)
        if wants_pause != self._is_paused:
            self._is_paused = wants_pause
            transport: Any = self.transport
            if wants_pause:
                transport.pauseProducing()
            else:
                transport.resumeProducing()

    def _room_bytes(self) -> int:
        return self.factory.room_bytes()

    # For the watchman

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken."""
        return self._sender.unsent_bytes

    @property
    def partial_bytes(self) -> int:
        """What has come of a frame that is not whole."""
        return self._frames.buffered_bytes

    @property
    def is_waiting(self) -> bool:
        """Whether it is our turn: a request has not been answered."""
        return bool(self._slots)

    def look_again(self) -> None:
        """Read again if there is room by now."""
        self._go_on()

    def refuse(self, why: str) -> None:
        """End this connection; answers that are on their way to the socket still leave."""
        if not self._is_closed:
            self._is_closed = True
            self.factory.refused(self, why)
            self._lose()

    def drop(self, why: str) -> None:
        """End this connection at once, whatever has not been sent."""
        if not self._is_closed:
            self._is_closed = True
            self.factory.refused(self, why)
        self.transport.abortConnection()  # type: ignore[union-attr]

    def finish(self) -> None:
        """Take no more requests; close once everything that was done has been answered."""
        self._is_finishing = True
        self._backlog.clear()
        self._pace()
        self._close_if_finished()

    def _close_if_finished(self) -> None:
        is_owed = any(slot.is_owed for slot in self._slots)
        if self._is_finishing and not is_owed and not self._is_closed:
            self._is_closed = True
            self._lose()

    def _lose(self) -> None:
        transport: Any = self.transport
        transport.unregisterProducer()  # TLS waits for that before it closes
        transport.loseConnection()


class KafkaFactory(Factory):
    """
    Makes connections for clients and keeps what they share: routes, limits, and the account of their memory.

    It is given providers of interfaces through L{BrokerServices}, never concrete storage or consensus.
    """

    noisy = False

    def __init__(self, broker: BrokerServices, limits: Limits) -> None:
        self.broker = broker
        self.limits = limits
        self.connections: dict[KafkaConnection, None] = {}
        self.turned_away = 0
        self.ended = 0
        self.is_serving = False
        self._turnstile = Turnstile(limits, broker.host.clock)
        self._routes: dict[tuple[int, int], Route] = {}
        self.unknown = self.route(API_VERSIONS, 0)
        self._inbound: dict[KafkaConnection, int] = {}
        self._inbound_bytes = 0
        self._complaints = 0
        self._empty: Shared[None] = Shared()

    def finish(self, deadlines: Deadlines, timeout_s: float) -> Deferred[None]:
        """End every connection once it is owed nothing, or when the time is up; fires when all have gone."""
        if not self.connections:
            return succeed(None)
        for connection in list(self.connections):
            connection.finish()
        deadline = deadlines.after(timeout_s, self._time_is_up)
        return self._empty.wait().addBoth(lambda _: deadline.cancel())

    def _time_is_up(self) -> None:
        for connection in list(self.connections):
            connection.drop("the node stops")

    def buildProtocol(self, addr: IAddress | None) -> KafkaConnection | None:  # type: ignore[override]
        """Let a client in, or close its connection at once where a limit is reached."""
        address = getattr(addr, "host", "")
        refusal = self._turnstile.enter(address)
        if refusal is not None:
            self.turned_away += 1
            self._complain("a connection from {address} was turned away: {why}", address, refusal)
            return None
        return KafkaConnection(self, address)

    def route(self, api_key: int, version: int) -> Route:
        """Return how an API in a version is served; the header has been checked against the table."""
        route = self._routes.get((api_key, version))
        if route is None:
            route = self._routes[api_key, version] = make_route(TABLE[api_key], version, self.limits.elements_max)
        return route

    def served(self) -> Iterator[tuple[str, int, int]]:
        """Yield (API, version, requests so far)."""
        for route in self._routes.values():
            yield route.name, route.version, route.served

    def opened(self, connection: KafkaConnection) -> None:
        """Take a connection into account."""
        self.connections[connection] = None

    def closed(self, connection: KafkaConnection) -> None:
        """Take it out again."""
        if self.connections.pop(connection, self) is None:
            self._turnstile.leave(connection.address)
            self._inbound_bytes -= self._inbound.pop(connection, 0)
            if not self.connections:
                self._empty.tell(None)

    def refused(self, connection: KafkaConnection, why: str) -> None:
        """Say why a connection is being ended."""
        self.ended += 1
        self._complain("closing the connection of {address}: {why}", connection.address, why)

    def _complain(self, message: str, address: str, why: str) -> None:
        self._complaints += 1
        if self._complaints <= COMPLAINTS_PER_LOOK:
            log.info(message, address=address, why=why)

    def keep_account(self, connection: KafkaConnection, partial_bytes: int) -> None:
        """Hear how much a connection has of an unfinished frame."""
        before = self._inbound.get(connection, 0)
        if partial_bytes != before:
            self._inbound_bytes += partial_bytes - before
            if partial_bytes:
                self._inbound[connection] = partial_bytes
            else:
                del self._inbound[connection]

    def is_flooded(self, connection: KafkaConnection) -> bool:
        """Say whether a connection must not be read because all together hold too much."""
        return self._inbound_bytes > self.limits.inbound_bytes_max and connection in self._inbound

    def room_bytes(self) -> int:
        """Return how large an answer may be, given what all clients have not taken yet."""
        unsent = sum(connection.unsent_bytes for connection in self.connections)
        return max(0, self.limits.outbound_bytes_max - unsent)

    def looked(self) -> None:
        """Hear that the watchman has been round."""
        unsaid = self._complaints - COMPLAINTS_PER_LOOK
        if unsaid > 0:
            log.info("{unsaid} more connections were closed or turned away", unsaid=unsaid)
        self._complaints = 0
