"""Who may talk to whom."""

from __future__ import annotations

from copy import copy
from typing import TypeVar

from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.greeting import ANYBODY, Identity, Reason, is_member, judge, judge_answer
from streamline.errors import ErrorCode
from streamline.model import ZERO_UUID
from streamline.wire.messages.peer_raft import GreetingRequest, GreetingResponse, ReplicaKey

M = TypeVar("M", GreetingRequest, GreetingResponse)

DISK, OTHER_DISK = b"d" * 16, b"e" * 16
ME = Identity(node_id=1, directory_id=DISK, incarnation_id=b"i" * 16, cluster_id="X")
MY_KEY = ReplicaKey(node_id=1, directory_id=DISK)
YOUR_KEY = ReplicaKey(node_id=2, directory_id=OTHER_DISK)
HELLO = GreetingRequest(cluster_id="X", sender=YOUR_KEY, incarnation_id=b"j" * 16, receiver=MY_KEY)
ANSWER = GreetingResponse(cluster_id="X", receiver=YOUR_KEY, incarnation_id=b"j" * 16)


def changed(message: M, **changes: object) -> M:
    """Return a message with other fields."""
    other = copy(message)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


class CallerTests(SynchronousTestCase):
    """What a node says to those who call it."""

    def refused(self, reason: Reason, code: ErrorCode, living: bytes | None = None, **changes: object) -> None:
        refusal = judge(ME, changed(HELLO, **changes), living)
        assert refusal is not None
        self.assertEqual((refusal.reason, refusal.code), (reason, code))

    def test_welcome(self) -> None:
        anywhere = ReplicaKey(node_id=ANYBODY, directory_id=ZERO_UUID)
        for hello in (HELLO, changed(HELLO, cluster_id=""), changed(HELLO, receiver=anywhere)):
            self.assertIsNone(judge(ME, hello, None))
        self.assertIsNone(judge(ME.of(""), HELLO, OTHER_DISK), "a restarted node has the directory that it had")

    def test_wrong_cluster(self) -> None:
        self.refused(Reason.WRONG_CLUSTER, ErrorCode.INCONSISTENT_CLUSTER_ID, cluster_id="Y")

    def test_wrong_node(self) -> None:
        receiver = ReplicaKey(node_id=3, directory_id=DISK)
        self.refused(Reason.WRONG_NODE, ErrorCode.INVALID_VOTER_KEY, receiver=receiver)

    def test_wrong_directory(self) -> None:
        """RF15: it means the node that had the disk before."""
        receiver = ReplicaKey(node_id=1, directory_id=OTHER_DISK)
        self.refused(Reason.WRONG_NODE, ErrorCode.INVALID_VOTER_KEY, receiver=receiver)

    def test_our_own_id(self) -> None:
        sender = ReplicaKey(node_id=1, directory_id=OTHER_DISK)
        self.refused(Reason.REUSED_ID, ErrorCode.DUPLICATE_BROKER_REGISTRATION, sender=sender)

    def test_the_id_of_one_that_lives(self) -> None:
        self.refused(Reason.REUSED_ID, ErrorCode.DUPLICATE_BROKER_REGISTRATION, living=b"f" * 16)


class AnswerTests(SynchronousTestCase):
    """What a node makes of those whom it has called."""

    def refused(self, reason: Reason, answer: GreetingResponse) -> None:
        refusal = judge_answer(ME, YOUR_KEY, answer)
        assert refusal is not None
        self.assertEqual(refusal.reason, reason)

    def test_right_one(self) -> None:
        self.assertIsNone(judge_answer(ME, YOUR_KEY, ANSWER))

    def test_wrong_ones(self) -> None:
        self.refused(Reason.WRONG_CLUSTER, changed(ANSWER, cluster_id="Y"))
        self.refused(Reason.WRONG_NODE, changed(ANSWER, receiver=ReplicaKey(node_id=3, directory_id=OTHER_DISK)))
        self.refused(Reason.WRONG_NODE, changed(ANSWER, receiver=ReplicaKey(node_id=2, directory_id=DISK)))

    def test_refused(self) -> None:
        self.refused(Reason.REUSED_ID, changed(ANSWER, error_code=ErrorCode.DUPLICATE_BROKER_REGISTRATION))
        self.refused(Reason.STRANGER, changed(ANSWER, error_code=-77))


class MemberTests(SynchronousTestCase):
    """Whose words about the agreed log count."""

    def test_members(self) -> None:
        self.assertTrue(is_member("X", "X", is_known=False), "its change of members may not have come here yet")
        self.assertTrue(is_member("", "", is_known=True), "founders have no cluster id at first")
        self.assertTrue(is_member("X", "", is_known=True))

    def test_guests(self) -> None:
        for own, its in (("", ""), ("X", ""), ("", "X")):
            self.assertFalse(is_member(own, its, is_known=False))
