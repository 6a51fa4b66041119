"""
The room in which a node meets the others: its cluster listener, its connections to them, and how they came together.

It opens before consensus starts, because nodes that found a cluster have to find each other first.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from streamline.cluster.greeting import Identity
from streamline.config import NodeConfig
from streamline.interfaces import Host, IQuorum, IStateMachine
from streamline.model import Controllers, Endpoint
from streamline.net.peer import PeerFactory
from streamline.net.peer_apis import Guest, PeerApi
from streamline.services.binding import address_of, bind
from streamline.services.data_directory import DataDirectory
from streamline.services.forming import Formation
from streamline.services.joining import Joining
from streamline.services.peers import Peers
from streamline.services.rejoining import Rejoining
from streamline.wire.messages.peer_raft import (
    FoundingRequest,
    FoundingResponse,
    JoinRequest,
    JoinResponse,
)

log = Logger()


class ClusterRoom(Service):
    """
    Listens for other nodes, and gets this one into their cluster.

    @ivar address: where it listens, once it is bound.
    @ivar peers: the other nodes; they are told who this node is when this room opens, as the data directory says it.
    @ivar factory: takes what nodes ask of each other.
    @param incarnation_id: of this process.
    @param own_name: returns the Kafka address that this node tells clients.
    """

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        directory: DataDirectory,
        quorum: IQuorum,
        incarnation_id: bytes,
        own_name: Callable[[], Endpoint],
    ) -> None:
        self.address = Endpoint("", 0)
        self.peers = Peers(host)
        self.factory = PeerFactory(host, self.peers)
        self.formation = Formation(
            host, directory, self.peers, quorum,
            seeds=config.seed_nodes,
            own_name=own_name,
            own_address=lambda: self.own_address,
        )  # fmt: skip
        self.joining = Joining(host, self.peers, quorum, lambda: self.formation.me, config.max_voters)
        self.rejoining = Rejoining(host, self.peers, quorum, lambda: self.formation.me)
        self.factory.answer(
            PeerApi(request=FoundingRequest, response=FoundingResponse, answer=self._founding, for_guests=True),
            PeerApi(request=JoinRequest, response=JoinResponse, answer=self._join, for_guests=True),
        )
        self._host = host
        self._config = config
        self._directory = directory
        self._quorum = quorum
        self._incarnation_id = incarnation_id
        self._port: IListeningPort | None = None
        self._is_stopping = False

    @property
    def own_address(self) -> Endpoint:
        """Where other nodes are told that this one is."""
        return self._config.advertised_cluster_addr or self.address

    def controllers(self) -> Controllers | None:
        """Say where the controllers are, as far as is known; None before this room is open."""
        return self.formation.controllers() if self._port is not None else None

    def startService(self) -> Deferred[None]:
        """Listen, and connect to those who are known."""
        Service.startService(self)
        return ensureDeferred(self._open())

    async def _open(self) -> None:
        meta, config, host = self._directory.meta, self._config, self._host
        assert meta is not None, "the data directory is open by now"
        assert config.cluster_listen is not None, "this room is there only where it is to listen"
        identity = Identity(
            node_id=meta.node_id,
            directory_id=meta.directory_uuid,
            incarnation_id=self._incarnation_id,
            cluster_id=meta.cluster_id or "",
        )
        self.peers.identity = identity
        self._quorum.identify(identity.directory_id, self.peers)
        self._port = await bind(host.network, config.cluster_listen, self.factory, "--cluster-listen")
        self.address = address_of(self._port)
        log.info("listening for other nodes on {address}", address=str(self.address))
        self.peers.startService()

    def _founding(self, guest: Guest, request: FoundingRequest) -> FoundingResponse:
        return self.formation.answer(request)

    def _join(self, guest: Guest, request: JoinRequest) -> Deferred[JoinResponse]:
        return ensureDeferred(self.joining.answer(request))

    async def form(self, machine: IStateMachine) -> None:
        """
        Get into a cluster, and have this node's replica take part.

        @raise streamline.errors.StartRefused: it cannot.
        """
        await self.formation.form(machine)
        if not self._is_stopping:
            self.joining.startService()
            self.rejoining.startService()

    def stop_forming(self) -> None:
        """Let nobody in any more, and ask nobody; a L{form} under way ends soon."""
        self._is_stopping = True
        for service in (self.joining, self.rejoining):
            if service.running:
                service.stopService()
        self.formation.stop()

    def stopService(self) -> Deferred[None]:
        """Close the listener and every connection."""
        Service.stopService(self)
        return ensureDeferred(self._close())

    async def _close(self) -> None:
        port, self._port = self._port, None
        if port is None:
            return
        self.formation.stop()
        stopped = port.stopListening()
        if stopped is not None:
            await stopped
        self.factory.close()
        await self.peers.stopService()
