"""
FindCoordinator (10): which node looks after a group.

Behaviour: the first group that is looked for causes C{__consumer_offsets} to be
made; the answer waits until its partitions can be used.  Coordinators of
transactions and of share groups are refused: this release has neither.

Version notes: 1 key types and messages; 3 flexible; 4 several keys (KIP-699).
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.api.leaders import address_of
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse

GROUP, TRANSACTION = 0, 1
KEYS_PER_TURN = 500
BATCHED_FROM = 4


def find_coordinator(call: Call, request: FindCoordinatorRequest) -> Deferred[FindCoordinatorResponse]:
    """Find each key's coordinator."""
    keys = request.coordinator_keys if call.version >= BATCHED_FROM else (request.key,)
    return Deferred.fromCoroutine(_find_all(call, request.key_type, keys))


async def _find_all(call: Call, key_type: int, keys: Sequence[str]) -> FindCoordinatorResponse:
    found = []
    for key in keys:
        found.append(await _find(call, key_type, key))
        if len(found) % KEYS_PER_TURN == 0:
            await call.broker.turns.next()
    return FindCoordinatorResponse(coordinators=found) if call.version >= BATCHED_FROM else _single(found[0])


async def _find(call: Call, key_type: int, key: str) -> Coordinator:
    try:
        _check_type(key_type)
        node_id = await call.broker.groups.locate(key)
    except Refused as refusal:
        return _not_found(key, refusal)
    address = address_of(call, call.broker.metadata.shown.brokers[node_id])
    return Coordinator(key=key, node_id=node_id, host=address.host, port=address.port)


def _check_type(key_type: int) -> None:
    if key_type == TRANSACTION:
        raise Refused(ErrorCode.UNSUPPORTED_VERSION, "this release serves no transactions")
    if key_type != GROUP:
        raise Refused(ErrorCode.INVALID_REQUEST, f"there are no coordinators of type {key_type}")


def _not_found(key: str, refusal: Refused) -> Coordinator:
    return Coordinator(
        key=key, node_id=-1, host="", port=-1, error_code=refusal.code, error_message=refusal.message or None
    )


def _single(found: Coordinator) -> FindCoordinatorResponse:
    return FindCoordinatorResponse(
        error_code=found.error_code,
        error_message=found.error_message,
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )
