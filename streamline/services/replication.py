"""
The C{isr} replicator: a record is committed once every in-sync replica has it, as in Kafka.

Followers fetch from leaders (L{streamline.services.fetchers}); what they say of themselves thereby moves the leaders'
high watermarks (L{streamline.services.leaderships}); and leaders ask the controller for the ISR that they see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, ICluster, IFollowing, ILeadership, IReplica, IReplicator, fires
from streamline.model import Broker, LogIdentity, PartitionState
from streamline.replication.follower_session import Fetch
from streamline.replication.isr_changes import BACK_OFF_S, IsrAsk
from streamline.replication.messages import Limits, request_of
from streamline.services.beats import until_beat
from streamline.services.fetchers import Following, Line
from streamline.services.leaderships import SharedLeadership, SoleLeadership
from streamline.wire.lone import LoneFetchResponse
from streamline.wire.messages.fetch import FetchResponse
from streamline.wire.messages.peer_raft import FetchNowRequest, FetchNowResponse

log = Logger()

PATIENCE_S = 3.0
"""How much longer than it waits for records a fetch waits for its answer."""
LOOKS_PER_LAG = 10
"""How often in C{replica.lag.time.max.ms} leaders look who has become late by silence, at least."""
LOOK_S = 3.0
"""How often they look, where that is more often; it is a look at every partition."""
LATE_S = 0.2
"""How late they consider what has changed where a whim says so."""
FEW_BYTES = 1
CONSIDERED_AT_ONCE = 500
"""Partitions in one turn, about ten milliseconds of work where all of them want another ISR."""


@implementer(IReplicator)
class IsrReplicator:
    """Kafka's replication by in-sync replicas."""

    cluster: ICluster

    def __init__(self, host: Host, config: NodeConfig) -> None:
        broker = config.broker
        self.node_id = config.node_id
        self.lag_max_s = broker.replica_lag_time_max_ms / 1000
        self._clock = host.clock
        self._looks_again = host.whim("late-sought-at-once")
        self._considers_late = host.whim("isr-considered-late")
        self._asks_again = host.whim("isr-asked-again-at-once")
        self._fetches_little = host.whim("batch-fetched-alone")
        self._takes_little = host.whim("fetched-taken-one-by-one")
        self._broker = broker
        self._led: dict[LogIdentity, ILeadership] = {}
        self._followed: dict[LogIdentity, Following] = {}
        self._lines: dict[int, Line] = {}
        self._considered: dict[SharedLeadership, None] = {}
        self._considering: IDelayedCall | None = None
        self._looking: IDelayedCall | None = None
        self._later: dict[SharedLeadership, None] = {}
        self._retrying: IDelayedCall | None = None
        self._is_running = False

    # Life

    def join(self, cluster: ICluster) -> None:
        """Hear of the other nodes."""
        self.cluster = cluster
        cluster.listen(self._reachable)

    def start(self) -> Deferred[None]:
        """Look after replicas from now on."""
        self._is_running = True
        self._look_later()
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Close every leadership, and follow nobody."""
        self._is_running = False
        for call in (self._looking, self._considering, self._retrying):
            if call is not None and call.active():
                call.cancel()
        for identity in [*self._led, *self._followed]:
            self.forget(identity)
        for line in self._lines.values():
            line.stop()
        return succeed(None)

    # What leaderships need

    @property
    def brokers(self) -> Mapping[int, Broker]:
        """All nodes, by the metadata that were applied last."""
        brokers: Mapping[int, Broker] = self.cluster.brokers
        return brokers

    def now_s(self) -> float:
        """Return the time."""
        now: float = self._clock.seconds()
        return now

    # Roles

    def lead(
        self, replica: IReplica, state: PartitionState, min_isr: int, advanced: Callable[[int], None]
    ) -> ILeadership:
        """Lead a partition."""
        identity = replica.log.identity
        self.forget(identity)
        leadership: ILeadership
        if len(state.replicas) == 1:
            leadership = SoleLeadership(replica, state, advanced)
        else:
            leadership = SharedLeadership(self, replica, state, min_isr, advanced)
        self._led[identity] = leadership
        return leadership

    def follow(self, replica: IReplica, state: PartitionState, advanced: Callable[[int], None]) -> IFollowing:
        """Copy a partition from its leader."""
        identity = replica.log.identity
        self.forget(identity)
        line = self._lines.get(state.leader)
        if line is None:
            line = Line(self._clock, state.leader, self._ask, self._hurry, self._takes_little)
            self._lines[state.leader] = line
        following = self._followed[identity] = Following(
            line, replica, state, advanced, lambda: self.cluster.throttle(identity)
        )
        line.add(following)
        return following

    def forget(self, identity: LogIdentity) -> None:
        """Close a leadership, or follow no more."""
        leadership = self._led.pop(identity, None)
        if leadership is not None:
            leadership.close()
        following = self._followed.pop(identity, None)
        if following is not None:
            following.close()

    # Following

    def _ask(self, leader: int, fetch: Fetch) -> Deferred[FetchResponse | LoneFetchResponse]:
        broker = self._broker
        limits = Limits(
            broker.replica_fetch_wait_max_ms,
            broker.replica_fetch_response_max_bytes,
            FEW_BYTES if fires(self._fetches_little) else broker.replica_fetch_max_bytes,
        )
        request = request_of(fetch, self.node_id, self.cluster.broker_epoch, limits)
        timeout_s = broker.replica_fetch_wait_max_ms / 1000 + PATIENCE_S
        answer: Deferred[Any] = self.cluster.ask(leader, request, LoneFetchResponse, timeout_s)
        return answer

    def _hurry(self, leader: int) -> None:
        """Whether it heard does not matter: that fetch is answered soon in any case, or never."""
        self.cluster.ask(leader, FetchNowRequest(), FetchNowResponse, PATIENCE_S).addErrback(_not_heard)

    def _reachable(self, node_id: int) -> None:
        line = self._lines.get(node_id)
        if line is not None:
            line.reachable()

    # Asking for other ISRs

    def consider(self, leadership: SharedLeadership) -> None:
        """
        See soon whether this one wants another ISR.

        What comes in one turn of the reactor is asked for together; of very many, some in each turn.
        """
        if self._is_running:
            self._considered[leadership] = None
            if self._considering is None:
                late_s = LATE_S if fires(self._considers_late) else 0.0
                self._considering = self._clock.callLater(late_s, self._consider)

    def _consider(self) -> None:
        self._considering = None
        for leadership in list(islice(self._considered, CONSIDERED_AT_ONCE)):
            del self._considered[leadership]
            self._ask_for(leadership)
        if self._considered and self._considering is None:
            self._considering = self._clock.callLater(0, self._consider)

    def _look_later(self) -> None:
        every_s = min(self.lag_max_s / LOOKS_PER_LAG, LOOK_S)
        after_s = 0.0 if fires(self._looks_again) else until_beat(self._clock, every_s)
        self._looking = self._clock.callLater(after_s, self._look)

    def _look(self) -> None:
        """Replicas become late by silence, too."""
        self._look_later()
        for leadership in self._led.values():
            if isinstance(leadership, SharedLeadership):
                self.consider(leadership)

    def _ask_for(self, leadership: SharedLeadership) -> None:
        ask = leadership.next_ask()
        if ask is not None:
            agreeing = self.cluster.alter(leadership.change_of(ask))
            agreeing.addCallbacks(
                self._agreed, self._not_agreed, callbackArgs=(leadership, ask), errbackArgs=(leadership, ask)
            ).addErrback(_failed)

    def _agreed(self, partition_epoch: int, leadership: SharedLeadership, ask: IsrAsk) -> None:
        leadership.answered(ask, ErrorCode.NONE, partition_epoch)
        self._ask_later(leadership)

    def _not_agreed(self, failure: Failure, leadership: SharedLeadership, ask: IsrAsk) -> None:
        if isinstance(failure.value, Refused):
            leadership.answered(ask, failure.value.code, -1)
        else:
            failure.trap(Exception)
            leadership.unanswered(ask)
        self._ask_later(leadership)

    def _ask_later(self, leadership: SharedLeadership) -> None:
        """Ask again once the leadership has rested; one timer goes round for all of them."""
        self._later[leadership] = None
        if self._retrying is None and self._is_running:
            after_s = 0.0 if fires(self._asks_again) else BACK_OFF_S
            self._retrying = self._clock.callLater(after_s, self._retry)

    def _retry(self) -> None:
        self._retrying = None
        later, self._later = self._later, {}
        now_s = self.now_s()
        for leadership in later:
            if leadership.retry_s > now_s:
                self._ask_later(leadership)
            else:
                self._ask_for(leadership)


def _not_heard(failure: Failure) -> None:
    failure.trap(Exception)


def _failed(failure: Failure) -> None:
    log.failure("the ISR of a partition cannot be asked for", failure)
