"""A controller whose quorum does as the test says."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from streamline.cluster.commands import CreateTopic, PartitionPlacement, RegisterBroker
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IQuorum
from streamline.services.controllership import Controllership
from streamline.services.metadata import Metadata
from streamline.testing.worlds import HandClock, NoNetwork, SeededRandom
from tests.services.rooms import Agreement

TOPIC_ID = b"t" * 16


class HeldQuorum(Agreement):
    """A quorum that agrees on what the test says, when it says so, and leads when it says so."""

    def __init__(self) -> None:
        self.leader_id: int | None = None
        self.term = 0
        self.is_held = False
        self.refuses: Refused | None = None
        self._listener: Any = None
        self._waiting: list[tuple[bytes, Deferred[Any]]] = []
        alsoProvides(self, IQuorum)

    def listen(self, listener: Any) -> None:
        """Tell this one who leads."""
        self._listener = listener

    def lead(self, leader_id: int | None, term: int) -> None:
        """Have somebody lead."""
        self.leader_id, self.term = leader_id, term
        self._listener(leader_id, term)

    def propose(self, command: bytes) -> Deferred[Any]:
        """Agree, now or when released."""
        if self.refuses is not None:
            return _failed(self.refuses.again())
        if not self.is_held:
            return super().propose(command)
        outcome: Deferred[Any] = Deferred()
        self._waiting.append((command, outcome))
        return outcome

    def release(self) -> None:
        """Agree on what waits."""
        waiting, self._waiting = self._waiting, []
        for command, outcome in waiting:
            super().propose(command).addBoth(outcome.callback)


def _failed(refusal: Refused) -> Deferred[Any]:
    outcome: Deferred[Any] = Deferred()
    outcome.errback(refusal)
    return outcome


class Noted:
    """A duty that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def took_over(self) -> None:
        """Note it."""
        self.heard.append("took over")

    def resigned(self) -> None:
        """Note it."""
        self.heard.append("resigned")


class ControllershipCase(SynchronousTestCase):
    """Node 1, two brokers, and a quorum that does as it is told."""

    def setUp(self) -> None:
        """Lead in term 3."""
        self.quorum = HeldQuorum()
        self.clock = HandClock()
        self.metadata = Metadata(self.quorum)
        self.quorum.start(self.metadata)
        self.host = Host(clock=self.clock, disk=None, network=NoNetwork(), rng=SeededRandom(0))  # type: ignore[arg-type]
        self.controllership = Controllership(self.host, 1, self.metadata)
        self.duty = Noted()
        self.controllership.add_duty(self.duty)
        self.controllership.startService()
        for node in (1, 2):
            self.metadata.propose(RegisterBroker(node_id=node, incarnation_id=bytes(16), host="h", port=node))
        self.quorum.lead(1, 3)

    def topic(self, name: str = "t", topic_id: bytes = TOPIC_ID) -> CreateTopic:
        """Return what makes a topic on both nodes."""
        placed = PartitionPlacement(index=0, replicas=[1, 2], isr=[1, 2])
        return CreateTopic(name=name, topic_id=topic_id, partitions=[placed])

    def refused(self, decided: Deferred[Any]) -> ErrorCode:
        """Return why nothing was decided."""
        refusal: Refused = self.failureResultOf(decided, Refused).value
        return refusal.code
