"""
Passes on what clients produce to the nodes that lead, where this one does not.

It goes over the connection that nodes keep, with who the client is, and is answered as the leader says.  A leader never
passes it on again.  Whether a request is passed on at all is for L{streamline.api.produce} to say; what a leader does
with it is in L{streamline.api.relayed}.

# Note [Order of what is passed on]

The batches of one connection reach the log of a partition in the order in which the client sent them, wherever they
go.

 - Each is bound to the leader epoch that this node knew when it came, and a leader takes it in no other.  What this
   node knows never goes back; so what came later is of the same epoch, or of a later one, and stands behind it.
 - Within one epoch there is one leader, and all of it goes over one connection, which keeps the order.
 - Where that ends and another one is opened, the leader may read the new one first.  So the requests say how many
   connections there were before theirs, and what comes late by an old one is not taken any more.

What another leader has refused, or taken along into its grave, is not behind what comes later, and its producer does
not know that yet.  So of a producer that the leader knows nothing of, it takes only the first batch of all
(UNKNOWN_PRODUCER_ID, as Kafka had it before version 2.4).

# Note [Nobody knows]

Where a request was sent and no answer came, the batches may have been taken, or may yet be.  REQUEST_TIMED_OUT says
that, after which every client sends them again, and idempotent ones without harm.  NOT_LEADER_OR_FOLLOWER, which
some clients take to mean that nothing was kept, is said where nothing was sent, or by the leader itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused, code_of
from streamline.model import NO_LEADER, NO_OFFSET, NO_TIMESTAMP, PartitionState
from streamline.raft import ReplicaKey
from streamline.replication.acks import ACKS_NONE
from streamline.services.deadlines import Deadline, Deadlines
from streamline.services.lanes import Lane
from streamline.services.metadata import Metadata
from streamline.services.peers import Peers
from streamline.services.purgatory import Gathering
from streamline.services.receipts import Receipt
from streamline.values import frozen
from streamline.wire.messages.peer_produce import RelayedProduceRequest, RelayedProduceResponse
from streamline.wire.messages.produce import PartitionProduceData, TopicProduceData

log = Logger()

SETTLED_S: Final = 1.0
"""After this long a request takes no more room: a leader has it in its log or never will, however long acks take."""
ANSWER_S_MAX: Final = 60.0
"""How long an answer is waited for at most, whatever time the client gives."""
MARGIN_S: Final = 1.0
"""How much longer than the leader: it says itself that the time is up."""
PARTING_S: Final = 0.5
"""How long a leader that leads no more, and may stand still with its connections open, is waited for."""
_MOVED = "this node does not lead, and whoever does cannot be reached"


@frozen
class Client:
    """Who sent what is passed on."""

    principal: str
    client_id: str | None
    address: str
    version: int


class PassedReceipt(Receipt):
    """
    What became of a batch that was passed on.

    @ivar name: of the topic; C{index} and C{leader_epoch} are of the partition when the batch came.
    @ivar start_offset: where the leader's log begins.
    """

    __slots__ = ("index", "leader_epoch", "name", "start_offset")

    def __init__(self, flight: Flight, name: str, state: PartitionState) -> None:
        # What stands where a partition does answers for it as one would.
        super().__init__(flight, None, NO_OFFSET, NO_OFFSET, NO_TIMESTAMP)  # type: ignore[arg-type]
        self.name = name
        self.index = state.index
        self.leader_epoch = state.leader_epoch
        self.start_offset = NO_OFFSET

    @property
    def log_start_offset(self) -> int:
        """As the leader says."""
        return self.start_offset


class Flight:
    """
    The batches of one client's request that one other node leads.

    It stands where a partition does that answers for the receipts of its batches.

    @ivar size_bytes: of the batches; they are kept until they are sent, and not longer.
    """

    def __init__(self, relay: Relay, lane: Lane, leader: int, acks: int, timeout_s: float) -> None:
        self.lane = lane
        self.size_bytes = 0
        self.receipts: list[PassedReceipt] = []
        self._relay = relay
        self._leader = leader
        self._acks = acks
        self._timeout_s = min(timeout_s, ANSWER_S_MAX)
        self._topics: list[TopicProduceData] = []
        self._is_over = False
        self._is_parting = False
        self._settles: list[Callable[[], None]] = []
        self._deadline: Deadline | None = None

    def add(self, name: str, topic_id: bytes, state: PartitionState, part: PartitionProduceData) -> PassedReceipt:
        """Take a batch along; the first of a topic, or another one."""
        if not self._topics or self._topics[-1].topic_id != topic_id:
            self._topics.append(TopicProduceData(topic_id=topic_id, partition_data=[]))
        self._topics[-1].partition_data.append(part)  # type: ignore[attr-defined]
        self.size_bytes += sum(map(len, part.records)) if isinstance(part.records, list) else len(part.records or b"")
        receipt = PassedReceipt(self, name, state)
        self.receipts.append(receipt)
        return receipt

    # What a partition does for receipts

    def is_settled(self, receipt: Receipt, acks: int) -> bool:
        """Say whether the answer is there."""
        return self._is_over

    def when_settled(self, receipt: Receipt, acks: int, settle: Callable[[], None]) -> None:
        """Call C{settle} as soon as it is."""
        self._settles.append(settle)

    def verdict(self, receipt: Receipt, acks: int) -> Refused | None:
        """Say what the leader said; before it has said anything, nobody knows."""
        return receipt.refusal if self._is_over else Refused(ErrorCode.REQUEST_TIMED_OUT, "the leader did not answer")

    # On its way

    def send(self, client: Client) -> None:
        """Send it; there is room for it."""
        topics, self._topics = self._topics, []
        self.lane.flights[self] = None
        self._deadline = self._relay.deadlines.after(SETTLED_S, self._settled)
        answer = self._relay.ask(
            self._leader,
            RelayedProduceRequest(
                broker_epoch=self._relay.broker_epoch(),
                line=self.lane.number,
                principal=client.principal,
                client_id=client.client_id,
                client_address=client.address,
                client_version=client.version,
                acks=self._acks,
                timeout_ms=int(self._timeout_s * 1000),
                leader_epochs=[receipt.leader_epoch for receipt in self.receipts],
                topics=topics,
            ),
            self._timeout_s + MARGIN_S,
        )
        if answer is None:
            self._landed()
            self._refuse(ErrorCode.NOT_LEADER_OR_FOLLOWER, _MOVED)
        else:
            answer.addCallbacks(self._answered, self._unanswered).addErrback(self._failed)

    def metadata_changed(self, image: MetadataImage) -> None:
        """Wait no longer than a moment where any of the partitions has another leader epoch, or is gone."""
        if self._is_over or self._is_parting:
            return
        for receipt in self.receipts:
            state = image.partition(receipt.name, receipt.index)
            if state is None or state.leader_epoch != receipt.leader_epoch:
                self._is_parting = True
                self._relay.deadlines.after(PARTING_S, self._give_up)
                return

    def _give_up(self) -> None:
        """See Note [Nobody knows]."""
        self._refuse(ErrorCode.REQUEST_TIMED_OUT, "the leader has changed, and has not said what became of it")

    def _settled(self) -> None:
        """Take room no more, except as one that waits."""
        self._deadline = None
        self.lane.leave(self.size_bytes, 0)

    def _landed(self) -> None:
        """Take no room at all any more."""
        del self.lane.flights[self]
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
        self.lane.leave(0 if deadline is None else self.size_bytes, 1)

    def _answered(self, response: RelayedProduceResponse) -> None:
        self._landed()
        if self._is_over:
            return
        if response.error_code:
            self._refuse(code_of(response.error_code), _MOVED)
            return
        parts = [part for topic in response.topics for part in topic.partition_responses]
        for receipt, part in zip(self.receipts, parts, strict=True):
            if part.error_code:
                receipt.refusal = _refusal(part.error_code, part.error_message)
            else:
                receipt.base_offset = part.base_offset
                receipt.append_time_ms = part.log_append_time_ms
                receipt.start_offset = part.log_start_offset
        self._over()

    def _unanswered(self, _: Failure) -> None:
        self.lane.number += 1
        self._landed()
        self._refuse(ErrorCode.REQUEST_TIMED_OUT, "the leader did not answer")

    def _failed(self, failure: Failure) -> None:
        log.failure("what node {leader} said of a produce could not be taken", failure, leader=self._leader)
        self._refuse(ErrorCode.REQUEST_TIMED_OUT, "the leader's answer could not be read")

    def _refuse(self, code: ErrorCode, message: str) -> None:
        if not self._is_over:
            for receipt in self.receipts:
                receipt.refusal = Refused(code, message)
            self._over()

    def _over(self) -> None:
        self._is_over = True
        settles, self._settles = self._settles, []
        with self._relay.gathering:
            for settle in settles:
                settle()


def _refusal(code: int, message: str | None) -> Refused:
    """Return what a leader's refusal of a batch means to whoever sent it, to whom topics may go by name."""
    if code == ErrorCode.UNKNOWN_TOPIC_ID:
        return Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    return Refused(code_of(code), message or "")


class Passing:
    """The part of one client's request that others lead."""

    def __init__(self, relay: Relay, client: Client, acks: int, timeout_s: float) -> None:
        self._relay = relay
        self._client = client
        self._acks = acks
        self._timeout_s = timeout_s
        self._flights: dict[int, Flight] = {}
        self._entered: list[Flight] = []

    def take(self, name: str, part: PartitionProduceData) -> Receipt | None:
        """Take a batch along, and return its receipt, if another node leads its partition."""
        relay = self._relay
        image = relay.metadata.shown
        state = image.partition(name, part.index)
        if state is None or state.leader in (relay.node_id, NO_LEADER):
            return None
        flight = self._flights.get(state.leader)
        if flight is None:
            lane = relay.lane_to(state.leader)
            flight = self._flights[state.leader] = Flight(relay, lane, state.leader, self._acks, self._timeout_s)
        return flight.add(name, image.topics[name].topic_id, state, part)

    def send(self) -> Deferred[None] | None:
        """Send all of it; None where that is done, else fire when it is: there has to be room first."""
        entering = self._enter()
        waiting = next(entering, None)
        if waiting is not None:
            return Deferred.fromCoroutine(self._send_later(waiting, entering))
        self._send_all()
        return None

    def _enter(self) -> Iterator[Deferred[None]]:
        """Take room for each, in the order of nodes, or two could wait for each other; yield what is waited for."""
        for _, flight in sorted(self._flights.items()):
            waiting = flight.lane.enter(flight.size_bytes)
            if waiting is not None:
                yield waiting
            self._entered.append(flight)

    async def _send_later(self, first: Deferred[None], entering: Iterator[Deferred[None]]) -> None:
        try:
            await first
            for waiting in entering:
                await waiting
        except CancelledError:
            for flight in self._entered:
                flight.lane.leave(flight.size_bytes, 1)
            raise
        self._send_all()

    def _send_all(self) -> None:
        for flight in self._flights.values():
            flight.send(self._client)

    def when_over(self, call: Callable[[], None]) -> None:
        """Call this when a leader has answered, for each of them; for requests whose clients wait for nothing."""
        for flight in self._flights.values():
            if flight.is_settled(flight.receipts[0], ACKS_NONE):
                call()
            else:
                flight.when_settled(flight.receipts[0], ACKS_NONE, call)


class Relay:
    """
    The ways to the other nodes, for what clients produce.

    @ivar below_version: Produce requests of versions below this are passed on; others are told who leads.
    @param broker_epoch: returns that of this process.
    """

    def __init__(
        self,
        node_id: int,
        metadata: Metadata,
        peers: Peers,
        deadlines: Deadlines,
        gathering: Gathering,
        broker_epoch: Callable[[], int],
        below_version: int,
    ) -> None:
        self.node_id = node_id
        self.metadata = metadata
        self.deadlines = deadlines
        self.gathering = gathering
        self.broker_epoch = broker_epoch
        self.below_version = below_version
        self._peers = peers
        self._lanes: dict[int, Lane] = {}
        metadata.listen(self._image_changed)

    def lane_to(self, node_id: int) -> Lane:
        """Return the way to a node."""
        lane = self._lanes.get(node_id)
        if lane is None:
            lane = self._lanes[node_id] = Lane()
        return lane

    def ask(
        self, node_id: int, request: RelayedProduceRequest, timeout_s: float
    ) -> Deferred[RelayedProduceResponse] | None:
        """Send a request; None where it cannot be sent, so that nothing of it can have been done."""
        broker = self.metadata.image.brokers.get(node_id)
        if broker is None:
            return None
        answer = self._peers.ask(ReplicaKey(node_id, broker.directory_id), request, RelayedProduceResponse, timeout_s)
        if isinstance(getattr(answer, "result", None), Failure):
            answer.addErrback(lambda _: None)
            return None
        return answer

    def _image_changed(self, _: MetadataImage, new: MetadataImage) -> None:
        for lane in self._lanes.values():
            for flight in lane.flights:
                flight.metadata_changed(new)
