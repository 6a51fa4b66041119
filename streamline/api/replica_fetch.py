"""
Fetch (1) as followers ask it, on the cluster listener.

It is a client's Fetch with four differences.  What a follower asks for says how far its log goes, which moves the high
watermark (L{streamline.replication.leading}); it is given what is not committed yet; it is soon told of another high
watermark; and an incremental fetch looks only at what may have something new (L{streamline.api.standing}).  The rest,
sessions and waiting and the answer, is that of clients.

# Note [News of what is committed]

Whatever goes to a follower brings the high watermark with it, and while records come there is always something.  So a
high watermark alone is kept back for a moment: an answer for each, and a fetch after it, would be a third of all rounds
where one record is written at a time.  A follower that knows none yet is told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices, Call, Caller
from streamline.api.fetch import Answer, forgotten_of, session_of
from streamline.api.fetching import Read, Reading
from streamline.api.lone_fetch import COMMITTED_S, Asker, LoneReading
from streamline.api.standing import Standing
from streamline.errors import ProtocolError, Refused
from streamline.interfaces import ILeadership, Whim, fires
from streamline.model import NO_OFFSET, Buffer, Endpoint, LogSlice
from streamline.raft import ReplicaKey
from streamline.replication.followers import FollowerFetch
from streamline.replication.sessions import INITIAL_EPOCH, NO_SESSION, FetchSessions, Key, Session, Wanted
from streamline.replication.throttle import Throttle
from streamline.services.partition import Partition
from streamline.wire.lone import LoneFetch, read_lone_fetch
from streamline.wire.messages.fetch import FetchRequest, FetchResponse, ReplicaState
from streamline.wire.messages.peer_raft import FetchNowRequest, FetchNowResponse

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
        self._caller = Caller("", Endpoint("", 0), lambda why: None, _Node())
        self._sessions = FetchSessions(SESSIONS, forgets=broker.host.whim("follower-session-forgotten"))
        self._keeps_silent = broker.host.whim("high-watermark-told-late")
        self._standings: dict[int, tuple[Session, Standing]] = {}
        """By node; each has one session, and a new one ends the one before."""
        self._lone: dict[int, LoneReading] = {}
        """By node, for as long as its session lasts; see L{streamline.api.lone_fetch}."""
        self._latest: dict[int, FollowerReading | LoneReading] = {}
        """The latest fetch of each node; nobody asks for two things at a time."""

    def answer(self, sender: ReplicaKey, request: FetchRequest) -> FetchResponse | Deferred[FetchResponse]:
        """
        Read now, or wait until there is something.

        @raise ProtocolError: it is no follower's fetch, or speaks for another node.
        """
        state = request.replica_state
        if state is None or state.replica_id != sender.node_id:
            raise ProtocolError(f"node {sender.node_id} fetches for another one")
        call = Call(self._broker, self._caller, FetchRequest.VERSIONS[1], None)
        is_incremental = request.session_epoch > INITIAL_EPOCH
        if not is_incremental:
            self._end(state.replica_id)
        try:
            session, named = session_of(call, self._sessions, request)
        except Refused as refusal:
            return FetchResponse(error_code=refusal.code, session_id=NO_SESSION)
        is_incremental = is_incremental and session is not None
        standing = self._standing(state, session, named, request)
        limits = Limits(request.min_bytes, request.max_bytes, request.max_wait_ms / 1000)
        reading = self._latest[state.replica_id] = FollowerReading(
            call, state, standing, named, limits, is_incremental, self._keeps_silent
        )
        done = reading.begin()
        answer = Answer(call, READ_UNCOMMITTED, session, is_incremental)
        if session is None:
            return _closing(standing, done, answer)
        return done.addCallback(answer.make) if isinstance(done, Deferred) else answer.make(done)

    def take(self, sender: ReplicaKey, asker: Asker, number: int, frame: Buffer, at: int) -> LoneReading | None:
        """
        Take a request from its bytes, where that can go the short way; see L{streamline.api.lone_fetch}.

        @param number: its correlation id.
        @param at: where its body begins.
        @return: what waits, if it does, and may be cancelled; None, and nothing has happened, where it is any other.
        """
        said, reading = read_lone_fetch(frame, at), self._lone.get(sender.node_id)
        if said is None or reading is None or said.replica_id != sender.node_id:
            return None
        now_s = self._broker.host.clock.seconds()
        partition = reading.find(said, now_s)
        if partition is None or not self._resume(said, now_s):
            return None
        self._latest[sender.node_id] = reading
        reading.begin(asker, number, said, partition, now_s)
        return reading

    def _resume(self, said: LoneFetch, now_s: float) -> bool:
        """Bring the session up to date; false, and nothing has happened, where that is not what the next fetch says."""
        key = said.topic_id, "", said.partition
        wanted = Wanted(
            key, said.fetch_offset, said.partition_max_bytes, said.current_leader_epoch, said.last_fetched_epoch,
            said.log_start_offset,
        )  # fmt: skip
        try:
            self._sessions.resume(said.session_id, said.session_epoch, True, now_s, (wanted,), ())
        except Refused:
            return False
        return True

    def _long_way(
        self, lone: LoneReading, left_s: float, must_answer: bool
    ) -> FetchResponse | Deferred[FetchResponse]:
        """Go on with a fetch for which the short way is none."""
        said, wanted = lone.said, lone.wanted
        call = Call(self._broker, self._caller, FetchRequest.VERSIONS[1], None)
        state = ReplicaState(replica_id=said.replica_id, replica_epoch=said.replica_epoch)
        limits = Limits(said.min_bytes, said.max_bytes, left_s)
        reading = FollowerReading(call, state, lone.standing, (wanted,), limits, True, self._keeps_silent)
        if self._latest.get(said.replica_id) is lone:
            self._latest[said.replica_id] = reading
        done = reading.go_on(wanted.key, lone.heard_by, must_answer)
        answer = Answer(call, READ_UNCOMMITTED, lone.session, True)
        return done.addCallback(answer.make) if isinstance(done, Deferred) else answer.make(done)

    def answer_now(self, sender: ReplicaKey, request: FetchNowRequest) -> FetchNowResponse:
        """Have a follower's fetch wait no more."""
        reading = self._latest.get(sender.node_id)
        if reading is not None:
            reading.hurry()
        return FetchNowResponse()

    def _standing(
        self, state: ReplicaState, session: Session | None, named: Sequence[Wanted], request: FetchRequest
    ) -> Standing:
        """Return what a follower wants, brought up to date; without a session it is of this one fetch."""
        now_s = self._broker.host.clock.seconds()
        if session is None:
            self._end(state.replica_id)
            return Standing({wanted.key: wanted for wanted in named}, state.replica_epoch, now_s)
        kept = self._standings.get(state.replica_id)
        if kept is not None and kept[0] is session:
            kept[1].fetched(named, forgotten_of(request), state.replica_epoch, now_s)
            return kept[1]
        self._end(state.replica_id)
        standing = Standing(session.partitions, state.replica_epoch, now_s)
        self._standings[state.replica_id] = session, standing
        self._lone[state.replica_id] = LoneReading(
            self._broker, session, standing, self._keeps_silent, self._long_way
        )
        return standing

    def _end(self, node_id: int) -> None:
        """End a follower's session: it begins another one, or needs none."""
        kept = self._standings.pop(node_id, None)
        if kept is not None:
            del self._lone[node_id]
            self._sessions.end(kept[0].session_id)
            kept[1].close()


def _closing(
    standing: Standing, done: list[Read] | Deferred[list[Read]], answer: Answer
) -> FetchResponse | Deferred[FetchResponse]:
    """Make an answer, and remember nothing of what it was about."""
    if not isinstance(done, Deferred):
        standing.close()
        return answer.make(done)

    def close(found: Any) -> Any:
        standing.close()
        return found

    return done.addBoth(close).addCallback(answer.make)


class Limits(NamedTuple):
    """How much a fetch asks for, and how long it waits."""

    min_bytes: int
    max_bytes: int
    max_wait_s: float


class FollowerReading(Reading):
    """A follower's fetch on its way to an answer; an incremental one looks at what is due."""

    def __init__(
        self,
        call: Call,
        state: ReplicaState,
        standing: Standing,
        wanted: Sequence[Wanted],
        limits: Limits,
        is_incremental: bool,
        keeps_silent: Whim | None,
    ) -> None:
        super().__init__(call, wanted, limits.min_bytes, limits.max_bytes, limits.max_wait_s)
        self._node_id = state.replica_id
        self._broker_epoch = state.replica_epoch
        self._standing = standing
        self._is_incremental = is_incremental
        self._keeps_silent = keeps_silent
        self._is_committed = False
        self._is_held_back = False
        self._heard: dict[Key, ILeadership | None] = {}
        """To whom was said how far the follower's logs go; a fetch says that once, however often it looks."""

    def go_on(
        self, key: Key, heard: ILeadership | None, must_answer: bool
    ) -> list[Read] | Deferred[list[Read]]:
        """Begin where another has waited, and has told C{heard} how far the follower's log goes."""
        self._heard[key] = heard
        self._must_answer = must_answer
        return self.begin()

    def _look(self) -> list[Read] | None:
        if self._is_incremental:
            self._wanted = self._standing.due()
        return super()._look()

    def _listen(self) -> None:
        self._standing.waiting = self

    def _listen_no_more(self) -> None:
        if self._standing.waiting is self:
            self._standing.waiting = None

    def committed(self) -> None:
        """Hear of another high watermark, or start, to be told of.  See Note [News of what is committed]."""
        if self._deadline is not None and self._done is not None and not self._is_committed:
            self._is_committed = True
            if fires(self._keeps_silent):
                return  # it is told when this fetch has waited for as long as it may
            self._deadline.cancel()
            self._deadline = self._call.broker.deadlines.after(min(COMMITTED_S, self._max_wait_s), self.hurry)

    def _is_enough(self, reads: list[Read]) -> bool:
        if not reads and self._is_incremental and not self._must_answer and self._max_wait_s > 0:
            self._missing_bytes = self._min_bytes
            return False
        if super()._is_enough(reads):
            return True
        for read in reads:
            wanted = read.wanted
            told = wanted.told_high_watermark
            if read.high_watermark != told or read.start_offset != wanted.told_start_offset:
                if told == NO_OFFSET:
                    return True
                self._tell_soon()
        return False

    def _tell_soon(self) -> None:
        if self._deadline is not None:
            self.committed()
        elif not self._is_committed:
            self._is_committed = True
            self._max_wait_s = min(COMMITTED_S, self._max_wait_s)

    def _read_one(self, partition: Partition, read: Read, max_bytes: int) -> LogSlice | Deferred[LogSlice]:
        wanted, standing = read.wanted, self._standing
        standing.watch(wanted.key, partition)
        if not (leadership := partition.leadership) or self._heard.get(wanted.key) is not leadership:
            try:
                read.diverging = self._say(partition, wanted)
            except Refused as refusal:
                read.failed(refusal.code)
                # A follower that has nothing in common with this log has to know where to begin anew.
                read.start_offset = partition.log.start_offset
                return _NOTHING
        read.start_offset = partition.log.start_offset
        read.high_watermark = partition.high_watermark
        if read.diverging is not None:
            return _NOTHING
        self._heard[wanted.key] = leadership
        if wanted.fetch_offset == partition.log.flushed_offset:
            if read.high_watermark == wanted.told_high_watermark and read.start_offset == wanted.told_start_offset:
                standing.rests(wanted.key)
            return LogSlice(next_offset=wanted.fetch_offset)
        throttle = self._throttle_of(partition)
        if throttle is None:
            return partition.read_as_replica(wanted.fetch_offset, max_bytes, self._needs_one)
        return self._read_throttled(throttle, partition, read, max_bytes)

    # Throttling: see L{streamline.replication.throttle}

    def _throttle_of(self, partition: Partition) -> Throttle | None:
        """Return what holds for this follower's copy: nothing once it is in sync, or nobody's acks would be safe."""
        leadership = partition.leadership
        if leadership is None or self._node_id in leadership.isr:
            return None
        identity = partition.log.identity
        return self._call.broker.throttles.leading(identity.topic, identity.partition)

    def _read_throttled(
        self, throttle: Throttle, partition: Partition, read: Read, max_bytes: int
    ) -> LogSlice | Deferred[LogSlice]:
        now_s = self._call.broker.host.clock.seconds()
        if throttle.is_full(now_s):
            self._wait_at_most(throttle.free_s - now_s)
            return LogSlice(next_offset=max(read.wanted.fetch_offset, read.high_watermark))  # as if there were no more
        found = partition.read_as_replica(read.wanted.fetch_offset, max_bytes, self._needs_one)

        def count(found: LogSlice) -> LogSlice:
            throttle.used(found.size_bytes, now_s)
            return found

        return found.addCallback(count) if isinstance(found, Deferred) else count(found)

    def _wait_at_most(self, seconds: float) -> None:
        """Have this fetch look again when a throttle lets something through."""
        if self._is_held_back:
            return
        self._is_held_back = True
        self._max_wait_s = min(self._max_wait_s, seconds)
        if self._deadline is not None and self._done is not None:
            self._deadline.cancel()
            self._deadline = self._call.broker.deadlines.after(self._max_wait_s, self.hurry)

    def _say(self, partition: Partition, wanted: Wanted) -> tuple[int, int] | None:
        """Tell a leader how far the follower's log goes; return where the two part, if they do."""
        return partition.fetched(
            FollowerFetch(
                node_id=self._node_id,
                broker_epoch=self._broker_epoch,
                leader_epoch=wanted.current_leader_epoch,
                offset=wanted.fetch_offset,
                last_epoch=wanted.last_fetched_epoch,
                start_offset=wanted.start_offset,
            )
        )
