"""A topic that a node has its controller make, because a client of its own has asked for it."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import CreateTopic, PartitionPlacement, RegisterBroker, dump
from streamline.cluster.placement import RackSpread
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.model import Topic
from streamline.services.controller import Controller
from streamline.services.controllership import Controllership
from streamline.services.forwarding import PATIENCE_S, RETRY_S
from streamline.services.metadata import Metadata
from streamline.testing.worlds import RealWorld
from streamline.wire.codec import decode, encode
from streamline.wire.header import read_request_header, response_header
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse
from streamline.wire.messages.topics import CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse
from tests.services.quorum_case import Courier, Watched, forwarding_of


class CreatingTests(SynchronousTestCase):
    """Node 1; node 2 is the controller, and does what the test says."""

    def setUp(self) -> None:
        """Look at the quorum."""
        self.world = RealWorld()
        self.quorum, self.courier = Watched(2), Courier()
        self.quorum.barriers = []
        self.metadata = Metadata(cast(Any, self.quorum))
        forwarding = forwarding_of(self.world.clock, self.quorum, 1, self.courier)
        controllership = Controllership(self.world.host, 1, self.metadata)
        self.controller = Controller(
            self.world.host, NodeConfig(), self.metadata, RackSpread(), controllership, forwarding
        )
        self.asked: list[CreateTopicsRequest] = []
        self.metadata.apply(1, dump(RegisterBroker(node_id=1, incarnation_id=bytes(16), host="h", port=1)))

    def answers(self, code: ErrorCode) -> None:
        """Have the controller answer with this."""

        def door(request: EnvelopeRequest) -> EnvelopeResponse:
            header = read_request_header(request.request_data)
            asked = decode(CreateTopicsRequest, header.api_version, request.request_data[header.at :])
            self.asked.append(asked)
            results = [CreatableTopicResult(name=topic.name, error_code=code) for topic in asked.topics]
            body = encode(CreateTopicsResponse(topics=results), header.api_version)
            head = response_header(header.api_key, header.api_version, header.correlation_id)
            return EnvelopeResponse(response_data=head + body)

        self.courier.doors[2] = door

    def ensure(self, name: str = "t", **configs: str | None) -> Deferred[Topic]:
        """Ask for a topic."""
        return self.controller.ensure_topic(name, 3, 2, configs)

    def seen(self) -> None:
        """Have the topic come, and whoever waits for that see it."""
        placed = [PartitionPlacement(index=0, replicas=[1])]
        self.metadata.apply(2, dump(CreateTopic(name="t", topic_id=b"t" * 16, partitions=placed, configs=[])))
        self.caught_up()

    def caught_up(self) -> None:
        """Have the node know that it has seen everything."""
        assert self.quorum.barriers
        for barrier in self.quorum.barriers:
            barrier.callback(None)

    def refusal(self, asked: Deferred[Topic]) -> ErrorCode:
        """Return why there is none."""
        refusal = self.failureResultOf(asked, Refused).value
        assert isinstance(refusal, Refused)
        return refusal.code

    def test_made(self) -> None:
        self.answers(ErrorCode.NONE)
        asked = self.ensure(cleanup_policy="compact")
        self.assertNoResult(asked)
        self.seen()
        self.assertEqual(self.successResultOf(asked).name, "t")
        (request,) = self.asked
        (wanted,) = request.topics
        self.assertEqual((wanted.name, wanted.num_partitions, wanted.replication_factor), ("t", 3, 2))
        self.assertEqual([(one.name, one.value) for one in wanted.configs], [("cleanup_policy", "compact")])

    def test_once_for_many(self) -> None:
        self.answers(ErrorCode.NONE)
        asked = [self.ensure(), self.ensure()]
        self.seen()
        self.assertEqual(len({self.successResultOf(one).topic_id for one in asked}), 1)
        self.assertEqual(len(self.asked), 1)
        self.successResultOf(self.ensure())
        self.assertEqual(len(self.asked), 1, "it is there")

    def test_somebody_else_was_first(self) -> None:
        self.answers(ErrorCode.TOPIC_ALREADY_EXISTS)
        asked = self.ensure()
        self.seen()
        self.assertEqual(self.successResultOf(asked).name, "t")

    def test_not_seen_yet(self) -> None:
        """The client asks again."""
        self.answers(ErrorCode.NONE)
        asked = self.ensure()
        self.caught_up()
        self.assertEqual(self.refusal(asked), ErrorCode.LEADER_NOT_AVAILABLE)

    def test_no_controller(self) -> None:
        """So it does where nobody knows what became of it."""
        self.quorum.lead(None)
        asked = self.ensure()
        self.world.clock.pump([RETRY_S] * round(PATIENCE_S / RETRY_S + 2))
        self.caught_up()
        self.assertEqual(self.refusal(asked), ErrorCode.LEADER_NOT_AVAILABLE)

    def test_refused(self) -> None:
        self.answers(ErrorCode.INVALID_REPLICATION_FACTOR)
        self.assertEqual(self.refusal(self.ensure()), ErrorCode.INVALID_REPLICATION_FACTOR)
        self.assertEqual(self.quorum.barriers, [])
