"""
Snapshots: sending one in pieces to whoever needs entries that are gone, and taking one over.

A snapshot is installed as one step (RF12): the disk has either what it had before or the snapshot
and a log that begins behind it, and nothing is acknowledged before it has.  One
that says nothing new is answered and left alone.
"""

from __future__ import annotations

from streamline.raft import following
from streamline.raft.configuration import ReplicaKey
from streamline.raft.core import Core
from streamline.raft.messages import BadMessage, Snapshot, SnapshotRequest, SnapshotResponse
from streamline.raft.progress import Progress, Transmission
from streamline.raft.roles import Follower, Incoming, Leader

# Sending


def begin(core: Core, peer: Progress) -> None:
    """Begin to send the latest snapshot, to a replica that is there to take it."""
    if peer.is_active and peer.transmission is None:
        peer.become_snapshot(core.snapshot)


def send_piece(core: Core, key: ReplicaKey, transmission: Transmission) -> None:
    """Send the next piece, when the one before has been answered."""
    if transmission.is_waiting:
        return
    snapshot, offset = transmission.snapshot, transmission.offset
    transmission.is_waiting = True
    core.send(
        SnapshotRequest(
            term=core.term,
            sender=core.me,
            to=key,
            snapshot_index=snapshot.index,
            snapshot_term=snapshot.term,
            configuration=snapshot.configuration,
            offset=offset,
            total_bytes=len(snapshot.data),
            data=snapshot.data[offset : offset + core.settings.snapshot_chunk_bytes],
        )
    )


def piece_responded(core: Core, message: SnapshotResponse) -> None:
    """Go on where the replica says it is."""
    leader = core.role
    if not isinstance(leader, Leader) or (peer := leader.peers.get(message.sender)) is None:
        return
    peer.heard(core.ticks, 0)
    sent = peer.transmission
    answered = message.snapshot_index, message.snapshot_term
    if sent is not None and (sent.snapshot.index, sent.snapshot.term) == answered:
        sent.answered(message.offset)


# Taking over


def piece_received(core: Core, message: SnapshotRequest) -> None:
    """Take a piece; with the last one, take the snapshot over."""
    _check(core, message)
    role = following.heard_leader(core, message)
    if message.snapshot_index <= core.log.commit_index:
        role.incoming = None
        following.acknowledge(core, role)
        return
    incoming = _incoming(role, message)
    if message.offset == incoming.size_bytes:
        incoming.pieces.append(message.data)
        incoming.size_bytes += len(message.data)
    if incoming.size_bytes < message.total_bytes:
        _ask_on(core, message, incoming.size_bytes)
        return
    role.incoming = None
    _install(core, role, message, b"".join(incoming.pieces))


def _check(core: Core, message: SnapshotRequest) -> None:
    end = message.offset + len(message.data)
    if not 0 <= message.offset <= end <= message.total_bytes <= core.settings.snapshot_bytes_max:
        raise BadMessage(f"bytes {message.offset} to {end} are no piece of {message.total_bytes} bytes")
    if not 0 < message.snapshot_term <= message.term:
        raise BadMessage(f"a snapshot of term {message.snapshot_term} in term {message.term}")


def _incoming(role: Follower, message: SnapshotRequest) -> Incoming:
    """Return what is there of this snapshot; what is there of another one is dropped."""
    known = role.incoming
    if known is None or (known.index, known.term) != (message.snapshot_index, message.snapshot_term):
        known = role.incoming = Incoming(message.snapshot_index, message.snapshot_term)
    return known


def _ask_on(core: Core, message: SnapshotRequest, offset: int) -> None:
    core.send(
        SnapshotResponse(
            term=core.term,
            sender=core.me,
            to=message.sender,
            snapshot_index=message.snapshot_index,
            snapshot_term=message.snapshot_term,
            offset=offset,
        )
    )


def _install(core: Core, role: Follower, message: SnapshotRequest, data: bytes) -> None:
    """Have the snapshot instead of the log, unless the log has all of it and may have more."""
    index, term = message.snapshot_index, message.snapshot_term
    if core.log.term_at(index) == term:
        core.log.commit_to(index)
    else:
        core.restore(Snapshot(index, term, message.configuration, data))
    role.matched_index = max(role.matched_index, index)
    following.own_log_durable(core, role)
