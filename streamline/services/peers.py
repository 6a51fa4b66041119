"""
The other nodes: who they are, and a connection to each of them.

A message goes over the connection that this node opened, or over one that the other node opened where there is none.
Whether somebody may talk to this node is decided in L{streamline.cluster.greeting}; here is who is connected.

# Note [A crash is not a silence]

When a connection ends and connecting again is I{refused}, the kernel of that machine says that nobody listens there:
the process is gone.  That is told at once, and fail-over need not wait for anything to time out.  It is a hint: it is
wrong for a moment where a process is just about to listen, and whoever acts on it must be safe then, too.  A connection
that is lost otherwise, or does not answer, says nothing about the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.logger import Logger
from zope.interface import implementer

from streamline.cluster.greeting import Identity, Refusal, is_member, judge
from streamline.errors import ProtocolError
from streamline.interfaces import Host, IInbox, IMessenger
from streamline.model import Endpoint
from streamline.raft import Message, Replica, ReplicaKey
from streamline.raft.translation import replica_key
from streamline.services.deadlines import Deadlines
from streamline.services.peer_call import NoAnswer
from streamline.services.peer_link import Link, greeting
from streamline.services.refusals import Refusals
from streamline.wire import schema
from streamline.wire.messages.peer_raft import GreetingRequest, GreetingResponse

log = Logger()

R = TypeVar("R", bound=schema.Message)


class Caller(Protocol):
    """A connection that another node opened."""

    def say(self, message: Message) -> bool:
        """Send a message back; return whether it was taken."""


class PeerListener(Protocol):
    """Who wants to hear of other nodes."""

    def peer_up(self, key: ReplicaKey) -> None:
        """A connection to this node can be used."""

    def peer_down(self, key: ReplicaKey) -> None:
        """It no longer can; that says nothing about the process."""

    def peer_gone(self, key: ReplicaKey) -> None:
        """Nobody listens where this node was: its process is gone."""


def parse_address(text: str) -> Endpoint:
    """Return the address that C{str} of an L{Endpoint} gave."""
    host, _, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port))


@implementer(IMessenger)
class Peers(Service):
    """
    All other nodes.

    @ivar identity: who this node is; set before it starts, where that was not known when this was made.
    @ivar refusals: whom it does not talk to.
    @ivar deadlines: of what other nodes are asked.
    """

    name = "peers"
    identity: Identity

    def __init__(self, host: Host, identity: Identity | None = None) -> None:
        if identity is not None:
            self.identity = identity
        self.refusals = Refusals(host.clock)
        self._host = host
        self._inbox: IInbox | None = None
        self._listeners: list[PeerListener] = []
        self._links: dict[ReplicaKey, Link] = {}
        self._stopping: list[Deferred[None]] = []
        self._callers: dict[ReplicaKey, list[Caller]] = {}
        self._gone: dict[ReplicaKey, None] = {}
        self.deadlines = Deadlines(host.clock)

    # A service's side

    def startService(self) -> None:
        """Connect to those who are known."""
        Service.startService(self)
        for link in self._links.values():
            link.start()

    def stopService(self) -> Deferred[None]:
        """Close every connection; fires when they are closed."""
        Service.stopService(self)
        for key in list(self._links):
            self._forget(key)
        waiting, self._stopping = self._stopping, []
        return DeferredList(waiting).addCallback(lambda _: self.deadlines.stop())

    def became(self, cluster_id: str) -> None:
        """Hear which cluster this node is of."""
        if cluster_id != self.identity.cluster_id:
            self.identity = evolve(self.identity, cluster_id=cluster_id)
            for link in self._links.values():
                link.greet()

    def listen(self, listener: PeerListener) -> None:
        """Tell this one of connections, too."""
        self._listeners.append(listener)

    # The messenger's side

    def attach(self, inbox: IInbox) -> None:
        """Bring messages here from now on."""
        self._inbox = inbox

    def detach(self) -> None:
        """Bring nothing any more."""
        self._inbox = None

    def know(self, replicas: Sequence[Replica]) -> None:
        """Keep a connection to each of these and to nobody else."""
        wanted = {one.key: parse_address(one.address) for one in replicas if one.address}
        for key, link in list(self._links.items()):
            if wanted.get(key) != link.address:
                self._forget(key)
        for key, address in wanted.items():
            if key not in self._links:
                link = self._links[key] = Link(self, self._host, key, address)
                if self.running:
                    link.start()

    def _forget(self, key: ReplicaKey) -> None:
        self._gone.pop(key, None)
        self._stopping = [stopping for stopping in self._stopping if not stopping.called]
        self._stopping.append(self._links.pop(key).stop())

    def send(self, message: Message) -> None:
        """Send to whom the message is for, or drop it."""
        link = self._links.get(message.to)
        call = link.call if link is not None else None
        way: Caller | None = call if call is not None else self._calling(message.to)
        if way is not None and not way.say(message):
            self._host.clock.callLater(0, self._lost, message.to)

    # For whoever asks and waits

    def ask(self, key: ReplicaKey, request: schema.Message, response: type[R], timeout_s: float) -> Deferred[R]:
        """
        Ask another node something.

        @raise NoAnswer: through the Deferred; at once where there is no connection.
        """
        link = self._links.get(key)
        call = link.call if link is not None else None
        if call is None:
            return fail(NoAnswer(f"there is no connection to node {key.node_id}"))
        return call.ask(request, response, timeout_s)

    def ping(self, key: ReplicaKey, timeout_s: float) -> Deferred[GreetingResponse]:
        """Ask another node whether it is there; as L{ask}."""
        return self.ask(key, greeting(self.identity, key), GreetingResponse, timeout_s)

    @property
    def connected(self) -> tuple[ReplicaKey, ...]:
        """The nodes to which there is a connection, in the order in which they became known."""
        return tuple(key for key, link in self._links.items() if link.is_up)

    @property
    def gone(self) -> tuple[ReplicaKey, ...]:
        """The nodes whose processes are gone, as far as is known."""
        return tuple(self._gone)

    # What callers say

    def judge(self, said: GreetingRequest) -> Refusal | None:
        """Say why a caller is refused, or None."""
        return judge(self.identity, said, self._living(said.sender.node_id))

    def _living(self, node_id: int) -> bytes | None:
        links = (key for key, link in self._links.items() if link.is_up)
        return next((key.directory_id for key in (*links, *self._callers) if key.node_id == node_id), None)

    def _calling(self, key: ReplicaKey) -> Caller | None:
        """Return the latest connection that a node opened and that is still there."""
        callers = self._callers.get(key)
        return callers[-1] if callers else None

    def greeted(self, caller: Caller, said: GreetingRequest) -> None:
        """Hear that a caller is welcome."""
        key = replica_key(said.sender)
        self._gone.pop(key, None)
        callers = self._callers.setdefault(key, [])
        if caller not in callers:
            callers.append(caller)

    def left(self, caller: Caller, key: ReplicaKey) -> None:
        """Hear that a caller's connection has ended."""
        callers = self._callers[key]
        callers.remove(caller)
        if not callers:
            del self._callers[key]
            if not self._is_up(key):
                self._lost(key)

    def takes_part(self, key: ReplicaKey, cluster_id: str) -> bool:
        """Say whether what a caller says of the agreed log counts."""
        return is_member(self.identity.cluster_id, cluster_id, key in self._links)

    def received(self, key: ReplicaKey, message: Message) -> None:
        """
        Take a message from whoever is connected as C{key}.

        @raise streamline.errors.ProtocolError: no replica sends it, or it is somebody else's.
        """
        if message.sender != key or message.to != (self.identity.node_id, self.identity.directory_id):
            raise ProtocolError(f"node {key.node_id} brought a message from {message.sender} to {message.to}")
        if self._inbox is not None:
            self._inbox.received(message)

    # What links say

    def link_up(self, link: Link) -> None:
        """Tell that somebody is there; what was sent before this is lost."""
        self._gone.pop(link.key, None)
        log.info("connected to node {node_id} at {address}", node_id=link.key.node_id, address=str(link.address))
        self._lost(link.key)
        self._tell(lambda listener: listener.peer_up(link.key))

    def link_down(self, link: Link) -> None:
        """Tell that what was on its way is lost."""
        log.info(
            "the connection to node {node_id} at {address} has ended",
            node_id=link.key.node_id, address=str(link.address),
        )
        self._lost(link.key)
        self._tell(lambda listener: listener.peer_down(link.key))

    def link_refused(self, link: Link) -> None:
        """Tell once that a process is gone.  See Note [A crash is not a silence]."""
        if link.key in self._gone:
            return
        self._gone[link.key] = None
        if self._inbox is not None:
            self._inbox.peer_gone(link.key)
        self._tell(lambda listener: listener.peer_gone(link.key))

    def link_unwelcome(self, link: Link, refusal: Refusal) -> None:
        """Count it."""
        self.refusals.note(refusal.reason, f"node {link.key.node_id} at {link.address}", refusal.message)

    def _is_up(self, key: ReplicaKey) -> bool:
        link = self._links.get(key)
        return link is not None and link.is_up

    def _lost(self, key: ReplicaKey) -> None:
        if self._inbox is not None:
            self._inbox.connection_lost(key)

    def _tell(self, say: Callable[[PeerListener], None]) -> None:
        for listener in self._listeners:
            say(listener)
