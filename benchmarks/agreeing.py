"""
How long it takes to agree on one command, beside what a sync of the disk takes.

    python -m benchmarks.agreeing [directory]

One replica alone, then three in this process that exchange their messages as objects, each with
a log of its own on a real disk.  Commands are proposed one after another; between any two of them,
a bare file gets as many bytes and an fdatasync.  Three logs on one disk wait for the same device.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import quantiles
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from zope.interface import implementer

from streamline.config import NodeConfig
from streamline.interfaces import IInbox, IMessenger
from streamline.raft import Message, Replica, ReplicaKey
from streamline.services.host import real_host
from streamline.services.raft import RaftConsensus
from streamline.storage.disk import RealDisk
from streamline.testing.contracts.consensus import Ledger

ROUNDS = 400
WARM_UP = 40
COMMAND = b"x" * 200
LOOK_S = 0.001


@implementer(IMessenger)
class Lane:
    """Brings each message in the next turn of the reactor."""

    inboxes: dict[ReplicaKey, IInbox]

    def __init__(self, key: ReplicaKey, inboxes: dict[ReplicaKey, IInbox]) -> None:
        self.key = key
        self.inboxes = inboxes

    def attach(self, inbox: IInbox) -> None:
        """Bring messages here."""
        self.inboxes[self.key] = inbox

    def detach(self) -> None:
        """Bring none any more."""
        self.inboxes.pop(self.key, None)

    def know(self, replicas: Sequence[Replica]) -> None:
        """Everybody is known."""

    def send(self, message: Message) -> None:
        """Bring it to whom it is for."""
        inbox = self.inboxes.get(message.to)
        if inbox is not None:
            clock().callLater(0, inbox.received, message)


def clock() -> Any:
    """Return the reactor."""
    return reactor


def a_cluster(directory: str, count: int) -> list[RaftConsensus]:
    """Start so many replicas."""
    host = real_host(clock(), RealDisk(clock()))
    inboxes: dict[ReplicaKey, IInbox] = {}
    replicas = [Replica(ReplicaKey(number, bytes((number,)) * 16)) for number in range(1, count + 1)]
    made = []
    for replica in replicas:
        config = NodeConfig(node_id=replica.key.node_id, data_dir=f"{directory}/{count}/{replica.key.node_id}")
        one = RaftConsensus(host, config)
        one.identify(replica.key.directory_id, Lane(replica.key, inboxes))
        one.found(replicas)
        one.start(Ledger())
        made.append(one)
    return made


async def the_leader(cluster: Sequence[RaftConsensus]) -> RaftConsensus:
    """Wait until somebody leads."""
    while True:
        for one in cluster:
            if one.leader_id == one.key.node_id:
                return one
        waiting: Deferred[None] = Deferred()
        clock().callLater(LOOK_S, waiting.callback, None)
        await waiting


def bare_sync_ms(fd: int) -> float:
    """Write and sync a command's bytes."""
    began = time.perf_counter()
    os.write(fd, COMMAND)
    os.fdatasync(fd)
    return (time.perf_counter() - began) * 1000


async def measure(directory: str, count: int) -> None:
    """Agree on commands, one after another, and print how long that took."""
    cluster = a_cluster(directory, count)
    leader = await the_leader(cluster)
    fd = os.open(f"{directory}/bare.{count}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    agreed, bare = [], []
    for _ in range(WARM_UP + ROUNDS):
        bare.append(bare_sync_ms(fd))
        began = time.perf_counter()
        await leader.propose(COMMAND)
        agreed.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    ours, theirs = quantiles(agreed[WARM_UP:], n=100), quantiles(bare[WARM_UP:], n=100)
    print(
        f"{count} replica(s): p50 {ours[49]:.2f} ms, p99 {ours[98]:.2f} ms; "
        f"fdatasync p50 {theirs[49]:.2f} ms, p99 {theirs[98]:.2f} ms; {ours[49] / theirs[49]:.2f}x at p50"
    )
    for one in [*(one for one in cluster if one is not leader), leader]:
        await one.stop()


async def main(parent: str | None) -> None:
    """Measure one, then three."""
    directory = tempfile.mkdtemp(prefix="agreeing", dir=parent)
    try:
        for count in (1, 3):
            await measure(directory, count)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    done = Deferred.fromCoroutine(main(sys.argv[1] if len(sys.argv) > 1 else None))
    done.addErrback(lambda failure: failure.printTraceback()).addBoth(lambda _: clock().stop())
    clock().run()
