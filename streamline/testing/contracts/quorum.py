"""
What every consensus of several nodes promises, as a test suite to be subclassed.

Three replicas live on simulated machines, whose processes are killed, whose power is cut in
the middle of any write, and whose messages are lost.  The suites are here, in
L{quorum_members<streamline.testing.contracts.quorum_members>} and in
L{quorum_history<streamline.testing.contracts.quorum_history>}; beside them, a quorum keeps the contract of
L{streamline.testing.contracts.consensus}, as a cluster of one.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from streamline.errors import ErrorCode, ProtocolError
from streamline.interfaces import IInbox, IQuorum
from streamline.raft.messages import AppendRequest
from streamline.testing.contracts.quorum_harness import QuorumHarness

GONE_S = 0.5
"""How soon somebody else has committed something where the leader's process is gone."""
SILENT_S = 3.0
"""The same, where the leader has just fallen silent."""


class QuorumContract(QuorumHarness):
    """
    Agreeing, failing, going on, and reading.

    @ivar votes_asked: how many votes were asked for until there was a leader.
    """

    votes_asked = 0

    # Agreeing

    def test_interface(self) -> None:
        """It has everything that its interface names."""
        verifyObject(IQuorum, self.members[1].quorum)

    def test_one_leads_and_all_know(self) -> None:
        """In the same term, and everybody was told."""
        leader = self.the_leader()
        self.assertEqual({one.quorum.term for one in self.up}, {leader.quorum.term})
        for one in self.up:
            self.assertEqual(one.changes[-1], (leader.number, leader.quorum.term))
            self.assertEqual(one.quorum.describe().leader, leader.key)

    def test_all_apply_the_same(self) -> None:
        """In the order of the proposals, at the same indexes."""
        texts = [str(number) for number in range(100)]
        self.agree(*texts)
        self.assertEqual(self.run_until_equal(), texts)
        self.assertEqual(len({one.quorum.applied_index for one in self.up}), 1)

    def test_only_the_leader_takes_proposals(self) -> None:
        """What another refuses never takes effect."""
        leader = self.the_leader()
        for other in self.others(leader):
            self.assertEqual(self.refusal_of(other.quorum.propose(b"no")), ErrorCode.NOT_CONTROLLER)
            self.assertEqual(self.refusal_of(other.quorum.change_members([])), ErrorCode.NOT_CONTROLLER)
        self.agree("yes")
        self.assertEqual(self.run_until_equal(), ["yes"])

    def test_what_nobody_sends_ends_the_connection(self) -> None:
        """It is the messenger's to close it."""
        leader = self.the_leader()
        follower = self.others(leader)[0]
        term = follower.quorum.term
        bad = AppendRequest(term=term, sender=leader.key, to=follower.key, prev_index=-1, prev_term=0)
        inbox = self.post.inbox_of(follower.key)
        self.assertRaises(ProtocolError, IInbox(inbox).received, bad)
        self.agree("a")
        self.assertEqual(self.run_until_equal(), ["a"])

    # Leaders come and go

    def test_a_leader_whose_process_dies(self) -> None:
        """The others need not wait until it has been silent for long."""
        self.agree("a")
        dead = self.the_leader()
        self.crash(dead.number)
        began = self.simulation.now
        self.agree("b")
        self.assertLess(self.simulation.now - began, GONE_S)
        self.start(dead.number)
        self.assertEqual(self.run_until_equal(), ["a", "b"])

    def test_a_leader_that_falls_silent(self) -> None:
        """As after a power cut; it takes longer, as nobody says so."""
        self.agree("a")
        dead = self.the_leader()
        self.crash(dead.number, power=True)
        began = self.simulation.now
        self.agree("b")
        self.assertLess(self.simulation.now - began, SILENT_S)
        self.start(dead.number)
        self.assertEqual(self.run_until_equal(), ["a", "b"])

    def test_a_leader_that_is_cut_off(self) -> None:
        """It agrees on nothing, answers no reader, and gives its place up; what it was told is not known (RF17)."""
        self.agree("a")
        old = self.the_leader()
        self.post.cut(old.number)
        proposed = old.quorum.propose(b"lost")
        read: list[object] = []
        old.quorum.read_barrier().addBoth(read.append)
        self.run_until(lambda: self.leader not in (None, old))
        self.agree("b")
        self.run_until(lambda: old.quorum.leader_id is None, SILENT_S)
        self.assertEqual((read, old.register.texts), ([], ["a"]))
        self.post.heal()
        self.assertEqual(self.refusal_of(proposed), ErrorCode.NOT_CONTROLLER)
        self.run_until(lambda: read)
        self.assertEqual(read, [None])
        self.assertEqual(old.register.texts, ["a", "b"])
        self.assertEqual(self.run_until_equal(), ["a", "b"])

    def test_a_proposal_that_a_snapshot_stands_for(self) -> None:
        """Whether it is in there cannot be said (RF17)."""
        old = self.the_leader()
        self.post.cut(old.number)
        proposed = old.quorum.propose(b"lost")
        self.run_until(lambda: self.leader not in (None, old))
        self.agree(*map(str, range(self.many)))
        self.wait(1.0)
        self.post.heal()
        self.assertEqual(self.refusal_of(proposed), ErrorCode.REQUEST_TIMED_OUT)
        self.assertEqual(len(self.run_until_equal()), self.many)

    def test_a_new_leader_knows_all(self) -> None:
        """Who says that it leads has applied what was answered before (RF11): its plans are made on that."""
        for number in range(10):
            self.agree(str(number))
            old = self.the_leader()
            self.crash(old.number)
            new = self.the_leader()
            self.assertEqual(new.known_when_leading, [str(one) for one in range(number + 1)])
            self.start(old.number)
            self.run_until_equal()

    def test_a_proposal_that_nobody_hears_of(self) -> None:
        """Its outcome is unknown, and said to be so in the end."""
        old = self.the_leader()
        self.post.cut(old.number)
        proposed = old.quorum.propose(b"lost")
        self.assertEqual(self.refusal_of(proposed), ErrorCode.REQUEST_TIMED_OUT)
        self.assertEqual(self.refusal_of(old.quorum.read_barrier()), ErrorCode.REQUEST_TIMED_OUT)

    def test_a_stall_is_no_election(self) -> None:
        """Of a follower, longer than anybody waits for a leader (RF18)."""
        self.agree("a")
        leader = self.the_leader()
        term = leader.quorum.term
        for follower in self.others(leader):
            for _ in range(5):
                process = follower.machine.process
                assert process is not None
                process.reactor.stall(5.0)
                self.wait(6.0)
        self.agree("b")
        self.assertEqual((self.the_leader(), leader.quorum.term), (leader, term))
        self.assertEqual(self.post.sent.get("VoteRequest", 0), self.votes_asked)

    def test_a_minority_agrees_on_nothing(self) -> None:
        """And goes on when it is a majority again."""
        leader = self.the_leader()
        self.crash(*(one.number for one in self.others(leader)))
        proposed = leader.quorum.propose(b"a")
        self.wait(5.0)
        self.assertEqual(leader.register.texts, [])
        self.start(*(one.number for one in self.others(leader)))
        self.outcome_of(proposed)
        self.agree("b")
        self.assertEqual(self.run_until_equal()[-1], "b")

    def test_handing_over(self) -> None:
        """To whom it was asked to, in no time."""
        old = self.the_leader()
        new = self.others(old)[0]
        old.quorum.transfer_leadership(new.key)
        self.run_until(lambda: self.leader is new, GONE_S)
        self.agree("a")
        self.assertEqual(self.run_until_equal(), ["a"])

    def test_stopping_hands_over(self) -> None:
        """Somebody else leads when it has stopped."""
        old = self.the_leader()
        began = self.simulation.now
        self.result_of(old.quorum.stop())
        self.crash(old.number)
        self.agree("a")
        self.assertLess(self.simulation.now - began, GONE_S)

    # Reading

    def test_a_read_barrier_at_any_node(self) -> None:
        """What was answered before is applied when it fires."""
        for number in range(10):
            self.agree(str(number))
            for one in self.up:
                self.assertIsNone(self.result_of(one.quorum.read_barrier()))
                self.assertEqual(one.register.texts[-1:], [str(number)])

    def test_a_read_barrier_waits_for_the_own_disk(self) -> None:
        """To know up to where is not to have applied up to there."""
        slow = self.others(self.the_leader())[0]
        slow.machine.platter.faults.stuck_until = self.simulation.now + 5.0
        self.agree("a")
        read: list[object] = []
        slow.quorum.read_barrier().addBoth(read.append)
        self.wait(3.0)
        self.assertEqual((read, slow.register.texts), ([], []))
        self.run_until(lambda: read)
        self.assertEqual((read, slow.register.texts), ([None], ["a"]))

    def test_a_reader_asks_until_there_is_a_leader(self) -> None:
        """A barrier outlives an election (RF11)."""
        self.agree("a")
        leader = self.the_leader()
        other = self.others(leader)[0]
        self.crash(leader.number, power=True)
        read = other.quorum.read_barrier()
        self.assertIsNone(self.result_of(read))
        self.assertEqual(other.register.texts, ["a"])

    def begin(self, seed: int) -> None:
        """Start a cluster; note how many votes that took."""
        super().begin(seed)
        self.the_leader()
        self.wait(1.0)
        self.votes_asked = self.post.sent.get("VoteRequest", 0)
