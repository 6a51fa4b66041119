"""
Reads what a data directory says of the cluster, and changes nothing: the node may be running, or be unable to.

Order: the log before its snapshot.  A running node puts a snapshot in place before it drops the entries that it stands
for, so the snapshot that is read afterwards reaches to where the log begins.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from streamline.cluster.commands import load
from streamline.cluster.image import MetadataImage, apply
from streamline.cluster.snapshot import load_image
from streamline.errors import ProtocolError, Refused, StartRefused
from streamline.raft import Configuration, Entry, EntryKind, ReplicaKey
from streamline.raft.configuration import decode_configuration
from streamline.services import commandlog, raftstore
from streamline.services.data_directory import META_NAME, METADATA_NAME, Meta, decode_meta
from streamline.services.raftfounding import SINGLE_TERM
from streamline.services.raftrecords import read_contents
from streamline.values import frozen


class NothingToRead(Exception):
    """The directory is none of a node's, or cannot be trusted; the message says so in one sentence."""


@frozen(kw_only=True)
class Quorum:
    """
    What the agreed log says of itself.

    @ivar term: the one that this node was in last.
    @ivar vote: whom it voted for there, or None.
    @ivar snapshot_index: up to where a snapshot stands for entries; 0 where there is none.
    @ivar last_index: of the last entry; 0 where there is none.
    @ivar last_term: of that entry.
    @ivar members: who takes part; None with consensus C{single}, where nobody else does.
    """

    term: int
    vote: ReplicaKey | None
    snapshot_index: int
    last_index: int
    last_term: int
    members: Configuration | None


@frozen(kw_only=True)
class Written:
    """All that a data directory says of the cluster: as this node knows it, the last changes agreed on or not."""

    meta: Meta
    quorum: Quorum
    image: MetadataImage


def read(directory: str) -> Written:
    """
    Read a data directory.

    @raise NothingToRead: there is none, or it is damaged.
    """
    home = Path(directory)
    if not home.is_dir():
        raise NothingToRead(f"{directory} is not a directory")
    try:
        meta = _meta(home)
        metadata = home / METADATA_NAME
        if (metadata / raftstore.LOG_NAME).exists():
            quorum, image = _from_raft(metadata)
        elif (metadata / commandlog.ENTRIES_NAME).exists():
            quorum, image = _from_single(metadata)
        else:
            raise NothingToRead(f"node {meta.node_id}, whose data directory {directory} is, was never in a cluster")
    except OSError as error:
        raise NothingToRead(f"{error.filename or directory} cannot be read: {error.strerror or error}") from error
    except (StartRefused, ProtocolError) as error:
        raise NothingToRead(str(error)) from error
    return Written(meta=meta, quorum=quorum, image=image)


def _meta(home: Path) -> Meta:
    path = home / META_NAME
    if not path.exists():
        raise NothingToRead(f"{home} is no node's data directory: it has no {META_NAME}")
    try:
        return decode_meta(path.read_bytes())
    except ValueError as error:
        raise NothingToRead(f"{path} {error}") from error


def _from_raft(metadata: Path) -> tuple[Quorum, MetadataImage]:
    log_path, snapshot_path = metadata / raftstore.LOG_NAME, metadata / raftstore.SNAPSHOT_NAME
    contents = read_contents(log_path.read_bytes(), str(log_path))
    image, members = MetadataImage(), contents.beginning.configuration
    snapshot_index = last_index = last_term = 0
    if snapshot_path.exists():
        snapshot = raftstore.decode_snapshot(snapshot_path.read_bytes(), str(snapshot_path))
        image, members = load_image(snapshot.data), snapshot.configuration
        snapshot_index = last_index = snapshot.index
        last_term = snapshot.term
    if contents.beginning.boundary_index > snapshot_index:
        raise NothingToRead(f"{snapshot_path} does not reach to where {log_path} begins")
    for entry in contents.entries:
        if entry.index <= snapshot_index:
            continue
        last_index, last_term = entry.index, entry.term
        if entry.kind is EntryKind.COMMAND:
            image = _applied(image, entry)
        elif entry.kind is EntryKind.CONFIGURATION:
            members = decode_configuration(entry.payload)
    hard_state = contents.hard_state
    quorum = Quorum(
        term=hard_state.term, vote=hard_state.vote, snapshot_index=snapshot_index,
        last_index=last_index, last_term=last_term, members=members,
    )  # fmt: skip
    return quorum, image


def _from_single(metadata: Path) -> tuple[Quorum, MetadataImage]:
    log_path, snapshot_path = metadata / commandlog.ENTRIES_NAME, metadata / commandlog.SNAPSHOT_NAME
    log_data = log_path.read_bytes()
    image, snapshot_index = MetadataImage(), 0
    if snapshot_path.exists():
        snapshot_index, body = commandlog.decode_snapshot(snapshot_path.read_bytes(), str(snapshot_path))
        image = load_image(body)
    last_index = snapshot_index
    for found in commandlog.read_entries(log_data, str(log_path), snapshot_index):
        last_index = found.index
        image = _applied(image, Entry(found.index, SINGLE_TERM, payload=found.payload or b""))
    quorum = Quorum(
        term=SINGLE_TERM, vote=None, snapshot_index=snapshot_index,
        last_index=last_index, last_term=SINGLE_TERM, members=None,
    )  # fmt: skip
    return quorum, image


def _applied(image: MetadataImage, entry: Entry) -> MetadataImage:
    """Return the image after a command; one that is refused changes nothing, on this node as on any other."""
    try:
        return apply(image, entry.index, load(entry.payload))[0]
    except Refused:
        return evolve(image, index=entry.index)
