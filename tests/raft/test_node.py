"""What a replica takes, refuses and says about itself."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import (
    AddLearner,
    BadMessage,
    Configuration,
    Entry,
    Fate,
    NotProposed,
    RaftNode,
    RaftSettings,
    Ready,
    Reason,
    Replica,
    Snapshot,
)
from streamline.raft.messages import AppendRequest, SnapshotRequest, VoteResponse
from tests.raft.cluster import SETTINGS, Cluster, commands, key, recovered, voters

THREE = voters(1, 2, 3)


def alone(settings: RaftSettings = SETTINGS) -> RaftNode:
    """Return a replica to talk to by hand."""
    return RaftNode(key(1), recovered(THREE), settings, lambda below: 0)


def request(*entries: Entry, prev: int = 0, term: int = 1) -> AppendRequest:
    """Return entries from replica 2, its leader."""
    return AppendRequest(
        term=term, sender=key(2), to=key(1), prev_index=prev, prev_term=term if prev else 0, entries=entries
    )


class ReadyTests(SynchronousTestCase):
    """What is handed out, and reported."""

    def test_nothing_to_do(self) -> None:
        """A replica to which nothing happened wants nothing done."""
        self.assertIsNone(alone().ready())

    def test_handed_out_once(self) -> None:
        """What was handed out is not handed out again, reported or not."""
        node = alone()
        node.step(request(*commands(1, 1)))
        ready = node.ready()
        assert ready is not None
        self.assertTrue(ready.must_write)
        self.assertIsNone(node.ready())

    def test_several_on_their_way(self) -> None:
        """More may be taken before the first is reported; each report counts for what it is about."""
        node = alone()
        taken: list[Ready] = []
        for at in range(3):
            node.step(request(*commands(1, first=at + 1), prev=at))
            ready = node.ready()
            assert ready is not None
            taken.append(ready)
        acknowledged = []
        for ready in taken:
            node.advance(ready)
            after = node.ready()
            assert after is not None
            acknowledged += [getattr(one, "matched_index", None) for one in after.messages]
        self.assertEqual(acknowledged, [1, 2, 3])

    def test_reports_come_in_order(self) -> None:
        """A report twice, or before an earlier one's, is a mistake of the caller's."""
        node = alone()
        node.step(request(*commands(1)))
        ready = node.ready()
        assert ready is not None
        node.advance(ready)
        self.assertRaises(ValueError, node.advance, ready)

    def test_deliveries_are_bounded(self) -> None:
        """What is applied at once is limited in bytes."""
        cluster = Cluster(voters(1), evolve(SETTINGS, ready_bytes_max=80), logs={1: commands(1, 1, 1, 1)})
        seen: list[int] = []
        cluster.said = lambda name, ready: seen.append(len(ready.committed))
        cluster.tick(1)
        self.assertEqual(max(seen), 2)
        self.assertEqual(cluster.members[1].commands(), [b"1/1", b"2/1", b"3/1", b"4/1"])


class ProposalTests(SynchronousTestCase):
    """What is refused, and what becomes of the rest."""

    def refused(self, cluster: Cluster, number: int, command: bytes = b"x") -> NotProposed:
        """Propose in vain."""
        refusal = self.assertRaises(NotProposed, cluster.node(number).propose, command)
        assert isinstance(refusal, NotProposed)
        return refusal

    def test_committed(self) -> None:
        """A proposal is told apart by its index and term, and comes with the entries to apply."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        proposal = cluster.node(1).propose(b"x")
        cluster.pump(1)
        cluster.settle()
        (outcome,) = cluster.members[1].outcomes
        self.assertEqual((outcome.proposal, outcome.fate), (proposal, Fate.COMMITTED))
        self.assertEqual([member.commands() for member in cluster.members.values()], [[b"x"]] * 3)

    def test_only_the_leader_proposes(self) -> None:
        """Anybody else says who leads, as far as it knows."""
        cluster = Cluster(THREE)
        refusal = self.refused(cluster, 2)
        self.assertEqual((refusal.reason, refusal.leader), (Reason.NOT_LEADER, None))
        cluster.elect(1)
        self.assertEqual(self.refused(cluster, 2).leader, key(1))

    def test_limits(self) -> None:
        """A command that is too large is refused, and so is one too many that wait to be committed."""
        cluster = Cluster(THREE, evolve(SETTINGS, entry_bytes_max=100, uncommitted_bytes_max=200))
        cluster.elect(1)
        self.assertEqual(self.refused(cluster, 1, bytes(101)).reason, Reason.TOO_LARGE)
        cluster.isolate(1)
        for _ in range(2):
            cluster.propose(1, bytes(100))
        self.assertEqual(self.refused(cluster, 1).reason, Reason.TOO_MUCH_UNCOMMITTED)
        cluster.mend()
        cluster.pass_time(2)
        cluster.propose(1)

    def test_many_go_together(self) -> None:
        """What is proposed before anything is sent goes in one message."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        for number in range(100):
            cluster.node(1).propose(b"%d" % number)
        cluster.pump(1)
        self.assertEqual([len(one.entries) for one in cluster.wire if isinstance(one, AppendRequest)], [100, 100])


class MessageTests(SynchronousTestCase):
    """What no replica sends."""

    def test_entries(self) -> None:
        """Gaps, terms that fall, terms that are ahead, and places before the first are refused."""
        first, second, third = commands(1, 1, 1)
        for bad in (
            request(first, third),
            request(second),
            request(Entry(1, 2), term=1),
            request(Entry(1, 0)),
            evolve(request(Entry(1, 3), Entry(2, 2), term=3)),
            evolve(request(), prev_index=-1),
        ):
            self.assertRaises(BadMessage, alone().step, bad)

    def test_pieces(self) -> None:
        """A piece of a snapshot that does not fit it, or a snapshot that is too large, is refused."""
        good = SnapshotRequest(
            term=1, sender=key(2), to=key(1), snapshot_index=5, snapshot_term=1, configuration=THREE,
            offset=0, total_bytes=10, data=bytes(4),
        )  # fmt: skip
        for bad in (
            evolve(good, offset=-1),
            evolve(good, offset=7),
            evolve(good, total_bytes=3),
            evolve(good, total_bytes=101),
            evolve(good, snapshot_term=2),
            evolve(good, snapshot_term=0),
        ):
            self.assertRaises(BadMessage, alone(evolve(SETTINGS, snapshot_bytes_max=100)).step, bad)

    def test_pieces_out_of_order(self) -> None:
        """A piece that does not follow is answered with what is there; another snapshot begins anew."""
        node = alone()
        piece = SnapshotRequest(
            term=1, sender=key(2), to=key(1), snapshot_index=5, snapshot_term=1, configuration=THREE,
            offset=0, total_bytes=10, data=bytes(4),
        )  # fmt: skip
        offsets = []
        for one in (
            piece,
            evolve(piece, offset=8, data=bytes(2)),
            piece,
            evolve(piece, snapshot_index=6, offset=4),
            evolve(piece, snapshot_index=6),
        ):
            node.step(one)
            ready = node.ready()
            assert ready is not None
            if ready.must_write:
                node.advance(ready)
                ready = node.ready()
                assert ready is not None
            offsets += [getattr(message, "offset", None) for message in ready.messages]
        self.assertEqual(offsets, [4, 4, 4, 0, 4])

    def test_strangers(self) -> None:
        """Answers of whoever is no member count for nothing."""
        cluster = Cluster(THREE)
        cluster.node(1).campaign()
        cluster.pump(1)
        cluster.take()
        cluster.step(VoteResponse(term=0, sender=key(9), to=key(1), asked_term=0, granted=True, pre=True))
        self.assertEqual(cluster.node(1).role_name, "prospective")

    def test_votes_of_another_election(self) -> None:
        """A vote that was given in an earlier term does not count in this one."""
        cluster = Cluster(voters(1, 2, 3, 4, 5))
        cluster.node(1).campaign()
        cluster.pump(1)
        while cluster.node(1).term < 1:
            cluster.deliver()
        cluster.deliver(4, lambda one: one.sender == key(1))
        old = cluster.take(lambda one: isinstance(one, VoteResponse) and not one.pre)
        self.assertTrue(old)
        cluster.pass_time(1, 1)
        cluster.node(1).tick()
        for _ in range(60):
            cluster.tick(1)
        self.assertEqual(cluster.node(1).role_name, "prospective")
        for message in old:
            cluster.step(message)
        self.assertEqual(cluster.node(1).role_name, "prospective")


class SnapshotTests(SynchronousTestCase):
    """Taking snapshots."""

    def test_taken(self) -> None:
        """A snapshot has the term and the members of its place; entries before it go when it is durable."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        for number in range(5):
            cluster.propose(1, b"%d" % number)
        node = cluster.node(1)
        snapshot = node.snapshot_at(4, b"state")
        self.assertEqual(snapshot, Snapshot(4, 1, THREE, b"state"))
        self.assertEqual(node.boundary_index, 0)
        self.assertEqual(node.snapshot_taken(snapshot, keep_entries=3), 1)
        self.assertEqual((node.boundary_index, node.term_at(1), node.term_at(2)), (1, 1, 1))
        self.assertEqual(node.snapshot_taken(snapshot), 4)

    def test_what_was_not_applied(self) -> None:
        """A snapshot of what was not handed out to be applied, or is gone, is a mistake of the caller's."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.propose(1)
        node = cluster.node(1)
        self.assertRaises(ValueError, node.snapshot_at, 3, b"")
        node.snapshot_taken(node.snapshot_at(2, b""))
        self.assertRaises(ValueError, node.snapshot_at, 1, b"")

    def test_members_come_with_it(self) -> None:
        """A replica that gets a snapshot knows who takes part, and so does one that restarts from its own."""
        cluster = Cluster(THREE, others=[4])
        cluster.elect(1)
        cluster.isolate(4)
        cluster.node(1).change_members([AddLearner(Replica(key(4), "four"))])
        cluster.pump(1)
        cluster.settle()
        cluster.compact(1)
        cluster.mend()
        cluster.pass_time(3)
        expected = Configuration(THREE.voters, (Replica(key(4), "four"),))
        self.assertEqual(cluster.node(4).configuration, expected)
        for number in (1, 4):
            cluster.stop(number)
            cluster.start(number)
            self.assertEqual(cluster.node(number).configuration, expected)


class StatusTests(SynchronousTestCase):
    """What DescribeQuorum shows."""

    def test_of_a_leader(self) -> None:
        """Voters and observers with their end offsets, and when they were heard from and had everything."""
        cluster = Cluster(voters(1, 2, learners=[3]))
        cluster.elect(1)
        cluster.pass_time(6)
        cluster.isolate(3)
        cluster.propose(1)
        cluster.pass_time(3)
        status = cluster.node(1).describe()
        self.assertEqual((status.leader, status.term, status.high_watermark, status.tick), (key(1), 1, 3, 9))
        self.assertEqual(status.configuration, voters(1, 2, learners=[3]))
        shown = [(one.key, one.end_offset, one.heard_tick, one.caught_up_tick) for one in status.voters]
        self.assertEqual(shown, [(key(1), 3, 9, 9), (key(2), 3, 9, 9)])
        (observer,) = status.observers
        self.assertEqual((observer.key, observer.end_offset), (key(3), 2))
        self.assertEqual((observer.heard_tick, observer.caught_up_tick), (6, 6))

    def test_of_others(self) -> None:
        """Who does not lead says who does."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        status = cluster.node(2).describe()
        self.assertEqual((status.leader, status.voters, status.observers), (key(1), (), ()))

    def test_a_busy_follower_is_caught_up(self) -> None:
        """Who has by now what there was when it was last heard from keeps up, though there is always more."""
        cluster = Cluster(voters(1, 2))
        cluster.elect(1)
        cluster.members[2].holds = True
        for _ in range(6):
            cluster.node(1).propose(b"x")
            cluster.tick(1)
            cluster.write(2)
            cluster.settle()
        (_, follower) = cluster.node(1).describe().voters
        self.assertLess(follower.end_offset, cluster.node(1).last_index + 1)
        self.assertEqual(follower.caught_up_tick, 5)


class LeavingTests(SynchronousTestCase):
    """Stopping, and rumours about others."""

    def test_alone(self) -> None:
        """Who leads alone has nobody to hand over to, and just stops leading."""
        cluster = Cluster(voters(1))
        cluster.tick(1)
        cluster.node(1).resign()
        self.assertEqual(cluster.node(1).role_name, "follower")
        cluster.pass_time(50)
        self.assertEqual(cluster.node(1).role_name, "follower")

    def test_elected_after_all(self) -> None:
        """Who is elected by votes that were on their way when it was asked to stop hands over at once."""
        cluster = Cluster(THREE)
        cluster.node(1).campaign()
        cluster.pump(1)
        while not [one for one in cluster.wire if isinstance(one, VoteResponse) and not one.pre]:
            cluster.deliver()
        cluster.node(1).resign()
        cluster.settle()
        self.assertTrue(cluster.node(1).is_leader)
        cluster.tick(1)
        cluster.settle()
        self.assertTrue(cluster.node(2).is_leader or cluster.node(3).is_leader)

    def test_in_vain(self) -> None:
        """Who finds nobody to take over stops leading after an election's time."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.node(1).resign()
        cluster.pass_time(SETTINGS.election_ticks, 1)
        self.assertEqual(cluster.node(1).role_name, "follower")

    def test_rumours_about_followers(self) -> None:
        """That a follower is gone makes its leader find out where it is, once it is back."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.node(1).propose(b"x")
        cluster.pump(1)
        cluster.take(lambda one: one.to == key(2))
        cluster.node(1).peer_gone(key(2))
        cluster.pump(1)
        self.assertEqual([one.prev_index for one in cluster.wire if isinstance(one, AppendRequest)][-1], 1)
        cluster.node(1).peer_gone(key(1))
        self.assertTrue(cluster.node(1).is_leader)

    def test_rumours_about_strangers(self) -> None:
        """Nobody cares."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        for number in (1, 2):
            cluster.node(number).peer_gone(key(9))
            self.assertIsNone(cluster.node(number).ready())
