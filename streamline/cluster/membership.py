"""
Who is in the cluster: registering, staying alive, being fenced, and stopping in order.

The controller decides; L{Sessions} holds the little that is not agreed on (when
each broker was last heard of, and how far it has come), which a new controller
learns again.  Times are given from outside, in seconds of a clock that only
goes forward.

# Note [Two of one name]

A broker id may be started twice: the same process asks again because an answer
was lost, the next process of a node asks before the last one is known to be
gone, or somebody made a mistake.  The incarnation id, which each process draws,
tells the first case from the others; while the last incarnation is being heard
of, another is refused, unless it comes from the same data directory: that is held by one process at a time, so the
last one is gone.  Its broker epoch, the index of its registration, goes
with all that it says afterwards, so that nothing an earlier process said counts
for a later one (KR15).

A registration is clean when it comes with the epoch of the registration before,
which a node writes down last of all when it stops in order, and from the same
data directory.  Any other may have lost records, and leaves the ISR and the ELR
of every partition in the same moment (KR21).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from attrs import field

from streamline.cluster.commands import Command, RegisterBroker, SupportedFeature
from streamline.cluster.failover import after, begin_shutdown, departures, fence, repair, unfence
from streamline.cluster.image import MetadataImage
from streamline.cluster.sessions import Sessions
from streamline.errors import ErrorCode, Refused
from streamline.model import ZERO_UUID, Broker, Endpoint
from streamline.values import frozen

NO_BROKER_EPOCH = -1


@frozen(kw_only=True)
class Registration:
    """
    A broker introduces itself.

    @ivar previous_epoch: the broker epoch under which it stopped in order, or L{NO_BROKER_EPOCH}.
    """

    node_id: int
    cluster_id: str
    incarnation_id: bytes
    directory_id: bytes
    endpoint: Endpoint
    peer_endpoint: Endpoint | None = None
    rack: str | None = None
    features: Mapping[str, tuple[int, int]] = field(factory=dict)
    previous_epoch: int = NO_BROKER_EPOCH


@frozen
class Registered:
    """
    What follows from a registration.

    @ivar commands: to be agreed on together; the result of the first is the broker epoch.
    @ivar epoch: the broker epoch where there is nothing to agree on.
    """

    commands: Sequence[Command] = ()
    epoch: int = NO_BROKER_EPOCH


def register(
    image: MetadataImage, sessions: Sessions, now: float, wanted: Registration
) -> Registered:
    """
    Take a broker in, fenced until it has caught up.  See Note [Two of one name].

    @raise Refused: INCONSISTENT_CLUSTER_ID, DUPLICATE_BROKER_REGISTRATION or UNSUPPORTED_VERSION.
    """
    if wanted.cluster_id != image.cluster_id:
        raise Refused(
            ErrorCode.INCONSISTENT_CLUSTER_ID, f"this is cluster {image.cluster_id}, not {wanted.cluster_id}"
        )
    _check_features(image, wanted)
    known = image.brokers.get(wanted.node_id)
    if known is not None and known.incarnation_id == wanted.incarnation_id:
        if _is_same(known, wanted):
            return Registered(epoch=known.epoch)
    elif known is not None and not _is_its_directory(known, wanted) and sessions.is_alive(
        known.node_id, known.epoch, now
    ):
        raise Refused(
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            f"another process has the node id {wanted.node_id}; it was heard of a moment ago",
        )
    is_clean = _is_clean(known, wanted)
    command = _command(wanted, is_clean, fenced=True)
    return Registered((command, *departures(image, wanted.node_id, lost=not is_clean, unclean=True)))


def register_here(
    image: MetadataImage, sessions: Sessions, now: float, wanted: Registration
) -> Registered:
    """
    Take in the broker of the process that decides here.

    It has applied its registration as soon as that is agreed on, so it need not begin fenced: where nobody else is
    there to lead in its place, it has lost nothing, and nobody is elected because it is there, it goes on as if it had
    never been away.

    @raise Refused: as L{register}.
    """
    registered = register(image, sessions, now, wanted)
    others = [broker for broker in image.brokers.values() if broker.is_active and broker.node_id != wanted.node_id]
    if others or not registered.commands:
        return registered
    command = registered.commands[0]
    assert isinstance(command, RegisterBroker), "it comes first"
    at_once = _command(wanted, command.is_clean, fenced=False)
    try:
        is_needed = bool(repair(after(image, [at_once])))
    except Refused:
        is_needed = True
    # Where something follows for partitions, it is one thing after the other: taken in, and unfenced with an election.
    return registered if is_needed else Registered([at_once])


def _is_its_directory(known: Broker, wanted: Registration) -> bool:
    """Say whether a broker comes from the data directory that is known; the first releases did not say which it was."""
    return known.directory_id in (wanted.directory_id, ZERO_UUID)


def _check_features(image: MetadataImage, wanted: Registration) -> None:
    """A node that does not know a feature the cluster runs cannot follow what it is told."""
    for name, level in image.features.items():
        lowest, highest = wanted.features.get(name, (0, 0))
        if not lowest <= level <= highest:
            raise Refused(
                ErrorCode.UNSUPPORTED_VERSION, f"the cluster runs {name} at level {level}; the node knows {highest}"
            )


def _is_same(known: Broker, wanted: Registration) -> bool:
    return (known.endpoint, known.peer_endpoint, known.rack, known.directory_id, dict(known.features)) == (
        wanted.endpoint, wanted.peer_endpoint, wanted.rack, wanted.directory_id, dict(wanted.features),
    )  # fmt: skip


def _is_clean(known: Broker | None, wanted: Registration) -> bool:
    """KR21: it stopped in order as the broker that is known here, and comes with the same disk (RF15)."""
    if known is None or known.directory_id != wanted.directory_id:
        return False
    return wanted.previous_epoch == known.epoch or wanted.incarnation_id == known.incarnation_id


def _command(wanted: Registration, is_clean: bool, *, fenced: bool) -> RegisterBroker:
    peer = wanted.peer_endpoint
    return RegisterBroker(
        node_id=wanted.node_id,
        incarnation_id=wanted.incarnation_id,
        host=wanted.endpoint.host,
        port=wanted.endpoint.port,
        rack=wanted.rack,
        fenced=fenced,
        directory_id=wanted.directory_id,
        peer_host=None if peer is None else peer.host,
        peer_port=0 if peer is None else peer.port,
        features=[
            SupportedFeature(name=name, lowest=lowest, highest=highest)
            for name, (lowest, highest) in sorted(wanted.features.items())
        ],
        is_clean=is_clean,
    )


@frozen(kw_only=True)
class Heartbeat:
    """
    A broker lives.

    @ivar metadata_index: how far it has applied the agreed commands.
    @ivar wants_fence: whether it cannot serve now.
    @ivar wants_shutdown: whether it would like to stop.
    """

    node_id: int
    broker_epoch: int
    metadata_index: int
    wants_fence: bool = False
    wants_shutdown: bool = False


@frozen(kw_only=True)
class Pulse:
    """
    What a broker is answered once C{commands} are agreed on, and what it may do.

    @ivar is_caught_up: whether it has applied its own registration.
    @ivar is_fenced: whether it is fenced from then on.
    @ivar may_stop: whether it may stop now.
    """

    commands: Sequence[Command] = ()
    is_caught_up: bool
    is_fenced: bool
    may_stop: bool = False


def heartbeat(
    image: MetadataImage, sessions: Sessions, now: float, beat: Heartbeat
) -> Pulse:
    """
    Note that a broker lives, and decide what state it goes to.

    @raise Refused: BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH.
    """
    broker = image.broker_at(beat.node_id, beat.broker_epoch)
    sessions.heard(beat.node_id, beat.broker_epoch, beat.metadata_index, now)
    step = _next_step(image, sessions, broker, beat)
    if step is _Step.STOP:
        sessions.forget(beat.node_id)
    return Pulse(
        commands=_commands(image, broker, step),
        is_caught_up=beat.metadata_index >= broker.epoch,
        is_fenced=step in (_Step.FENCE, _Step.STOP) or (broker.fenced and step is not _Step.UNFENCE),
        may_stop=step is _Step.STOP,
    )


class _Step(Enum):
    """What a heartbeat leads to."""

    STAY = "stay"
    FENCE = "fence"
    UNFENCE = "unfence"
    LEAVE = "leave"
    STOP = "stop"


def _next_step(image: MetadataImage, sessions: Sessions, broker: Broker, beat: Heartbeat) -> _Step:
    if broker.fenced:
        if beat.wants_shutdown:
            return _Step.STOP
        is_ready = not beat.wants_fence and beat.metadata_index >= broker.epoch
        return _Step.UNFENCE if is_ready else _Step.STAY
    if beat.wants_fence:
        return _Step.STOP if beat.wants_shutdown else _Step.FENCE
    if broker.shutting_down:
        return _Step.STOP if _is_left(image, sessions, broker.node_id) else _Step.STAY
    return _Step.LEAVE if beat.wants_shutdown else _Step.STAY


def _is_left(image: MetadataImage, sessions: Sessions, node: int) -> bool:
    """
    Say whether a broker that wants to stop can go without anybody asking it for what others lead (KR32).

    Its leaders moved with the command that marked it, so what counts is that all other brokers have heard of that.
    """
    heard = sessions.departing(node, image.index)
    others = [broker.node_id for broker in image.brokers.values() if broker.is_active and broker.node_id != node]
    return all(sessions.metadata_index(other) >= heard for other in others)


def _commands(image: MetadataImage, broker: Broker, step: _Step) -> list[Command]:
    match step:
        case _Step.UNFENCE:
            return unfence(image, broker.node_id)
        case _Step.LEAVE:
            return begin_shutdown(image, broker.node_id)
        case _Step.FENCE | _Step.STOP if not broker.fenced:
            return fence(image, broker.node_id)
        case _:
            return []


def crashed(image: MetadataImage, sessions: Sessions, node: int, epoch: int) -> list[Command]:
    """
    A broker's process is known to be gone: fence it at once, and let the next one register.

    Nothing happens to a broker that has registered again since, so it does no harm to be told so late or in error.
    """
    broker = image.brokers.get(node)
    if broker is None or broker.epoch != epoch:
        return []
    sessions.forget(node)
    return [] if broker.fenced else fence(image, node)


def fence_silent(image: MetadataImage, sessions: Sessions, now: float) -> list[Command]:
    """Fence every broker that was not heard of for too long."""
    commands: list[Command] = []
    for node in sessions.overdue(image, now):
        step = fence(image, node)
        image = after(image, step)
        commands += step
    return commands
