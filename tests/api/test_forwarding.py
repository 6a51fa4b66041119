"""Requests that are the controller's are answered on any node, as the controller answers them."""

from __future__ import annotations

from struct import Struct
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from streamline.api.envelope import envelope
from streamline.api.forwarding import packed_address, unpacked_address
from streamline.api.table import TABLE
from streamline.cluster.planning import NewTopic
from streamline.errors import ErrorCode, ProtocolError
from streamline.raft import ReplicaKey
from streamline.services.creating import creation_of
from streamline.services.forwarding import PATIENCE_S
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages import CONTROLLERS_ONLY
from streamline.wire.messages.metadata import MetadataRequest
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)
from streamline.wire.schema import Message
from tests.api.forwarding_case import ForwardingCase
from tests.services.quorum_case import Courier, Watched, forwarding_of, key_of

_LENGTH = Struct(">i")


def creation(*names: str, timeout_ms: int = 10_000) -> CreateTopicsRequest:
    """Return a request for topics."""
    topics = [CreatableTopic(name=name, num_partitions=1, replication_factor=1) for name in names]
    return CreateTopicsRequest(topics=topics, timeout_ms=timeout_ms)


class SendingTests(ForwardingCase):
    """On the node that the client asks."""

    def test_every_version(self) -> None:
        for version in range(2, 8):
            answer = self.node.ask(creation(f"t{version}"), version)
            self.assertEqual([topic.error_code for topic in answer.topics], [ErrorCode.NONE])
        self.assertEqual(self.topics, [f"t{version}" for version in range(2, 8)])
        self.assertEqual(len(self.passed), 6)
        known = self.node.node.broker.metadata.image
        self.assertEqual(known.topics, {}, "the node that was asked has made nothing")

    def test_bytes_as_they_came(self) -> None:
        """What the client sent goes out as it is, even what stands behind it; what comes back is not read either."""
        client = self.node.connect("10.9.8.7")
        frame = client.frame(creation("t"), 7) + b"behind"
        frame = _LENGTH.pack(len(frame) - 4) + frame[4:]
        answered: list[EnvelopeResponse] = []

        def door(request: EnvelopeRequest) -> EnvelopeResponse:
            answered.append(self.door(request))
            return answered[-1]

        self.courier.doors[1] = door
        client.give(frame)
        (found,) = client.frames()
        self.assertEqual(self.passed[0].request_data, frame[4:])
        self.assertEqual(found, answered[0].response_data)

    def test_who_the_client_is(self) -> None:
        client = self.node.connect("10.9.8.7")
        client.connection.caller.principal = "User:alice"
        client.send(creation("t"))
        (passed,) = self.passed
        self.assertEqual(passed.request_principal, b"User:alice")
        self.assertEqual(passed.client_host_address, bytes([10, 9, 8, 7]))

    def test_in_the_order_of_requests(self) -> None:
        self.courier.doors.clear()
        client = self.node.connect()
        asked = [client.send(creation("t")), client.send(MetadataRequest(topics=[]))]
        self.assertEqual(client.answers(), [], "the second answer waits for the first")
        self.courier.doors[1] = self.door
        self.node.wait()
        self.assertEqual([correlation_id for correlation_id, _ in client.answers()], asked)

    def test_refusals_are_the_controllers(self) -> None:
        self.controller.create("t")
        (topic,) = self.node.ask(creation("t")).topics
        self.assertEqual(topic.error_code, ErrorCode.TOPIC_ALREADY_EXISTS)
        self.assertIn("t", topic.error_message)

    def test_no_controller(self) -> None:
        """Each part of the request is refused with what makes a client come again."""
        self.quorum.lead(None)
        answer = self.node.ask(creation("a", "b"))
        codes = {topic.name: topic.error_code for topic in answer.topics}
        self.assertEqual(codes, {"a": ErrorCode.NOT_CONTROLLER, "b": ErrorCode.NOT_CONTROLLER})
        wanted = DeleteTopicsRequest(topics=[DeleteTopicState(name="a")], timeout_ms=100)
        self.assertEqual(self.node.ask(wanted).responses[0].error_code, ErrorCode.NOT_CONTROLLER)
        old = DeleteTopicsRequest(topic_names=["a", "b"], timeout_ms=100)
        codes = {topic.name: topic.error_code for topic in self.node.ask(old, 5).responses}
        self.assertEqual(codes, {"a": ErrorCode.NOT_CONTROLLER, "b": ErrorCode.NOT_CONTROLLER})

    def test_the_client_says_how_long(self) -> None:
        self.quorum.lead(None)
        client = self.node.connect()
        client.send(creation("t", timeout_ms=200))
        self.node.wait(0.15)
        self.assertEqual(client.answers(), [])
        self.node.wait(0.15)
        self.assertEqual(len(client.answers()), 1)
        self.assertLess(0.3, PATIENCE_S)

    def test_a_node_that_stops_waits_for_no_controller(self) -> None:
        self.quorum.lead(None)
        client = self.node.connect()
        client.send(creation("t"))
        client.connection.finish()
        self.assertEqual(len(client.answers()), 1)

    def test_seen_before_the_client_goes_on(self) -> None:
        """What the controller has done is in this node's own image when the client asks for it here."""
        self.quorum.barriers = []
        client = self.node.connect()
        client.send(creation("t"))
        self.node.wait()
        self.assertEqual(client.answers(), [])
        self.quorum.barriers[0].callback(None)
        self.node.wait()
        self.assertEqual(len(client.answers()), 1)


class ReceivingTests(ForwardingCase):
    """On the controller."""

    def sealed(self, request: Message, version: int | None = None, more: bytes = b"") -> EnvelopeRequest:
        """Put a request in an envelope."""
        version = request.VERSIONS[1] if version is None else version
        data = write_request_header(request.KEY, version, 5, "c") + encode(request, version) + more
        return EnvelopeRequest(request_data=data, request_principal=b"User:a", client_host_address=bytes(4))

    def test_answered(self) -> None:
        answer = self.deliver(self.sealed(creation("t")))
        self.assertEqual(answer.error_code, ErrorCode.NONE)
        assert answer.response_data is not None
        self.assertEqual(answer.response_data[:4], bytes([0, 0, 0, 5]))
        self.assertEqual(self.topics, ["t"])

    def test_from_no_broker(self) -> None:
        """Neither a node that never registered, nor one of a registered id on another disk."""
        for sender in (key_of(3), ReplicaKey(2, bytes(16))):
            answer = self.deliver(self.sealed(creation("t")), sender)
            self.assertEqual(answer.error_code, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        self.assertEqual(self.topics, [])

    def test_before_anybody_is_known(self) -> None:
        """A controller that has just started applies what is committed before it judges who asks it."""
        quorum = Watched(1)
        services = self.controller.node.broker
        forwarding = forwarding_of(services.host.clock, quorum, 1, Courier())
        quorum.barriers = []
        asked = [
            envelope(evolve(services, forwarding=forwarding), key_of(3), self.sealed(creation(name)))
            for name in ("t", "u")
        ]
        self.register(3)
        quorum.barriers[0].callback(None)
        found: list[Any] = []
        for answer in asked:
            assert isinstance(answer, Deferred)
            answer.addBoth(found.append)
        self.controller.until(lambda: len(found) == 2)
        self.assertEqual([answer.error_code for answer in found], [ErrorCode.NONE, ErrorCode.NOT_CONTROLLER])
        self.assertEqual(self.topics, ["t"])

    def test_not_the_controller(self) -> None:
        self.controller.node.broker.metadata.consensus.leader_id = None
        self.assertEqual(self.deliver(self.sealed(creation("t"))).error_code, ErrorCode.NOT_CONTROLLER)

    def test_of_a_later_release(self) -> None:
        for key, version in ((19, 99), (999, 0)):
            request = EnvelopeRequest(request_data=Struct(">hhi").pack(key, version, 1))
            self.assertEqual(self.deliver(request).error_code, ErrorCode.UNSUPPORTED_VERSION)

    def test_what_nobody_passes_on(self) -> None:
        """The connection ends that it came on."""
        good = self.sealed(creation("t"))
        for bad in (
            self.sealed(MetadataRequest()),
            EnvelopeRequest(request_data=b"\0"),
            EnvelopeRequest(request_data=good.request_data[:-3], request_principal=b"User:a"),
            EnvelopeRequest(request_data=good.request_data[:9], request_principal=b"User:a"),
            EnvelopeRequest(request_data=good.request_data, request_principal=None),
            EnvelopeRequest(request_data=good.request_data, request_principal=b"\xff"),
            EnvelopeRequest(request_data=good.request_data, request_principal=b"a", client_host_address=b"123"),
        ):
            with self.assertRaises(ProtocolError):
                self.deliver(bad)
        self.assertEqual(self.topics, [])

    def test_nodes_ask_in_their_own_name(self) -> None:
        self.assertEqual(self.deliver(creation_of(NewTopic(name="t"), 2)).error_code, ErrorCode.NONE)
        self.assertEqual(self.topics, ["t"])

    def test_addresses(self) -> None:
        for text in ("10.9.8.7", "2001:db8::1", ""):
            self.assertEqual(unpacked_address(packed_address(text)), text)
        self.assertEqual(unpacked_address(packed_address("fe80::1%eth0")), "fe80::1")
        self.assertEqual(packed_address("somewhere"), b"")


class TableTests(ForwardingCase):
    """Which APIs these are."""

    def test_all_that_kafka_says(self) -> None:
        bound = [key for key, api in TABLE.items() if api.is_controller_bound]
        self.assertEqual([key for key in CONTROLLERS_ONLY if key in TABLE and key not in bound], [])
