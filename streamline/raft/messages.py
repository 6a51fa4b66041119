"""
Entries of the agreed log, and what replicas say to each other about them.

Indices count from 1; index 0 is the place before the first entry, of term 0, which
every log has.  A log end offset and a high watermark, as Kafka's tools show them,
are exclusive: one more than the index of the last entry, or of the last committed one.
The term is what Kafka calls the leader epoch of the metadata log.

Every message carries the term its sender is in, who sends it and whom it is for; whoever
has another directory id than the one it is for is somebody else and leaves it unread (RF15).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

from streamline.raft.configuration import Configuration, ReplicaKey
from streamline.values import frozen

ENTRY_OVERHEAD_BYTES = 32
"""What an entry takes beside its payload, on a wire or a disk, about."""


class EntryKind(IntEnum):
    """What an entry's payload is; the numbers are stored."""

    NO_OP = 0
    COMMAND = 1
    CONFIGURATION = 2


@frozen
class Entry:
    """
    One place in the agreed log.

    @ivar payload: of a command, bytes that nothing in here reads; of a no-op, none.
    """

    index: int
    term: int
    kind: EntryKind = EntryKind.COMMAND
    payload: bytes = b""

    @property
    def size_bytes(self) -> int:
        """What it counts for where bytes are limited."""
        return len(self.payload) + ENTRY_OVERHEAD_BYTES


@frozen
class Snapshot:
    """
    All that the entries up to C{index} came to.

    @ivar term: of the entry at C{index}, which the next entry is checked against (RF13).
    @ivar configuration: in force at C{index}.
    @ivar data: the state machine's own words.
    """

    index: int
    term: int
    configuration: Configuration
    data: bytes = b""


@frozen(kw_only=True)
class _Message:
    term: int
    sender: ReplicaKey
    to: ReplicaKey


@frozen(kw_only=True)
class VoteRequest(_Message):
    """
    Asks for a vote, or whether one would be given.

    @ivar pre: only asks whether a vote would be given in the term after C{term} (pre-vote, KIP-996).
    @ivar last_index: of the sender's last entry.
    @ivar last_term: of the sender's last entry.
    @ivar transfer: the leader wants it, so that its being alive is no objection.
    """

    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False


@frozen(kw_only=True)
class VoteResponse(_Message):
    """
    Gives a vote or refuses it.

    @ivar asked_term: the term of the request; C{term} may be another where it was only asked what if.
    """

    asked_term: int
    granted: bool
    pre: bool = False


@frozen(kw_only=True)
class AppendRequest(_Message):
    """
    The leader's entries behind one that the follower must have, or none: then it says that the leader is there.

    @ivar entries: with indices from C{prev_index + 1} on, without a gap.
    @ivar commit_index: how far the leader knows entries to be committed; it counts only as far as this message proves
        the follower's log to be the same (RF4).
    @ivar round: of the leader's asking whether it still leads; the answer says it again (read index, RF11).
    @ivar wants_answer: whether one without entries is answered, where the logs meet: the leader says no where the
        answer would tell it nothing that it does not know.
    """

    prev_index: int
    prev_term: int
    entries: tuple[Entry, ...] = ()
    commit_index: int = 0
    round: int = 0
    wants_answer: bool = True


@frozen(kw_only=True)
class AppendResponse(_Message):
    """
    Says how far the sender's log is the leader's own, durably.

    @ivar matched_index: entries up to it are the leader's, and synced (RF2).
    """

    matched_index: int
    round: int = 0


@frozen(kw_only=True)
class AppendRejection(_Message):
    """
    Says that the log differs at C{prev_index}, or that the sender of an old term is no leader any more (RF9).

    @ivar rejected_index: the request's C{prev_index}.
    @ivar hint_index: no entry behind this one can match; a hint and nothing more (RF5).
    @ivar hint_term: of the entry at C{hint_index}.
    """

    rejected_index: int
    hint_index: int
    hint_term: int
    round: int = 0


@frozen(kw_only=True)
class SnapshotRequest(_Message):
    """
    A piece of the snapshot that stands for entries which the leader has no more.

    @ivar offset: where in the data the piece begins.
    @ivar total_bytes: how long the data is.
    """

    snapshot_index: int
    snapshot_term: int
    configuration: Configuration
    offset: int
    total_bytes: int
    data: bytes


@frozen(kw_only=True)
class SnapshotResponse(_Message):
    """
    Asks for the next piece; the last one is answered by L{AppendResponse}, once the snapshot is durable.

    @ivar offset: how much of it the sender has.
    """

    snapshot_index: int
    snapshot_term: int
    offset: int


@frozen(kw_only=True)
class TimeoutNow(_Message):
    """Asks a follower that has everything to stand for election at once (leader transfer)."""


@frozen(kw_only=True)
class ReadRequest(_Message):
    """
    Asks the leader up to where one has to have applied to read what is committed by now.

    @ivar context: tells this question from every other one of the sender's, those before its last restart included.
    """

    context: bytes


@frozen(kw_only=True)
class ReadResponse(_Message):
    """Answers that: apply up to C{index} first."""

    context: bytes
    index: int


Message: TypeAlias = (
    VoteRequest
    | VoteResponse
    | AppendRequest
    | AppendResponse
    | AppendRejection
    | SnapshotRequest
    | SnapshotResponse
    | TimeoutNow
    | ReadRequest
    | ReadResponse
)

FROM_LEADER = (AppendRequest, SnapshotRequest, TimeoutNow)
"""What only the leader of the message's term sends."""


class BadMessage(ValueError):
    """A message that no replica sends; whoever sent it is broken or no replica at all."""


def check_entries(prev_index: int, term: int, entries: Sequence[Entry]) -> None:
    """
    Check that entries follow each other, from behind C{prev_index}, with terms that grow up to C{term} at most.

    @raise BadMessage: they do not.
    """
    if prev_index < 0:
        raise BadMessage(f"entries behind {prev_index}")
    index, highest = prev_index, 0
    for entry in entries:
        index += 1
        if entry.index != index:
            raise BadMessage(f"entry {entry.index} stands where entry {index} should")
        if not highest <= entry.term <= term or not entry.term:
            raise BadMessage(f"entry {entry.index} is of term {entry.term}, between {highest} and {term}")
        highest = entry.term
