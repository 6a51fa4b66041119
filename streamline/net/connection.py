"""
A client's connection: frames in, answers out, in the order of the requests.

A pass over the socket brings any number of frames.  Each is read, looked up in
the api table and given to its handler; then everything that the handlers
collected is written, the answers that waited for that are made, and all answers
that are ready leave in one go.

A connection that misbehaves ends alone, and as Kafka ends it: what it asked
before is answered first, and nothing after.  It never looks into records, and
never decides anything about partitions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.api.api_versions import unsupported
from streamline.api.call import Call, Caller, Hold, Later, Parked
from streamline.api.early import check_early
from streamline.api.table import flexible_of
from streamline.errors import ProtocolError
from streamline.model import Endpoint
from streamline.net.alike import Alike
from streamline.net.answers import Slot, in_steps
from streamline.net.held import Held
from streamline.services.sending import sender_over
from streamline.wire.header import read_request_header
from streamline.wire.schema import Message

if TYPE_CHECKING:
    from streamline.net.kafka import KafkaFactory

log = Logger()


@implementer(IPushProducer)
class KafkaConnection(Held):
    """One client."""

    def __init__(self, factory: KafkaFactory, address: str) -> None:
        super().__init__(factory, address)
        self._later: list[tuple[Slot, Later]] = []
        self._backlog: deque[bytes | memoryview] = deque()
        self._turns = factory.broker.turns
        self._seconds = factory.broker.host.clock.seconds
        self._awaits_turn = False
        self._is_closed = False
        self._is_blocked = False
        self._is_busy = False
        self._held: Slot | None = None
        """The request that must be worked off before the next one is looked at."""
        self._fault: str | None = None

    # Twisted's side

    def connectionMade(self) -> None:
        """Begin."""
        transport: Any = self.transport
        host = transport.getHost()
        self.caller = Caller(
            self.address,
            Endpoint(getattr(host, "host", ""), getattr(host, "port", 0)),
            self.refuse,
            self.factory.accounts,
        )
        self._alike = Alike(self.factory.broker, self.factory.routes, self.caller)
        transport.setTcpNoDelay(True)
        self._sender = sender_over(transport, self, self.factory.limits.kernel_bytes)
        self.factory.opened(self)
        self._sender.expects(0, self.factory.receive_bytes(0))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget everything that waits on behalf of this client."""
        self._is_closed = True
        self._answers.drop()
        self._backlog.clear()
        self.factory.accounts.settle(self._share, 0, 0, 0)
        self.factory.closed(self)

    def dataReceived(self, data: bytes) -> None:
        """Take what a pass over the socket brought."""
        self.heard += 1
        if self._is_ending or self._is_closed:
            return
        backlog = self._backlog
        try:
            backlog.extend(self._frames.feed(data))
        except ProtocolError as error:
            self._fault = str(error)
        missing_bytes = self._frames.missing_bytes
        self._sender.expects(missing_bytes, self.factory.receive_bytes(missing_bytes))
        self._backlog_bytes = 0
        self._pump()
        if self.factory.leaves is not None and self.factory.leaves():
            self.finish()
        if backlog:
            self._backlog_bytes = sum(map(len, backlog))
            self._settle()

    def pauseProducing(self) -> None:
        """The transport has too much that it could not send: take no further request."""
        self._is_blocked = True
        self._sender.blocked()
        self._pace()

    def resumeProducing(self) -> None:
        """The transport has sent everything."""
        self._sender.drained()
        self._is_blocked = False
        self._pump()

    def stopProducing(self) -> None:
        """The transport is being closed."""
        self._is_closed = True

    # Taking requests

    def _pump(self) -> None:
        """Take requests while there is room, write what they collected, send what is ready; then read or pause."""
        if self._is_busy or self._is_closed:
            return
        self._is_busy = True
        turns, seconds = self._turns, self._seconds
        began_s = seconds()
        end_s = began_s + turns.left_s
        try:
            while self._take_requests(end_s):
                pass
        finally:
            self._is_busy = False
            turns.spend(seconds() - began_s)
        if self._is_ending and not self._answers.slots:
            self._close()
        elif self._fault is not None and not self._backlog and not self._is_ending:
            self.refuse(self._fault)
        else:
            self._pace()

    def _take_requests(self, end_s: float) -> bool:
        """Take requests and answer those that can be answered; return whether to go on with others."""
        backlog, seconds = self._backlog, self._seconds
        unsent_bytes = self._sender.unsent_bytes
        while backlog and not self._is_full(unsent_bytes):
            if seconds() > end_s:
                self._awaits_turn = True
                self._turns.later(self._my_turn)
                break
            if not self.factory.is_serving or not self._take_alike():
                self._request(backlog.popleft())
        if self._later:
            self._finish_later()
        if not self._is_closed:
            self._answers.leave(self._sender)
        return bool(backlog) and not self._is_full(self._sender.unsent_bytes)

    def _my_turn(self) -> None:
        """Go on where the last turn ended."""
        self._awaits_turn = False
        self._pump()

    def _take_alike(self) -> bool:
        """Take the next requests together if they are like one that was read; return whether they were taken."""
        try:
            taken = self._alike.take(self._backlog, self.factory.limits.pending_max - self._answers.owed)
        except Exception:
            self._backlog.clear()
            self._failed(Failure(), None)
            return True
        if taken is not None:
            self._owe(taken[0])
            self._later.append(taken)
        return taken is not None

    def _owe(self, slot: Slot) -> None:
        self._answers.owe(slot)
        self.finished += slot.requests
        if self._backlog_bytes:
            self._backlog_bytes -= slot.frame_bytes

    def _request(self, frame: bytes | memoryview) -> None:
        slot: Slot | None = None
        factory = self.factory
        try:
            header = read_request_header(frame, flexible_of)
            routes = factory.routes
            route = routes.find(header.api_key, header.api_version) if header.is_known else routes.unknown
            route.served += 1
            slot = Slot(header.correlation_id, route, len(frame))
            self._owe(slot)
            if not header.is_known:
                self._answers.fill(slot, unsupported())
                return
            call = Call(factory.broker, self.caller, header.api_version, header.client_id)
            if slot.is_long:
                read = self._turns.work_off(factory.routes.steps(route).read(memoryview(frame), header.at))
                if isinstance(read, Deferred):
                    self._read_on(slot, call, read)
                    return
            else:
                read = route.read(memoryview(frame), header.at)
            # Bytes behind the request are let be, as Kafka does: librdkafka leaves some behind its Metadata requests.
            request, end = read
            self._alike.learn(frame, route, header.client_id, request, end)
            self._do(slot, call, request, factory.is_serving)
        except ProtocolError as error:
            if slot is not None:
                self._answers.cut(slot)
            self.refuse(str(error))
        except Exception:
            self._failed(Failure(), slot)

    def _read_on(self, slot: Slot, call: Call, read: Deferred[tuple[Any, int]]) -> None:
        """Take no other request until this one has been read."""
        self._held = slot
        self._answers.wait(slot, read, None, slot.frame_bytes)
        read.addCallback(self._was_read, slot, call, self.factory.is_serving).addErrback(self._failed, slot)

    def _was_read(self, read: tuple[Any, int], slot: Slot, call: Call, is_served: bool) -> None:
        self._answers.came(slot)
        if not self._is_closed:
            self._held = None
            self._do(slot, call, read[0], is_served)
            self.factory.broker.replicas.gathering.once(self._pump)

    def _do(self, slot: Slot, call: Call, request: Any, is_served: bool) -> None:
        """Give a request to its handler; C{is_served} is whether the node served when the request came."""
        if not is_served:
            check_early(request)
        self._answer(slot, slot.route.handler(call, request))

    def _answer(self, slot: Slot, answer: Any) -> None:
        if isinstance(answer, Message):
            self._write(slot, answer)
        elif type(answer) is list:
            self._answers.put(slot, answer)
        elif isinstance(answer, Later):
            self._later.append((slot, answer))
        elif answer is None:
            slot.parts = []
        elif isinstance(answer, Hold):
            self._held = slot
            self._wait(slot, answer.work, None, slot.frame_bytes)
        elif isinstance(answer, Parked):
            slot.is_long |= answer.is_long
            self._wait(slot, answer.answer, answer.hurry)
        else:
            slot.is_long = True
            self._wait(slot, answer, None)

    def _write(self, slot: Slot, answer: Message) -> None:
        if not slot.is_long:
            self._answers.fill(slot, answer)
            return
        written = in_steps(slot, self.factory.routes.steps(slot.route).write(answer))
        self._answer(slot, self._turns.work_off(written))

    def _wait(self, slot: Slot, answer: Deferred[Any], hurry: Callable[[], object] | None, kept_bytes: int = 0) -> None:
        self._answers.wait(slot, answer, hurry, kept_bytes)
        # Two callbacks, so that an answer which cannot be written is a failure too.
        answer.addCallback(self._answered, slot).addErrback(self._failed, slot)

    def _answered(self, answer: Any, slot: Slot) -> None:
        self._answers.came(slot)
        if self._is_closed:
            return
        if self._held is slot:
            self._held = None
        self._answer(slot, answer)
        self.factory.broker.replicas.gathering.once(self._pump)

    def _failed(self, failure: Failure, slot: Slot | None) -> None:
        if self._is_closed:
            return
        if slot is not None:
            self._answers.cut(slot)
        if failure.check(CancelledError):
            self._pump()  # given up, because nobody should wait for it
            return
        if failure.check(ProtocolError):
            self.refuse(str(failure.value))
            self._pump()
            return
        log.failure("a request of {address} failed", failure, address=self.address)
        self.refuse("the request failed in a way that should not happen; the node's log has the details")

    # Answering

    def _finish_later(self) -> None:
        """Write what was collected, and make the answers that waited for that."""
        self.factory.broker.replicas.flush()
        later, self._later = self._later, []
        for slot, answer in later:
            try:
                self._answer(slot, answer.finish())
            except Exception:
                self._failed(Failure(), slot)

    # Keeping pace

    def _is_full(self, unsent_bytes: int) -> bool:
        factory, answers = self.factory, self._answers
        limits = factory.limits
        return (
            self._is_blocked
            or self._awaits_turn
            or self._held is not None
            or answers.owed >= limits.pending_max
            or answers.ready_bytes + unsent_bytes > limits.unsent_bytes_max
            or (factory.accounts.is_tight and not self._may_ask())
        )

    def _may_ask(self) -> bool:
        self._settle()
        return self.factory.accounts.may_ask(self._share)

    def _pace(self) -> None:
        """Read from the socket only while there is room for what comes."""
        if self._is_closed:
            return
        unsent_bytes = self._settle()
        accounts = self.factory.accounts
        wants_pause = (
            self._is_ending
            or bool(self._backlog)
            or self._is_full(unsent_bytes)
            or (accounts.is_tight and not accounts.may_read(self._share))
        )
        if wants_pause != self.is_paused:
            self.is_paused = wants_pause
            transport: Any = self.transport
            if wants_pause:
                transport.pauseProducing()
            else:
                transport.resumeProducing()

    def look_again(self) -> None:
        """Read again if there is room by now."""
        self._pump()

    # Ending

    def refuse(self, why: str) -> None:
        """End this connection because of what the client did."""
        if not self._is_ending and not self._is_closed:
            self.factory.refused(self, why)
            self.finish()

    def finish(self) -> None:
        """Take no more requests; close once those that were taken are answered."""
        if self._is_ending or self._is_closed:
            return
        self._is_ending = True
        self._backlog.clear()
        self._backlog_bytes = 0
        self._answers.hurry()
        self._pump()

    def drop(self, why: str) -> None:
        """End this connection at once, whatever has not been sent."""
        if not self._is_closed:
            self._is_closed = True
            self.factory.refused(self, why)
        # At once, or as many more would be dropped as there is time until the transport says that this one is gone.
        self.factory.accounts.settle(self._share, 0, 0, 0)
        transport: Any = self.transport
        transport.abortConnection()

    def _close(self) -> None:
        self._is_closed = True
        self._sender.finish()
