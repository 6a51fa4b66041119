"""
Fetch (1) as followers ask it, on the cluster listener.

It is a client's Fetch with three differences.  What a follower asks for says how far its log goes, which moves the high
watermark (L{streamline.replication.leading}); it is given what is not committed yet; and it is answered at once where
it does not know the high watermark.  The rest, sessions and waiting and the answer, is that of clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices, Call, Caller
from streamline.api.fetch import Answer, session_of
from streamline.api.fetching import Read, Reading
from streamline.errors import ProtocolError, Refused
from streamline.model import Endpoint, LogSlice
from streamline.raft import ReplicaKey
from streamline.replication.followers import FollowerFetch
from streamline.replication.sessions import INITIAL_EPOCH, NO_SESSION, FetchSessions, Wanted
from streamline.services.partition import Partition
from streamline.wire.messages.fetch import FetchRequest, FetchResponse, ReplicaState

SESSIONS: Final = 1000
"""Sessions of followers; there is one for each node."""
READ_UNCOMMITTED: Final = 0
_NOTHING = LogSlice()


class _Node:
    """What another node may take up: there are few of them, and each asks for one thing at a time."""

    promised_bytes = 0
    room_bytes = 1 << 30
    is_crowded = False


class ReplicaFetches:
    """Answers the followers of what this node leads."""

    def __init__(self, broker: BrokerServices) -> None:
        self._broker = broker
        self._sessions = FetchSessions(SESSIONS)

    def answer(self, sender: ReplicaKey, request: FetchRequest) -> FetchResponse | Deferred[FetchResponse]:
        """
        Read now, or wait until there is something.

        @raise ProtocolError: it is no follower's fetch, or speaks for another node.
        """
        state = request.replica_state
        if state is None or state.replica_id != sender.node_id:
            raise ProtocolError(f"node {sender.node_id} fetches for another one")
        caller = Caller("", Endpoint("", 0), lambda why: None, _Node())
        call = Call(self._broker, caller, FetchRequest.VERSIONS[1], None)
        try:
            session, wanted = session_of(call, self._sessions, request)
        except Refused as refusal:
            return FetchResponse(error_code=refusal.code, session_id=NO_SESSION)
        is_incremental = session is not None and request.session_epoch > INITIAL_EPOCH
        answer = Answer(call, READ_UNCOMMITTED, session, is_incremental)
        done = FollowerReading(call, state, wanted, request).begin()
        return done.addCallback(answer.make) if isinstance(done, Deferred) else answer.make(done)


class FollowerReading(Reading):
    """A follower's fetch on its way to an answer."""

    def __init__(self, call: Call, state: ReplicaState, wanted: Sequence[Wanted], request: FetchRequest) -> None:
        super().__init__(call, wanted, request.min_bytes, request.max_bytes, request.max_wait_ms / 1000)
        self._node_id = state.replica_id
        self._broker_epoch = state.replica_epoch

    def _listen(self, partition: Partition) -> None:
        partition.add_copier(self._more)

    def _listen_no_more(self, partition: Partition) -> None:
        partition.drop_copier(self._more)

    def _is_enough(self, reads: list[Read]) -> bool:
        return super()._is_enough(reads) or any(
            read.high_watermark != read.wanted.told_high_watermark for read in reads
        )

    def _read_one(self, partition: Partition, read: Read, max_bytes: int) -> LogSlice | Deferred[LogSlice]:
        wanted = read.wanted
        try:
            read.diverging = partition.fetched(
                FollowerFetch(
                    node_id=self._node_id,
                    broker_epoch=self._broker_epoch,
                    leader_epoch=wanted.current_leader_epoch,
                    offset=wanted.fetch_offset,
                    last_epoch=wanted.last_fetched_epoch,
                )
            )
        except Refused as refusal:
            read.failed(refusal.code)
            # A follower that has nothing in common with this log has to know where to begin anew.
            read.start_offset = partition.log.start_offset
            return _NOTHING
        read.start_offset = partition.log.start_offset
        read.high_watermark = partition.high_watermark
        if read.diverging is not None:
            return _NOTHING
        return partition.read_as_replica(wanted.fetch_offset, max_bytes, self._needs_one)
