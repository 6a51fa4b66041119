"""
Takes what only the controller can do to the controller, wherever that is.

While nobody leads, or somebody else does by the time a request comes there, it is tried again: at once when a leader
is known, and for as long as somebody has the patience.

# Note [Asked twice]

A request that was sent and not answered may have been carried out, or may yet be.  It is sent again all the same, as
Kafka's brokers and every client of either do: nearly always the controller died before anything was agreed on, and
what was carried out already is refused by name (TOPIC_ALREADY_EXISTS).  But where no attempt is answered in the end,
REQUEST_TIMED_OUT says that nobody knows; NOT_CONTROLLER, after which clients try again as if nothing had happened, is
only said where nothing has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IClock, IConsensus, IQuorum
from streamline.raft import ReplicaKey
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse

log = Logger()

PATIENCE_S: Final = 5.0
"""How long a request waits for a controller at most; clients come again anyway."""
RETRY_S: Final = 0.05
"""How long until it is tried again, where nobody says earlier that a leader is known."""
ANSWER_S: Final = 5.0
"""How long a controller has at least to answer, and more where the client gives it more."""
ANSWER_S_MAX: Final = 60.0
CAUGHT_UP_S: Final = 1.0
"""How long a node waits to see what the controller has told it."""


class Errand:
    """
    One request on its way to the controller.

    @ivar answer: fires with the bytes of the controller's response, header and all; or where this node is the
        controller itself, with whatever C{here} gave.  Fails with L{Refused}: what C{here} or the envelope was refused
        with, or see Note [Asked twice].
    """

    def __init__(
        self, forwarding: Forwarding, envelope: EnvelopeRequest, here: Callable[[], Any], timeout_s: float
    ) -> None:
        self._forwarding = forwarding
        self._envelope = envelope
        self._here = here
        self._until_s = forwarding.clock.seconds() + min(PATIENCE_S, timeout_s)
        self._answer_s = min(max(ANSWER_S, timeout_s), ANSWER_S_MAX)
        self._pausing: Deferred[None] | None = None
        self._refusal = Refused(ErrorCode.NOT_CONTROLLER, "no controller is known at the moment")
        self.answer: Deferred[Any] = Deferred.fromCoroutine(self._run())

    def hurry(self) -> None:
        """Try no more: the node stops."""
        self._until_s = self._forwarding.clock.seconds()
        if self._pausing is not None:
            self._forwarding.go_on(self._pausing)

    async def _run(self) -> Any:
        while True:
            try:
                return await self._attempt()
            except Refused as refusal:
                if refusal.code is not ErrorCode.NOT_CONTROLLER:
                    raise
            except NoAnswer:
                self._refusal = Refused(ErrorCode.REQUEST_TIMED_OUT, "the controller did not answer")
            if self._forwarding.clock.seconds() >= self._until_s:
                raise self._refusal
            self._pausing = self._forwarding.pause()
            try:
                await self._pausing
            finally:
                self._pausing = None

    async def _attempt(self) -> Any:
        forwarding = self._forwarding
        if forwarding.leads:
            done = self._here()
            return await done if isinstance(done, Deferred) else done
        answer = await forwarding.ask(self._envelope, self._answer_s)
        if answer.error_code:
            raise _refusal(answer.error_code)
        return answer.response_data


def _refusal(code: int) -> Refused:
    """Return what an envelope's error means to whoever sent what is in it."""
    if code == ErrorCode.NOT_CONTROLLER:
        return Refused(ErrorCode.NOT_CONTROLLER, "the controller has changed")
    if code == ErrorCode.UNSUPPORTED_VERSION:
        return Refused(ErrorCode.UNSUPPORTED_VERSION, "the controller runs an older release")
    log.error("the controller refuses what this node passes on, with error {code}", code=code)
    return Refused(ErrorCode.UNKNOWN_SERVER_ERROR, "the controller refuses what this node passes on")


class Forwarding:
    """
    Knows who the controller is, and how to reach it.

    @param peers: None where this node takes no others, and is always the controller itself.
    """

    def __init__(self, clock: IClock, consensus: IConsensus, node_id: int, peers: Peers | None) -> None:
        self.clock = clock
        self._consensus = consensus
        self._node_id = node_id
        self._peers = peers
        self._pausing: dict[Deferred[None], IDelayedCall] = {}
        self._asked: dict[Deferred[EnvelopeResponse], int] = {}
        if IQuorum.providedBy(consensus):
            consensus.listen(self._leader_changed)

    @property
    def leads(self) -> bool:
        """Whether this node is the controller, as far as it knows."""
        return self._consensus.leader_id == self._node_id

    def take(self, envelope: EnvelopeRequest, here: Callable[[], Any], timeout_s: float) -> Errand:
        """
        Take a request to the controller.

        @param here: carries it out where that is this node; it fails with L{Refused} of code NOT_CONTROLLER where
            nothing was carried out and somebody else has to be asked.
        @param timeout_s: what the client gives it.
        """
        return Errand(self, envelope, here, timeout_s)

    async def caught_up(self) -> bool:
        """Wait until what was committed before this call is applied here, but not for long; say whether it is."""
        try:
            await self._consensus.read_barrier().addTimeout(CAUGHT_UP_S, self.clock)
        except (Refused, TimeoutError):
            return False  # it comes to know of it later, as any other node does
        return True

    # For errands

    def ask(self, envelope: EnvelopeRequest, answer_s: float) -> Deferred[EnvelopeResponse]:
        """
        Ask the controller of now.

        @raise Refused: NOT_CONTROLLER, nobody was asked.
        @raise NoAnswer: through the Deferred: it may have carried it out.
        """
        key = self._controller()
        if key is None or self._peers is None:
            raise Refused(ErrorCode.NOT_CONTROLLER)
        answer = self._peers.ask(key, envelope, EnvelopeResponse, answer_s)
        if isinstance(getattr(answer, "result", None), Failure):
            answer.addErrback(lambda _: None)  # it could not even be sent
            raise Refused(ErrorCode.NOT_CONTROLLER)
        self._asked[answer] = key.node_id
        return answer.addBoth(self._answered, answer)

    def pause(self) -> Deferred[None]:
        """Fire when it is worth another try: a leader has become known, or a little time has passed."""
        pausing: Deferred[None] = Deferred(self._stopped)
        self._pausing[pausing] = self.clock.callLater(RETRY_S, self.go_on, pausing)
        return pausing

    def go_on(self, pausing: Deferred[None]) -> None:
        """End a pause."""
        self._stopped(pausing)
        pausing.callback(None)

    def _stopped(self, pausing: Deferred[None]) -> None:
        timer = self._pausing.pop(pausing)
        if timer.active():
            timer.cancel()

    def _controller(self) -> ReplicaKey | None:
        leader_id = self._consensus.leader_id
        if leader_id is None or not IQuorum.providedBy(self._consensus):
            return None
        members = self._consensus.configuration.member_keys
        return next((key for key in members if key.node_id == leader_id), None)

    def _answered(self, result: Any, answer: Deferred[EnvelopeResponse]) -> Any:
        if self._asked.pop(answer, None) is None:
            raise NoAnswer("another node leads by now")
        return result

    def _leader_changed(self, leader_id: int | None, _: int) -> None:
        """Wait no longer for somebody who leads no more, who may be stopped with its connections open."""
        if leader_id is None:
            return
        for answer, node_id in list(self._asked.items()):
            if node_id != leader_id:
                del self._asked[answer]
                answer.cancel()
        for pausing in list(self._pausing):
            self.go_on(pausing)
