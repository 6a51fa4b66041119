"""
InitProducerId (22): a producer id for an idempotent producer.

Behaviour: with a transactional id the request is refused: transactions are not
served by this release, and half of them would be worse than none (KIP-890).

Version notes: 2 flexible; 3 current id and epoch (KIP-360); 6 is not stable.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from streamline.wire.messages.producer_ids import InitProducerIdRequest, InitProducerIdResponse


def init_producer_id(
    call: Call, request: InitProducerIdRequest
) -> InitProducerIdResponse | Deferred[InitProducerIdResponse]:
    """Give a new producer id with epoch 0."""
    if request.transactional_id is not None:
        code = ErrorCode.INVALID_REQUEST if request.transactional_id == "" else ErrorCode.UNSUPPORTED_VERSION
        return InitProducerIdResponse(error_code=code, producer_epoch=NO_PRODUCER_EPOCH)
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        return InitProducerIdResponse(error_code=ErrorCode.INVALID_REQUEST, producer_epoch=NO_PRODUCER_EPOCH)
    return call.broker.producer_ids.next().addCallbacks(_granted, _not_granted)


def _granted(producer_id: int) -> InitProducerIdResponse:
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _not_granted(failure: Failure) -> InitProducerIdResponse:
    failure.trap(Refused)
    return InitProducerIdResponse(
        error_code=ErrorCode.COORDINATOR_NOT_AVAILABLE, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH
    )
