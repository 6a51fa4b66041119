"""
Envelope (58): a request that another node passes on to the controller, with the client it came from (KIP-590).

What comes out of it is answered as if the client had asked here, with its own name and address.  The node that sent it
has to be a registered broker, on the disk that it was registered with.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices, Call, Caller, Elsewhere
from streamline.api.forwarding import unpacked_address
from streamline.api.table import TABLE, Api, flexible_of
from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import Endpoint
from streamline.raft import ReplicaKey
from streamline.wire.codec import reader, writer
from streamline.wire.header import read_request_header, response_header
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse

_KEY_AND_VERSION = Struct(">hh")


def envelope(
    broker: BrokerServices, sender: ReplicaKey, request: EnvelopeRequest
) -> EnvelopeResponse | Deferred[EnvelopeResponse]:
    """
    Answer what is in an envelope.

    @raise ProtocolError: nothing that a node would have passed on is in it.
    """
    if not _is_broker(broker, sender):
        return Deferred.fromCoroutine(_once_caught_up(broker, sender, request))
    return _read(broker, request)


def _is_broker(broker: BrokerServices, sender: ReplicaKey) -> bool:
    known = broker.metadata.image.brokers.get(sender.node_id)
    return known is not None and known.directory_id == sender.directory_id


async def _once_caught_up(
    broker: BrokerServices, sender: ReplicaKey, request: EnvelopeRequest
) -> EnvelopeResponse:
    """Look again who the sender is: a controller that has just started may know nobody yet."""
    if not await broker.forwarding.caught_up():
        return EnvelopeResponse(error_code=ErrorCode.NOT_CONTROLLER)
    if not _is_broker(broker, sender):
        return EnvelopeResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    answer = _read(broker, request)
    return await answer if isinstance(answer, Deferred) else answer


def _read(broker: BrokerServices, request: EnvelopeRequest) -> EnvelopeResponse | Deferred[EnvelopeResponse]:
    try:
        api, version = _opened(request)
    except Refused as refusal:
        return EnvelopeResponse(error_code=refusal.code)
    header = read_request_header(request.request_data, flexible_of)
    asked, _ = reader(api.request, version)(memoryview(request.request_data), header.at)
    call = Call(broker, client_of(request), version, header.client_id)
    return Deferred.fromCoroutine(_answer(api, call, asked, header.correlation_id))


def _opened(request: EnvelopeRequest) -> tuple[Api, int]:
    """Say which API is in it; refuse it where this node is not to answer that."""
    try:
        key, version = _KEY_AND_VERSION.unpack_from(request.request_data)
    except StructError:
        raise ProtocolError("an envelope is empty") from None
    api = TABLE.get(key)
    if api is None or not api.versions[0] <= version <= api.versions[1]:
        raise Refused(ErrorCode.UNSUPPORTED_VERSION)  # the sender may run a later release
    if not api.is_controller_bound:
        raise ProtocolError(f"an envelope holds a {api.request.__name__}, which nobody passes on")
    return api, version


def client_of(request: EnvelopeRequest) -> Caller:
    """
    Return whom an envelope is from.

    @raise ProtocolError: it does not say.
    """
    try:
        address = unpacked_address(request.client_host_address)
        principal = (request.request_principal or b"").decode()
    except ValueError as error:
        raise ProtocolError(f"an envelope does not say whom it is from: {error}") from None
    if not principal:
        raise ProtocolError("an envelope does not say whom it is from")
    caller = Caller(address, Endpoint("", 0), lambda why: None, Elsewhere())
    caller.principal = principal
    return caller


async def _answer(api: Api, call: Call, request: object, correlation_id: int) -> EnvelopeResponse:
    assert api.at_controller is not None and api.refused is not None
    try:
        answer = api.at_controller(call, request)
        if isinstance(answer, Deferred):
            answer = await answer
    except Refused as refusal:
        if refusal.code is ErrorCode.NOT_CONTROLLER:
            return EnvelopeResponse(error_code=refusal.code)
        answer = api.refused(request, refusal)
    head = response_header(api.key, call.version, correlation_id)
    return EnvelopeResponse(response_data=b"".join([head, *writer(api.response, call.version)(answer)]))
