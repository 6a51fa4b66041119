"""Who makes a topic waits until its partitions are open, or goes; who stops closes them in turns."""

from __future__ import annotations

import gc

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.planning import NewTopic
from streamline.errors import Refused
from streamline.services.replica import Replica
from streamline.services.turns import TURN_S
from tests.services.rooms import Rooms

COUNT = 5


class WhenOpenTests(SynchronousTestCase):
    """A topic of two partitions, whose logs take their time."""

    def setUp(self) -> None:
        """Make it."""
        self.rooms = Rooms()
        self.addCleanup(self.rooms.close)
        self.rooms.storage.is_held = True
        self.topic = self.successResultOf(
            self.rooms.controller.create_topic(NewTopic(name="t", partitions=2, replication_factor=1))
        )
        self.waiting = self.rooms.replicas.when_open(self.topic)

    def test_open(self) -> None:
        """It fires once both are."""
        self.rooms.turns()
        self.assertNoResult(self.waiting)
        self.rooms.storage.release()
        self.rooms.turns()
        self.assertIsNone(self.successResultOf(self.waiting))

    def test_who_does_not_wait_any_longer(self) -> None:
        """Nothing is heard of him again; the client's connection has ended."""
        self.waiting.cancel()
        self.failureResultOf(self.waiting)
        del self.waiting
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.rooms.storage.release()
        self.rooms.turns()
        self.assertIsNone(self.successResultOf(self.rooms.replicas.when_open(self.topic)))


class ClosingTests(SynchronousTestCase):
    """A node that stops, with partitions each of which takes a turn to be closed."""

    def test_in_turns(self) -> None:
        """Others have the reactor in between: a client that is still connected, the other nodes of the cluster."""
        rooms = Rooms()
        self.addCleanup(rooms.close)
        new = NewTopic(name="t", partitions=COUNT, replication_factor=1)
        self.successResultOf(rooms.controller.create_topic(new))
        closed: list[int] = []
        seen: list[int] = []

        def close(partition: Replica, refusal: Refused) -> Deferred[None]:
            closed.append(partition.state.index)
            rooms.clock.rightNow += 2 * TURN_S
            return succeed(None)

        def look() -> None:
            seen.append(len(closed))
            if len(closed) < COUNT:
                rooms.clock.callLater(0, look)

        self.patch(Replica, "close", close)
        stopping = rooms.replicas.stopService()
        look()
        rooms.turns(COUNT)
        self.successResultOf(stopping)
        self.assertEqual(seen, list(range(1, COUNT + 1)))
