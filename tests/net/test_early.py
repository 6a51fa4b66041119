"""What the Kafka listener answers before the node serves."""

from __future__ import annotations

from attrs import evolve

from streamline.model import Controllers, Endpoint
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.cluster import DescribeClusterRequest
from streamline.wire.messages.metadata import MetadataRequest
from streamline.wire.schema import Message
from tests.net.connection_case import ConnectionCase


class FormingTests(ConnectionCase):
    """Other nodes find this one, and clients are sent away."""

    def setUp(self) -> None:
        """Let the node be one that does not serve."""
        super().setUp()
        known = Controllers("", -1, ((1, Endpoint("n1", 9093)),))
        self.factory.broker = evolve(self.factory.broker, controllers=lambda: known)
        self.factory.is_serving = False
        self.client = self.broker.connect()

    def sent_away(self, request: Message, version: int) -> bool:
        """Say whether the connection of whoever asks this is closed without an answer."""
        client = self.broker.connect()
        client.send(request, version)
        return client.is_closed and not client.answers()

    def test_where_its_cluster_listener_is(self) -> None:
        """A node that is in no cluster answers with its own address, and an empty cluster id (KIP-919)."""
        self.client.send(DescribeClusterRequest(endpoint_type=2), 1)
        ((_, answer),) = self.client.answers()
        found = [(one.broker_id, one.host, one.port) for one in answer.brokers]
        self.assertEqual((answer.cluster_id, answer.endpoint_type, found), ("", 2, [(1, "n1", 9093)]))

    def test_what_it_speaks(self) -> None:
        self.assertFalse(self.sent_away(ApiVersionsRequest(), 0))

    def test_nothing_else(self) -> None:
        self.assertTrue(self.sent_away(MetadataRequest(), 1))
        self.assertTrue(self.sent_away(DescribeClusterRequest(endpoint_type=1), 1))
        self.assertTrue(self.sent_away(DescribeClusterRequest(), 0))
