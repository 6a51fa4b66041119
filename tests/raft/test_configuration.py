"""Who takes part: what is stored, what is in force, and what changes make of it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.raft import AddLearner, AddVoter, Configuration, NotProposed, Reason, Remove, Replica, ReplicaKey
from streamline.raft.configuration import ConfigurationHistory, decode_configuration, encode_configuration
from streamline.raft.membership import Change, changed, entering
from tests.raft.cluster import key, voters

REPLICAS = st.builds(
    Replica,
    st.builds(ReplicaKey, st.integers(0, 2**31 - 1), st.binary(min_size=16, max_size=16)),
    st.text(max_size=20),
)
MANY = st.lists(REPLICAS, max_size=5).map(tuple)


def asked(*texts: str) -> list[Change]:
    """Read changes: C{+1} makes a voter, C{~1} a learner, C{-1} nobody."""
    kinds: dict[str, Callable[[ReplicaKey], Change]] = {
        "+": lambda one: AddVoter(Replica(one)),
        "~": lambda one: AddLearner(Replica(one)),
        "-": Remove,
    }
    return [kinds[text[0]](key(int(text[1:].rstrip("'")), 1 + text.count("'"))) for text in texts]


class StoredTests(SynchronousTestCase):
    """A configuration as an entry's payload."""

    @given(MANY, MANY, MANY)
    def test_there_and_back(
        self, some: tuple[Replica, ...], others: tuple[Replica, ...], before: tuple[Replica, ...]
    ) -> None:
        """What is written is read."""
        configuration = Configuration(some, others, before)
        self.assertEqual(decode_configuration(encode_configuration(configuration)), configuration)

    @given(st.binary(max_size=80))
    def test_bytes_that_are_none(self, data: bytes) -> None:
        """Other bytes are refused, or a configuration; nothing else happens."""
        try:
            decode_configuration(data)
        except ProtocolError:
            return
        self.assertEqual(data[:1], b"\0")

    def test_a_later_version(self) -> None:
        """What a later release wrote is not guessed at."""
        stored = encode_configuration(voters(1))
        self.assertRaises(ProtocolError, decode_configuration, b"\1" + stored[1:])
        self.assertRaises(ProtocolError, decode_configuration, b"")


class SetsTests(SynchronousTestCase):
    """Whose majorities count, and who gets the log."""

    def test_joint(self) -> None:
        """Both sets of voters count; everybody is there once."""
        joint = Configuration(voters(1, 2).voters, voters(4).voters, voters(2, 3).voters)
        self.assertTrue(joint.is_joint)
        self.assertEqual(joint.voter_sets, ((key(1), key(2)), (key(2), key(3))))
        self.assertEqual(joint.voter_keys, (key(1), key(2), key(3)))
        self.assertEqual(joint.member_keys, (key(1), key(2), key(3), key(4)))
        self.assertEqual(joint.settled(), Configuration(voters(1, 2).voters, voters(4).voters))

    def test_for_people(self) -> None:
        """It can be read in a log."""
        joint = Configuration(voters(1).voters, voters(4).voters, voters(2).voters)
        self.assertEqual(str(joint), "voters 1.0101; outgoing 2.0101; learners 4.0101")
        self.assertEqual(str(Configuration()), "voters nobody")


class HistoryTests(SynchronousTestCase):
    """Which configuration is in force (RF16)."""

    def test_latest_and_back(self) -> None:
        """The latest counts, and the one before when it is cut off."""
        history = ConfigurationHistory(0, voters(1))
        history.added(5, voters(1, 2))
        history.added(9, voters(1, 2, 3))
        self.assertEqual(history.latest.configuration, voters(1, 2, 3))
        self.assertEqual([len(history.at(index).voters) for index in (0, 4, 5, 8, 9, 20)], [1, 1, 2, 2, 3, 3])
        self.assertFalse(history.cut_back(10))
        self.assertTrue(history.cut_back(9))
        self.assertEqual(history.latest.configuration, voters(1, 2))
        self.assertTrue(history.cut_back(1))
        self.assertEqual(history.latest.configuration, voters(1))

    def test_compaction_keeps_what_is_in_force(self) -> None:
        """The last one at or before the boundary is what is left."""
        history = ConfigurationHistory(0, voters(1))
        history.added(5, voters(1, 2))
        history.added(9, voters(1, 2, 3))
        history.compacted(7)
        self.assertEqual((history.latest.index, history.at(7)), (9, voters(1, 2)))
        history.cut_back(8)
        self.assertEqual(history.latest.configuration, voters(1, 2))


class ChangeTests(SynchronousTestCase):
    """What changes make of a configuration."""

    def after(self, before: Configuration, *texts: str) -> tuple[list[int], list[int]]:
        """Return the voters and learners after changes."""
        target = changed(before, asked(*texts))
        return [one.key.node_id for one in target.voters], [one.key.node_id for one in target.learners]

    def test_changes(self) -> None:
        """Learners are added, promoted, demoted; voters are added and removed; all at once."""
        start = voters(1, 2, learners=[3])
        self.assertEqual(self.after(start, "~4"), ([1, 2], [3, 4]))
        self.assertEqual(self.after(start, "+3"), ([1, 2, 3], []))
        self.assertEqual(self.after(start, "~2"), ([1], [3, 2]))
        self.assertEqual(self.after(start, "-2", "+3", "+4", "~5"), ([1, 3, 4], [5]))
        self.assertEqual(self.after(start, "-3"), ([1, 2], []))
        self.assertEqual(self.after(start, "-2", "~2'"), ([1], [3, 2]))

    def test_an_address_may_change(self) -> None:
        """A member is asked for again with another address; nobody else is a voter then."""
        target = changed(voters(1, 2), [AddVoter(Replica(key(2), "elsewhere"))])
        self.assertEqual(target.voters[1].address, "elsewhere")
        self.assertFalse(entering(voters(1, 2), target).is_joint)

    def test_refusals(self) -> None:
        """What makes no sense is refused, with the reason."""
        start = voters(1, 2, learners=[3])
        for texts, reason in (
            (["-9"], Reason.NOT_A_MEMBER),
            (["-1", "-2"], Reason.NO_VOTERS),
            (["+1"], Reason.NOTHING_CHANGES),
            (["~3"], Reason.NOTHING_CHANGES),
            (["~2'"], Reason.SAME_NODE_TWICE),
        ):
            refusal = self.assertRaises(NotProposed, changed, start, asked(*texts))
            self.assertEqual(refusal.reason, reason, texts)

    def test_voters_change_jointly(self) -> None:
        """One voter more or less is a joint change as any other; learners are not."""
        start = voters(1, 2, 3)
        self.assertFalse(entering(start, changed(start, asked("~4"))).is_joint)
        for texts in (["+4"], ["-3"], ["~3"], ["-3", "+4"]):
            step = entering(start, changed(start, asked(*texts)))
            self.assertEqual((step.is_joint, step.outgoing), (True, start.voters), texts)
