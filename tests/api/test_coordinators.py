"""FindCoordinator, asked in bytes of a whole node."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import OFFSETS_TOPIC
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.groups import JoinGroupRequest, JoinGroupRequestProtocol
from tests.node import HOST, PORT, SimNode

NAME = "readers"
JOIN = JoinGroupRequest(
    group_id=NAME,
    session_timeout_ms=10_000,
    rebalance_timeout_ms=10_000,
    protocol_type="consumer",
    protocols=[JoinGroupRequestProtocol(name="range", metadata=b"")],
)


class FindCoordinatorTests(SynchronousTestCase):
    """Where a group is looked after."""

    def setUp(self) -> None:
        """Start a node."""
        self.world = SimNode(offsets_topic_num_partitions=4)
        self.client = self.world.client()

    def test_every_version(self) -> None:
        """Versions 0 to 3 ask for one key, later ones for several."""
        for version in range(4):
            found = self.client.ask(FindCoordinatorRequest(key=NAME), version)
            self.assertEqual((found.error_code, found.node_id, found.host, found.port), (0, 1, HOST, PORT))
        for version in range(4, 7):
            answer = self.client.ask(FindCoordinatorRequest(coordinator_keys=["a", "b"]), version)
            self.assertEqual([(found.key, found.node_id) for found in answer.coordinators], [("a", 1), ("b", 1)])

    def test_first_one_makes_the_topic_as_kafka_would(self) -> None:
        """It is compacted, has as many partitions as the settings say, and as many replicas as there are nodes."""
        image = self.world.broker.metadata.image
        self.assertNotIn(OFFSETS_TOPIC, image.topics)
        self.client.ask(FindCoordinatorRequest(coordinator_keys=[NAME]))
        image = self.world.broker.metadata.image
        self.assertEqual(len(image.topics[OFFSETS_TOPIC].partitions), 4)
        self.assertEqual(image.topics[OFFSETS_TOPIC].partitions[0].replicas, (1,))
        config = self.world.broker.replicas.config_of(OFFSETS_TOPIC)
        self.assertEqual((config.cleanup_policy, config.segment_bytes), ("compact", 100 * 1024 * 1024))

    def test_many_at_once_make_it_once(self) -> None:
        """Requests that come while it is made wait for it."""
        clients = [self.world.client() for _ in range(5)]
        sent = [(client, client.send(FindCoordinatorRequest(coordinator_keys=[NAME]))) for client in clients]
        answers = [client.answer(number).coordinators[0] for client, number in sent]
        self.assertEqual({answer.error_code for answer in answers}, {ErrorCode.NONE})

    def test_client_that_leaves_meanwhile_spoils_it_for_nobody(self) -> None:
        """A bootstrap connection is often closed before the answer."""
        leaver = self.world.client()
        leaver.send(FindCoordinatorRequest(coordinator_keys=[NAME]))
        number = self.client.send(FindCoordinatorRequest(coordinator_keys=[NAME]))
        self.world.later(0.002)
        assert leaver.transport is not None
        leaver.transport.loseConnection()
        self.assertEqual(self.client.answer(number).coordinators[0].error_code, ErrorCode.NONE)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_one_that_comes_while_partitions_are_opened_waits_too(self) -> None:
        """The topic is known by then; its partitions cannot be used yet."""
        first, second = self.world.client(), self.world.client()
        first.send(FindCoordinatorRequest(coordinator_keys=[NAME]))
        simulation = self.world.simulation
        simulation.run(simulation.now + 1, lambda: OFFSETS_TOPIC in self.world.broker.metadata.image.topics)
        found = second.ask(FindCoordinatorRequest(coordinator_keys=[NAME])).coordinators[0]
        self.assertEqual(found.error_code, ErrorCode.NONE)
        self.assertEqual(second.ask(JOIN).error_code, ErrorCode.MEMBER_ID_REQUIRED)

    def test_members_are_let_in_right_after_it(self) -> None:
        """The answer waits until the coordinator is ready, so that nobody is sent away."""
        self.client.ask(FindCoordinatorRequest(coordinator_keys=[NAME]))
        self.assertEqual(self.client.ask(JOIN).error_code, ErrorCode.MEMBER_ID_REQUIRED)

    def test_other_kinds_of_coordinator_are_refused(self) -> None:
        """There are no transactions and no share groups here."""
        for kind, error in (
            (1, ErrorCode.UNSUPPORTED_VERSION),
            (2, ErrorCode.INVALID_REQUEST),
            (9, ErrorCode.INVALID_REQUEST),
        ):
            answer = self.client.ask(FindCoordinatorRequest(coordinator_keys=["x"], key_type=kind))
            self.assertEqual(answer.coordinators[0].error_code, error)
            self.assertEqual(answer.coordinators[0].node_id, -1)
        single = self.client.ask(FindCoordinatorRequest(key="x", key_type=1), 3)
        self.assertEqual((single.error_code, single.node_id, single.port), (ErrorCode.UNSUPPORTED_VERSION, -1, -1))

    def test_topic_that_cannot_be_made(self) -> None:
        """The client is told to try again, not what is wrong with our settings."""
        world = SimNode(offsets_topic_num_partitions=10_001)
        answer = world.client().ask(FindCoordinatorRequest(coordinator_keys=[NAME]))
        self.assertEqual(answer.coordinators[0].error_code, ErrorCode.COORDINATOR_NOT_AVAILABLE)
