"""Where a partition can be found, as answers say it: its leader and that leader's address (KIP-951)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamline.api.call import Call
from streamline.errors import ErrorCode
from streamline.model import NO_LEADER, Broker, Endpoint

MOVED = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)
WILDCARDS = ("0.0.0.0", "::", "")


def leader_of(call: Call, topic: str, index: int) -> tuple[int, int]:
    """Return (node id, leader epoch) of a partition, (-1, -1) where nobody leads it."""
    state = call.broker.metadata.shown.partition(topic, index)
    if state is None or state.leader == NO_LEADER:
        return NO_LEADER, -1
    return state.leader, state.leader_epoch


def address_of(call: Call, broker: Broker) -> Endpoint:
    """Return what a client is told; where we listen on every interface, that is the address it reached us at."""
    if broker.endpoint.host in WILDCARDS:
        return Endpoint(call.caller.reached_at.host, broker.endpoint.port)
    return broker.endpoint


def addresses_of(call: Call, nodes: Iterable[int]) -> Iterator[tuple[int, Endpoint, str | None]]:
    """Yield (node id, address, rack) of each of these nodes that is known, once."""
    brokers = call.broker.metadata.shown.brokers
    for node in dict.fromkeys(nodes):
        broker = brokers.get(node)
        if broker is not None:
            yield node, address_of(call, broker), broker.rack


def topic_name(call: Call, first_with_ids: int, name: str, topic_id: bytes) -> str | None:
    """Return the topic that a request means, by id from version C{first_with_ids}; None for an unknown id."""
    if call.version < first_with_ids:
        return name
    return call.broker.metadata.image.names.get(topic_id)
