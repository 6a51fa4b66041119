"""
Puts a node together: which rooms there are, and in which order they open.

L{build} is the only place that knows every part.  It is given the world as a
L{Host}, so the simulator builds the same node as production does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from streamline.api.brokers import ANSWERS, ControllerServices
from streamline.api.call import BrokerServices, no_controllers
from streamline.api.envelope import envelope
from streamline.api.replica_fetch import ReplicaFetches
from streamline.cluster.membership import Registration
from streamline.config import NodeConfig
from streamline.interfaces import Host, IAcksPolicy, IConsensus, IPlacement, IQuorum, IReplicator, IStorage
from streamline.net.cluster import ClusterRoom
from streamline.net.kafka import KafkaFactory
from streamline.net.limits import Limits
from streamline.net.listener import KafkaListener, Serving
from streamline.net.peer import Guest, PeerApi
from streamline.net.watchman import Watchman
from streamline.node import HttpRoom, Node, Step
from streamline.plugins import Installed, discover, make
from streamline.replication.sessions import FetchSessions
from streamline.services.altering import Altering
from streamline.services.balancing import Balancing
from streamline.services.controller import Controller
from streamline.services.controller_line import ControllerLine
from streamline.services.controllership import Controllership
from streamline.services.coordinators import GroupCoordinator
from streamline.services.data_directory import DataDirectory
from streamline.services.deadlines import Deadlines
from streamline.services.forwarding import Forwarding
from streamline.services.housekeeping import Housekeeping
from streamline.services.membership import Membership
from streamline.services.metadata import Metadata
from streamline.services.neighbours import Neighbours
from streamline.services.peers import Peers
from streamline.services.producer_ids import ProducerIds
from streamline.services.registering import Registrar
from streamline.services.replicas import Replicas
from streamline.services.turns import Turns
from streamline.wire.messages.fetch import FetchRequest, FetchResponse
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse

INCARNATION_BYTES = 16

__all__ = ["Node", "build"]


def build(
    config: NodeConfig, host: Host, directory: DataDirectory | None = None, installed: Installed | None = None
) -> Node:
    """
    Put a node together; nothing is touched before it starts.

    @param directory: the data directory, where it has been opened already.
    @param installed: the plugins, where they have been looked for already.
    @raise streamline.errors.StartRefused: a plugin cannot be made.
    """
    directory = directory or DataDirectory(host, config)
    installed = installed or discover()
    storage: IStorage = make(IStorage, config.storage, host, config, installed)
    consensus: IConsensus = make(IConsensus, config.consensus, host, config, installed)
    replicator: IReplicator = make(IReplicator, config.replicator, host, config, installed)
    incarnation_id = host.rng.randbytes(INCARNATION_BYTES)
    room: ClusterRoom | None = None
    if IQuorum.providedBy(consensus) and config.cluster_listen is not None:
        room = ClusterRoom(host, config, directory, consensus, incarnation_id, lambda: node.advertised)
    peers = Peers(host) if room is None else room.peers
    metadata = Metadata(consensus)
    part = _part_in_the_cluster(config, host, metadata, storage, peers, lambda: node.introduce())
    broker = _services(config, host, installed, storage, metadata, replicator, incarnation_id, part, room)
    replicator.join(Neighbours(config.node_id, incarnation_id, metadata, peers, part.altering))
    factory = KafkaFactory(broker, Limits.of(config.broker, host.network.sockets_max))
    listener = KafkaListener(host.network, config.listen, factory, broker.deadlines)
    node = Node(host, config, directory, broker, factory, listener, room, part.registrar, incarnation_id)
    if room is not None:
        room.factory.answer(*_peer_apis(part, broker))
    for step in _steps(node, host, storage, replicator, listener, part):
        node.addService(step)  # type: ignore[no-untyped-call]
    return node


def _services(
    config: NodeConfig,
    host: Host,
    installed: Installed,
    storage: IStorage,
    metadata: Metadata,
    replicator: IReplicator,
    incarnation_id: bytes,
    part: _Part,
    room: ClusterRoom | None,
) -> BrokerServices:
    """Make what handlers talk to."""
    acks: IAcksPolicy = make(IAcksPolicy, config.acks, host, config, installed)
    placement: IPlacement = make(IPlacement, config.placement, host, config, installed)
    deadlines = Deadlines(host.clock)
    forwarding = Forwarding(host.clock, metadata.consensus, config.node_id, None if room is None else room.peers)
    controller = Controller(host, config, metadata, placement, part.controllership, forwarding)
    replicas = Replicas(host, config, metadata, storage, replicator, acks, incarnation_id)
    return BrokerServices(
        host=host,
        config=config,
        metadata=metadata,
        controller=controller,
        controllership=part.controllership,
        forwarding=forwarding,
        producer_ids=ProducerIds(config.node_id, part.controllership, part.line, part.registrar),
        replicas=replicas,
        groups=GroupCoordinator(host, config, metadata, controller, replicas, deadlines),
        deadlines=deadlines,
        turns=Turns(host.clock),
        sessions=FetchSessions(config.broker.max_incremental_fetch_session_cache_slots),
        controllers=no_controllers if room is None else room.controllers,
    )


@frozen
class _Part:
    """What makes a node a part of its cluster: as a broker, and as its controller where it is that."""

    controllership: Controllership
    membership: Membership
    balancing: Balancing
    line: ControllerLine
    registrar: Registrar
    altering: Altering


def _part_in_the_cluster(
    config: NodeConfig,
    host: Host,
    metadata: Metadata,
    storage: IStorage,
    peers: Peers,
    introduce: Callable[[], Registration],
) -> _Part:
    controllership = Controllership(host, config.node_id, metadata)
    membership = Membership(host, config, metadata, controllership, peers)
    balancing = Balancing(host, config, controllership)
    line = ControllerLine(config.node_id, metadata.consensus, peers)
    registrar = Registrar(host, config, metadata, controllership, membership, line, storage, introduce)
    altering = Altering(host, config.node_id, controllership, line, registrar)
    return _Part(controllership, membership, balancing, line, registrar, altering)


def _peer_apis(part: _Part, broker: BrokerServices) -> Iterable[PeerApi]:
    """Yield what other nodes ask: of the controller, and of leaders."""
    services = ControllerServices(part.controllership, part.membership)
    for request, response, answer in ANSWERS:
        yield PeerApi(request=request, response=response, answer=partial(_for_sender, partial(answer, services)))
    yield PeerApi(
        request=EnvelopeRequest, response=EnvelopeResponse, answer=partial(_for_sender, partial(envelope, broker))
    )
    fetches = ReplicaFetches(broker)
    yield PeerApi(request=FetchRequest, response=FetchResponse, answer=partial(_for_sender, fetches.answer))


def _for_sender(answer: Callable[..., Any], guest: Guest, request: Any) -> Any:
    return answer(guest.key, request)


def _steps(
    node: Node, host: Host, storage: IStorage, replicator: IReplicator, listener: KafkaListener, part: _Part
) -> Iterable[Service]:
    """Yield the rooms in the order in which they open; they close in the opposite one."""
    config, broker, factory = node.config, node.broker, node.factory
    yield node.directory
    yield Step(lambda: None, broker.deadlines.stop)
    yield listener
    yield Step(storage.start, storage.stop)
    if node.room is not None:
        yield node.room
    yield Step(lambda: Deferred.fromCoroutine(node.form()), broker.metadata.consensus.stop)
    yield node.foundation
    yield Step(lambda: Deferred.fromCoroutine(node.join()), lambda: None)
    yield part.controllership
    yield part.membership
    yield part.balancing
    yield part.registrar
    yield Step(part.registrar.when_registered, part.altering.stop)
    yield Step(replicator.start, replicator.stop)
    yield broker.replicas
    yield broker.groups
    yield Housekeeping(host, config, broker.replicas)
    yield Watchman(factory, host.clock)
    yield node.pulse
    yield Step(lambda: Deferred.fromCoroutine(node.ready()), lambda: None)
    yield Serving(listener, factory, broker.deadlines)
    yield Step(lambda: None, part.registrar.leave)
    if config.http_listen is not None:
        yield HttpRoom(node, host, config.http_listen)
