"""All nodes of a cluster as processes, the links between them, and what can be seen of them from outside."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import wait
from contextlib import suppress
from random import Random
from threading import Event
from typing import TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred

from streamline.errors import ProtocolError
from streamline.model import PartitionState
from streamline.testing.embedded.conversation import Conversation
from streamline.testing.embedded.crew import apart, named
from streamline.testing.embedded.legs import Link
from streamline.testing.embedded.outer_node import OuterNode
from streamline.testing.embedded.plans import Plan
from streamline.testing.embedded.ports import ReservedPort
from streamline.testing.embedded.proxies import Proxy
from streamline.testing.embedded.reactors import NodeReactor
from streamline.testing.embedded.seeing import Judge, Topology, Unmet, in_vain
from streamline.testing.embedded.turning import Turner
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse

T = TypeVar("T")

AT_ONCE_S = 30.0
LOOK_AGAIN_S = 0.02
"""How often a process is asked what it knows: of that, nothing else tells."""
ANSWER_S = 1.0
METADATA_VERSION = 8


class OuterCrew:
    """The nodes, their processes and proxies."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._turner = Turner("streamline-links")
        self._reactor = NodeReactor("links")
        self._behind = {plan.node_id: ReservedPort() for plan in plans}
        self._nodes: dict[int, OuterNode] = {}
        self._proxies: dict[int, Proxy] = {}
        self._links: dict[tuple[int, int], Link] = {}
        self._changed = Event()
        rng = Random("links")
        for plan in plans:
            one, behind = plan.node_id, self._behind[plan.node_id]
            self._proxies[one] = Proxy(self._reactor, one, plan.peers, behind, self._links, rng)
            told = evolve(plan, peers=behind, advertised=plan.peers.address)
            self._nodes[one] = OuterNode(told, self._ender(one))
        self._at_once(lambda: self._turner.put_in(self._reactor), "links")

    def _ender(self, one: int) -> Callable[[], None]:
        def ended() -> None:
            self._turner.call(lambda: Deferred.fromCoroutine(self._proxies[one].close()))
            self._changed.set()

        return ended

    @property
    def pids(self) -> dict[int, int]:
        """The processes that live, by node."""
        return {
            one: node.process.pid
            for one, node in self._nodes.items()
            if node.process is not None and node.is_running
        }

    # Lives

    def start(self, ids: Sequence[int], timeout_s: float) -> None:
        """Start processes, and wait until they serve."""
        for one in ids:
            self._at_once(self._proxies[one].open, "links to be opened")
        serving = {self._nodes[one].start(): one for one in ids}
        done, missing = wait(serving, timeout_s)
        for begun in done:
            begun.result()
        if missing:
            late = named(sorted(serving[one] for one in missing))
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {late} to serve:\n{self._log_tail()}")

    def stop(self, ids: Sequence[int], timeout_s: float) -> None:
        """Have processes end in peace; those that are paused are killed."""
        for one in ids:
            self._nodes[one].signal(signal.SIGKILL if self._nodes[one].is_paused else signal.SIGTERM)
        for one in ids:
            self._nodes[one].wait(timeout_s)

    def kill(self, ids: Sequence[int]) -> None:
        """End processes with SIGKILL, all at once."""
        for one in ids:
            self._nodes[one].signal(signal.SIGKILL)
        for one in ids:
            self._nodes[one].wait(AT_ONCE_S)

    def pause(self, one: int) -> None:
        """Hold a process with SIGSTOP."""
        self._nodes[one].pause()

    def resume(self, one: int) -> None:
        """Let it go on."""
        self._nodes[one].resume()

    def is_running(self, one: int) -> bool:
        """Say whether a process lives, paused or not."""
        return self._nodes[one].is_running

    def is_paused(self, one: int) -> bool:
        """Say whether it is held."""
        return self._nodes[one].is_paused

    def cut(self, links: Collection[tuple[int, int]]) -> None:
        """Let nothing through from the first node of each pair to the second."""
        self._change({link: Link(is_cut=True) for link in links}, "links to be cut")

    def cut_clients(self, one: int) -> None:
        """Refuse: clients connect to the process itself."""
        raise ValueError("clients of a node in a process of its own cannot be cut off; pause it instead")

    def slow(self, delay_s: tuple[float, float], resets_per_s: float) -> None:
        """Have what nodes say to each other arrive later, and connections between them be reset."""
        slow = Link(delay_s=delay_s, resets_per_s=resets_per_s)
        self._change(
            {(one, other): slow for one in self._nodes for other in self._nodes if one != other}, "links to be slow"
        )

    def heal(self, *, reset: bool) -> None:
        """Mend all links."""

        def heal() -> None:
            if reset:
                for proxy in self._proxies.values():
                    proxy.reset()
            self._links.clear()
            self._tell()

        self._at_once(heal, "links to be healed")

    def _change(self, links: dict[tuple[int, int], Link], what: str) -> None:
        def change() -> None:
            self._links.update(links)
            self._tell()

        self._at_once(change, what)

    def _tell(self) -> None:
        for proxy in self._proxies.values():
            proxy.changed()

    def _log_tail(self) -> str:
        return "\n".join(f"node {one}:\n{''.join(node.tail)}" for one, node in self._nodes.items())

    def close(self) -> None:
        """Kill what lives, and end."""
        self.kill(list(self._nodes))
        self._at_once(lambda: self._turner.take_out(self._reactor), "links to end")
        self._at_once(self._reactor.die, "links to end")
        self._turner.close()
        for port in self._behind.values():
            port.release()

    def _at_once(self, function: Callable[[], object], what: str) -> None:
        self._turner.ask(function, what=what, timeout_s=AT_ONCE_S)

    # Seeing

    def until(self, judge: Judge[T], what: str, timeout_s: float) -> T:
        """Ask nodes, over and over, until something is seen (L{streamline.testing.embedded.seeing.Sight})."""
        end_s = time.monotonic() + timeout_s
        while True:
            seen = judge(self._topology())
            if not isinstance(seen, Unmet):
                return seen
            if time.monotonic() > end_s:
                raise in_vain(what, timeout_s, seen)
            self._changed.wait(LOOK_AGAIN_S)
            self._changed.clear()

    def _topology(self) -> Topology:
        alive = [one for one, node in self._nodes.items() if node.is_running]
        lost = apart(alive, [link for link, how in list(self._links.items()) if how.is_cut])
        there = [one for one in alive if not self._nodes[one].is_paused and one not in lost]
        for one in there:
            with suppress(OSError, ProtocolError):
                return _seen(self._ask(one), there)
        return Topology(there, None, (), lambda topic, index: None)

    def _ask(self, one: int) -> MetadataResponse:
        with Conversation(self._nodes[one].plan.kafka.address, ANSWER_S) as talk:
            return talk.ask(
                MetadataRequest(topics=None, allow_auto_topic_creation=False), MetadataResponse, METADATA_VERSION
            )


def _seen(said: MetadataResponse, there: Sequence[int]) -> Topology:
    partitions = {
        (topic.name, one.partition_index): PartitionState(
            index=one.partition_index,
            replicas=tuple(one.replica_nodes),
            isr=tuple(one.isr_nodes),
            leader=one.leader_id,
            leader_epoch=one.leader_epoch,
        )
        for topic in said.topics
        for one in topic.partitions
    }
    return Topology(
        there,
        said.controller_id if said.controller_id in there else None,
        [one.node_id for one in said.brokers if one.node_id in there],
        lambda topic, index: partitions.get((topic, index)),
    )
