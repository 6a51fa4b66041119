"""
Streamline's partitions in a SQLite file.

Chosen with C{--storage acme:path=records.sqlite}; without a path, the file is
C{acme.sqlite} in the node's data directory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from acme_storage.log import AcmeLog
from acme_storage.tables import Tables
from streamline.config import NodeConfig, TopicConfig
from streamline.errors import StartRefused, StorageFailed
from streamline.interfaces import Host, IPartitionLog, IStorage
from streamline.model import LogIdentity

__all__ = ["AcmeLog", "AcmeStorage"]


@implementer(IStorage)
class AcmeStorage:
    """
    All partitions of a node in one file.

    @ivar clean_epoch: None: it does not keep how it stopped, so the cluster takes it for one that may lack records.
    """

    clean_epoch: int | None = None
    intact_epoch: int | None = None
    broker_epoch = -1

    def __init__(self, host: Host, config: NodeConfig, path: str = "") -> None:
        self._host = host
        self._path = path or f"{config.data_dir}/acme.sqlite"
        self._logs: dict[LogIdentity, AcmeLog] = {}
        self._tables: Tables

    def start(self) -> Deferred[None]:
        """Open the file, making it if need be."""
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
            self._tables = Tables(self._path)
        except (OSError, StorageFailed) as error:
            return fail(StartRefused(f"cannot use {self._path}: {error}"))
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Close every log, then the file; each commit was durable, so there is no such thing as an unclean stop."""
        for log in self._logs.values():
            log.end()
        self._tables.close()
        return succeed(None)

    def identities(self) -> Sequence[LogIdentity]:
        """Return the partitions that have a log."""
        return self._tables.identities()

    def open(self, identity: LogIdentity, config: TopicConfig) -> Deferred[IPartitionLog]:
        """Open a log; one of the same name with another topic id stays in the file, untouched."""
        log = self._logs.get(identity)
        if log is None or log.is_closed:
            try:
                log = self._logs[identity] = AcmeLog(identity, config, self._tables, self._host.clock)
            except StorageFailed:
                return fail()
        return succeed(log)

    def discard(self, identity: LogIdentity) -> Deferred[None]:
        """Close a log and delete its rows."""
        log = self._logs.pop(identity, None)
        if log is not None:
            log.is_closed = True
        try:
            self._tables.discard(identity)
        except StorageFailed:
            return fail()
        return succeed(None)

    def checkpoint(self) -> Deferred[None]:
        """Flush every log, and note high watermarks."""
        try:
            for log in self._logs.values():
                if not log.is_closed:
                    log.flush()
                    log.note()
        except StorageFailed:
            return fail()
        return succeed(None)
