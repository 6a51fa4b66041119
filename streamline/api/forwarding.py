"""
Requests that are the controller's to carry out, on whichever node they come in.

Such an API is marked where it stands in the table (L{streamline.api.table}), and everything is settled there: its
handler is wrapped in L{to_controller}, its reader keeps the bytes, its writer takes an answer that somebody else has
written.  No other API notices.  What arrives at the controller is taken by L{streamline.api.envelope}.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from ipaddress import ip_address
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred

from streamline.api.call import Call, Parked
from streamline.errors import ErrorCode, Refused
from streamline.model import Buffer
from streamline.values import frozen
from streamline.wire.codec import ReaderInSteps, WriterInSteps
from streamline.wire.header import read_response_header
from streamline.wire.messages.peer import EnvelopeRequest
from streamline.wire.schema import Message

Decided: TypeAlias = "Message | Deferred[Any]"
AtController: TypeAlias = Callable[[Call, Any], Decided]
"""
Carries a request out where this node is the controller.

It raises (or its Deferred fails with) L{Refused} where nothing of the request was carried out; where that is with
NOT_CONTROLLER, somebody else is asked instead.
"""
Refusal: TypeAlias = Callable[[Any, Refused], Message]
"""Says of a request in its own words that all of it was refused."""

TIMEOUT_S = 30.0
"""What a request gives that does not say how long it may take."""


@frozen
class Bound:
    """A request that is the controller's, with its bytes, header and all."""

    request: Any
    frame: Buffer


class Passed(Message):
    """An answer as the controller has written it, without its header."""

    __slots__ = ("body",)

    def __init__(self, body: Buffer) -> None:
        self.body = body


def keeping_bytes(read: Callable[..., tuple[Any, int]]) -> Callable[..., tuple[Any, int]]:
    """Have a reader keep the frame that it reads."""

    def read_bound(frame: Buffer, at: int) -> tuple[Bound, int]:
        request, end = read(frame, at)
        return Bound(request, frame), end

    return read_bound


def keeping_bytes_in_steps(read: ReaderInSteps) -> ReaderInSteps:
    """Do so for a reader that pauses."""

    def read_bound(frame: Buffer, at: int) -> Generator[None, None, tuple[Bound, int]]:
        request, end = yield from read(frame, at)
        return Bound(request, frame), end

    return read_bound


def or_passed(write: Callable[[Any], list[Buffer]]) -> Callable[[Any], list[Buffer]]:
    """Have a writer pass on what the controller wrote."""

    def write_or_pass(answer: Any) -> list[Buffer]:
        return [answer.body] if isinstance(answer, Passed) else write(answer)

    return write_or_pass


def or_passed_in_steps(write: WriterInSteps) -> WriterInSteps:
    """Do so for a writer that pauses."""

    def write_or_pass(answer: Any) -> Generator[None, None, list[Buffer]]:
        return [answer.body] if isinstance(answer, Passed) else (yield from write(answer))

    return write_or_pass


def to_controller(
    key: int, at_controller: AtController, refused: Refusal, *, changes: bool
) -> Callable[[Call, Bound], Parked]:
    """
    Return the handler of an API that is the controller's.

    @param changes: whether this node should have seen what the controller did, before its client goes on.
    """

    def handler(call: Call, bound: Bound) -> Parked:
        envelope = EnvelopeRequest(
            request_data=bytes(bound.frame),
            request_principal=call.caller.principal.encode(),
            client_host_address=packed_address(call.caller.address),
        )
        timeout_s = getattr(bound.request, "timeout_ms", TIMEOUT_S * 1000) / 1000
        errand = call.broker.forwarding.take(envelope, lambda: at_controller(call, bound.request), timeout_s)
        return Parked(Deferred.fromCoroutine(_answered(errand.answer, call, bound)), errand.hurry)

    async def _answered(answer: Deferred[Any], call: Call, bound: Bound) -> Message:
        try:
            found = await answer
        except Refused as refusal:
            return refused(bound.request, refusal)
        if isinstance(found, Message):
            return found
        _, at = read_response_header(found, key, call.version)
        if changes:
            await call.broker.forwarding.caught_up()
        return Passed(found[at:])

    return handler


def check_done_here(codes: Iterable[int]) -> None:
    """
    See whether anything was carried out, where each part of a request has a code of its own.

    @raise Refused: NOT_CONTROLLER: nothing was, and all of it has to be asked of somebody else.
    """
    each = list(codes)
    if each and all(code == ErrorCode.NOT_CONTROLLER for code in each):
        raise Refused(ErrorCode.NOT_CONTROLLER, "this node does not lead")


def packed_address(address: str) -> bytes:
    """Return an IP address as 4 or 16 bytes; nothing for what is none."""
    try:
        return ip_address(address.partition("%")[0]).packed
    except ValueError:
        return b""


def unpacked_address(packed: bytes) -> str:
    """
    Return the address that L{packed_address} gave.

    @raise ValueError: it gave no such thing.
    """
    return str(ip_address(bytes(packed))) if packed else ""
