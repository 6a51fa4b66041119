"""
The controller's view of the brokers: it takes them in, hears that they live, and fences those that are gone.

L{streamline.cluster.membership} decides; this keeps the sessions, one timer, and asks for what was decided to be agreed
on.  All of it is dropped where this node is no controller any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.commands import Command
from streamline.cluster.failover import begin_shutdown
from streamline.cluster.image import MetadataImage
from streamline.cluster.membership import (
    Heartbeat,
    Pulse,
    Registered,
    Registration,
    crashed,
    fence_silent,
    heartbeat,
    register,
    register_here,
)
from streamline.cluster.sessions import NOTHING_APPLIED, Sessions
from streamline.config import NodeConfig
from streamline.errors import Refused
from streamline.interfaces import Host
from streamline.model import Broker
from streamline.raft import ReplicaKey
from streamline.services.controllership import Controllership, Plan
from streamline.services.metadata import Metadata
from streamline.services.peers import Peers
from streamline.services.sharing import Shared

log = Logger()

T = TypeVar("T")

LATE_SHARE: Final = 0.1
"""A timer that is late by this share of the session time-out says that the process stood still."""
AGAIN_S: Final = 0.1
"""How soon is looked again where fencing could not be agreed on, or the process stood still."""


class Membership(Service):
    """
    Knows who lives, wherever this node is the controller.

    @param peers: hears of the other nodes' processes; None where this node takes no others.
    """

    def __init__(
        self, host: Host, config: NodeConfig, metadata: Metadata, controllership: Controllership, peers: Peers | None
    ) -> None:
        self._clock = host.clock
        self._metadata = metadata
        self._controllership = controllership
        self._timeout_s = config.broker.broker_session_timeout_ms / 1000
        self._sessions = Sessions(self._timeout_s)
        self._peers = peers
        self._looking: IDelayedCall | None = None
        self._fencing: dict[object, None] = {}
        """What is being agreed on; who is about to be fenced is not overdue as well."""
        self._deciding: dict[tuple[int, int], Shared[Pulse]] = {}
        """Node and epoch of each broker about which something is decided that is not agreed on yet."""
        controllership.add_duty(self)
        if peers is not None:
            peers.listen(self)

    def stopService(self) -> None:
        """Fence nobody any more."""
        Service.stopService(self)
        self.resigned()

    # Duty

    def took_over(self) -> None:
        """Give everybody half a time-out, but for those whose process is known to be gone."""
        self._sessions.adopt(self._metadata.image, self._clock.seconds())
        self._fencing.clear()
        for key in () if self._peers is None else self._peers.gone:
            self._fence_crashed(key)
        self._look_at_deadline()

    def resigned(self) -> None:
        """Know nothing any more."""
        self._sessions = Sessions(self._timeout_s)
        self._deciding.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    # What brokers say

    def register(self, wanted: Registration, *, is_here: bool = False) -> Deferred[int]:
        """
        Take a broker in; fire with its epoch.

        @param is_here: whether it is this very process.
        @raise Refused: as L{streamline.cluster.membership.register}, or as L{Controllership.decide}.
        """
        decided = Registered()

        def plan(image: MetadataImage) -> Sequence[Command]:
            nonlocal decided
            decided = (register_here if is_here else register)(image, self._sessions, self._clock.seconds(), wanted)
            return decided.commands

        def agreed(results: list[Any]) -> int:
            epoch: int = results[0] if results else decided.epoch
            self._sessions.heard(wanted.node_id, epoch, NOTHING_APPLIED, self._clock.seconds())
            self._look_at_deadline()
            return epoch

        return self._controllership.decide(plan).addCallback(agreed)

    def heartbeat(self, beat: Heartbeat) -> Deferred[Pulse]:
        """
        Hear that a broker lives; fire with what it may do, once that is agreed on.

        A broker that says so again while that takes its time lives on, and waits for the same decision.

        @raise Refused: as L{streamline.cluster.membership.heartbeat}, or as L{Controllership.decide}.
        """
        key = beat.node_id, beat.broker_epoch
        deciding = self._deciding.get(key)
        if deciding is None:
            return self._follow(key, self._decide(beat))
        if self._metadata.image.brokers[beat.node_id].epoch == beat.broker_epoch:
            self._sessions.heard(*key, beat.metadata_index, self._clock.seconds())
        return deciding.wait()

    def _follow(self, key: tuple[int, int], decided: Deferred[Pulse]) -> Deferred[Pulse]:
        if decided.called:
            return decided
        deciding: Shared[Pulse] = Shared()
        self._deciding[key] = deciding
        waiting = deciding.wait()
        decided.addBoth(self._decided, key)
        deciding.follow(decided)
        return waiting

    def _decided(self, outcome: T, key: tuple[int, int]) -> T:
        self._deciding.pop(key, None)
        return outcome

    def _decide(self, beat: Heartbeat) -> Deferred[Pulse]:
        pulse: Pulse

        def plan(image: MetadataImage) -> Sequence[Command]:
            nonlocal pulse
            pulse = heartbeat(image, self._sessions, self._clock.seconds(), beat)
            return pulse.commands

        def agreed(results: list[Any]) -> Pulse:
            _say_changed(results)
            self._look_at_deadline()
            return pulse

        return self._controllership.decide(plan).addCallback(agreed)

    def begin_shutdown(self, node: int, epoch: int) -> Deferred[MetadataImage]:
        """
        Have others lead in a broker's place (ControlledShutdown); fire with the image in which they do.

        @raise Refused: BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH, or as L{Controllership.decide}.
        """

        def plan(image: MetadataImage) -> Sequence[Command]:
            broker = image.broker_at(node, epoch)
            return [] if broker.shutting_down or broker.fenced else begin_shutdown(image, node)

        return self._controllership.decide(plan).addCallback(lambda _: self._metadata.image)

    # What connections say

    def peer_up(self, key: ReplicaKey) -> None:
        """Its broker will say itself that it lives."""

    def peer_down(self, key: ReplicaKey) -> None:
        """A connection that ended says nothing about a process."""

    def peer_gone(self, key: ReplicaKey) -> None:
        """Fence its broker at once.  See Note [A crash is not a silence] in L{streamline.services.peers}."""
        if self._controllership.is_active:
            self._fence_crashed(key)

    def _fence_crashed(self, key: ReplicaKey) -> None:
        broker = self._metadata.image.brokers.get(key.node_id)
        if broker is None or broker.directory_id != key.directory_id:
            return
        epoch = broker.epoch
        self._fence(lambda image: crashed(image, self._sessions, key.node_id, epoch))

    # Silence

    def _look_at_deadline(self) -> None:
        """Set the timer for when somebody is overdue; one that is set already rings early enough."""
        if self._looking is None and not self._fencing and self._controllership.is_active:
            deadline = self._sessions.deadline(self._metadata.image)
            if deadline is not None:
                self._look_at(deadline)

    def _look_at(self, deadline: float) -> None:
        now = self._clock.seconds()
        due = max(deadline, now)
        self._looking = self._clock.callLater(due - now, self._look, due)

    def _look(self, due: float) -> None:
        self._looking = None
        if self._fencing:
            return  # L{_fenced} looks again
        now = self._clock.seconds()
        if now - due > self._timeout_s * LATE_SHARE:
            self._sessions.slept(now)
            self._look_at(now + AGAIN_S)
        elif self._sessions.overdue(self._metadata.image, now):
            self._fence(lambda image: fence_silent(image, self._sessions, now))
        else:
            self._look_at_deadline()

    def _fence(self, plan: Plan) -> None:
        this = object()
        self._fencing[this] = None
        agreeing = self._controllership.decide(plan).addCallbacks(_say_changed, _not_fenced)
        agreeing.addCallback(self._fenced, this)

    def _fenced(self, is_done: bool, this: object) -> None:
        self._fencing.pop(this, None)
        if is_done:
            self._look_at_deadline()
        elif self._controllership.is_active and self._looking is None:
            self._look_at(self._clock.seconds() + AGAIN_S)


def _say_changed(results: list[Any]) -> bool:
    for broker in results:
        if isinstance(broker, Broker):
            state = "is fenced" if broker.fenced else "is about to stop" if broker.shutting_down else "takes part"
            log.info("node {node_id} {state}", node_id=broker.node_id, state=state)
    return True


def _not_fenced(failure: Failure) -> bool:
    failure.trap(Refused)
    log.info("nobody is fenced: {why}", why=failure.getErrorMessage())
    return False
