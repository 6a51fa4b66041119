"""A topic that a node has its controller make: what it asks, and what it makes of the answer."""

from __future__ import annotations

from typing import Final

from streamline.cluster.planning import NewTopic
from streamline.errors import ErrorCode, Refused
from streamline.wire.codec import decode, encode
from streamline.wire.header import read_response_header, write_request_header
from streamline.wire.messages.peer import EnvelopeRequest
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

PRINCIPAL: Final = b"User:ANONYMOUS"
"""Who a node is to its controller; that it is a node, the connection says."""
_VERSION: Final = CreateTopicsRequest.VERSIONS[1]


def creation_of(wanted: NewTopic, node_id: int) -> EnvelopeRequest:
    """Return the envelope with which a node asks for a topic; it leaves all placing to the controller."""
    topic = CreatableTopic(
        name=wanted.name,
        num_partitions=wanted.partitions,
        replication_factor=wanted.replication_factor,
        configs=[CreatableTopicConfig(name=name, value=value) for name, value in wanted.configs.items()],
    )
    header = write_request_header(CreateTopicsRequest.KEY, _VERSION, 0, f"streamline-node-{node_id}")
    request = header + encode(CreateTopicsRequest(topics=[topic]), _VERSION)
    return EnvelopeRequest(request_data=request, request_principal=PRINCIPAL)


def check_creation(response: bytes) -> None:
    """
    Read what the controller answered, header and all.

    @raise Refused: the topic was not made.
    """
    _, at = read_response_header(response, CreateTopicsRequest.KEY, _VERSION)
    for topic in decode(CreateTopicsResponse, _VERSION, response[at:]).topics:
        if topic.error_code:
            raise Refused(ErrorCode(topic.error_code), topic.error_message or "")
