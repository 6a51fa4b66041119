"""
A node as a whole: its rooms on their staircase, and what it says of itself.

What the rooms are, and in which order they open, is for L{streamline.assembly} to say.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline import __version__
from streamline.api.call import BrokerServices
from streamline.cluster.image import MetadataImage
from streamline.cluster.membership import Registration
from streamline.config import NodeConfig
from streamline.interfaces import Host, IQuorum
from streamline.model import Endpoint
from streamline.net.cluster import ClusterRoom
from streamline.net.kafka import KafkaFactory
from streamline.net.listener import KafkaListener
from streamline.services.data_directory import DataDirectory
from streamline.services.foundation import Foundation
from streamline.services.pulse import Pulse
from streamline.services.recovering import Recovering
from streamline.services.registering import Registrar
from streamline.services.staircase import Staircase

if TYPE_CHECKING:
    from streamline.http.site import HttpListener

log = Logger()

HTTP_AFTER_S = 0.1
"""How long after the clients the HTTP room opens."""


class Step(Service):
    """Something that is not a service itself, as a step of the stairs."""

    def __init__(self, start: Callable[[], Any], stop: Callable[[], Any]) -> None:
        self._start = start
        self._stop = stop

    def startService(self) -> Deferred[Any]:
        """Start it."""
        Service.startService(self)
        return maybeDeferred(self._start)

    def stopService(self) -> Deferred[Any]:
        """Stop it."""
        Service.stopService(self)
        return maybeDeferred(self._stop)


class Node(Staircase):
    """
    One node, from its data directory to its listener.

    @ivar room: where it meets other nodes; None where it takes none.
    @ivar registrar: keeps it registered.
    @ivar pulse: how long its reactor is held up.
    @ivar incarnation_id: drawn by this process.
    @ivar recovering: helps partitions that nobody can lead, where this node is the controller; set before it starts.
    @ivar failed: fires with a sentence when the node cannot go on, and its process should end with an error.
    """

    recovering: Recovering

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        directory: DataDirectory,
        broker: BrokerServices,
        factory: KafkaFactory,
        listener: KafkaListener,
        room: ClusterRoom | None,
        registrar: Registrar,
        incarnation_id: bytes,
    ) -> None:
        super().__init__()
        self.config = config
        self.directory = directory
        self.broker = broker
        self.factory = factory
        self.room = room
        self.pulse = Pulse(host.clock)
        self.failed: Deferred[str] = broker.metadata.consensus.when_failed()
        self.foundation = Foundation(host, config, broker.metadata, directory)
        self.registrar = registrar
        self.incarnation_id = incarnation_id
        self._listener = listener

    @property
    def address(self) -> Endpoint:
        """Where clients connect."""
        return self._listener.address

    @property
    def advertised(self) -> Endpoint:
        """Where clients are told to connect."""
        return self.config.advertised_addr or self.address

    def introduce(self) -> Registration:
        """Say who this process is; it listens by now."""
        meta = self.directory.meta
        assert meta is not None, "the data directory is open by now"
        return Registration(
            node_id=self.config.node_id,
            cluster_id=self.broker.metadata.image.cluster_id,
            incarnation_id=self.incarnation_id,
            directory_id=meta.directory_uuid,
            endpoint=self.advertised,
            peer_endpoint=None if self.room is None else self.room.own_address,
            rack=self.config.rack,
        )

    def stopService(self) -> Deferred[None]:
        """Stop; what still waits for other nodes waits no more."""
        if self.room is not None:
            self.room.stop_forming()
        self.foundation.give_up()
        if not self.factory.is_serving and self.registrar.running:
            self.registrar.stopService()
        return super().stopService()

    async def form(self) -> None:
        """
        Get into a cluster, alone or with others, and take part in what it agrees on.

        @raise StartRefused: that cannot be.
        """
        metadata = self.broker.metadata
        if self.room is not None:
            metadata.listen(self._became)
            await self.room.form(metadata)
            return
        consensus = metadata.consensus
        if IQuorum.providedBy(consensus):
            # Replicas are told apart by their directories (RF15).
            assert self.directory.meta is not None, "the data directory is open by now"
            consensus.identify(self.directory.meta.directory_uuid)
        await consensus.start(metadata)

    def _became(self, old: MetadataImage, new: MetadataImage) -> None:
        if new.cluster_id and self.room is not None:
            self.room.peers.became(new.cluster_id)

    async def join(self) -> None:
        """
        Write down which cluster this is, once that is known.

        @raise StartRefused: it is not the one that this node was of, or the metadata has been lost.
        """
        cluster_id = await self.foundation.when_founded()
        if cluster_id:  # else the node stops
            self.directory.join(cluster_id)

    async def ready(self) -> None:
        """
        Take part, now that everything is open.

        @raise StartRefused: the cluster does not take this node.
        """
        await self.registrar.ready()
        if self.registrar.is_unfenced:
            log.info(
                "node {node_id} of cluster {cluster_id} is ready for clients at {address}",
                node_id=self.config.node_id,
                cluster_id=self.broker.metadata.image.cluster_id,
                address=str(self.advertised),
            )


class HttpRoom(Service):
    """
    Health and metrics, a moment after the clients: their first answer does not wait for it.

    It is imported only then, because that takes as long as the rest of a start.
    """

    def __init__(self, node: Node, host: Host, endpoint: str) -> None:
        self._node = node
        self._host = host
        self._endpoint = endpoint
        self._opening: IDelayedCall | None = None
        self._listener: HttpListener | None = None

    def startService(self) -> None:
        """Open it soon."""
        Service.startService(self)
        self._opening = self._host.clock.callLater(HTTP_AFTER_S, self._import)

    def _import(self) -> None:
        """Import it elsewhere, as that takes longer than the reactor should be held up."""
        self._opening = None
        importing = self._host.disk.elsewhere(import_module, "streamline.http.site")
        importing.addCallback(lambda _: self._open()).addErrback(self._not_opened)

    def _open(self) -> Deferred[None] | None:
        from streamline.http.gauges import take_snapshot
        from streamline.http.site import HttpListener, make_root

        if not self.running:
            return None
        node, broker = self._node, self._node.broker
        peers = None if node.room is None else node.room.peers
        root = make_root(
            self._host,
            lambda: node.factory.is_serving,
            lambda: take_snapshot(
                __version__, node.factory, broker.metadata, broker.replicas, node.pulse, peers,
                node.recovering.recovered,
            ),
        )
        self._listener = listener = HttpListener(self._host, self._endpoint, root)
        return listener.startService()

    def _not_opened(self, failure: Failure) -> None:
        log.error("no health and metrics: {reason}", reason=failure.getErrorMessage())

    def stopService(self) -> Deferred[None] | None:
        """Close it."""
        Service.stopService(self)
        if self._opening is not None:
            self._opening.cancel()
        return None if self._listener is None else self._listener.stopService()
