"""Two nodes: one is the controller, the other passes on to it what its clients ask."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.api.envelope import envelope
from streamline.cluster.commands import RegisterBroker
from streamline.raft import ReplicaKey
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse
from tests.broker import Broker
from tests.services.quorum_case import Courier, Watched, forwarding_of, key_of


class ForwardingCase(SynchronousTestCase):
    """
    Node 1 is the controller; node 2 knows so.

    @ivar passed: what node 2 passed on.
    """

    def setUp(self) -> None:
        """Start both, and have the second one pass on what is the controller's."""
        self.controller = Broker().start()
        self.passed: list[EnvelopeRequest] = []
        self.register(2)
        self.node = Broker(node_id=2).start()
        self.quorum, self.courier = Watched(1), Courier()
        self.courier.doors[1] = self.door
        clock = self.node.node.broker.host.clock
        forwarding = forwarding_of(clock, self.quorum, 2, self.courier)
        self.node.node.factory.broker = evolve(self.node.node.broker, forwarding=forwarding)

    def register(self, node_id: int) -> None:
        """Have the controller know a node."""
        registration = RegisterBroker(
            node_id=node_id,
            incarnation_id=bytes(16),
            directory_id=key_of(node_id).directory_id,
            host="10.0.0.2",
            port=9092,
        )
        done: list[Any] = []
        self.controller.node.broker.metadata.propose(registration).addBoth(done.append)
        self.controller.until(lambda: bool(done))
        assert done == [self.controller.node.broker.metadata.image.index], done

    def door(self, request: EnvelopeRequest) -> EnvelopeResponse:
        """Bring an envelope to the controller."""
        self.passed.append(request)
        return self.deliver(request)

    def deliver(self, request: EnvelopeRequest, sender: ReplicaKey | None = None) -> EnvelopeResponse:
        """Have the controller open an envelope."""
        answer = envelope(self.controller.node.broker, sender or key_of(2), request)
        if not isinstance(answer, Deferred):
            return answer
        found: list[Any] = []
        answer.addBoth(found.append)
        self.controller.until(lambda: bool(found))
        assert isinstance(found[0], EnvelopeResponse), found
        return found[0]

    @property
    def topics(self) -> list[str]:
        """The topics that the controller knows."""
        return list(self.controller.node.broker.metadata.image.topics)
