"""
A broker's life in the cluster, from its own side: it registers, tells the controller that it lives, and asks to go.

What it is comes from the agreed log like everything else: it takes part from the moment in which its own image says so,
under its own incarnation, and not because it was answered that it may (KIP-631).

# Note [In a hurry]

A broker says that it lives once in an interval.  It does so at once where somebody waits for it: when it has applied
its own registration, and may be unfenced; when it is shown as fenced although it lives; when another one wants to stop,
and may as soon as all have heard of it (KR32).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.image import MetadataImage
from streamline.cluster.membership import NO_BROKER_EPOCH, Heartbeat, Registration
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused, code_of
from streamline.interfaces import Host, IStorage, fires
from streamline.model import Broker
from streamline.services.beats import until_beat
from streamline.services.brain import Brain
from streamline.services.metadata import Metadata
from streamline.services.peer_call import NoAnswer
from streamline.services.sharing import Shared
from streamline.wire.messages.peer import (
    KAFKA_LISTENER,
    PEER_LISTENER,
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
    Feature,
    Listener,
)

log = Logger()

REGISTERED_S: Final = 5.0
"""How long the answer to a registration may take."""
AGAIN_S: Final = 0.1
"""After what somebody who was refused, or got no answer, tries again at first; at most L{AGAIN_MAX_S}."""
AGAIN_MAX_S: Final = 1.0
LEAVING_AGAIN_S: Final = 0.05
"""How often a broker that wants to stop asks whether it may."""
LEAVING_S: Final = 10.0
"""How long it asks at most; then it stops all the same."""
SAID_AGAIN_S: Final = 10.0

FINAL: Final = (ErrorCode.INCONSISTENT_CLUSTER_ID, ErrorCode.UNSUPPORTED_VERSION)
"""Why a broker is never taken in, however often it asks."""
UNKNOWN: Final = (ErrorCode.STALE_BROKER_EPOCH, ErrorCode.BROKER_ID_NOT_REGISTERED)
"""What says that this process has to register again."""


class Registrar(Service):
    """
    Keeps this process registered, under one incarnation id.

    @ivar broker_epoch: the epoch of its registration, or L{NO_BROKER_EPOCH}.
    """

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        brain: Brain,
        storage: IStorage,
        introduce: Callable[[], Registration],
    ) -> None:
        """
        @param introduce: says who this process is, once it listens; the incarnation id is always the same.
        """
        self._host = host
        self._beats_again = host.whim("heartbeat-repeated")
        self._config = config
        self._metadata = metadata
        self._membership = brain.membership
        self._line = brain.line
        self._storage = storage
        self._introduce = introduce
        self._heartbeat_s = config.broker.broker_heartbeat_interval_ms / 1000
        self._session_s = config.broker.broker_session_timeout_ms / 1000
        self._incarnation_id = b""
        self._unfenced: Shared[None] = Shared()
        self._registered: Shared[None] = Shared()
        self._final: Failure | None = None
        self._leaving: Shared[None] | None = None
        self._is_gone = False
        self._living: Deferred[None] | None = None
        self._is_ready = False
        self._pause: tuple[Deferred[None], IDelayedCall] | None = None
        self._is_hurried = False
        self._failures = 0
        self._patience: tuple[IDelayedCall, ...] = ()
        self._said = ("", 0.0)
        self.broker_epoch = NO_BROKER_EPOCH
        metadata.listen(self._changed)
        brain.controllership.add_duty(self)
        brain.line.listen(self.hurry)

    # What it is

    @property
    def _me(self) -> Broker | None:
        """This process in the image; None where it is not in there, or another one is."""
        broker = self._metadata.image.brokers.get(self._config.node_id)
        if broker is None or not self._incarnation_id or broker.incarnation_id != self._incarnation_id:
            return None
        return broker

    @property
    def is_unfenced(self) -> bool:
        """Whether this process takes part, by its own image."""
        me = self._me
        return me is not None and not me.fenced

    def when_registered(self) -> Deferred[None]:
        """
        Fire once this node has applied its own registration, and with it all that was agreed on before; or once this
        has stopped.

        @raise StartRefused: through the Deferred: the cluster does not take it.
        """
        return self._answer(self._me is not None or not self.running, self._registered)

    def when_unfenced(self) -> Deferred[None]:
        """
        Fire once this process takes part.

        @raise StartRefused: through the Deferred: the cluster does not take it.
        """
        return self._answer(self.is_unfenced, self._unfenced)

    def _answer(self, is_so: bool, coming: Shared[None]) -> Deferred[None]:
        if self._final is not None:
            return fail(self._final)
        return succeed(None) if is_so else coming.wait()

    def _changed(self, old: MetadataImage, new: MetadataImage) -> None:
        """See Note [In a hurry]."""
        if old.brokers is new.brokers and old.cluster_id == new.cluster_id:
            return
        me = self._me
        if me is not None:
            self._registered.tell(None)
        if me is not None and not me.fenced:
            self._unfenced.tell(None)
        if me is None or me.fenced or _is_somebody_new_leaving(old, new):
            self.hurry()

    # A service's side

    def startService(self) -> Deferred[None] | None:
        """
        Register, and stay registered.

        A node that decides for itself alone takes part from the beginning, as nobody could lead in its place until it
        is ready: what it opens next is then as it is going to be.

        @raise StartRefused: through the Deferred, as L{when_unfenced}.
        """
        Service.startService(self)
        self._incarnation_id = self._introduce().incarnation_id
        self._living = ensureDeferred(self._live())
        self._living.addErrback(self._broken)
        return self.when_unfenced() if self._decides_alone else None

    @property
    def _decides_alone(self) -> bool:
        return self._line.is_here and not self._others

    @property
    def _others(self) -> Sequence[Broker]:
        """The other brokers that take part."""
        me = self._config.node_id
        return [one for one in self._metadata.image.brokers.values() if one.is_active and one.node_id != me]

    def stopService(self) -> None:
        """Say nothing any more, and let nobody wait."""
        Service.stopService(self)
        self.hurry()
        self._left()
        if self._living is not None:
            self._living.cancel()
        self._give_up(None)

    def ready(self) -> Deferred[None]:
        """
        Ask to take part, now that what this node has is open; fires as L{when_unfenced}, or once this has stopped.

        Whoever takes part may be made a leader in the next moment, and its clients come here.
        """
        self._is_ready = True
        self.hurry()
        return self.when_unfenced() if self.running else succeed(None)

    def leave(self) -> Deferred[None]:
        """
        Ask to stop, and fire once others lead what this node led and all have heard of it (KR32).

        It fires soon as well where nobody answers, and at once where nobody else is there to lead.
        """
        if not (self._can_leave and self._config.broker.controlled_shutdown_enable and self._others):
            return succeed(None)
        if self._leaving is None:
            self._leaving = Shared()
            clock = self._host.clock
            self._patience = clock.callLater(self._session_s, self._left), clock.callLater(LEAVING_S, self._left)
            self.hurry()
        return self._leaving.wait()

    @property
    def _can_leave(self) -> bool:
        return bool(self.running) and self.is_unfenced and not self._is_gone

    def _left(self) -> None:
        if self._leaving is not None:
            self._is_gone = True
            timers, self._patience = self._patience, ()
            for timer in timers:
                if timer.active():
                    timer.cancel()
            self._leaving.tell(None)

    def _broken(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        log.failure("this node no longer tells the controller that it lives", failure)
        self._give_up(failure)

    def _give_up(self, outcome: Failure | None) -> None:
        """Let nobody wait any more."""
        self._final = outcome
        self._registered.tell(outcome)
        self._unfenced.tell(outcome)

    # Living

    async def _live(self) -> None:
        while self.running and not self._is_gone:
            self._is_hurried = False
            pause_s = await self._say()
            if self.running and not self._is_hurried and not self._is_gone:
                await self._wait(pause_s)

    async def _say(self) -> float:
        """Register, or say that this process lives; return after how many seconds to go on."""
        try:
            if self.broker_epoch == NO_BROKER_EPOCH:
                await self._register()
                return self._after_registering()
            await self._beat()
        except Refused as refusal:
            return self._refused(refusal)
        except NoAnswer as error:
            return self._not_answered(f"the controller gave no answer: {error}")
        self._failures = 0
        if not self._patience:
            if fires(self._beats_again):
                return 0.0
            return until_beat(self._host.clock, self._heartbeat_s)
        self._patience[0].reset(self._session_s)
        return min(LEAVING_AGAIN_S, self._heartbeat_s)

    def _after_registering(self) -> float:
        me = self._me
        if me is not None and me.fenced:
            return 0.0
        return self._heartbeat_s

    def _refused(self, refusal: Refused) -> float:
        if refusal.code in UNKNOWN:
            log.info("this node has to register again: {why}", why=str(refusal))
            self.broker_epoch = NO_BROKER_EPOCH
            return 0.0
        if refusal.code in FINAL:
            self._give_up(Failure(StartRefused(f"the cluster does not take this node: {refusal}")))
        return self._not_answered(str(refusal))

    def _not_answered(self, why: str) -> float:
        now = self._host.clock.seconds()
        said, at = self._said
        if self._failures and (why != said or now >= at + SAID_AGAIN_S):
            self._said = why, now
            log.info("waiting for the controller: {why}", why=why)
        self._failures += 1
        again_s: float = min(AGAIN_S * 2 ** min(self._failures - 1, 10), AGAIN_MAX_S)
        return again_s * (0.5 + self._host.rng.random() / 2)

    # What is said

    async def _register(self) -> None:
        intact = self._storage.intact_epoch
        wanted = evolve(self._introduce(), previous_epoch=NO_BROKER_EPOCH if intact is None else intact)
        if not wanted.cluster_id:
            raise Refused(ErrorCode.NOT_CONTROLLER, "the cluster is not founded yet")
        if self._line.is_here:
            epoch = await self._line.follow(self._membership.register(wanted, is_here=True), REGISTERED_S)
        else:
            answer = await self._line.ask(_request(wanted), BrokerRegistrationResponse, REGISTERED_S)
            _check(answer.error_code)
            epoch = answer.broker_epoch
        self.broker_epoch = self._storage.broker_epoch = epoch
        self._failures = 0

    async def _beat(self) -> None:
        beat = Heartbeat(
            node_id=self._config.node_id,
            broker_epoch=self.broker_epoch,
            metadata_index=self._metadata.image.index,
            wants_fence=not self._is_ready and not self.is_unfenced and not self._decides_alone,
            wants_shutdown=self._leaving is not None,
        )
        if self._line.is_here:
            may_stop = (await self._line.follow(self._membership.heartbeat(beat), self._session_s / 2)).may_stop
        else:
            request = BrokerHeartbeatRequest(
                broker_id=beat.node_id,
                broker_epoch=beat.broker_epoch,
                current_metadata_offset=beat.metadata_index,
                want_fence=beat.wants_fence,
                want_shut_down=beat.wants_shutdown,
            )
            answer = await self._line.ask(request, BrokerHeartbeatResponse, self._session_s / 2)
            _check(answer.error_code)
            may_stop = answer.should_shut_down
        if may_stop:
            log.info("this node leads nothing any more, and all others know")
            self._left()

    # Waiting

    def _wait(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._pause = waiting, self._host.clock.callLater(seconds, self.hurry)
        return waiting

    def hurry(self) -> None:
        """Wait no longer to say what is to be said next."""
        self._is_hurried = True
        if self._pause is not None:
            (waiting, timer), self._pause = self._pause, None
            if timer.active():
                timer.cancel()
            waiting.callback(None)

    # Duty

    def took_over(self) -> None:
        """Tell this node's own controller at once that this node lives."""
        self.hurry()

    def resigned(self) -> None:
        """Wait for the next one."""


def _is_somebody_new_leaving(old: MetadataImage, new: MetadataImage) -> bool:
    return any(
        broker.shutting_down and not broker.fenced and old.brokers.get(node) is not broker
        for node, broker in new.brokers.items()
    )


def _check(error_code: int) -> None:
    if error_code:
        raise Refused(code_of(error_code), "the controller says so")


def _request(wanted: Registration) -> BrokerRegistrationRequest:
    listeners = [Listener(name=KAFKA_LISTENER, host=wanted.endpoint.host, port=wanted.endpoint.port)]
    if (peer := wanted.peer_endpoint) is not None:
        listeners.append(Listener(name=PEER_LISTENER, host=peer.host, port=peer.port))
    return BrokerRegistrationRequest(
        broker_id=wanted.node_id,
        cluster_id=wanted.cluster_id,
        incarnation_id=wanted.incarnation_id,
        listeners=listeners,
        features=[
            Feature(name=name, min_supported_version=lowest, max_supported_version=highest)
            for name, (lowest, highest) in sorted(wanted.features.items())
        ],
        rack=wanted.rack,
        log_dirs=[wanted.directory_id],
        previous_broker_epoch=wanted.previous_epoch,
    )
