"""All nodes of a cluster in this process, turned by one thread, and what can be seen of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList, FirstError

from streamline.plugins import Installed
from streamline.testing.embedded.crew import apart, named
from streamline.testing.embedded.inner_node import InnerNode
from streamline.testing.embedded.links import Links
from streamline.testing.embedded.logs import NodeLog
from streamline.testing.embedded.plans import Plan
from streamline.testing.embedded.seeing import Judge, Topology, Unmet, in_vain
from streamline.testing.embedded.turning import Turner

T = TypeVar("T")

AT_ONCE_S = 30.0
"""How long something may take that waits for nobody: a machine that is slower than that is stuck."""


class InnerCrew:
    """
    The nodes, for threads other than theirs.

    @param installed: the plugins that they can choose from.
    @param syncs: whether what is written is to survive the loss of power, too.
    """

    def __init__(self, plans: Sequence[Plan], installed: Installed, *, syncs: bool) -> None:
        ports = {port.number: plan.node_id for plan in plans for port in (plan.kafka, plan.peers)}
        self.links = Links(ports, [plan.kafka.number for plan in plans])
        self._turner = Turner("streamline-cluster")
        self._log = NodeLog(self._turner)
        self._nodes = {
            plan.node_id: InnerNode(self._turner, plan, self.links, installed, syncs=syncs, changed=self._changed)
            for plan in plans
        }
        self._watches: list[Callable[[], None]] = []
        self._is_looking = False
        self._cut: set[tuple[int, int]] = set()
        self._log.open()

    @property
    def pids(self) -> dict[int, int]:
        """The processes of the nodes; they have none of their own."""
        return {}

    # Lives

    def start(self, ids: Sequence[int], timeout_s: float) -> None:
        """
        Have nodes begin, and wait until they serve.

        @raise TimeoutError: they do not.
        @raise streamline.errors.StartRefused: one cannot.
        """
        try:
            self._ask(lambda: _all([self._nodes[one].start() for one in ids]), f"{named(ids)} to serve", timeout_s)
        except FirstError as error:
            assert error.subFailure.value is not None
            raise error.subFailure.value from None

    def stop(self, ids: Sequence[int], timeout_s: float) -> None:
        """Have nodes end in peace, and wait for that."""
        self._ask(lambda: _all([self._nodes[one].stop() for one in ids]), f"{named(ids)} to stop", timeout_s)

    def kill(self, ids: Sequence[int]) -> None:
        """End nodes as SIGKILL does."""
        for one in ids:
            self._at_once(self._nodes[one].kill, f"node {one} to be killed")

    def pause(self, one: int) -> None:
        """Hold a node as SIGSTOP does."""
        self._at_once(self._nodes[one].pause, f"node {one} to be paused")

    def resume(self, one: int) -> None:
        """Let it go on."""
        self._at_once(self._nodes[one].resume, f"node {one} to go on")

    def is_running(self, one: int) -> bool:
        """Say whether a node lives, paused or not."""
        return self._nodes[one].node is not None

    def is_paused(self, one: int) -> bool:
        """Say whether it is held."""
        return self._nodes[one].is_paused

    def cut(self, links: Collection[tuple[int, int]]) -> None:
        """Let nothing through between the nodes of each pair, which come in both orders."""
        if any((other, one) not in links for one, other in links):
            raise ValueError("nodes in one process are cut off from each other in both directions or not at all")

        def cut() -> None:
            self.links.cut(links)
            self._cut.update(links)
            self._changed()

        self._at_once(cut, "links to be cut")

    def cut_clients(self, one: int) -> None:
        """Cut a node off from its clients."""
        self._at_once(lambda: self.links.cut_clients(one), f"node {one} to be cut off from its clients")

    def slow(self, delay_s: tuple[float, float], resets_per_s: float) -> None:
        """Refuse: nothing stands between these nodes that could hold them up."""
        raise ValueError("links between nodes in one process cannot be slowed; processes=True has such as can")

    def heal(self, *, reset: bool) -> None:
        """Mend all links."""
        if reset:
            raise ValueError("connections between nodes in one process cannot be reset; processes=True has such as can")

        def heal() -> None:
            self.links.heal()
            self._cut.clear()
            self._changed()

        self._at_once(heal, "links to be healed")

    def close(self) -> None:
        """Kill what lives, and end."""
        self.kill(list(self._nodes))
        self._turner.close()
        self._log.close()

    def _at_once(self, function: Callable[[], object], what: str) -> None:
        self._ask(function, what, AT_ONCE_S)

    def _ask(self, function: Callable[[], Any], what: str, timeout_s: float) -> Any:
        return self._turner.ask(function, what=what, timeout_s=timeout_s)

    # Seeing

    def until(self, judge: Judge[T], what: str, timeout_s: float) -> T:
        """Wait until something is seen (L{streamline.testing.embedded.seeing.Sight})."""
        unmet: list[object] = [Unmet("nobody looked")]

        def begin() -> Deferred[T]:
            found: Deferred[T] = Deferred(lambda _: self._watches.remove(look))

            def look() -> None:
                seen = judge(self._topology())
                if isinstance(seen, Unmet):
                    unmet[0] = seen
                else:
                    self._watches.remove(look)
                    found.callback(seen)

            self._watches.append(look)
            look()
            return found

        try:
            result: T = self._ask(begin, what, timeout_s)
        except TimeoutError:
            raise in_vain(what, timeout_s, unmet[0]) from None
        return result

    def _changed(self) -> None:
        """Look again, once whoever changes something has done so."""
        if self._watches and not self._is_looking:
            self._is_looking = True
            self._turner.call(self._look)

    def _look(self) -> None:
        self._is_looking = False
        for look in list(self._watches):
            look()

    def _topology(self) -> Topology:
        alive = {one: each.node.broker.metadata for one, each in self._nodes.items() if each.node is not None}
        lost = apart(alive, self._cut)
        there = {
            one: metadata
            for one, metadata in alive.items()
            if not self._nodes[one].is_paused and one not in lost
        }
        if not there:
            return Topology((), None, (), lambda topic, index: None)
        seer = max(there.values(), key=lambda metadata: (metadata.consensus.term, metadata.image.index))
        leader_id = seer.consensus.leader_id
        return Topology(
            list(there),
            leader_id if leader_id in there else None,
            [one for one in there if seer.image.is_active(one) and self._nodes[one].is_serving],
            seer.image.partition,
        )


def _all(deferreds: Sequence[Deferred[None]]) -> Deferred[Any]:
    return DeferredList(deferreds, fireOnOneErrback=True, consumeErrors=True)
