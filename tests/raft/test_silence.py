"""What is not said between replicas, because nobody would learn anything by it, and what is said all the same."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import Message
from streamline.raft.messages import AppendRequest, AppendResponse, TimeoutNow
from streamline.raft.progress import SILENT_HEARTBEATS
from tests.raft.cluster import Cluster, key, voters


class SilenceTests(SynchronousTestCase):
    """A heartbeat is answered where the answer is news."""

    def setUp(self) -> None:
        """Have a leader with two followers that have everything."""
        self.cluster = Cluster(voters(1, 2, 3))
        self.cluster.elect(1)
        self.seen: list[Message] = []

    def beat(self) -> list[int]:
        """Let a heartbeat go round; return who has answered."""
        self.seen.clear()
        self.cluster.tick(1)
        self.cluster.settle(self.seen.append)
        return [one.sender.node_id for one in self.seen if isinstance(one, AppendResponse)]

    def test_answers_now_and_then(self) -> None:
        """Who has everything and was heard lately is not asked for an answer, and is asked for one before long."""
        answers = [self.beat() for _ in range(2 * SILENT_HEARTBEATS)]
        quiet: list[list[int]] = [[]] * (SILENT_HEARTBEATS - 1)
        self.assertEqual(answers, [*quiet, [2, 3], *quiet, [2, 3]])

    def test_an_idle_leader_goes_on_leading(self) -> None:
        """So many answers are enough for it to know that it is heard (RF8)."""
        self.cluster.pass_time(100)
        self.assertTrue(self.cluster.node(1).is_leader)
        self.assertEqual(self.cluster.node(1).term, 1)

    def test_after_the_quorum_was_checked(self) -> None:
        """Everybody is asked at once, so that who hands over knows whom it can hand over to."""
        for _ in range(9):
            self.beat()
        self.assertEqual(self.beat(), [2, 3])

    def test_an_answer_that_was_lost(self) -> None:
        """What a replica was sent and has not answered for is asked for with the next heartbeat."""
        self.cluster.cut[2, 1] = self.cluster.cut[3, 1] = True
        self.cluster.propose(1)
        self.cluster.mend()
        self.assertEqual(self.cluster.node(1).commit_index, 1)
        self.beat()
        self.assertEqual(self.cluster.node(1).commit_index, 2)

    def test_entries_that_were_lost(self) -> None:
        """Who lacks what a heartbeat follows on says so unasked."""
        self.cluster.propose(1)
        self.cluster.cut[1, 2] = True
        self.cluster.propose(1)
        self.cluster.mend()
        self.cluster.tick(1)
        self.cluster.settle()
        self.assertEqual(len(self.cluster.members[2].commands()), 2)

    def test_a_transfer_that_was_lost(self) -> None:
        """Who is to take over is asked with each heartbeat until it does."""
        self.cluster.node(1).transfer_leadership(key(2))
        self.cluster.pump(1)
        self.assertEqual([type(one) for one in self.cluster.take()], [TimeoutNow])
        self.cluster.tick(1)
        self.cluster.settle()
        self.assertTrue(self.cluster.node(2).is_leader)


class TellingTests(SynchronousTestCase):
    """What is committed is told when the caller wants it told, or with whatever else is said."""

    def setUp(self) -> None:
        """Have a leader that has committed a command, and whose followers have not heard of it."""
        self.cluster = Cluster(voters(1, 2, 3))
        self.cluster.elect(1)
        node = self.cluster.node(1)
        self.cluster.propose(1, b"before")
        node.propose(b"one")
        self.cluster.pump(1)
        self.cluster.deliver(2, lambda one: isinstance(one, AppendRequest))
        for response in self.cluster.take():
            node.step(response)
        self.node = node

    def told(self, *, tells: bool) -> list[tuple[int, int]]:
        """Return to how many entries each message adds which commit index."""
        ready = self.node.ready(tells=tells)
        assert ready is not None
        self.cluster.wire.extend(ready.messages)
        if ready.must_write:
            self.node.advance(ready)
        return [(len(one.entries), one.commit_index) for one in ready.messages if isinstance(one, AppendRequest)]

    def test_put_off(self) -> None:
        """Nothing is sent for it alone; and once it is wanted, to everybody, once."""
        self.assertEqual(self.told(tells=False), [])
        self.assertIsNone(self.node.ready(tells=False))
        self.assertEqual(self.told(tells=True), [(0, 3), (0, 3)])
        self.assertIsNone(self.node.ready())

    def test_with_the_next_entries(self) -> None:
        """Then there is nothing left to tell of it."""
        self.told(tells=False)
        self.node.propose(b"two")
        self.assertEqual(self.told(tells=False), [(1, 3), (1, 3)])
        self.assertIsNone(self.node.ready(tells=True))

    def test_with_a_heartbeat(self) -> None:
        """A tick later everybody knows in any case."""
        self.told(tells=False)
        self.node.tick()
        self.assertEqual(self.told(tells=False), [(0, 3), (0, 3)])
        self.cluster.settle()
        self.assertEqual(self.cluster.members[2].commands(), [b"before", b"one"])

    def test_with_a_question(self) -> None:
        """Who asks what may be read is told (RF11)."""
        self.told(tells=False)
        self.node.read(b"question")
        self.assertEqual(self.told(tells=False), [(0, 3), (0, 3)])
