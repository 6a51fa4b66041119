"""
Puts a node together: which rooms there are, and in which order they open.

L{build} is the only place that knows every part.  It is given the world as a
L{Host}, so the simulator builds the same node as production does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from streamline.api import brokers, pushes
from streamline.api.call import BrokerServices, no_controllers
from streamline.api.envelope import envelope
from streamline.api.produce import LEADERS_FROM
from streamline.api.relayed import RelayedProduces
from streamline.api.replica_fetch import ReplicaFetches
from streamline.config import NodeConfig
from streamline.interfaces import (
    Host,
    IAcksPolicy,
    IConsensus,
    IPlacement,
    IQuorum,
    IReplicaSelector,
    IReplicator,
    IStorage,
)
from streamline.net.cluster import ClusterRoom
from streamline.net.kafka import KafkaFactory
from streamline.net.limits import Limits
from streamline.net.listener import KafkaListener, Serving
from streamline.net.peer_apis import Guest, PeerApi
from streamline.net.watchman import Watchman
from streamline.node import HttpRoom, Node, Step
from streamline.plugins import Installed, discover, make
from streamline.replication.sessions import FetchSessions
from streamline.services.altering import Altering
from streamline.services.brain import Brain
from streamline.services.controller import Controller
from streamline.services.coordinators import GroupCoordinator
from streamline.services.data_directory import DataDirectory
from streamline.services.deadlines import Deadlines
from streamline.services.doubts import Doubts
from streamline.services.forwarding import Forwarding
from streamline.services.housekeeping import Housekeeping
from streamline.services.log_info import ReplicaLogs
from streamline.services.metadata import Metadata
from streamline.services.neighbours import Neighbours
from streamline.services.peers import Peers
from streamline.services.producer_ids import ProducerIds
from streamline.services.pushed import Pushed
from streamline.services.recovering import Recovering
from streamline.services.registering import Registrar
from streamline.services.relaying import Relay
from streamline.services.replicas import Replicas
from streamline.services.throttles import Throttles
from streamline.services.turns import Turns
from streamline.wire.messages.fetch import FetchRequest, FetchResponse
from streamline.wire.messages.log_info import GetReplicaLogInfoRequest, GetReplicaLogInfoResponse
from streamline.wire.messages.peer import EnvelopeRequest, EnvelopeResponse
from streamline.wire.messages.peer_produce import RelayedProduceRequest, RelayedProduceResponse
from streamline.wire.messages.peer_raft import FetchNowRequest, FetchNowResponse

INCARNATION_BYTES = 16
RELAYED_BELOW = {"auto": LEADERS_FROM, "always": 1 << 15}
"""Which versions of Produce are passed on, by what the setting says."""

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
    brain = Brain(host, config, metadata, None if room is None else peers)
    registrar = Registrar(host, config, metadata, brain, storage, lambda: node.introduce())
    altering = Altering(host, config.node_id, brain, lambda: registrar.broker_epoch)
    throttles = Throttles(host, config, metadata)
    replicator.join(Neighbours(config.node_id, incarnation_id, metadata, peers, altering, throttles))
    producer_ids = ProducerIds(config.node_id, brain, lambda: registrar.broker_epoch)
    broker = _services(
        config, host, installed, storage, metadata, replicator, incarnation_id, brain, producer_ids, registrar, room,
        throttles,
    )
    factory = KafkaFactory(broker, Limits.of(config.broker, host.network.sockets_max))
    listener = KafkaListener(host.network, config.listen, factory, broker.deadlines)
    node = Node(host, config, directory, broker, factory, listener, room, registrar, incarnation_id)
    logs = ReplicaLogs(metadata, broker.replicas, lambda: registrar.broker_epoch)
    if room is not None:
        pushed = Pushed(config.node_id, incarnation_id, metadata)
        room.factory.answer(*_peer_apis(brain, broker, pushed, logs))
    node.recovering = Recovering(host, config, metadata, brain.controllership, None if room is None else peers, logs)
    for step in _steps(node, host, storage, replicator, listener, brain, altering):
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
    brain: Brain,
    producer_ids: ProducerIds,
    registrar: Registrar,
    room: ClusterRoom | None,
    throttles: Throttles,
) -> BrokerServices:
    """Make what handlers talk to."""
    acks: IAcksPolicy = make(IAcksPolicy, config.acks, host, config, installed)
    placement: IPlacement = make(IPlacement, config.placement, host, config, installed)
    deadlines = Deadlines(host.clock, host.whim("late-deadline"))
    peers, session_s = None if room is None else room.peers, config.broker.broker_session_timeout_ms / 1000
    doubts = Doubts(host.clock, deadlines, config.node_id, metadata, peers, session_s)
    forwarding = Forwarding(host.clock, metadata.consensus, config.node_id, peers)
    controller = Controller(host, config, metadata, placement, brain.controllership, forwarding)
    replicas = Replicas(host, config, metadata, storage, replicator, acks, incarnation_id)
    below, relay = RELAYED_BELOW.get(config.produce_forwarding), None
    if room is not None and below is not None:
        gathering = replicas.gathering
        relay = Relay(config.node_id, metadata, room.peers, deadlines, gathering, lambda: registrar.broker_epoch, below)
    return BrokerServices(
        host=host,
        config=config,
        metadata=metadata,
        controller=controller,
        controllership=brain.controllership,
        forwarding=forwarding,
        producer_ids=producer_ids,
        replicas=replicas,
        groups=GroupCoordinator(host, config, metadata, controller, replicas, deadlines),
        deadlines=deadlines,
        doubts=doubts,
        turns=Turns(host.clock, host.whim("short-turn")),
        throttles=throttles,
        sessions=FetchSessions(
            config.broker.max_incremental_fetch_session_cache_slots, forgets=host.whim("session-forgotten")
        ),
        cuts_short=host.whim("short-fetch"),
        answers_early=host.whim("fetch-answered-early"),
        controllers=no_controllers if room is None else room.controllers,
        selector=make(IReplicaSelector, config.reads, host, config, installed),
        relay=relay,
    )


def _peer_apis(brain: Brain, broker: BrokerServices, pushed: Pushed, logs: ReplicaLogs) -> Iterable[PeerApi]:
    """Yield what nodes ask of the controller, of leaders and of replicas, and what the controller says to brokers."""
    fetches = ReplicaFetches(broker)
    rows: list[tuple[Any, Any, Callable[..., Any]]] = [
        *((request, response, partial(answer, brain)) for request, response, answer in brokers.ANSWERS),
        *((request, response, partial(answer, pushed)) for request, response, answer in pushes.ANSWERS),
        (EnvelopeRequest, EnvelopeResponse, partial(envelope, broker)),
        (FetchNowRequest, FetchNowResponse, fetches.answer_now),
        (GetReplicaLogInfoRequest, GetReplicaLogInfoResponse, lambda _, request: logs.describe(request)),
        (RelayedProduceRequest, RelayedProduceResponse, RelayedProduces(broker).answer),
    ]
    for request, response, answer in rows:
        yield PeerApi(request=request, response=response, answer=partial(_for_sender, answer))
    yield PeerApi(
        request=FetchRequest,
        response=FetchResponse,
        answer=partial(_for_sender, fetches.answer),
        take=lambda guest, *frame: fetches.take(guest.key, *frame),
    )


def _for_sender(answer: Callable[..., Any], guest: Guest, request: Any) -> Any:
    return answer(guest.key, request)


def _steps(
    node: Node,
    host: Host,
    storage: IStorage,
    replicator: IReplicator,
    listener: KafkaListener,
    brain: Brain,
    altering: Altering,
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
    yield brain.controllership
    yield brain.membership
    yield brain.balancing
    yield node.recovering
    yield node.registrar
    yield Step(node.registrar.when_registered, altering.stop)
    yield Step(replicator.start, replicator.stop)
    yield broker.replicas
    yield broker.groups
    yield Housekeeping(host, config, broker.replicas)
    yield Watchman(factory, host.clock)
    yield node.pulse
    yield Step(lambda: Deferred.fromCoroutine(node.ready()), lambda: None)
    yield Serving(listener, factory, broker.deadlines)
    yield Step(lambda: None, node.registrar.leave)
    if config.http_listen is not None:
        yield HttpRoom(node, host, config.http_listen)
