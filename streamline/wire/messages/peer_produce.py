"""
What a node passes on to the leader of partitions that clients brought batches for.

It is a Produce in version 13 with more around it: topics go by id, and their structs are those of that version.  It is
ours alone, and spoken on the cluster listener only.
"""

from collections.abc import Sequence

from streamline.wire.messages.produce import TopicProduceData, TopicProduceResponse
from streamline.wire.schema import Message, message, wire
from streamline.wire.types import ARRAY, INT16, INT32, INT64, NULLABLE_STRING, STRING


@message(key=20_104, versions="13", flexible="13+")
class RelayedProduceRequest(Message):
    """
    Batches of one client's request, for partitions that the receiver leads.

    C{broker_epoch} and C{line} say which connection of which process it came by: among those of one node, greater is
    later.  C{principal}, C{client_id}, C{client_address} and C{client_version} are of the client and of its request.
    C{leader_epochs} has one for each partition, in the order in which they come.
    """

    broker_epoch: int = wire(INT64)
    line: int = wire(INT64)
    principal: str = wire(STRING)
    client_id: str | None = wire(NULLABLE_STRING, default=None)
    client_address: str = wire(STRING)
    client_version: int = wire(INT16)
    acks: int = wire(INT16)
    timeout_ms: int = wire(INT32)
    leader_epochs: Sequence[int] = wire(ARRAY(INT32))
    topics: Sequence[TopicProduceData] = wire(ARRAY(TopicProduceData))


@message(key=20_104, versions="13", flexible="13+")
class RelayedProduceResponse(Message):
    """What became of each batch, in the order of the request; with an error code of its own, nothing was taken."""

    error_code: int = wire(INT16)
    topics: Sequence[TopicProduceResponse] = wire(ARRAY(TopicProduceResponse))
