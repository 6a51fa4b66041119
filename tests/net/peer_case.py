"""Nodes as others see them on their cluster listeners."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from streamline.cluster.greeting import Identity, Reason
from streamline.errors import ProtocolError
from streamline.interfaces import Host, IInbox
from streamline.net.peer import PeerFactory
from streamline.net.peer_apis import Guest, PeerApi
from streamline.raft import Message, ReplicaKey
from streamline.raft.messages import TimeoutNow
from streamline.services.peers import Peers
from streamline.wire.messages.peer import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from streamline.wire.messages.peer_raft import JoinRequest, JoinResponse


def key_of(node_id: int, disk: int = 0) -> ReplicaKey:
    """Return a node on one of its disks."""
    return ReplicaKey(node_id, bytes([node_id, disk]) + bytes(14))


def identity(node_id: int, cluster_id: str = "X", disk: int = 0) -> Identity:
    """Return who a process is."""
    key = key_of(node_id, disk)
    return Identity(
        node_id=node_id, directory_id=key.directory_id, incarnation_id=bytes([node_id] * 16), cluster_id=cluster_id
    )


@implementer(IInbox)
class Inbox:
    """Keeps what it is brought."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lost: list[int] = []
        self.gone: list[int] = []
        self.refuses = False

    def received(self, message: Message) -> None:
        """Keep it."""
        if self.refuses:
            raise ProtocolError("no replica says that")
        self.messages.append(message)

    def connection_lost(self, key: ReplicaKey) -> None:
        """Keep it."""
        self.lost.append(key.node_id)

    def peer_gone(self, key: ReplicaKey) -> None:
        """Keep it."""
        self.gone.append(key.node_id)


def heartbeat(guest: Guest, request: BrokerHeartbeatRequest) -> Deferred[BrokerHeartbeatResponse]:
    """Answer as no controller does: with what was said."""
    return succeed(BrokerHeartbeatResponse(error_code=request.broker_id))


def join(guest: Guest, request: JoinRequest) -> JoinResponse:
    """Answer a guest."""
    return JoinResponse(cluster_id=guest.cluster_id)


class Node:
    """A node as others see it on its cluster listener."""

    def __init__(self, host: Host, who: Identity) -> None:
        self.inbox = Inbox()
        self.peers = Peers(host, who)
        self.peers.attach(self.inbox)
        self.factory = PeerFactory(host, self.peers)
        self.factory.answer(
            PeerApi(request=BrokerHeartbeatRequest, response=BrokerHeartbeatResponse, answer=heartbeat),
            PeerApi(request=JoinRequest, response=JoinResponse, answer=join, for_guests=True),
        )
        self.peers.startService()

    def refused(self, reason: Reason) -> int:
        """How many were refused for it."""
        return self.peers.refusals.counts[reason]


def word(sender: ReplicaKey, to: ReplicaKey) -> TimeoutNow:
    """Return a message of the quorum."""
    return TimeoutNow(term=1, sender=sender, to=to)


