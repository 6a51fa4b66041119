"""What is the controller's gets there, for as long as somebody has the patience, or it is said why not."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.services.forwarding import CAUGHT_UP_S, PATIENCE_S, RETRY_S, Errand
from streamline.services.peer_call import NoAnswer
from streamline.testing.worlds import RealWorld
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse
from tests.services.quorum_case import Courier, Watched, forwarding_of

ENVELOPE = EnvelopeRequest(request_data=b"question")
DONE = EnvelopeResponse(response_data=b"answer")
MOVED = EnvelopeResponse(error_code=ErrorCode.NOT_CONTROLLER)


class ForwardingCase(SynchronousTestCase):
    """Node 1 of three; node 2 leads."""

    def setUp(self) -> None:
        """Look at the quorum."""
        self.clock = RealWorld().clock
        self.quorum = Watched(2)
        self.courier = Courier()
        self.forwarding = forwarding_of(self.clock, self.quorum, 1, self.courier)
        self.here: list[Any] = []

    def take(self, timeout_s: float = 60.0) -> Errand:
        """Take the request to the controller."""
        return self.forwarding.take(ENVELOPE, self.carry_out, timeout_s)

    def carry_out(self) -> Any:
        """Do what the test says, where this node leads."""
        outcome = self.here.pop(0)
        return fail(outcome) if isinstance(outcome, Exception) else outcome

    def refusal(self, errand: Errand) -> ErrorCode:
        """Return what it was refused with."""
        refused = self.failureResultOf(errand.answer, Refused).value
        assert isinstance(refused, Refused)
        self.assertEqual(self.clock.getDelayedCalls(), [], "no timer is left")
        return refused.code


class FarTests(ForwardingCase):
    """Somebody else is the controller."""

    def test_answered(self) -> None:
        asked: list[EnvelopeRequest] = []

        def door(envelope: EnvelopeRequest) -> EnvelopeResponse:
            asked.append(envelope)
            return DONE

        self.courier.doors[2] = door
        self.assertEqual(self.successResultOf(self.take().answer), b"answer")
        self.assertEqual(asked, [ENVELOPE])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_the_controller_any_more(self) -> None:
        """It goes to the next one as soon as that is known."""
        self.courier.doors = {2: lambda _: MOVED, 3: lambda _: DONE}
        errand = self.take()
        self.assertNoResult(errand.answer)
        self.quorum.lead(3)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")
        self.assertEqual(self.courier.sent, [2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_controller_for_a_moment(self) -> None:
        self.courier.doors = {3: lambda _: DONE}
        self.quorum.lead(None)
        errand = self.take()
        self.clock.advance(RETRY_S)
        self.assertNoResult(errand.answer)
        self.quorum.lead(3)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")

    def test_no_connection_for_a_moment(self) -> None:
        """Nobody says when there is one, so it is tried now and then."""
        errand = self.take()
        self.courier.doors = {2: lambda _: DONE}
        self.assertNoResult(errand.answer)
        self.clock.advance(RETRY_S)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")

    def test_this_node_by_now(self) -> None:
        errand = self.take()
        self.here = [succeed("done here")]
        self.quorum.lead(1)
        self.assertEqual(self.successResultOf(errand.answer), "done here")

    def test_patience_ends(self) -> None:
        """Nothing was carried out, so the client may try again as if it had not asked."""
        for timeout_s, until_s in ((1.0, 1.0), (60.0, PATIENCE_S), (-1.0, 0.0)):
            errand = self.take(timeout_s)
            for _ in range(round(until_s / RETRY_S)):
                self.assertNoResult(errand.answer)
                self.clock.advance(RETRY_S)
            self.clock.advance(RETRY_S)
            self.assertEqual(self.refusal(errand), ErrorCode.NOT_CONTROLLER)

    def test_the_connection_ends(self) -> None:
        """See Note [Asked twice]."""
        self.courier.doors = {2: lambda _: waiting}
        waiting: Deferred[EnvelopeResponse] = Deferred()
        errand = self.take()
        waiting.errback(NoAnswer("the connection ended"))
        self.courier.doors = {2: lambda _: DONE}
        self.clock.advance(RETRY_S)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")

    def test_never_known(self) -> None:
        """One attempt may have been carried out, so nobody may say that nothing was."""
        waiting: Deferred[EnvelopeResponse] = Deferred()
        self.courier.doors = {2: lambda _: waiting}
        errand = self.take(1.0)
        waiting.errback(NoAnswer("the connection ended"))
        self.courier.doors = {2: lambda _: MOVED}
        self.clock.pump([RETRY_S] * 25)
        self.assertEqual(self.refusal(errand), ErrorCode.REQUEST_TIMED_OUT)

    def test_a_controller_that_stands_still(self) -> None:
        """Its connection is open and it says nothing; who comes after it is asked at once."""
        self.courier.doors = {2: lambda _: Deferred(), 3: lambda _: DONE}
        errand = self.take()
        self.quorum.lead(None)
        self.assertNoResult(errand.answer)
        self.quorum.lead(3)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")

    def test_the_same_leader_again(self) -> None:
        """A leader that was not heard of for a moment may be about to answer."""
        waiting: Deferred[EnvelopeResponse] = Deferred()
        self.courier.doors = {2: lambda _: waiting}
        errand = self.take()
        self.quorum.lead(None)
        self.quorum.lead(2)
        waiting.callback(DONE)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")
        self.assertEqual(self.courier.sent, [2])

    def test_what_envelopes_are_refused_with(self) -> None:
        codes = {
            ErrorCode.UNSUPPORTED_VERSION: ErrorCode.UNSUPPORTED_VERSION,
            ErrorCode.CLUSTER_AUTHORIZATION_FAILED: ErrorCode.UNKNOWN_SERVER_ERROR,
        }
        for said, told in codes.items():
            self.courier.doors = {2: lambda _, said=said: EnvelopeResponse(error_code=said)}  # type: ignore[misc]
            self.assertEqual(self.refusal(self.take()), told)

    def test_the_node_stops(self) -> None:
        errand = self.take()
        errand.hurry()
        self.assertEqual(self.refusal(errand), ErrorCode.NOT_CONTROLLER)
        errand.hurry()

    def test_the_client_goes(self) -> None:
        """Nothing is left of what it asked, and an answer that comes nevertheless harms nobody."""
        pausing = self.take()
        pausing.answer.addErrback(lambda _: None).cancel()
        waiting: Deferred[EnvelopeResponse] = Deferred()
        self.courier.doors = {2: lambda _: waiting}
        self.take().answer.addErrback(lambda _: None).cancel()
        waiting.callback(DONE)
        self.quorum.lead(3)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NearTests(ForwardingCase):
    """This node is the controller."""

    def setUp(self) -> None:
        """Lead."""
        super().setUp()
        self.quorum.lead(1)

    def test_carried_out(self) -> None:
        for outcome in ("at once", succeed("at once")):
            self.here = [outcome]
            self.assertEqual(self.successResultOf(self.take().answer), "at once")

    def test_refused(self) -> None:
        self.here = [Refused(ErrorCode.INVALID_REQUEST)]
        self.assertEqual(self.refusal(self.take()), ErrorCode.INVALID_REQUEST)

    def test_not_yet(self) -> None:
        """It leads and has not taken over yet."""
        self.here = [Refused(ErrorCode.NOT_CONTROLLER), "done"]
        errand = self.take()
        self.assertNoResult(errand.answer)
        self.clock.advance(RETRY_S)
        self.assertEqual(self.successResultOf(errand.answer), "done")

    def test_no_more(self) -> None:
        self.courier.doors = {2: lambda _: DONE}
        self.here = [Refused(ErrorCode.NOT_CONTROLLER)]
        errand = self.take()
        self.quorum.lead(2)
        self.assertEqual(self.successResultOf(errand.answer), b"answer")


class CaughtUpTests(ForwardingCase):
    """A node waits until it has seen what it was told, if it does not take long."""

    def test_at_once(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.forwarding.caught_up()))

    def test_in_a_moment(self) -> None:
        self.quorum.barriers = []
        waiting = Deferred.fromCoroutine(self.forwarding.caught_up())
        self.assertNoResult(waiting)
        self.quorum.barriers[0].callback(None)
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_soon(self) -> None:
        self.quorum.barriers = []
        waiting = Deferred.fromCoroutine(self.forwarding.caught_up())
        self.clock.advance(CAUGHT_UP_S)
        self.successResultOf(waiting)

    def test_nobody_knows(self) -> None:
        self.quorum.barriers = []
        waiting = Deferred.fromCoroutine(self.forwarding.caught_up())
        self.quorum.barriers[0].errback(Refused(ErrorCode.REQUEST_TIMED_OUT))
        self.successResultOf(waiting)
