"""
The cluster listener: other nodes call here, and nobody else.

Kafka's framing and headers.  The first request of a connection is a greeting that says who calls (L{GreetingRequest});
until it has been judged, nothing else is read, frames are small and time is short.  What may be asked afterwards
stands in a table of the APIs that nodes have among themselves; a guest, who has no cluster yet, may ask what the
table says, and its messages about the agreed log are let go by.

A connection that brings what no node sends ends alone; it is logged once in a while and always counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.api.call import Later
from streamline.cluster.greeting import Reason
from streamline.errors import ProtocolError
from streamline.interfaces import Host
from streamline.model import Part
from streamline.net.peer_apis import Guest, PeerApi, Take, Usual, Waiting
from streamline.raft.translation import replica_key
from streamline.services.peer_protocol import FRAME_BYTES_MAX, PeerProtocol, is_message, read_message
from streamline.services.peers import Peers
from streamline.wire.codec import reader, writer
from streamline.wire.header import RequestHeader, read_request_header
from streamline.wire.messages.peer_raft import ONE_WAY, GreetingRequest, GreetingResponse
from streamline.wire.schema import Message, is_flexible

log = Logger()

GREETING_S: Final = 10.0
"""How long a caller may take to say who it is."""
SILENCE_S: Final = 10.0
"""How long it may say nothing; nodes ask each other every second whether anybody is there."""
CONNECTIONS_MAX: Final = 1000
UNGREETED_MAX: Final = 200
"""Callers that have not said who they are; when another one comes, the oldest of them goes."""
GUEST_BYTES_MAX: Final = 4 << 20
"""The longest frame from a node that is in no cluster that we know of."""
PARTIAL_BYTES_MAX: Final = 256 << 20
"""What may be there of frames that are not whole, of all connections; beyond it, the one with the most of it goes."""
USUAL_BYTES_MAX: Final = 512
"""A header that is longer is not kept in mind."""
PENDING_MAX: Final = 1000
"""Requests of one connection that may wait for their answers."""


class PeerConnection(PeerProtocol):
    """
    A caller.

    @ivar address: its host.
    @ivar guest: who it is, once it has said so and was not refused.
    @ivar partial_bytes: what is there of a frame that is not whole, as the factory was told.
    """

    factory: PeerFactory

    def __init__(self, factory: PeerFactory, address: str) -> None:
        super().__init__()
        self.factory = factory
        self.address = address
        self.guest: Guest | None = None
        self.partial_bytes = 0
        self._pending: dict[int, Deferred[Any]] = {}
        self._later: list[tuple[RequestHeader, Later]] = []
        self._usual: Usual | None = None
        self._taken: Waiting | None = None
        self._asked = 0
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Wait for the greeting."""
        super().connectionMade()
        self.factory.opened(self)
        self._deadline = self.factory.host.clock.callLater(GREETING_S, self._too_late)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget it."""
        self.is_closed = True
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        pending, self._pending = self._pending, {}
        for answer in pending.values():
            answer.cancel()
        if self._taken is not None:
            self._taken.cancel()
        self.factory.closed(self)

    def _too_late(self) -> None:
        if self.guest is None:
            self.refuse(Reason.STRANGER, "it did not say who it is")
        else:
            self.drop()

    # What it says

    def dataReceived(self, data: bytes) -> None:
        """Take what a pass over the socket brought, and then make the answers that waited for all of it."""
        super().dataReceived(data)
        if self._frames.buffered_bytes != self.partial_bytes:
            self.factory.holds(self, self._frames.buffered_bytes)
        later, self._later = self._later, []
        for header, answer in later:
            try:
                self._answered(header, answer.finish())
            except Exception:
                self._failed_to_answer(Failure(), header, 0)

    def frame_received(self, frame: bytes | memoryview) -> None:
        """Take a request, or a message of the quorum."""
        deadline = self._deadline
        if self.guest is None:
            self._first(frame)
            return
        if deadline is not None and deadline.active():
            deadline.reset(SILENCE_S)
        if self._usual is not None and self._take(frame, self._usual, self.guest):
            return
        if is_message(frame) and int.from_bytes(frame[:2], "big") in ONE_WAY:
            message = read_message(frame)
            if self.factory.peers.takes_part(self.guest.key, self.guest.cluster_id):
                self.factory.peers.received(self.guest.key, message)
            return
        header = _header(frame, self.factory.flexible_of)
        if header.api_key == GreetingRequest.KEY:
            self._greeted(frame, header)
        else:
            self._asked_for(frame, header, self.guest)

    def _take(self, frame: bytes | memoryview, usual: Usual, guest: Guest) -> bool:
        """Take a request that begins like one that was read; return whether it is of the usual kind to its end."""
        at = usual.header.at
        if type(frame) is not bytes or frame[8:at] != usual.rest or frame[:4] != usual.api:
            return False
        if not self._is_trusted(guest):
            return False
        taken = usual.take(guest, self, int.from_bytes(frame[4:8], "big", signed=True), frame, at)
        if taken is None:
            return False
        self._taken = taken
        return True

    def _learn(self, frame: bytes | memoryview, header: RequestHeader, take: Take) -> None:
        """Keep in mind how a request begins."""
        at = header.at
        if type(frame) is bytes and at <= USUAL_BYTES_MAX:
            self._usual = Usual(frame[:4], frame[8:at], header, take)

    def _first(self, frame: bytes | memoryview) -> None:
        try:
            header = _header(frame, _greeting_only)
        except ProtocolError as error:
            self.refuse(Reason.STRANGER, f"it is no node: {error}")
            return
        self._greeted(frame, header)

    def _greeted(self, frame: bytes | memoryview, header: RequestHeader) -> None:
        """Judge who calls, the first time and each time that it says so again."""
        said = _read(GreetingRequest, frame, header)
        peers = self.factory.peers
        key = replica_key(said.sender)
        if self.guest is not None and self.guest.key != key:
            raise ProtocolError(f"{self.guest.key} says that it is {key}")
        refusal = peers.judge(said)
        own = peers.identity
        self._respond(
            header,
            GreetingResponse(
                error_code=0 if refusal is None else refusal.code,
                error_message=None if refusal is None else refusal.message,
                cluster_id=own.cluster_id,
                receiver=own.key,
                incarnation_id=own.incarnation_id,
            ),
        )
        if refusal is not None:
            self.refuse(refusal.reason, refusal.message)
            return
        if self.guest is None:
            self._frames.max_bytes = self._frame_bytes_max
            self.factory.welcomed(self)
        self.guest = Guest(key, said.cluster_id, self.address)
        peers.greeted(self, said)

    @property
    def takes_part(self) -> bool:
        """Whether it is a node of the same cluster, as far as is known."""
        return self.guest is not None and self._is_trusted(self.guest)

    def _is_trusted(self, guest: Guest) -> bool:
        return self.factory.peers.takes_part(guest.key, guest.cluster_id)

    def _frame_bytes_max(self, _: int) -> int:
        return FRAME_BYTES_MAX if self.takes_part else GUEST_BYTES_MAX

    def _asked_for(self, frame: bytes | memoryview, header: RequestHeader, guest: Guest) -> None:
        api = self.factory.answers[header.api_key]
        if not api.for_guests and not self._is_trusted(guest):
            raise ProtocolError(f"{api.request.__name__} from node {guest.key.node_id}, which is in no cluster")
        if len(self._pending) >= PENDING_MAX:
            raise ProtocolError(f"more than {PENDING_MAX} requests wait for their answers")
        answer = api.answer(guest, _read(api.request, frame, header))
        if api.take is not None:
            self._learn(frame, header, api.take)
        if isinstance(answer, Later):
            self._later.append((header, answer))
        else:
            self._answered(header, answer)

    # What is said of a request that was taken: see L{Take}

    def respond(self, parts: Sequence[Part]) -> None:
        """Send a response, its header included."""
        if not self.send(parts):
            self.drop()

    def answered(self, number: int, answer: Any) -> None:
        """Send the response to a request, or wait for it."""
        assert self._usual is not None
        usual = self._usual.header
        header = RequestHeader(usual.api_key, usual.api_version, number, usual.client_id, usual.at)
        self._answered(header, answer)

    def _answered(self, header: RequestHeader, answer: Any) -> None:
        if not isinstance(answer, Deferred):
            self._respond(header, answer)
            return
        self._asked += 1
        self._pending[self._asked] = answer
        said = header, self._asked
        answer.addCallbacks(self._came, self._failed_to_answer, callbackArgs=said, errbackArgs=said)

    def _came(self, answer: Any, header: RequestHeader, number: int) -> None:
        try:
            self._pending.pop(number, None)
            self._answered(header, answer.finish() if isinstance(answer, Later) else answer)
        except Exception:
            self._failed_to_answer(Failure(), header, number)

    def _failed_to_answer(self, failure: Failure, _: RequestHeader, number: int) -> None:
        self._pending.pop(number, None)
        if self.is_closed or failure.check(CancelledError):
            return
        log.failure("a request of another node at {address} failed", failure, address=self.address)
        self.drop()

    def _respond(self, header: RequestHeader, answer: Message) -> None:
        cls, version = type(answer), header.api_version
        head = header.correlation_id.to_bytes(4, "big", signed=True)
        if is_flexible(cls, version):
            head += b"\0"
        if not self.send([head, *writer(cls, version)(answer)]):
            self.drop()

    # Its end

    def misbehaved(self, why: str) -> None:
        """Count it."""
        self.factory.peers.refusals.note(Reason.MALFORMED, self.address, why)

    def refuse(self, reason: Reason, why: str) -> None:
        """End this connection because of who is calling; what it was told about that is sent first."""
        if not self.is_closed:
            self.factory.peers.refusals.note(reason, self.address, why)
            self.finish()


class PeerFactory(Factory):
    """
    Makes connections for callers.

    @ivar answers: what may be asked, by api key.
    @ivar connections: those that are open, in the order in which they came.
    @ivar partial_bytes_max: what may be there of frames that are not whole, of all connections.
    """

    noisy = False

    def __init__(self, host: Host, peers: Peers) -> None:
        self.partial_bytes_max = PARTIAL_BYTES_MAX
        self.host = host
        self.peers = peers
        self.answers: dict[int, PeerApi] = {}
        self.connections: dict[PeerConnection, None] = {}
        self._ungreeted: dict[PeerConnection, None] = {}
        self._partial_bytes = 0

    def answer(self, *apis: PeerApi) -> None:
        """Take requests of these kinds from now on."""
        self.answers.update({api.request.KEY: api for api in apis})

    def flexible_of(self, api_key: int, api_version: int) -> bool | None:
        """Say whether a request is flexible; None where it is not answered here."""
        if api_key == GreetingRequest.KEY:
            return _greeting_only(api_key, api_version)
        api = self.answers.get(api_key)
        if api is None or not api.request.VERSIONS[0] <= api_version <= api.request.VERSIONS[1]:
            return None
        return is_flexible(api.request, api_version)

    def buildProtocol(self, addr: IAddress | None) -> PeerConnection | None:  # type: ignore[override]
        """Let a caller in to say who it is."""
        address = getattr(addr, "host", "")
        if len(self.connections) >= CONNECTIONS_MAX:
            self.peers.refusals.note(Reason.LIMIT, address, f"there are {CONNECTIONS_MAX} connections")
            return None
        return PeerConnection(self, address)

    # What connections say

    def opened(self, connection: PeerConnection) -> None:
        """Take a connection into account; where too many have not said who they are, the oldest goes."""
        self.connections[connection] = None
        self._ungreeted[connection] = None
        if len(self._ungreeted) > UNGREETED_MAX:
            oldest = next(iter(self._ungreeted))
            del self._ungreeted[oldest]
            self.peers.refusals.note(Reason.LIMIT, oldest.address, "it did not say who it is, and others wait")
            oldest.drop()

    def welcomed(self, connection: PeerConnection) -> None:
        """Hear that it has said who it is."""
        self._ungreeted.pop(connection, None)

    def holds(self, connection: PeerConnection, partial_bytes: int) -> None:
        """
        Hear how much is there of a frame that is not whole.

        Where that is too much in all, whose is largest goes, and first of those that are in no cluster.
        """
        self._partial_bytes += partial_bytes - connection.partial_bytes
        connection.partial_bytes = partial_bytes
        if self._partial_bytes > self.partial_bytes_max:
            holders = [one for one in self.connections if one.partial_bytes]
            largest = max(holders, key=lambda one: (not one.takes_part, one.partial_bytes))
            self.peers.refusals.note(Reason.LIMIT, largest.address, "unfinished frames take too much memory")
            largest.drop()
            self.holds(largest, 0)

    def closed(self, connection: PeerConnection) -> None:
        """Take it out again."""
        self.holds(connection, 0)
        self.connections.pop(connection, None)
        self._ungreeted.pop(connection, None)
        if connection.guest is not None:
            self.peers.left(connection, connection.guest.key)

    def close(self) -> None:
        """End every connection."""
        for connection in list(self.connections):
            connection.drop()


def _greeting_only(api_key: int, api_version: int) -> bool | None:
    first, last = GreetingRequest.VERSIONS
    return True if api_key == GreetingRequest.KEY and first <= api_version <= last else None


def _header(frame: bytes | memoryview, spoken: Callable[[int, int], bool | None]) -> RequestHeader:
    header = read_request_header(frame, spoken)
    if not header.is_known:
        raise ProtocolError("clients are served on the Kafka listener")
    return header


def _read(cls: type[Any], frame: bytes | memoryview, header: RequestHeader) -> Any:
    request, end = reader(cls, header.api_version)(memoryview(frame), header.at)
    if end != len(frame):
        raise ProtocolError(f"{len(frame) - end} bytes behind a {cls.__name__}")
    return request
