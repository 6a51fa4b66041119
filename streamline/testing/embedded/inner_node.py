"""A node in this process: it begins, is held, is killed, begins again, and ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.logger import Logger

from streamline.interfaces import Host
from streamline.plugins import Installed
from streamline.services.host import ReactorClock, SystemRandom
from streamline.testing.embedded.doors import MortalDisk
from streamline.testing.embedded.links import CuttableNetwork, Links
from streamline.testing.embedded.plans import Plan
from streamline.testing.embedded.reactors import NodeReactor
from streamline.testing.embedded.turning import Turner

if TYPE_CHECKING:
    from streamline.assembly import Node

log = Logger()


class InnerNode:
    """
    One node and its lives; everything here happens in the thread of the L{Turner}.

    @ivar node: the one that lives; None while there is none.
    @ivar is_paused: whether it stands still.
    @ivar is_serving: whether clients are served.
    @param syncs: whether its data is to survive the loss of power, too.
    @param changed: called after anything about it or its metadata has changed.
    """

    def __init__(
        self,
        turner: Turner,
        plan: Plan,
        links: Links,
        installed: Installed,
        *,
        syncs: bool,
        changed: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.node: Node | None = None
        self.is_paused = False
        self.is_serving = False
        self._turner = turner
        self._links = links
        self._installed = installed
        self._syncs = syncs
        self._changed = changed
        self._reactor: NodeReactor | None = None
        self._disk: MortalDisk | None = None
        self._starting: Deferred[None] | None = None

    def start(self) -> Deferred[None]:
        """
        Begin to live; fires when clients are served.

        @raise streamline.errors.StartRefused: through the Deferred; it is dead then.
        """
        return ensureDeferred(self._start())

    async def _start(self) -> None:
        from streamline.assembly import build

        self._reactor = reactor = NodeReactor(f"node {self.plan.node_id}")
        self._disk = disk = MortalDisk(reactor, syncs=self._syncs)
        network = CuttableNetwork(reactor, self.plan.node_id, self._links)
        host = Host(clock=ReactorClock(reactor), disk=disk, network=network, rng=SystemRandom())
        self._turner.put_in(reactor)
        self._links.began(self.plan.node_id, reactor)
        try:
            self.node = node = build(self.plan.config(self._installed), host, installed=self._installed)
            node.broker.metadata.listen(lambda *_: self._changed())
            consensus = node.broker.metadata.consensus
            if hasattr(consensus, "listen"):
                consensus.listen(lambda *_: self._changed())
            node.failed.addCallback(self._failed, reactor)
            await node.startService()
        except Exception:
            await self._turner.between()
            if self._reactor is reactor:
                self.kill()
            raise
        self.is_serving = self.node is node
        self._changed()

    def _failed(self, reason: str, reactor: NodeReactor) -> None:
        """End as the process of a node does that cannot go on, once what it is doing has been done."""
        log.critical("node {node_id} cannot go on: {reason}", node_id=self.plan.node_id, reason=reason)
        self._turner.call(lambda: self.kill() if self._reactor is reactor else None)

    def pause(self) -> None:
        """Stand still, as after SIGSTOP."""
        if self._reactor is not None and not self.is_paused:
            self._turner.take_out(self._reactor)
            self.is_paused = True
            self._changed()

    def resume(self) -> None:
        """Go on, as after SIGCONT."""
        if self._reactor is not None and self.is_paused:
            self._turner.put_in(self._reactor)
            self.is_paused = False
            self._changed()

    def kill(self) -> None:
        """End as after SIGKILL; fine where it does not live."""
        reactor, disk = self._reactor, self._disk
        if reactor is None or disk is None:
            return
        self._reactor = self._disk = self.node = None
        self.is_paused = self.is_serving = False
        self._turner.take_out(reactor)
        self._links.ended(self.plan.node_id)
        disk.die()
        reactor.die()
        self._changed()

    def stop(self) -> Deferred[None]:
        """End as after SIGTERM; a paused one is killed."""
        if self.node is None or self.is_paused:
            self.kill()
            return succeed(None)
        return ensureDeferred(self._stop(self.node))

    async def _stop(self, node: Node) -> None:
        self.is_serving = False
        self._changed()
        with suppress(Exception):  # it has been logged, and it ends all the same
            await node.stopService()
        await self._turner.between()
        if self.node is node:
            self.kill()
