"""
What a replica is at the moment, with what only that role has to remember.

| from | what happens | to |
|---|---|---|
| follower | it hears no leader for its timeout, or the leader's process is gone | prospective |
| follower | the leader hands over to it | candidate |
| prospective | a majority would vote for it | candidate |
| prospective | a leader is heard, or a stronger prospective gets its word | follower |
| candidate | a majority voted for it | leader |
| candidate | a majority refused, or a leader of its term is heard | follower |
| candidate | nothing is decided within its timeout | prospective |
| any | a message of a higher term counts | follower |
| leader | no majority has been heard from for an election's time, or it is no voter any more | follower |

A learner, and whoever has heard nothing yet, is a follower; it just never stands for election.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from attrs import Factory

from streamline.raft.configuration import ReplicaKey
from streamline.raft.progress import Progress
from streamline.values import define, frozen


@define
class Incoming:
    """A snapshot of which some pieces have arrived."""

    index: int
    term: int
    pieces: list[bytes] = Factory(list)
    size_bytes: int = 0


@define
class Follower:
    """
    Follows a leader, or waits for one.

    @ivar leader: whom it heard from in this term, if anybody.
    @ivar timeout_ticks: the silence after which it stands for election.
    @ivar silent_ticks: how long it has been silent.
    @ivar matched_index: its log is the leader's up to here, by what the leader sent in this term.
    @ivar acknowledged_index: how much of that it has said, because it was durable.
    @ivar round: the highest of the leader's rounds that it has seen.
    @ivar incoming: the pieces of a snapshot that are there.
    """

    timeout_ticks: int
    matched_index: int
    leader: ReplicaKey | None = None
    silent_ticks: int = 0
    acknowledged_index: int = 0
    round: int = 0
    incoming: Incoming | None = None


@define
class Prospective:
    """
    Asks whether it would be elected, before it disturbs anybody with a new term (pre-vote, KIP-996).

    @ivar votes: what was said in the current round of asking.
    """

    timeout_ticks: int
    silent_ticks: int = 0
    votes: dict[ReplicaKey, bool] = Factory(dict)


@define
class Candidate:
    """
    Stands for election in its term.

    @ivar votes: who has given or refused its vote; its own counts once it is durable (RF1).
    @ivar transfer: the leader asked it to.
    """

    timeout_ticks: int
    transfer: bool = False
    silent_ticks: int = 0
    votes: dict[ReplicaKey, bool] = Factory(dict)


@frozen
class PendingRead:
    """
    A question to the leader up to where one must have applied to read all that is committed.

    @ivar asker: another replica, or None for this one.
    @ivar index: the answer, where the leader still leads in round C{round}.
    """

    asker: ReplicaKey | None
    context: bytes
    index: int
    round: int


@define
class Transfer:
    """Leadership on its way to another voter."""

    target: ReplicaKey
    passed_ticks: int = 0


@define
class Leader:
    """
    Leads its term.

    @ivar peers: every other member, in the configuration's order.
    @ivar leaving: who is no member any more, and is told so until that is committed, without being counted.
    @ivar start_index: of its first entry, a no-op; once that is committed, so is everything before (RF6).
    @ivar heartbeat_ticks: since the last heartbeat.
    @ivar check_ticks: since the quorum was last checked.
    @ivar round: how often it has asked whether it still leads.
    @ivar reads: what waits for the answers, oldest first.
    @ivar transfer: where leadership is on its way.
    """

    peers: dict[ReplicaKey, Progress]
    start_index: int
    leaving: dict[ReplicaKey, Progress] = Factory(dict)
    heartbeat_ticks: int = 0
    check_ticks: int = 0
    round: int = 0
    reads: deque[PendingRead] = Factory(deque)
    transfer: Transfer | None = None


Role: TypeAlias = Follower | Prospective | Candidate | Leader
