"""
Sees to it that a cluster has an id.

The first command of every metadata log founds the cluster: it carries the id and the rules by which the founders want
partitions to be led.  Whoever leads a log without one proposes it; everybody else hears of it.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from streamline.cluster.commands import FoundCluster, together
from streamline.cluster.image import MetadataImage
from streamline.cluster.rules import founding_rules
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused
from streamline.interfaces import Host, IQuorum, IRandom
from streamline.services.data_directory import DataDirectory
from streamline.services.metadata import Metadata
from streamline.services.sharing import Shared

TRIED_AGAIN = (ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT)
"""Refusals after which whoever leads then founds the cluster, be it this node."""


class Foundation(Service):
    """
    Founds the cluster where this node is the one to do it, and says when that is done.

    It runs from the moment that the metadata are recovered.
    """

    def __init__(self, host: Host, config: NodeConfig, metadata: Metadata, directory: DataDirectory) -> None:
        self._rng = host.rng
        self._config = config
        self._metadata = metadata
        self._directory = directory
        self._is_proposing = False
        self._refusal: StartRefused | None = None
        self._founded: Shared[str] = Shared()
        metadata.listen(self._image_changed)
        if IQuorum.providedBy(metadata.consensus):
            metadata.consensus.listen(self._leader_changed)

    def startService(self) -> None:
        """Look whether anything is to be done."""
        Service.startService(self)
        self._look()

    def stopService(self) -> None:
        """Do nothing any more."""
        Service.stopService(self)
        self.give_up()

    def give_up(self) -> None:
        """Let nobody wait any more; the node stops."""
        self._founded.tell("")

    def when_founded(self) -> Deferred[str]:
        """
        Fire with the cluster's id once this node has heard of it; with an empty text where the node stops before.

        @raise StartRefused: through the Deferred; it cannot be written, or there was one that is gone.
        """
        if self._refusal is not None:
            return fail(self._refusal)
        cluster_id = self._metadata.image.cluster_id
        return succeed(cluster_id) if cluster_id else self._founded.wait()

    def _image_changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if new.cluster_id and not old.cluster_id:
            self._founded.tell(new.cluster_id)

    def _leader_changed(self, leader_id: int | None, term: int) -> None:
        self._look()

    def _look(self) -> None:
        if not self.running or self._is_proposing or self._metadata.image.cluster_id:
            return
        if self._metadata.consensus.leader_id == self._config.node_id:
            self._found()

    def _found(self) -> None:
        meta = self._directory.meta
        if meta is not None and meta.cluster_id is not None:
            # It is written down only after the founding is durable, so that has been there and is gone.
            self._refuse(
                f"the metadata of the cluster {meta.cluster_id} is missing from {self._config.data_dir}; "
                "restore it from a backup, or name another directory with --data-dir"
            )
            return
        self._is_proposing = True
        command = together([FoundCluster(cluster_id=new_cluster_id(self._rng)), founding_rules(self._config.broker)])
        assert command is not None, "two commands are one together"
        self._metadata.propose(command).addBoth(self._proposed)

    def _proposed(self, result: object) -> None:
        self._is_proposing = False
        if not isinstance(result, Failure) or self._metadata.image.cluster_id:
            return
        if result.check(Refused) and result.value.code in TRIED_AGAIN:  # type: ignore[union-attr]
            self._look()
        else:
            self._refuse(f"the cluster cannot be founded: {result.getErrorMessage()}")

    def _refuse(self, why: str) -> None:
        self._refusal = StartRefused(why)
        self._founded.tell(Failure(self._refusal))


def new_cluster_id(rng: IRandom) -> str:
    """Draw a cluster id as Kafka writes them; its tools take a leading '-' for an option."""
    while True:
        drawn = urlsafe_b64encode(rng.randbytes(16)).decode("ascii").rstrip("=")
        if not drawn.startswith("-"):
            return drawn
