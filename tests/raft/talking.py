"""One replica to talk to by hand, and what to say to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from streamline.raft import Configuration, Entry, Message, RaftNode, Ready
from streamline.raft.messages import AppendRequest, SnapshotRequest, VoteRequest
from tests.raft.cluster import SETTINGS, commands, key, recovered, voters

THREE = voters(1, 2, 3)

M = TypeVar("M", bound=Message)


def alone(
    number: int = 1, configuration: Configuration = THREE, *, log: Sequence[Entry] = (), term: int = 0
) -> RaftNode:
    """Return a replica to talk to by hand, with this log and in this term."""
    return RaftNode(key(number), recovered(configuration, log, term), SETTINGS, lambda below: 0)


def taken(node: RaftNode) -> Ready:
    """Return what a core wants done."""
    ready = node.ready()
    assert ready is not None
    return ready


def only(ready: Ready, kind: type[M]) -> M:
    """Return the one message that is to be sent, which is of this class."""
    (message,) = ready.messages
    assert isinstance(message, kind), message
    return message


def append(to: int, sender: int, term: int, prev: tuple[int, int], *terms: int, commit: int = 0) -> AppendRequest:
    """Return entries of these terms behind C{prev}."""
    entries = commands(*terms, first=prev[0] + 1)
    return AppendRequest(
        term=term, sender=key(sender), to=key(to), prev_index=prev[0], prev_term=prev[1], entries=entries,
        commit_index=commit,
    )  # fmt: skip


def vote(to: int, sender: int, term: int, last: tuple[int, int] = (0, 0), **flags: bool) -> VoteRequest:
    """Return a request for a vote, of a log that ends at C{last}: index, term."""
    return VoteRequest(
        term=term, sender=key(sender), to=key(to), last_index=last[0], last_term=last[1], **flags
    )


def piece(to: int, sender: int, term: int, index: int) -> SnapshotRequest:
    """Return a whole snapshot up to C{index}."""
    return SnapshotRequest(
        term=term, sender=key(sender), to=key(to), snapshot_index=index, snapshot_term=1,
        configuration=voters(1, 2), offset=0, total_bytes=3, data=b"all",
    )  # fmt: skip
