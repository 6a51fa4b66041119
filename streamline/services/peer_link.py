"""
One connection to one other node, kept for as long as that node takes part.

L{Redial} connects and connects again; here is how long it waits in between, what two nodes say when they have
connected, and how it is found out that nobody is there any more.  A connection that was refused means that the process
is gone; one that is silent means nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from streamline.cluster.greeting import Identity, Reason, Refusal, judge_answer
from streamline.errors import ErrorCode
from streamline.interfaces import Host
from streamline.model import Endpoint
from streamline.raft import Message, ReplicaKey
from streamline.raft.translation import key_said
from streamline.services.beats import until_beat
from streamline.services.deadlines import Deadlines
from streamline.services.peer_call import NoAnswer, PeerCall
from streamline.services.redial import Redial
from streamline.values import define
from streamline.wire.messages.peer_raft import GreetingRequest, GreetingResponse

CONNECT_S: Final = 1.0
"""How long connecting may take, and then the greeting."""
PING_S: Final = 1.0
"""After how long a connection over which nothing came is asked whether anybody is there."""
PATIENCE_S: Final = 3.0
"""How long that may go unanswered: a shorter stall is no reason to begin again."""
FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 0.5
"""How long is waited before another attempt: soon at first, as a process that restarts is soon back."""


def wait_s(failures: int, chance: float) -> float:
    """
    Return how long to wait before connecting again.

    @param failures: attempts that failed since the last greeting that succeeded; after none, it is tried at once.
    @param chance: in [0, 1); peers that lost the same node do not all come back in one moment.
    """
    if not failures:
        return 0.0
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + chance / 2)


def client_id(identity: Identity) -> str:
    """Return what this node calls itself in the headers of its requests."""
    return f"streamline-node-{identity.node_id}"


def greeting(identity: Identity, receiver: ReplicaKey) -> GreetingRequest:
    """Return what this node says first."""
    return GreetingRequest(
        cluster_id=identity.cluster_id,
        sender=identity.key,
        incarnation_id=identity.incarnation_id,
        receiver=key_said(receiver),
    )


class _Calls(Factory):
    """Makes connections, and says nothing of each."""

    noisy = False

    def __init__(self, make: Callable[[], PeerCall]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> PeerCall:
        """Make one."""
        return self._make()


class Owner(Protocol):
    """Whose link it is."""

    @property
    def identity(self) -> Identity:
        """Who this node is."""

    @property
    def deadlines(self) -> Deadlines:
        """Those of what all links ask."""

    def received(self, key: ReplicaKey, message: Message) -> None:
        """Take a message of the quorum that came over a greeted connection."""

    def link_up(self, link: Link) -> None:
        """Hear that a link can be used."""

    def link_down(self, link: Link) -> None:
        """Hear that it no longer can."""

    def link_refused(self, link: Link) -> None:
        """Hear that nobody listens where the link leads."""

    def link_unwelcome(self, link: Link, refusal: Refusal) -> None:
        """Hear that one of the two ends does not want to talk to the other."""


@define
class _Ping:
    """What waits for the next question."""

    next: IDelayedCall | None = None

    def cancel(self) -> None:
        if self.next is not None:
            self.next.cancel()
            self.next = None


class Link:
    """
    The connection to one peer.

    @ivar key: whom it is to; anybody else who answers there is refused.
    @ivar is_up: whether it can be used.
    """

    def __init__(self, owner: Owner, host: Host, key: ReplicaKey, address: Endpoint) -> None:
        self.key = key
        self.address = address
        self.is_up = False
        self._owner = owner
        self._host = host
        self._call: PeerCall | None = None
        self._failures = 0
        self._ping = _Ping()
        self._redial = Redial(
            host.clock, self._connect, PeerCall.drop, lambda: wait_s(self._failures, host.rng.random()),
            host.whim("dialled-at-once"),
        )  # fmt: skip

    @property
    def call(self) -> PeerCall | None:
        """The connection, while it can be used."""
        return self._call if self.is_up else None

    def start(self) -> None:
        """Connect, and keep connected."""
        self._redial.start()

    def stop(self) -> Deferred[None]:
        """Connect no more; fires when there is no connection."""
        self._ping.cancel()
        stopped = self._redial.stop()
        if self._call is not None:
            self._call.drop()
        return stopped

    def greet(self) -> None:
        """Say who this is, be it again; whoever is there answers in time or is dropped."""
        call = self._call
        if call is None or call.is_closed:
            return
        self._ping.cancel()
        said = greeting(self._owner.identity, self.key)
        patience_s = PATIENCE_S if self.is_up else CONNECT_S
        call.ask(said, GreetingResponse, patience_s).addCallbacks(
            self._answered, self._unanswered, callbackArgs=(call,), errbackArgs=(call,)
        )

    # What becomes of attempts

    def _connect(self) -> Deferred[IProtocol]:
        address = self.address
        connecting = self._host.network.connect(address.host, address.port, _Calls(self._made), CONNECT_S)
        return connecting.addErrback(self._not_connected)

    def _made(self) -> PeerCall:
        name = client_id(self._owner.identity)
        return PeerCall(self._owner.deadlines, name, self._connected, self._received, self._ended)

    def _connected(self, call: PeerCall) -> None:
        self._call = call
        self.greet()

    def _not_connected(self, failure: Failure) -> Failure:
        self._failures += 1
        if failure.check(ConnectionRefusedError):
            self._owner.link_refused(self)
        return failure

    def _answered(self, said: GreetingResponse, call: PeerCall) -> None:
        if call is not self._call:
            return
        refusal = judge_answer(self._owner.identity, key_said(self.key), said)
        if refusal is not None:
            call.drop()
            self._owner.link_unwelcome(self, refusal)
            return
        self._ask_later(call)
        if not self.is_up:
            self._failures = 0
            self.is_up = True
            call.trust()
            self._owner.link_up(self)

    def _ask_later(self, call: PeerCall) -> None:
        call.was_heard = False
        clock = self._host.clock
        self._ping.next = clock.callLater(until_beat(clock, PING_S), self._time_to_ask, call)

    def _time_to_ask(self, call: PeerCall) -> None:
        """Whoever has said something meanwhile is there."""
        self._ping.next = None
        if call.was_heard:
            self._ask_later(call)
        else:
            self.greet()

    def _unanswered(self, failure: Failure, call: PeerCall) -> None:
        failure.trap(NoAnswer)
        call.drop()

    def _received(self, message: Message) -> None:
        if self.is_up:
            self._owner.received(self.key, message)

    def _ended(self, call: PeerCall, why: str) -> None:
        if call is not self._call:
            return
        self._call = None
        self._ping.cancel()
        if why:
            self._owner.link_unwelcome(self, Refusal(Reason.MALFORMED, ErrorCode.INVALID_REQUEST, why))
        if self.is_up:
            self.is_up = False
            self._owner.link_down(self)
        else:
            self._failures += 1
        self._redial.lost()

    def __repr__(self) -> str:
        return f"<Link to {self.key} at {self.address}: {'up' if self.is_up else 'down'}>"
