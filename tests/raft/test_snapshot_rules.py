"""RF12 and RF13 (reliability 3.3): snapshots, and what is left of the log."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import HardState, Message, RaftNode, Recovered, Snapshot
from streamline.raft.messages import AppendResponse, SnapshotRequest
from tests.raft.cluster import SETTINGS, Cluster, commands, key, voters
from tests.raft.talking import THREE, alone, append, only, piece, taken


class SnapshotTests(SynchronousTestCase):
    """RF12, RF13: snapshots and what is left of the log."""

    def test_rf12_acknowledged_when_durable(self) -> None:
        """A snapshot is handed out once, acknowledged when it is durable, and applied before what follows it."""
        node = alone(term=1)
        node.step(piece(1, 2, 1, 5))
        node.step(append(1, 2, 1, (5, 1), 1, commit=6))
        ready = taken(node)
        self.assertEqual((ready.snapshot and ready.snapshot.index, ready.messages, ready.committed), (5, (), ()))
        self.assertEqual(ready.entries, commands(1, first=6))
        node.advance(ready)
        after = taken(node)
        self.assertEqual(only(after, AppendResponse).matched_index, 6)
        self.assertEqual([one.index for one in after.committed], [6])
        self.assertIsNone(after.snapshot)

    def test_rf12_doubles_and_old_ones(self) -> None:
        """One that says nothing new is answered and left alone."""
        node = alone(log=commands(1, 1, 1, 1, 1, 1))
        node.step(append(1, 2, 1, (6, 1), commit=6))
        taken(node)
        node.step(piece(1, 2, 1, 5))
        ready = taken(node)
        self.assertEqual((ready.snapshot, node.last_index), (None, 6))
        self.assertEqual(only(ready, AppendResponse).matched_index, 6)

    def test_rf12_what_the_log_has_stays(self) -> None:
        """A snapshot of entries that are here commits them, and what lies behind them stays."""
        node = alone(log=commands(1, 1, 1))
        node.step(piece(1, 2, 1, 2))
        ready = taken(node)
        self.assertEqual((ready.snapshot, node.commit_index, node.last_index), (None, 2, 3))
        self.assertEqual(only(ready, AppendResponse).matched_index, 2)

    def test_rf12_two_close_together(self) -> None:
        """A second snapshot while the first is being written takes its place."""
        node = alone(term=1)
        node.step(piece(1, 2, 1, 5))
        first = taken(node)
        node.step(piece(1, 2, 1, 9))
        second = taken(node)
        node.advance(first)
        self.assertIsNone(node.ready())
        node.advance(second)
        self.assertEqual(only(taken(node), AppendResponse).matched_index, 9)

    def test_rf12_own_snapshot_in_between(self) -> None:
        """While a leader's snapshot is not durable, one's own makes nothing superfluous that it does not hold."""
        node = alone(log=commands(1, 1, 1))
        node.step(append(1, 2, 1, (3, 1), commit=3))
        taken(node)
        own = node.snapshot_at(2, b"two")
        node.step(piece(1, 2, 1, 9))
        taken(node)
        self.assertEqual(node.snapshot_taken(own), 2)

    def test_rf12_no_election_in_the_middle(self) -> None:
        """Who is writing a snapshot has no log to be elected with."""
        node = alone(configuration=voters(1, 2), term=1)
        node.step(piece(1, 2, 1, 5))
        ready = taken(node)
        node.peer_gone(key(2))
        self.assertEqual(node.role_name, "follower")
        node.advance(ready)
        node.campaign()
        self.assertEqual(node.role_name, "prospective")

    def test_rf12_not_stuck_after_a_snapshot(self) -> None:
        """A follower gets entries again after a snapshot, also where the log begins further on by then."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(3)
        cluster.propose(1)
        cluster.compact(1)
        cluster.mend()
        cluster.members[3].holds = True
        cluster.tick(1)
        cluster.settle()
        cluster.propose(1)
        cluster.compact(1)
        cluster.members[3].holds = False
        cluster.write(3)
        cluster.settle()
        cluster.propose(1, b"after")
        cluster.pass_time(3)
        self.assertEqual(cluster.members[3].commands(), [b"after"])
        self.assertEqual(cluster.node(3).commit_index, cluster.node(1).commit_index)

    def test_rf12_a_piece_that_was_lost(self) -> None:
        """It is sent again after a while."""
        cluster = Cluster(THREE, evolve(SETTINGS, snapshot_chunk_bytes=4))
        cluster.elect(1)
        cluster.isolate(3)
        cluster.propose(1)
        cluster.compact(1)
        cluster.mend()
        cluster.tick(1)
        cluster.deliver(100, lambda one: not isinstance(one, SnapshotRequest))
        cluster.take()
        cluster.pass_time(8)
        self.assertEqual(cluster.node(3).commit_index, 2)

    def test_rf13_boundary_in_memory(self) -> None:
        """A follower that ends where the leader's log begins is served by it; one that ends before, by a snapshot."""
        for kept, expected in ((1, []), (0, [2])):
            cluster = Cluster(THREE)
            cluster.elect(1)
            cluster.isolate(3)
            cluster.propose(1)
            cluster.compact(1, keep=kept)
            cluster.mend()
            cluster.tick(1)
            seen: list[Message] = []
            cluster.settle(seen.append)
            snapshots = [one.snapshot_index for one in seen if isinstance(one, SnapshotRequest)]
            self.assertEqual((snapshots, cluster.node(3).commit_index), (expected, 2))

    def test_rf13_boundary_on_disk(self) -> None:
        """After a restart, the entry behind the boundary is checked against the snapshot's term, or a kept entry's."""
        snapshot = Snapshot(4, 2, THREE, b"")
        for entries in (commands(3, first=5), commands(1, 2, 2, 3, first=2)):
            found = Recovered(snapshot=snapshot, hard_state=HardState(3), entries=entries)
            node = RaftNode(key(1), found, SETTINGS, lambda below: 0)
            self.assertEqual((node.commit_index, node.last_index, node.term_at(4), node.term_at(5)), (4, 5, 2, 3))
            node.step(append(1, 2, 3, (4, 2), 3))
            self.assertEqual(only(taken(node), AppendResponse).matched_index, 5)

    def test_rf13_snapshot_newer_than_the_log(self) -> None:
        """Entries that do not lead up to the snapshot are what it replaced, and were not deleted yet."""
        snapshot = Snapshot(4, 3, THREE, b"")
        for entries in (commands(1, 1), commands(1, 1, 1, 1, 1)):
            found = Recovered(snapshot=snapshot, hard_state=HardState(3), entries=entries)
            node = RaftNode(key(1), found, SETTINGS, lambda below: 0)
            self.assertEqual((node.boundary_index, node.last_index, node.term_at(4)), (4, 4, 3))
            self.assertEqual(taken(node).snapshot, snapshot, "it is installed once more, which drops them")

    def test_rf13_a_gap_is_refused(self) -> None:
        """Entries that begin behind the snapshot's end are of no use."""
        found = Recovered(snapshot=Snapshot(4, 2, THREE, b""), entries=commands(2, first=6))
        self.assertRaises(ValueError, RaftNode, key(1), found, SETTINGS, lambda below: 0)
