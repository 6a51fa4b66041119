"""Who makes a topic waits until its partitions are open, or goes."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.planning import NewTopic
from tests.services.rooms import Rooms


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
