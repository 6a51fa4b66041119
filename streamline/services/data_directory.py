"""
The directory that makes a process this node and no other.

It is locked while the node lives, and C{meta.properties} in it says whose it is,
as Kafka writes it (KIP-858): node id, cluster id, and a directory id that is new
with each new disk (RF15).  Opening it finds out, before anything else happens,
whether this node can run here at all (DK16, DK17).
"""

from __future__ import annotations

import errno
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping

from twisted.application.service import Service
from twisted.logger import Logger

from streamline.config import NodeConfig
from streamline.errors import StartRefused
from streamline.interfaces import Host
from streamline.values import frozen

META_NAME = "meta.properties"
LOCK_NAME = ".lock"
PROBE_NAME = ".probe"
DIRECTORY_ID_BYTES = 16
PROBE_BYTES = 64 * 1024
"""What a node writes at least before it serves."""

METADATA_NAME = "metadata"
"""The subdirectory of the consensus; it comes after C{meta.properties}, never before."""

ANOTHER = "name another directory with --data-dir"


@frozen(kw_only=True)
class Meta:
    """What C{meta.properties} says."""

    node_id: int
    directory_id: str
    cluster_id: str | None = None

    @property
    def directory_uuid(self) -> bytes:
        """
        The directory id as the 16 bytes that go over the wire (KIP-853).

        @raise StartRefused: it is none.
        """
        try:
            decoded = urlsafe_b64decode(self.directory_id + "==")
        except ValueError:
            decoded = b""
        if len(decoded) != DIRECTORY_ID_BYTES:
            raise StartRefused(f"{META_NAME} has a bad directory.id ({self.directory_id}); restore it from a backup")
        return decoded

    def encode(self) -> bytes:
        """Return the file."""
        lines = ["version=1", f"node.id={self.node_id}", f"directory.id={self.directory_id}"]
        if self.cluster_id is not None:
            lines.append(f"cluster.id={self.cluster_id}")
        return "".join(f"{line}\n" for line in lines).encode("ascii")


def decode_meta(data: bytes) -> Meta:
    """
    Read C{meta.properties}, ours or Kafka's.

    @raise ValueError: with what is wrong about it.
    """
    properties = _properties(data.decode("ascii", "replace"))
    if properties.get("version") != "1":
        raise ValueError(f"is of version {properties.get('version', 'unknown')}, not 1")
    node_id, directory_id = properties.get("node.id", ""), properties.get("directory.id", "")
    if not node_id.isdecimal() or not directory_id:
        raise ValueError("lacks node.id or directory.id")
    return Meta(node_id=int(node_id), directory_id=directory_id, cluster_id=properties.get("cluster.id"))


def _properties(text: str) -> Mapping[str, str]:
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith(("#", "!"))]
    return {key.strip(): value.strip() for key, _, value in pairs}


class DataDirectory(Service):
    """
    The data directory of one node, held from L{open} to L{close}.

    It is the first thing that a node starts.  Whoever wants to hear of a refusal
    earlier may call L{open} before; starting then finds it open.

    @ivar meta: whose directory this is, once it is open.
    """

    log = Logger()
    name = "data directory"

    def __init__(self, host: Host, config: NodeConfig) -> None:
        self._disk = host.disk
        self._rng = host.rng
        self._path = config.data_dir
        self._node_id = config.node_id
        self._reserve_bytes = config.broker.log_space_reserve_bytes
        self._release: Callable[[], None] | None = None
        self.meta: Meta | None = None

    def startService(self) -> None:
        """Open it, if that has not been done."""
        self.open()
        Service.startService(self)

    def stopService(self) -> None:
        """Let others have it."""
        Service.stopService(self)
        self.close()

    def open(self) -> None:
        """
        Lock the directory, make sure that it is ours and can be written to; make it if need be.

        @raise StartRefused: with a sentence; nothing is held then.
        """
        if self._release is not None:
            return
        try:
            self._disk.make_directories(self._path)
            release = self._disk.lock(f"{self._path}/{LOCK_NAME}")
        except BlockingIOError:
            raise StartRefused(
                f"the data directory {self._path} is in use by a node that is running; stop that one, or {ANOTHER}"
            ) from None
        except OSError as error:
            raise self._refusal(error) from error
        try:
            self.meta = self._identify()
            self._probe()
        except OSError as error:
            release()
            raise self._refusal(error) from error
        except StartRefused:
            release()
            raise
        self._release = release

    def close(self) -> None:
        """Let others have it; fine where it is not open."""
        if self._release is not None:
            self._release()
            self._release = None

    def join(self, cluster_id: str) -> None:
        """
        Remember, durably, which cluster this node is of.

        @raise StartRefused: it is of another one, or cannot remember it.
        """
        meta = self.meta
        assert meta is not None, "only an open directory can remember"
        if meta.cluster_id is None:
            joined = Meta(node_id=meta.node_id, directory_id=meta.directory_id, cluster_id=cluster_id)
            try:
                self._disk.replace_file(f"{self._path}/{META_NAME}", joined.encode())
            except OSError as error:
                raise self._refusal(error) from error
            self.meta = joined
        elif meta.cluster_id != cluster_id:
            raise StartRefused(
                f"the data directory {self._path} belongs to the cluster {meta.cluster_id}, "
                f"not to {cluster_id}; {ANOTHER}"
            )

    def _identify(self) -> Meta:
        path = f"{self._path}/{META_NAME}"
        if not self._disk.exists(path):
            return self._take_possession(path)
        try:
            meta = decode_meta(self._disk.read_file(path))
        except ValueError as error:
            raise StartRefused(f"{path} {error}; restore it from a backup, or {ANOTHER}") from None
        if meta.node_id != self._node_id:
            raise StartRefused(
                f"the data directory {self._path} belongs to node {meta.node_id}, not to node {self._node_id}; "
                f"start with --node-id {meta.node_id}, or {ANOTHER}"
            )
        return meta

    def _take_possession(self, path: str) -> Meta:
        if self._disk.exists(f"{self._path}/{METADATA_NAME}"):
            raise StartRefused(
                f"the data directory {self._path} holds a node's data but no {META_NAME}; "
                f"restore that file from a backup, or {ANOTHER}"
            )
        meta = Meta(node_id=self._node_id, directory_id=self._new_directory_id())
        self._disk.replace_file(path, meta.encode())
        return meta

    def _new_directory_id(self) -> str:
        while True:
            text = urlsafe_b64encode(self._rng.randbytes(16)).decode("ascii").rstrip("=")
            # Kafka's tools take a leading '-' for an option, and keep ids that begin with zeros for themselves.
            if not text.startswith(("-", "AAAAAAAAAAA")):
                return text

    def _probe(self) -> None:
        """See whether anything can be written; a start on a full disk would only fail later and less clearly."""
        path = f"{self._path}/{PROBE_NAME}"
        if self._disk.exists(path):
            self._disk.remove(path)
        probe = self._disk.open(path, create=True)
        try:
            probe.write([bytes(PROBE_BYTES)], 0)
        finally:
            probe.close()
            self._disk.remove(path)
        free, _ = self._disk.space(self._path)
        if free < self._reserve_bytes:
            self.log.warn(
                "The file system of {path} has {free_bytes} bytes free, less than log.space.reserve.bytes "
                "({reserve_bytes}): records will be refused until there is more",
                path=self._path, free_bytes=free, reserve_bytes=self._reserve_bytes,
            )

    def _refusal(self, error: OSError) -> StartRefused:
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return StartRefused(f"the data directory {self._path} is not a directory; {ANOTHER}")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StartRefused(f"the data directory {self._path} is full ({error.strerror}); make room, or {ANOTHER}")
        return StartRefused(f"the data directory {self._path} cannot be used: {error.strerror or error}; {ANOTHER}")
