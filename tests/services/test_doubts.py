"""Who may be gone although the metadata name it still: for a moment, and no longer."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.image import MetadataImage
from streamline.model import Broker, Endpoint
from streamline.raft import ReplicaKey
from streamline.services.deadlines import BUCKET_S, Deadlines
from streamline.services.doubts import ANSWER_S, HOLD_S, Doubts
from streamline.services.peer_call import NoAnswer

SESSION_S = 3.0
TWO, THREE = ReplicaKey(2, b"2" * 16), ReplicaKey(3, b"3" * 16)
SHORT_S = HOLD_S / 2
LONG_S = HOLD_S + 2 * BUCKET_S


def broker(key: ReplicaKey, **more: Any) -> Broker:
    """Return what the metadata say of a node."""
    given = {"node_id": key.node_id, "endpoint": Endpoint("h", 1), "epoch": 7, "directory_id": key.directory_id}
    return Broker(**{**given, **more})


class Told:
    """Metadata, and connections, that are what the test says."""

    def __init__(self) -> None:
        self.image = MetadataImage(brokers={key.node_id: broker(key) for key in (TWO, THREE)})
        self.listeners: list[Any] = []
        self.pinged: list[tuple[ReplicaKey, Deferred[Any]]] = []

    def listen(self, listener: Any) -> None:
        """Remember who listens."""
        self.listeners.append(listener)

    def say(self, key: ReplicaKey, **more: Any) -> None:
        """Have the metadata say something else of a node."""
        old = self.image
        self.image = evolve(old, brokers={**old.brokers, key.node_id: broker(key, **more)})
        for listener in self.listeners:
            listener(old, self.image)

    def ping(self, key: ReplicaKey, timeout_s: float) -> Deferred[Any]:
        """Note who is asked whether it is there."""
        assert timeout_s == ANSWER_S
        self.pinged.append((key, Deferred()))
        return self.pinged[-1][1]

    def answer(self, answer: object = None) -> None:
        """Have the first of those answer, or fail it with an exception."""
        asked = self.pinged.pop(0)[1]
        asked.errback(answer) if isinstance(answer, Exception) else asked.callback(answer)


class DoubtsCase(SynchronousTestCase):
    """Node 1 and two others."""

    def setUp(self) -> None:
        """Have all of them be there."""
        self.clock = Clock()
        self.told: Any = Told()
        self.peers: Any = Told()
        self.doubts = self.make(self.peers)

    def make(self, peers: Any) -> Doubts:
        """Make it."""
        return Doubts(self.clock, Deadlines(self.clock), 1, self.told, peers, SESSION_S)  # type: ignore[arg-type]

    def waits(self, *nodes: int) -> Deferred[None]:
        """Be about to name these, and expect that this takes a while."""
        sure = self.doubts.when_sure(nodes)
        assert sure is not None
        self.assertNoResult(sure)
        return sure

    @property
    def pinged(self) -> list[int]:
        """Who was asked whether it is there, and has not answered."""
        return [key.node_id for key, _ in self.peers.pinged]


class NamingTests(DoubtsCase):
    """Who is named as a leader is asked first whether it is there."""

    def test_answers(self) -> None:
        sure = self.waits(1, 2)
        self.assertEqual(self.pinged, [2])
        self.peers.answer()
        self.successResultOf(sure)

    def test_nobody_to_ask(self) -> None:
        """This node is there; and whoever is not known, or fenced, is named or not, as the metadata say."""
        self.assertIsNone(self.doubts.when_sure([1]))
        self.assertIsNone(self.make(None).when_sure([1, 2]))
        self.told.say(TWO, fenced=True)
        for node in (-1, 2, 9):
            sure = self.doubts.when_sure([node])
            assert sure is not None
            self.successResultOf(sure)
        self.assertEqual(self.pinged, [])

    def test_asked_together(self) -> None:
        """An answer counts for whoever came before it was asked; the others are asked for together."""
        first = self.waits(2)
        others = [self.waits(2), self.waits(2)]
        self.assertEqual(self.pinged, [2])
        self.peers.answer()
        self.successResultOf(first)
        self.assertNoResult(others[0])
        self.assertEqual(self.pinged, [2])
        self.peers.answer()
        for sure in others:
            self.successResultOf(sure)
        self.assertEqual(self.pinged, [])

    def test_does_not_answer(self) -> None:
        """That says nothing; it is named."""
        sure = self.waits(2)
        self.peers.answer(NoAnswer("it took too long"))
        self.clock.advance(0)
        self.successResultOf(sure)

    def test_the_connection_breaks(self) -> None:
        """Whoever waits for an answer over it may hear of that first."""
        sure = self.waits(2)
        self.peers.answer(NoAnswer("the connection ended"))
        self.doubts.peer_down(TWO)
        self.clock.advance(0)
        self.assertNoResult(sure)
        self.told.say(TWO, fenced=True)
        self.successResultOf(sure)

    def test_two_at_once(self) -> None:
        """Whoever wants to name both waits for both."""
        both, one = self.waits(2, 3), self.waits(3)
        self.peers.answer()
        self.peers.answer(NoAnswer("the connection ended"))
        self.doubts.peer_down(THREE)
        self.clock.advance(0)
        self.peers.answer(NoAnswer("there is no connection"))
        self.clock.advance(0)
        self.assertNoResult(both)
        self.assertNoResult(one)
        self.doubts.peer_up(THREE)
        self.successResultOf(both)
        self.successResultOf(one)

    def test_hurried(self) -> None:
        """Whoever cannot wait is let go on, and is not told again."""
        sure = self.waits(2, 3)
        sure.cancel()
        self.successResultOf(sure)
        self.peers.answer()
        self.peers.answer()


class DoubtsTests(DoubtsCase):
    """Node 2's connection has just broken."""

    def setUp(self) -> None:
        """Break it."""
        super().setUp()
        self.doubts.peer_down(TWO)

    def test_for_a_moment(self) -> None:
        waiting = self.waits(2)
        self.assertEqual((list(self.doubts.fresh), self.pinged), ([2], []))
        self.clock.advance(SHORT_S)
        self.assertEqual(list(self.doubts.fresh), [2])
        self.assertNoResult(waiting)
        self.clock.advance(SHORT_S + 2 * BUCKET_S)
        self.assertEqual(list(self.doubts.fresh), [])
        self.successResultOf(waiting)

    def test_decided(self) -> None:
        """It is fenced, has registered again, or is taken out."""
        for more in ({"fenced": True}, {"epoch": 8}, {"directory_id": b"x" * 16, "epoch": 8}):
            self.told.say(TWO)
            self.doubts.peer_down(TWO)
            waiting = self.waits(2)
            self.told.say(THREE, epoch=9)
            self.assertNoResult(waiting)
            self.told.say(TWO, **more)
            self.successResultOf(waiting)
            self.assertEqual(list(self.doubts.fresh), [])

    def test_taken_out(self) -> None:
        waiting = self.waits(2)
        old, self.told.image = self.told.image, evolve(self.told.image, brokers={3: broker(THREE)})
        self.told.listeners[0](old, self.told.image)
        self.successResultOf(waiting)

    def test_there_again(self) -> None:
        waiting = self.waits(2)
        self.doubts.peer_up(THREE)
        self.assertNoResult(waiting)
        self.doubts.peer_up(TWO)
        self.successResultOf(waiting)
        self.assertEqual((list(self.doubts.fresh), list(self.doubts.gone)), ([], []))

    def test_gone(self) -> None:
        """Where connecting again was refused, for as long as the session would last; not where it was not."""
        self.doubts.peer_gone(THREE)
        self.assertEqual(list(self.doubts.gone), [])
        self.doubts.peer_gone(TWO)
        self.told.say(TWO, fenced=True)
        for _ in range(2):
            self.assertEqual(list(self.doubts.gone), [2])
            self.clock.advance(SESSION_S / 2 - BUCKET_S)
        self.assertEqual(list(self.doubts.gone), [2])
        self.clock.advance(LONG_S)
        self.assertEqual(list(self.doubts.gone), [])

    def test_whom_nobody_counts_on(self) -> None:
        """A broker that is fenced, stops in peace, is not known, or has another directory by now leads nothing."""
        self.doubts.peer_up(TWO)
        for state in ({"fenced": True}, {"shutting_down": True}):
            self.told.say(TWO, **state)
            for key in (TWO, ReplicaKey(3, b"x" * 16), ReplicaKey(9, b"9" * 16)):
                self.doubts.peer_down(key)
                self.doubts.peer_gone(key)
            self.assertEqual((list(self.doubts.fresh), list(self.doubts.gone)), ([], []))
