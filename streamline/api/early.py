"""
What a node answers before it serves: what it speaks, and where its cluster listener is.

Nodes that are to found a cluster find each other so (KIP-919).  Clients are sent away, and come back.
"""

from __future__ import annotations

from streamline.api.cluster import CONTROLLERS
from streamline.errors import ProtocolError
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.cluster import DescribeClusterRequest
from streamline.wire.schema import Message


def check_early(request: Message) -> None:
    """
    See whether a request may be answered by a node that does not serve yet, or no more.

    @raise ProtocolError: it may not.
    """
    asks_for_controllers = isinstance(request, DescribeClusterRequest) and request.endpoint_type == CONTROLLERS
    if not (asks_for_controllers or isinstance(request, ApiVersionsRequest)):
        raise ProtocolError("the node is not serving")
