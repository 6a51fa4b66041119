"""What nodes say to each other: where it is declared, and that clients have no part in it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.table import TABLE
from streamline.wire.codec import decode, encode
from streamline.wire.header import read_request_header, write_request_header
from streamline.wire.messages import CONTROLLERS_ONLY, PEERS_ONLY, REQUESTS, RESPONSES
from streamline.wire.messages.peer_pushes import (
    ControlledShutdownRequest,
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    LeaderAndIsrTopicState,
    StopReplicaTopicState,
)
from streamline.wire.messages.peer_raft import (
    FIRST_KEY,
    ONE_WAY,
    PRIVATE_REQUESTS,
    PRIVATE_RESPONSES,
    Entry,
    RaftAppendRequest,
    ReplicaKey,
)
from streamline.wire.schema import Message, fields
from tests.wire.samples import Dice, full


class WhoMaySayItTests(SynchronousTestCase):
    """A listener for clients speaks none of it."""

    def test_clients_are_not_answered(self) -> None:
        for key in (*PEERS_ONLY, *PRIVATE_REQUESTS):
            self.assertNotIn(key, TABLE)

    def test_every_key_is_declared(self) -> None:
        for key in (*PEERS_ONLY, *CONTROLLERS_ONLY):
            self.assertIn(key, REQUESTS)
            self.assertIn(key, RESPONSES)
        self.assertEqual([key for key in PEERS_ONLY if key in CONTROLLERS_ONLY], [])

    def test_our_own_keys_are_nobody_elses(self) -> None:
        for table in (PRIVATE_REQUESTS, PRIVATE_RESPONSES):
            for key, cls in table.items():
                self.assertEqual(cls.KEY, key)
                self.assertGreaterEqual(key, FIRST_KEY)
        self.assertLess(max(REQUESTS), FIRST_KEY)

    def test_what_is_answered_and_what_is_not(self) -> None:
        self.assertEqual(sorted({*PRIVATE_REQUESTS} - {*ONE_WAY}), sorted(PRIVATE_RESPONSES))
        for cls in PRIVATE_REQUESTS.values():
            self.assertEqual(cls.KIND, "request")


class HeaderTests(SynchronousTestCase):
    """Requests between nodes have the header that any request has."""

    def test_controlled_shutdown(self) -> None:
        """Only its version 0, which nobody speaks, has a header of its own."""
        written = write_request_header(7, 3, 5, "node-1") + encode(ControlledShutdownRequest(broker_id=1), 3)
        header = read_request_header(written)
        self.assertEqual((header.api_key, header.correlation_id, header.client_id), (7, 5, "node-1"))
        self.assertEqual(decode(ControlledShutdownRequest, 3, written[header.at :]).broker_id, 1)

    def test_one_way(self) -> None:
        def spoken(key: int, version: int) -> bool | None:
            return True if key in PRIVATE_REQUESTS and version == 0 else None

        for key, cls in ONE_WAY.items():
            said: Message = full(cls, 0, Dice(cls.__name__))
            written = write_request_header(key, 0, 0, None, flexible=True) + encode(said, 0)
            header = read_request_header(written, spoken)
            self.assertEqual((header.api_key, header.client_id), (key, None))
            self.assertEqual(decode(cls, 0, written[header.at :]), said)


class PushTests(SynchronousTestCase):
    """What we add to Kafka's messages is tagged, and left out where there is nothing to say."""

    def test_nothing_to_add(self) -> None:
        sizes = []
        for state in (LeaderAndIsrPartitionState(), LeaderAndIsrPartitionState(elr=[3])):
            topic = LeaderAndIsrTopicState(topic_name="t", partition_states=[state])
            sizes.append(len(encode(LeaderAndIsrRequest(topic_states=[topic]), 7)))
        tag, length, elr = 2, 1, 5
        self.assertEqual(sizes[1] - sizes[0], tag + length + elr)

    def test_which_topic_is_meant(self) -> None:
        """KR30: by its id, also where Kafka had only the name."""
        _, tagged, _ = fields(StopReplicaTopicState, 4)
        self.assertEqual([field.name for field in tagged], ["topic_id"])


class RaftTests(SynchronousTestCase):
    """Entries travel as they are."""

    def test_append(self) -> None:
        me, you = ReplicaKey(node_id=1, directory_id=b"a" * 16), ReplicaKey(node_id=2, directory_id=b"b" * 16)
        entries = [Entry(index=7 + at, term=3, kind=1, payload=b"x" * at) for at in range(3)]
        said = RaftAppendRequest(term=3, sender=me, to=you, prev_index=6, prev_term=2, entries=entries, round=9)
        self.assertEqual(decode(RaftAppendRequest, 0, encode(said, 0)), said)
