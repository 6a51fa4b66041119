"""
The controller, where this node is it: the one place that proposes changes of the cluster's state.

Whoever leads the quorum is the controller.  What it decides comes from C{streamline.cluster}; here is when it may
decide, and what becomes of a decision.

# Note [Planned again]

A plan is made of the image as it is now, and agreed on later; other commands come between.  What does not fit any
more is refused as it is applied, on every node alike, and changes nothing (see C{docs/adr/0007}).  So a plan is a
function of the image, and is asked again: from the new image it makes something that fits, or nothing because nothing
is left to do, or says itself what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.commands import Command, Together, together
from streamline.cluster.failover import repair
from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IQuorum, fires
from streamline.services.gate import Gate
from streamline.services.metadata import Metadata

log = Logger()

Plan = Callable[[MetadataImage], Sequence[Command]]
"""From the image as it is now to what should be agreed on, all of it or nothing; may raise L{Refused}."""

PLANS_MAX: Final = 8
"""How often a plan is made at most."""
ASKED_MAX: Final = 100
ASKED_LEAST: Final = 8
TOPICS_AT_ONCE: Final = 50_000
"""
What clients ask for is agreed on for so many at a time: what is committed together is carried out in one turn of the
reactor, and each such thing takes the longer the more topics there are.
"""
REPAIR_AGAIN_S: Final = 0.5
"""How long after a repair that could not be agreed on the next one is tried."""

NOT_APPLIED: Final = (
    ErrorCode.NOT_CONTROLLER,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.THROTTLING_QUOTA_EXCEEDED,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.UNKNOWN_SERVER_ERROR,
)
"""What consensus refuses with; anything else was said by the state that the command met."""


class Duty(Protocol):
    """What has to be done wherever the controller is."""

    def took_over(self) -> None:
        """This node is the controller from now on, and what was overdue is repaired."""

    def resigned(self) -> None:
        """It is no more; what was known for it alone is worth nothing now."""


class Controllership(Service):
    """
    Acts where this node leads the quorum.

    @ivar is_active: whether this node leads, has applied everything of earlier terms, and has repaired what was
        overdue.
    @ivar epoch: the term.
    """

    def __init__(self, host: Host, node_id: int, metadata: Metadata) -> None:
        self._clock = host.clock
        self._plans_twice = host.whim("planned-again")
        self._node_id = node_id
        self._metadata = metadata
        self._duties: list[Duty] = []
        self._gate = Gate(host.clock, self._at_once)
        self._leads = False
        self._repairing: IDelayedCall | None = None
        self.is_active = False
        self.epoch = 0
        if IQuorum.providedBy(metadata.consensus):
            metadata.consensus.listen(self._leader_changed)

    def add_duty(self, duty: Duty) -> None:
        """Have this one hear when this node becomes the controller, and when it is that no more."""
        self._duties.append(duty)

    # Who leads

    def startService(self) -> None:
        """Be the controller whenever this node leads."""
        Service.startService(self)
        self._leader_changed(self._metadata.consensus.leader_id, self._metadata.consensus.term)

    def stopService(self) -> None:
        """Be it no more."""
        Service.stopService(self)
        self._resign()

    def _leader_changed(self, leader_id: int | None, term: int) -> None:
        if self._leads and (leader_id != self._node_id or term != self.epoch):
            self._resign()
        self.epoch = term
        if self.running and leader_id == self._node_id and not self._leads:
            self._leads = True
            log.info("node {node_id} is the controller, in epoch {epoch}", node_id=self._node_id, epoch=term)
            self._repair()

    def _resign(self) -> None:
        if not self._leads:
            return
        was_active = self.is_active
        self._leads = self.is_active = False
        if self._repairing is not None:
            self._repairing.cancel()
            self._repairing = None
        if was_active:
            for duty in self._duties:
                duty.resigned()

    def _repair(self) -> None:
        """Do what the last controller had decided and not agreed on; until then nothing else is decided."""
        self._repairing = None
        self._agree(repair).addCallbacks(self._repaired, self._not_repaired, callbackArgs=(self.epoch,))

    def _repaired(self, _: list[Any], epoch: int) -> None:
        if self._leads and epoch == self.epoch:
            self.is_active = True
            for duty in self._duties:
                duty.took_over()

    def _not_repaired(self, failure: Failure) -> None:
        failure.trap(Refused)
        if self._leads and self._repairing is None:
            log.warn("what is overdue cannot be repaired yet: {why}", why=failure.getErrorMessage())
            self._repairing = self._clock.callLater(REPAIR_AGAIN_S, self._repair)

    # Deciding

    def decide(self, plan: Plan) -> Deferred[list[Any]]:
        """
        Agree on what C{plan} makes of the image as it is now; fire with the results, one a command.

        See Note [Planned again].

        @raise Refused: through the Deferred: what C{plan} raised; NOT_CONTROLLER where this node does not lead, now or
            before it was agreed on; REQUEST_TIMED_OUT where the outcome is unknown, or the plan never fitted.
        """
        return self._agree(plan) if self.is_active else fail(not_controller())

    def decide_for_client(self, plan: Plan) -> Deferred[list[Any]]:
        """Do so for a client, of whom there may be thousands: after what others have asked for before it."""
        return ensureDeferred(self._gate.through(lambda: self.decide(plan)))

    def _at_once(self) -> int:
        return max(ASKED_LEAST, min(ASKED_MAX, TOPICS_AT_ONCE // (1 + len(self._metadata.image.topics))))

    def _agree(self, plan: Plan) -> Deferred[list[Any]]:
        return ensureDeferred(self._agreed(plan, self.epoch))

    async def _agreed(self, plan: Plan, epoch: int) -> list[Any]:
        for _ in range(PLANS_MAX):
            if not self._leads or epoch != self.epoch:
                raise not_controller()
            if fires(self._plans_twice):
                plan(self._metadata.image)  # as where the image has moved on meanwhile
            command = together(plan(self._metadata.image))
            if command is None:
                return []
            try:
                result = await self._metadata.propose(command)
            except Refused as refusal:
                if refusal.code in NOT_APPLIED:
                    raise
                log.debug("a plan did not fit any more: {why}", why=str(refusal))
                continue
            return list(result) if isinstance(command, Together) else [result]
        raise Refused(ErrorCode.REQUEST_TIMED_OUT, "the cluster changes faster than that can be decided")


def not_controller() -> Refused:
    """Return what those are told who take this node for the controller."""
    return Refused(ErrorCode.NOT_CONTROLLER, "this node is not the controller")

