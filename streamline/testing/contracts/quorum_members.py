"""
What a quorum promises about its members and their disks: see L{streamline.testing.contracts.quorum}.
"""

from __future__ import annotations

from streamline.errors import ErrorCode, StartRefused
from streamline.raft import AddLearner, AddVoter, Remove, Replica
from streamline.testing.contracts.quorum_harness import QuorumHarness


class QuorumMembersContract(QuorumHarness):
    """Members that come, go, are away for long, lose their disk, or have one that fails."""

    # Members

    def test_a_new_member(self) -> None:
        """It gets everything as a learner, and counts once it is a voter."""
        self.agree("a")
        new = self.add_machine(4)
        self.start(4)
        self.changed(AddLearner(new.replica))
        self.run_until(lambda: new.register.texts == ["a"])
        self.changed(AddVoter(new.replica))
        self.assertEqual(len(self.the_leader().quorum.configuration.voters), 4)
        self.crash(self.others(new, self.the_leader())[0].number)
        self.agree("b")
        self.assertEqual(self.run_until_equal(), ["a", "b"])

    def test_a_member_that_goes(self) -> None:
        """The leader, too; what is left agrees by a majority of itself."""
        self.agree("a")
        gone = self.the_leader()
        self.changed(Remove(gone.key))
        self.run_until(lambda: self.leader not in (None, gone))
        self.crash(gone.number)
        self.agree("b")
        left = self.the_leader()
        self.assertEqual({one.key for one in left.quorum.configuration.voters}, {one.key for one in self.others(gone)})

    def test_changes_that_make_no_sense(self) -> None:
        """Are refused, each with its reason."""
        leader = self.the_leader()
        stranger = Replica(leader.key._replace(node_id=9))
        twin = Replica(leader.key._replace(directory_id=bytes(16)))
        for change, code in (
            (AddVoter(leader.replica), ErrorCode.DUPLICATE_VOTER),
            (Remove(stranger.key), ErrorCode.VOTER_NOT_FOUND),
            (AddLearner(twin), ErrorCode.INVALID_REQUEST),
        ):
            self.assertEqual(self.refusal_of(leader.quorum.change_members([change])), code)

    def test_a_disk_that_was_replaced(self) -> None:
        """It is another replica, which takes the place of the one before and has no vote until then (RF15)."""
        self.agree(*map(str, range(self.many)))
        lost = self.others(self.the_leader())[0]
        self.crash(lost.number, power=True)
        new = self.wipe(lost.number)
        self.start(new.number)
        self.wait(2.0)
        self.assertEqual(new.register.texts, [])
        self.changed(Remove(lost.key), AddLearner(new.replica))
        texts = self.run_until_equal()
        self.assertEqual((len(texts), new.register.restores > 0), (self.many, True))
        self.changed(AddVoter(new.replica))
        self.crash(new.number, power=True)
        self.start(new.number)
        self.agree("more")
        self.assertEqual(self.run_until_equal(), [*texts, "more"])

    def test_growing_from_one(self) -> None:
        """A cluster of one becomes one of three, without a pause."""
        self.founders = (1,)
        self.begin(1)
        self.agree("a")
        for number in (2, 3):
            new = self.add_machine(number)
            self.start(number)
            self.changed(AddLearner(new.replica))
            self.run_until_equal(self.members[1], new)
            self.changed(AddVoter(new.replica))
        self.crash(1)
        self.agree("b")
        self.start(1)
        self.assertEqual(self.run_until_equal(), ["a", "b"])

    # Disks

    def test_a_replica_that_was_away_for_long(self) -> None:
        """Entries that are gone come as a snapshot (RF12, RF13)."""
        self.agree("first")
        away = self.others(self.the_leader())[0]
        self.crash(away.number)
        self.agree(*map(str, range(self.many)))
        self.wait(1.0)
        self.start(away.number)
        self.assertEqual(len(self.run_until_equal()), self.many + 1)
        self.assertGreater(away.register.restores, 0)
        for power in (False, True):
            self.crash(away.number, power=power)
            self.start(away.number)
            self.agree("more")
            self.assertEqual(away.failures, [])
            self.run_until_equal()

    def test_a_disk_that_fails(self) -> None:
        """Its node says so and takes part no more: it gives no vote (DK14); the others go on."""
        self.agree("a")
        leader = self.the_leader()
        leader.machine.platter.faults.failing_syncs = 1
        code = self.refusal_of(leader.quorum.propose(b"b"))
        self.assertEqual(code, ErrorCode.REQUEST_TIMED_OUT)
        self.run_until(lambda: leader.failures)
        self.assertEqual(leader.quorum.leader_id, None)
        self.crash(leader.number)
        self.agree("c")
        self.assertEqual(self.run_until_equal()[-1], "c")

    def test_no_vote_from_a_disk_that_fails(self) -> None:
        """A voter whose vote cannot be made durable does not give it (RF1, DK14)."""
        leader = self.the_leader()
        one, other = self.others(leader)
        one.machine.platter.faults.failing_syncs = 1
        self.crash(leader.number)
        self.run_until(lambda: one.failures)
        self.wait(10.0)
        self.assertIsNone(self.leader)
        self.assertEqual(other.register.texts, [])

    def test_a_full_disk_of_a_follower(self) -> None:
        """The others go on, and it catches up once there is space (RC11)."""
        self.agree("a")
        full = self.others(self.the_leader())[0]
        full.machine.platter.faults.full = True
        self.agree("b")
        self.assertEqual(full.register.texts, ["a"])
        self.wait(5.0)
        full.machine.platter.faults.full = False
        self.assertEqual(self.run_until_equal(), ["a", "b"])
        self.crash(*self.founders)
        self.start(*self.founders)
        self.agree("c")
        self.assertEqual(self.run_until_equal(), ["a", "b", "c"])

    def test_a_leader_with_a_stuck_disk(self) -> None:
        """It hands over to somebody whose disk works (DK20)."""
        stuck = self.the_leader()
        stuck.machine.platter.faults.stuck_until = self.simulation.now + 60.0
        stuck.quorum.propose(b"a").addErrback(lambda _: None)
        self.run_until(lambda: self.leader not in (None, stuck), 20.0)
        self.agree("b")
        self.run_until(lambda: self.simulation.now > stuck.machine.platter.faults.stuck_until)
        self.assertEqual(self.run_until_equal()[-1], "b")

    def test_the_data_of_somebody_else(self) -> None:
        """A log that another replica wrote is not one's own (RF15)."""
        member = self.others(self.the_leader())[0]
        self.crash(member.number)
        member.disks += 1
        self.start(member.number)
        self.run_until(lambda: member.failures)
        self.assertIn("was written by the replica", member.failures[0])

    def test_founding_twice(self) -> None:
        """A directory has one beginning."""
        quorum = self.members[1].quorum
        self.assertTrue(quorum.is_founded())
        self.assertRaises(StartRefused, quorum.found, [])
