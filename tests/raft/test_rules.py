"""
The known mistakes of other implementations (reliability 3.3), each with what shows it.

Take the guarding line out of the core, and the test of that name fails; C{plants} says which line it is.
RF12 and RF13 are in C{test_snapshot_rules}; RF14 is about torn files, and so about the service that writes them.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import (
    Configuration,
    Entry,
    EntryKind,
    Fate,
    HardState,
    InvariantBroken,
    NotProposed,
    RaftNode,
    RaftSettings,
    Reason,
    Remove,
)
from streamline.raft.log import Log
from streamline.raft.messages import (
    AppendRejection,
    AppendResponse,
    ReadRequest,
    VoteResponse,
)
from streamline.raft.progress import Progress, Sending
from tests.raft.cluster import SETTINGS, Cluster, commands, key, recovered, voters
from tests.raft.talking import THREE, alone, append, only, piece, taken, vote


class DurabilityTests(SynchronousTestCase):
    """RF1 to RF4: nothing is said, counted or applied before it is durable, or without proof."""

    def test_rf1_vote_waits_for_the_disk(self) -> None:
        """A vote leaves when it is durable, and not before."""
        node = alone()
        node.step(vote(1, 2, 1))
        ready = taken(node)
        self.assertEqual((ready.hard_state, ready.messages), (HardState(1, key(2)), ()))
        node.advance(ready)
        self.assertTrue(only(taken(node), VoteResponse).granted)

    def test_rf1_term_waits_for_the_disk(self) -> None:
        """So does everything else that speaks of a new term."""
        node = alone()
        node.step(append(1, 2, 3, (0, 0)))
        ready = taken(node)
        self.assertEqual(ready.messages, ())
        node.advance(ready)
        self.assertEqual([one.term for one in taken(node).messages], [3])

    def test_rf1_own_vote_waits_for_the_disk(self) -> None:
        """A candidate of one is elected by its durable vote, not by the wish."""
        node = alone(configuration=voters(1))
        node.tick()
        ready = taken(node)
        self.assertEqual((ready.hard_state, node.role_name), (HardState(1, key(1)), "candidate"))
        node.advance(ready)
        self.assertTrue(node.is_leader)

    def test_rf1_older_report_does_not_do(self) -> None:
        """The vote of one term is not let go by the report of an earlier one."""
        node = alone()
        node.step(append(1, 2, 3, (0, 0)))
        first = taken(node)
        node.step(vote(1, 3, 4, transfer=True))
        second = taken(node)
        node.advance(first)
        self.assertIsNone(node.ready())
        node.advance(second)
        self.assertEqual([type(one) for one in taken(node).messages], [VoteResponse])

    def test_rf1_a_vote_is_kept(self) -> None:
        """After a restart, the vote that was given stands."""
        node = RaftNode(key(1), evolve(recovered(THREE), hard_state=HardState(5, key(2))), SETTINGS, lambda below: 0)
        node.step(vote(1, 3, 5))
        self.assertFalse(only(taken(node), VoteResponse).granted)
        node.step(vote(1, 2, 5))
        self.assertTrue(only(taken(node), VoteResponse).granted)

    def test_rf2_acknowledgement_waits_for_the_disk(self) -> None:
        """A follower acknowledges what is durable, also when it is asked in between."""
        node = alone(term=1)
        node.step(append(1, 2, 1, (0, 0), 1, 1))
        ready = taken(node)
        self.assertEqual(ready.messages, ())
        node.step(append(1, 2, 1, (2, 1)))
        self.assertEqual(only(taken(node), AppendResponse).matched_index, 0)
        node.advance(ready)
        self.assertEqual(only(taken(node), AppendResponse).matched_index, 2)

    def test_rf2_leader_counts_its_own_disk(self) -> None:
        """With 1, 3 and 5 replicas, a leader's own entry counts when it is durable."""
        for count in (1, 3, 5):
            others = range(2, 2 + count // 2)
            cluster = Cluster(voters(*range(1, count + 1)))
            cluster.elect(1)
            cluster.members[1].holds = True
            cluster.node(1).propose(b"x")
            cluster.pump(1)
            cluster.deliver(100, lambda one, others=others: one.to.node_id in others)  # type: ignore[misc]
            cluster.take(lambda one: one.to.node_id != 1)
            cluster.settle()
            self.assertEqual(cluster.node(1).commit_index, 1, count)
            cluster.write(1)
            self.assertEqual(cluster.node(1).commit_index, 2, count)

    def test_rf3_report_of_a_replaced_write(self) -> None:
        """
        ABA: entries are written, replaced by another leader's, and replaced by what they were.

        The first write's report must not be taken for the third's.
        """
        node = alone(term=1)
        node.step(append(1, 2, 1, (0, 0), 1, 1))
        first = taken(node)
        node.step(append(1, 3, 2, (1, 1), 2))
        second = taken(node)
        node.step(append(1, 2, 3, (1, 1)))
        term = taken(node)
        node.step(append(1, 2, 3, (1, 1), 1))
        third = taken(node)
        self.assertEqual(([one.term for one in second.entries], [one.term for one in third.entries]), ([2], [1]))
        for ready in (first, second):
            node.advance(ready)
            self.assertIsNone(node.ready())
        node.advance(term)
        self.assertEqual(only(taken(node), AppendResponse).matched_index, 0)
        node.advance(third)
        self.assertEqual(only(taken(node), AppendResponse).matched_index, 2)

    def test_rf3_cut_is_durable_no_more(self) -> None:
        """An entry in the place of a durable one is not durable."""
        node = alone(log=commands(1, 1))
        node.step(append(1, 2, 2, (1, 1), 2))
        ready = taken(node)
        node.advance(evolve(ready, entries=()))  # the term alone is reported
        self.assertEqual(only(taken(node), AppendResponse).matched_index, 2, "the report speaks of the whole log")
        node = alone(log=commands(1, 1), term=2)
        node.step(append(1, 2, 2, (1, 1), 2))
        self.assertEqual(taken(node).messages, ())

    def test_rf4_commit_needs_proof(self) -> None:
        """Entries that this leader has not proven are not committed, whatever its commit index is."""
        node = alone(log=commands(1, 1, 1), term=1)
        node.step(append(1, 2, 2, (1, 1), commit=3))
        self.assertEqual(node.commit_index, 1)

    def test_rf4_applies_what_is_durable_here(self) -> None:
        """What is committed is applied when it is durable here."""
        node = alone(term=1)
        node.step(append(1, 2, 1, (0, 0), 1, commit=1))
        ready = taken(node)
        self.assertEqual((node.commit_index, ready.committed), (1, ()))
        node.advance(ready)
        self.assertEqual([one.index for one in taken(node).committed], [1])


class MatchTests(SynchronousTestCase):
    """RF5, RF6: what counts for a commit."""

    def test_rf5_hints_prove_nothing(self) -> None:
        """A rejection moves the next entry to send, never what a follower is known to have."""
        log = Log(entries=commands(1, 1, 1, 2))
        peer = Progress(5)
        peer.rejected(_rejection(4, hint=(2, 1)), log)
        self.assertEqual((peer.matched_index, peer.next_index), (0, 3))

    def test_rf5_a_match_never_shrinks(self) -> None:
        """A late acknowledgement, or a late rejection, takes nothing back."""
        log = Log(entries=commands(1, 1, 1, 1))
        peer = Progress(1)
        self.assertTrue(peer.matched(3, log, 0))
        self.assertFalse(peer.matched(1, log, 0))
        peer.rejected(_rejection(2, hint=(0, 0)), log)
        self.assertEqual((peer.matched_index, peer.next_index, peer.sending), (3, 4, Sending.REPLICATE))

    def test_rf5_heartbeat_proves_nothing(self) -> None:
        """A sign of life while a snapshot is under way follows on nothing, and its answer counts for nothing new."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(3)
        cluster.propose(1)
        cluster.compact(1)
        cluster.mend()
        cluster.members[3].holds = True
        cluster.tick(1)
        cluster.settle()
        for _ in range(3):
            cluster.tick(1)
            cluster.settle()
        (third,) = [one for one in cluster.node(1).describe().voters if one.key == key(3)]
        self.assertEqual(third.end_offset, 2)

    def test_rf6_entries_of_earlier_terms(self) -> None:
        """Figure 8: an entry of an earlier term on a majority is not committed by being counted."""
        cluster = Cluster(THREE, SETTINGS, logs={1: commands(1, 2), 2: commands(1, 2), 3: commands(1)})
        cluster.node(1).campaign()
        cluster.pump(1)
        while not cluster.node(1).is_leader:
            cluster.deliver()
        cluster.take(lambda one: True)
        response = AppendResponse(term=3, sender=key(2), to=key(1), matched_index=2)
        cluster.step(response)
        self.assertEqual(cluster.node(1).commit_index, 0)
        cluster.step(evolve(response, matched_index=3))
        self.assertEqual(cluster.node(1).commit_index, 3)

    def test_rf6_a_leader_begins_with_an_entry_of_its_own(self) -> None:
        """Without one, what was committed before it would stay unknown until somebody proposes."""
        cluster = Cluster(THREE, logs={1: commands(1, 1), 2: commands(1, 1), 3: commands(1, 1)})
        cluster.elect(1)
        self.assertEqual(cluster.members[1].applied[-1].kind, EntryKind.NO_OP)
        self.assertEqual(cluster.node(3).commit_index, 3)


def _rejection(at: int, hint: tuple[int, int]) -> AppendRejection:
    return AppendRejection(
        term=1, sender=key(2), to=key(1), rejected_index=at, hint_index=hint[0], hint_term=hint[1]
    )


class MemberTests(SynchronousTestCase):
    """RF7, RF10, RF15, RF16: changes of members."""

    def test_rf7_one_change_at_a_time(self) -> None:
        """A change is refused while another one is not committed, or not at its end."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.node(1).change_members([Remove(key(3))])
        for _ in range(2):
            refusal = self.assertRaises(NotProposed, cluster.node(1).change_members, [Remove(key(2))])
            self.assertEqual(refusal.reason, Reason.CHANGE_IN_FLIGHT)

    def test_rf7_not_before_the_term_is_committed(self) -> None:
        """A new leader waits until it knows what was committed before it (Ongaro 2015)."""
        cluster = Cluster(THREE)
        cluster.node(1).campaign()
        cluster.pump(1)
        while not cluster.node(1).is_leader:
            cluster.deliver()
        refusal = self.assertRaises(NotProposed, cluster.node(1).change_members, [Remove(key(3))])
        self.assertEqual(refusal.reason, Reason.TERM_NOT_COMMITTED)
        cluster.settle()
        cluster.node(1).change_members([Remove(key(3))])

    def test_rf7_changes_are_joint(self) -> None:
        """Until a change is through, a majority of the voters before has to agree as well."""
        cluster = Cluster(voters(1, 2, 3, 4, 5))
        cluster.elect(1)
        cluster.isolate(1, 2)
        cluster.node(1).change_members([Remove(key(number)) for number in (3, 4, 5)])
        cluster.pump(1)
        cluster.settle()
        self.assertEqual(cluster.node(1).commit_index, 1)

    def test_rf10_everybody_votes(self) -> None:
        """Whoever is asked votes, a voter by its own view or not: the view may be old."""
        for configuration in (Configuration(), voters(2, 3, learners=[1]), voters(2, 3)):
            node = alone(configuration=configuration)
            node.step(vote(1, 2, 1))
            node.advance(taken(node))
            self.assertTrue(only(taken(node), VoteResponse).granted)

    def test_rf15_messages_for_another_disk(self) -> None:
        """What is meant for a replica with another directory is left alone."""
        node = alone()
        node.step(evolve(vote(1, 2, 1), to=key(1, disk=2)))
        self.assertIsNone(node.ready())

    def test_rf15_votes_of_another_disk(self) -> None:
        """The vote of a node with another disk is not the vote of the voter that it was."""
        node = alone()
        node.campaign()
        taken(node)
        granted = VoteResponse(term=0, sender=key(2, disk=2), to=key(1), asked_term=0, granted=True, pre=True)
        node.step(granted)
        self.assertEqual(node.role_name, "prospective")
        node.step(evolve(granted, sender=key(2)))
        self.assertEqual(node.role_name, "candidate")

    def test_rf16_the_latest_in_the_log_counts(self) -> None:
        """A configuration is in force when it is in the log, and no more when it is cut off."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.node(1).change_members([Remove(key(2)), Remove(key(3))])
        cluster.pump(1)
        cluster.settle()
        self.assertTrue(cluster.node(1).configuration.is_joint)
        cluster.pass_time(30)
        cluster.mend()
        cluster.pass_time(5)
        self.assertEqual(cluster.node(1).configuration, THREE)

    def test_rf16_after_a_restart(self) -> None:
        """A restart finds the configuration in the log."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.node(1).change_members([Remove(key(2))])
        cluster.pump(1)
        cluster.stop(1)
        cluster.start(1)
        self.assertTrue(cluster.node(1).configuration.is_joint)

    def test_rf16_who_is_going_is_needed_until_it_is_gone(self) -> None:
        """Who alone has the entry that takes it out can still be elected, to hand that entry on."""
        cluster = Cluster(voters(1, 2))
        cluster.elect(1)
        cluster.node(1).change_members([Remove(key(1))])
        cluster.pump(1)
        cluster.deliver(2)
        self.assertEqual(cluster.node(1).configuration, voters(2))
        cluster.take()
        for number in (1, 2):
            cluster.stop(number)
            cluster.start(number)
        cluster.pass_time(4 * SETTINGS.election_ticks)
        self.assertEqual(cluster.node(2).configuration, voters(2))
        self.assertTrue(cluster.node(2).is_leader)

    def test_rf16_a_leader_that_was_removed_steps_down(self) -> None:
        """It leads until its going is committed, and not longer."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.node(1).change_members([Remove(key(1))])
        cluster.pump(1)
        cluster.settle()
        self.assertFalse(cluster.node(1).is_leader)
        self.assertTrue(cluster.node(2).is_leader or cluster.node(3).is_leader)


class DisturbanceTests(SynchronousTestCase):
    """RF8, RF9, RF18: nobody disturbs a leader that is heard, and nobody is left behind."""

    def test_rf8_no_vote_against_a_leader_that_is_heard(self) -> None:
        """Neither the leader nor a follower that hears it goes to a higher term, nor says that it would."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        for number in (1, 2):
            cluster.step(vote(number, 3, 9, last=(9, 9)))
            cluster.step(vote(number, 3, 1, last=(9, 9), pre=True))
            self.assertEqual(cluster.node(number).term, 1)
        answers = [one for one in cluster.take() if isinstance(one, VoteResponse)]
        self.assertEqual([one.granted for one in answers], [False, False])

    def test_rf8_terms_wait_for_a_majority(self) -> None:
        """Who is cut off asks, and stays in its term."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(3)
        cluster.pass_time(100)
        self.assertEqual(cluster.node(3).term, 1)

    def test_rf8_a_leader_that_hears_nobody_resigns(self) -> None:
        """Or those who still hear it would refuse whoever could lead."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.pass_time(2 * SETTINGS.election_ticks, 1)
        self.assertFalse(cluster.node(1).is_leader)

    def test_rf8_partial_mesh(self) -> None:
        """Five that reach each other only through one of them: it leads soon, and goes on to (RC5)."""
        cluster = Cluster(voters(1, 2, 3, 4, 5))
        cluster.elect(1)
        for one in (1, 2, 4, 5):
            for other in (1, 2, 4, 5):
                cluster.cut[one, other] = one != other
        cluster.pass_time(20 * SETTINGS.election_ticks)
        self.assertTrue(cluster.node(3).is_leader)
        term = cluster.node(3).term
        cluster.pass_time(100 * SETTINGS.election_ticks)
        self.assertEqual([cluster.node(number).term for number in range(1, 6)], [term] * 5)

    def test_rf9_stranded_peer(self) -> None:
        """A replica that is in a higher term than its leader gets it to listen."""
        for request in (append(1, 2, 3, (0, 0)), piece(1, 2, 3, 5)):
            node = alone(term=7)
            node.step(request)
            (answer,) = taken(node).messages
            self.assertEqual((answer.term, answer.to), (7, key(2)))

    def test_rf18_timeouts(self) -> None:
        """An election takes ten heartbeats of silence at least, and chance decides how many more."""
        self.assertRaises(ValueError, RaftSettings, heartbeat_ticks=2, election_ticks=19)
        asked: list[int] = []

        def draw(below: int) -> int:
            asked.append(below)
            return below - 1

        node = RaftNode(key(1), recovered(THREE), SETTINGS, draw)
        for _ in range(2 * SETTINGS.election_ticks - 2):
            node.tick()
        self.assertEqual(node.role_name, "follower")
        node.tick()
        self.assertEqual((node.role_name, asked[0]), ("prospective", SETTINGS.election_ticks))


class ReadTests(SynchronousTestCase):
    """RF11: a read is answered by a leader that has asked whether it still is one."""

    def test_rf11_a_deposed_leader_answers_nothing(self) -> None:
        """It cannot know that it was deposed; a majority that is asked does."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.node(1).read(b"r")
        cluster.pump(1)
        cluster.settle()
        self.assertEqual(cluster.members[1].reads, [])

    def test_rf11_an_earlier_round_does_not_do(self) -> None:
        """An answer to what was sent before the question proves nothing about the time after it."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.tick(1)
        cluster.deliver(2, lambda one: one.sender == key(1))
        cluster.node(1).read(b"r")
        cluster.pump(1)
        cluster.deliver(2, lambda one: one.to == key(1))
        self.assertEqual(cluster.members[1].reads, [])
        cluster.settle()
        self.assertEqual([one.index for one in cluster.members[1].reads], [1])

    def test_rf11_a_new_leader_waits_for_its_first_entry(self) -> None:
        """What was committed before it may be more than it knows."""
        cluster = Cluster(THREE, logs={1: commands(1, 1), 2: commands(1, 1), 3: commands(1)})
        cluster.node(1).campaign()
        cluster.pump(1)
        while not cluster.node(1).is_leader:
            cluster.deliver()
        self.assertEqual(cluster.node(1).commit_index, 0)
        cluster.node(1).read(b"r")
        cluster.pump(1)
        cluster.settle()
        self.assertEqual([one.index for one in cluster.members[1].reads], [3])

    def test_rf11_reads_end_with_the_leadership(self) -> None:
        """A read that a deposed leader can no longer answer is given back, and so is one that nobody answers."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.node(1).read(b"here")
        cluster.node(2).read(b"there")
        cluster.pump(1)
        cluster.pump(2)
        cluster.settle()
        cluster.pass_time(3 * SETTINGS.election_ticks)
        self.assertEqual([(one.context, one.index) for one in cluster.members[1].reads], [(b"here", None)])
        self.assertEqual([(one.context, one.index) for one in cluster.members[2].reads], [(b"there", None)])

    def test_rf11_who_does_not_lead_keeps_silent(self) -> None:
        """A question that comes to the wrong one is not answered."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.step(ReadRequest(term=1, sender=key(3), to=key(2), context=b"r"))
        self.assertEqual(cluster.take(), [])


class OutcomeTests(SynchronousTestCase):
    """RF17: what is said of a proposal is true for ever."""

    def outcomes(self, cluster: Cluster, number: int) -> list[tuple[int, Fate]]:
        """Return what a replica says became of proposals."""
        return [(one.proposal.index, one.fate) for one in cluster.members[number].outcomes]

    def test_rf17_unknown_until_its_place_is_taken(self) -> None:
        """A leader that steps down says nothing of what it proposed: another may yet commit it."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.node(1).propose(b"x")
        cluster.pump(1)
        cluster.deliver(1, lambda one: one.to == key(2))
        cluster.take()
        cluster.isolate(1)
        cluster.pass_time(2 * SETTINGS.election_ticks, 1)
        self.assertFalse(cluster.node(1).is_leader)
        self.assertEqual(self.outcomes(cluster, 1), [])
        cluster.mend()
        cluster.pass_time(2 * SETTINGS.election_ticks, 2, 3)
        cluster.pass_time(2)
        self.assertTrue(cluster.node(2).is_leader)
        self.assertEqual(self.outcomes(cluster, 1), [(2, Fate.COMMITTED)])

    def test_rf17_dropped_when_another_has_its_place(self) -> None:
        """That is certain, and said when it is."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.propose(1)
        cluster.pass_time(4 * SETTINGS.election_ticks)
        cluster.mend()
        cluster.pass_time(3)
        self.assertEqual(self.outcomes(cluster, 1), [(2, Fate.DROPPED)])

    def test_rf17_unknown_behind_a_snapshot(self) -> None:
        """Where a snapshot jumps over it, nobody can say any more."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        cluster.isolate(1)
        cluster.propose(1)
        cluster.pass_time(4 * SETTINGS.election_ticks)
        leader = 2 if cluster.node(2).is_leader else 3
        cluster.propose(leader)
        cluster.compact(leader)
        cluster.mend()
        cluster.pass_time(5)
        self.assertEqual(self.outcomes(cluster, 1), [(2, Fate.UNKNOWN)])


class InvariantTests(SynchronousTestCase):
    """What cannot be stops a replica, before it spreads."""

    def test_two_leaders_of_a_term(self) -> None:
        """A second leader of one term is not followed."""
        node = alone(term=1)
        node.step(append(1, 2, 1, (0, 0)))
        self.assertRaises(InvariantBroken, node.step, append(1, 3, 1, (0, 0)))

    def test_committed_entries_differ(self) -> None:
        """A leader without what is committed here is none."""
        node = alone(log=commands(1, 1), term=1)
        node.step(append(1, 2, 1, (2, 1), commit=2))
        self.assertRaises(InvariantBroken, node.step, append(1, 3, 2, (0, 0), 1, 2, 2))

    def test_a_follower_has_more_than_its_leader(self) -> None:
        """Then the leader's disk has lost something."""
        cluster = Cluster(THREE)
        cluster.elect(1)
        ahead = AppendResponse(term=1, sender=key(2), to=key(1), matched_index=9)
        self.assertRaises(InvariantBroken, cluster.node(1).step, ahead)

    def test_entry_terms_are_not_ahead(self) -> None:
        """A log that is ahead of the vote file, which a crash can leave, puts the replica in the log's term."""
        found = evolve(recovered(THREE, (Entry(1, 3),)), hard_state=HardState(2, key(2)))
        node = RaftNode(key(1), found, SETTINGS, lambda below: 0)
        self.assertEqual(node.hard_state, HardState(3, None))
        self.assertEqual(taken(node).hard_state, HardState(3, None))
