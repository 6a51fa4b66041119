"""
What a handler is given besides the request, and what it may give back.

A handler returns its answer; or a L{Deferred} of it when it has to wait; or
L{Parked} when it may wait for something that never comes; or L{Later} when the
answer needs what was collected to be written first; or L{Hold} when the request
itself takes long; or None when the client wants no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from attrs import field
from twisted.internet.defer import Deferred

from streamline.config import NodeConfig
from streamline.interfaces import Host, IReplicaSelector, Whim
from streamline.model import Buffer, Controllers, Endpoint
from streamline.replication.selecting import LeaderOnly
from streamline.replication.sessions import FetchSessions
from streamline.services.controller import Controller
from streamline.services.controllership import Controllership
from streamline.services.coordinators import GroupCoordinator
from streamline.services.deadlines import Deadlines
from streamline.services.doubts import Doubts
from streamline.services.forwarding import Forwarding
from streamline.services.metadata import Metadata
from streamline.services.producer_ids import ProducerIds
from streamline.services.relaying import Relay
from streamline.services.replicas import Replicas
from streamline.services.throttles import Throttles
from streamline.services.turns import Turns
from streamline.values import frozen
from streamline.wire.schema import Message


def no_controllers() -> Controllers | None:
    """Say that this node takes no others."""
    return None


@frozen(kw_only=True)
class BrokerServices:
    """
    The services that handlers talk to.

    @ivar controllers: says where other nodes find the controllers; None where this node takes no others.
    @ivar relay: passes on what clients produce for other nodes' partitions; None where nothing is passed on.
    """

    host: Host
    config: NodeConfig
    metadata: Metadata
    controller: Controller
    controllership: Controllership
    forwarding: Forwarding
    producer_ids: ProducerIds
    replicas: Replicas
    groups: GroupCoordinator
    deadlines: Deadlines
    doubts: Doubts
    turns: Turns
    throttles: Throttles
    sessions: FetchSessions
    controllers: Callable[[], Controllers | None] = no_controllers
    relay: Relay | None = None
    selector: IReplicaSelector = field(factory=LeaderOnly)
    cuts_short: Whim | None = None
    answers_early: Whim | None = None


class Room(Protocol):
    """
    How much room there is, given what this and other clients hold.

    @ivar promised_bytes: what is being read for answers, and takes no room yet.
    """

    promised_bytes: int

    @property
    def room_bytes(self) -> int:
        """How large an answer may be."""

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that nothing large should wait in addition."""


class Elsewhere:
    """The room of a client whose connection is another node's, which sees to it that it does not take too much."""

    promised_bytes = 0
    room_bytes = 1 << 20
    is_crowded = False


class Caller:
    """
    Who asks, and over which connection.

    @ivar address: the client's host.
    @ivar reached_at: where the client reached us, which is what it is told where nothing better is known.
    @ivar close: ends the connection, once what was asked before is answered.
    """

    __slots__ = ("address", "close", "principal", "reached_at", "room")

    def __init__(self, address: str, reached_at: Endpoint, close: Callable[[str], None], room: Room) -> None:
        self.address = address
        self.reached_at = reached_at
        self.close = close
        self.room = room
        self.principal = "User:ANONYMOUS"


class Call:
    """One request on its way."""

    __slots__ = ("broker", "caller", "client_id", "version")

    def __init__(self, broker: BrokerServices, caller: Caller, version: int, client_id: str | None) -> None:
        self.broker = broker
        self.caller = caller
        self.version = version
        self.client_id = client_id


class Later:
    """An answer that is made once everything collected has been written."""

    __slots__ = ()

    def finish(self) -> Message | list[Buffer] | Deferred[Any] | None:
        """Make it; a list of buffers is one that goes over the wire as it is, or several."""
        raise NotImplementedError


class LaterBy(Later):
    """The same, made by a function."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Message | Deferred[Any] | None]) -> None:
        self._make = make

    def finish(self) -> Message | Deferred[Any] | None:
        """Call the function."""
        return self._make()


class Parked:
    """
    An answer that waits for something that may never come, and that nobody should wait for when the node stops.

    @ivar hurry: makes it come as it is by now, at once or very soon; where there is nothing to say yet, cancelling
        C{answer} ends the connection without one.
    @ivar is_long: whether it may be of so many elements that it takes several turns of the reactor to write.
    """

    __slots__ = ("answer", "hurry", "is_long")

    def __init__(self, answer: Deferred[Any], hurry: Callable[[], object], is_long: bool = False) -> None:
        self.answer = answer
        self.hurry = hurry
        self.is_long = is_long


class Hold:
    """
    Work that must end before the connection's next request is looked at, too long for one turn of the reactor.

    The Deferred fires with an answer as a handler would return it.
    """

    __slots__ = ("work",)

    def __init__(self, work: Deferred[Any]) -> None:
        self.work = work


Answer: TypeAlias = "Message | Deferred[Any] | Later | Parked | Hold | None"
