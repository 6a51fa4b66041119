"""
A whole cluster for tests: real nodes, on loopback, that can be killed, held, cut off and mended.

By default the nodes run in this process.  That is quick, and their parts are those of production: each has a reactor, a
disk and sockets of its own, and nothing of it is left when it is killed.  With C{processes=True} each node is a process
of its own, C{twist streamline}, which takes longer to start.

    with Cluster(3) as cluster:
        producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap})
        ...
        cluster.kill(cluster.leader("orders", 0))

Every wait ends after a time, with a message that says what was waited for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import frozen

from streamline.errors import ProtocolError
from streamline.model import Endpoint
from streamline.plugins import discover
from streamline.testing.embedded.conversation import Conversation, is_led_there, read_partition
from streamline.testing.embedded.crew import Crew, named
from streamline.testing.embedded.plans import Plan, sort_out
from streamline.testing.embedded.ports import PortTaken
from streamline.testing.embedded.premises import Premises
from streamline.testing.embedded.seeing import all_take_part, has_controller, has_isr, has_leader, in_vain
from streamline.wire.records import Record

__all__ = ["Cluster", "ClusterNode", "PortTaken"]

TIMEOUT_S = 30.0
"""How long is waited for anything, unless told otherwise."""
ANSWER_S = 1.0
LOOK_AGAIN_S = 0.01
"""How often a node is asked what only it can tell."""


@frozen
class ClusterNode:
    """
    One node of a cluster.

    @ivar address: where clients connect; the same after each restart.
    @ivar data_dir: where it keeps everything.
    """

    node_id: int
    address: Endpoint
    data_dir: Path
    _crew: Crew

    @property
    def is_running(self) -> bool:
        """Whether it lives, paused or not."""
        return self._crew.is_running(self.node_id)

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._crew.is_paused(self.node_id)

    @property
    def pid(self) -> int | None:
        """Its process, where it has one of its own and lives."""
        return self._crew.pids.get(self.node_id)


class Cluster:
    """
    Nodes 1, 2, 3, … that form one cluster.

    @param nodes: how many; one, three and five make sense.
    @param founders: how many of them begin; the others join when L{restart} starts them.  By default all.
    @param processes: whether each is a process of its own.
    @param data_dir: where their data is kept, in a directory for each; by default in a temporary one, which is removed.
    @param sync: whether files are synced, so that data survives the loss of power; by default where C{data_dir} is
        given.  Without it, data survives everything that can be done to a node here.
    @param port: the port of the first node, the others follow; by default any that are free.
    @param settings: options of C{twist streamline} and Kafka's broker settings, with underscores, for all nodes:
        C{num_partitions=6, log_retention_ms=60_000, storage="memory"}.
    @raise TypeError: there is no such setting.
    @raise ValueError: a setting's value is wrong.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        founders: int | None = None,
        processes: bool = False,
        data_dir: str | os.PathLike[str] | None = None,
        sync: bool | None = None,
        port: int = 0,
        **settings: Any,
    ) -> None:
        if nodes < 1:
            raise ValueError(f"a cluster has one node or more, not {nodes}")
        self._founders = nodes if founders is None else founders
        if not 1 <= self._founders <= nodes:
            raise ValueError(f"a cluster of {nodes} is founded by one of them or more, not by {founders}")
        self._has_processes = processes
        self._keeps = data_dir is not None
        self._syncs = self._keeps if sync is None else sync
        self._premises = Premises(nodes, None if data_dir is None else Path(data_dir).absolute(), port, self._founders)
        self._options, self._broker = sort_out(settings)
        self._crew: Crew | None = None
        self.nodes: tuple[ClusterNode, ...] = ()

    # Life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout_s: float = TIMEOUT_S) -> None:
        """
        Start all nodes; return when each serves clients, and all know each other.

        @raise PortTaken: one of the ports that were asked for.
        @raise streamline.errors.StartRefused: a node cannot start, and why.
        @raise TimeoutError: they have not come so far.
        """
        if self._crew is not None:
            raise RuntimeError("the cluster has been started already")
        try:
            plans = self._premises.open(self._options, self._broker)
            crew = self._crew = self._make_crew(plans)
            self.nodes = tuple(
                ClusterNode(plan.node_id, plan.kafka.address, Path(plan.data_dir), crew) for plan in plans
            )
            self.restart(*self.node_ids[: self._founders], timeout_s=timeout_s)
        except BaseException:
            self._let_go()
            raise

    def stop(self, timeout_s: float = TIMEOUT_S, *, clean: bool | None = None) -> None:
        """
        End everything; fine where that is so.

        @param clean: whether nodes end in peace, except those that are paused, or are killed, which is quicker; by
            default where their data is kept.
        @raise TimeoutError: they did not end in peace; they have been killed.
        """
        crew = self._crew
        try:
            if crew is not None and (self._keeps if clean is None else clean):
                crew.stop([node.node_id for node in self.nodes if node.is_running], timeout_s)
        finally:
            self._let_go()

    def _make_crew(self, plans: Sequence[Plan]) -> Crew:
        installed = discover()
        plans[0].config(installed)  # a wrong setting is told here, in the same way however they run
        if self._has_processes:
            from streamline.testing.embedded.outer_crew import OuterCrew

            return OuterCrew(plans)
        from streamline.testing.embedded.inner_crew import InnerCrew

        return InnerCrew(plans, installed, syncs=self._syncs)

    def _let_go(self) -> None:
        if self._crew is not None:
            self._crew.close()
            self._crew = None
        self._premises.close()

    # What clients need

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes, with commas between: C{bootstrap.servers}."""
        return ",".join(str(node.address) for node in self.nodes)

    @property
    def node_ids(self) -> tuple[int, ...]:
        """The ids of all nodes."""
        return tuple(node.node_id for node in self.nodes)

    def records(self, topic: str, partition: int = 0, timeout_s: float = TIMEOUT_S) -> list[Record]:
        """
        Return what a consumer can read of a partition, from its leader.

        @raise TimeoutError: it has no leader.
        """
        leader = self.leader(topic, partition, timeout_s)
        with Conversation(self._address(leader), timeout_s) as talk:
            return read_partition(talk, topic, partition)

    # What can be seen

    def controller(self, timeout_s: float = TIMEOUT_S) -> int:
        """
        Return the node that is the controller, once there is one that is neither dead, paused nor isolated.

        @raise TimeoutError: there is none.
        """
        return self._running.until(has_controller, "a controller", timeout_s)

    def leader(self, topic: str, partition: int = 0, timeout_s: float = TIMEOUT_S) -> int:
        """
        Return the node that leads a partition, once one does that is neither dead, paused nor isolated.

        @raise TimeoutError: there is none.
        """
        what = f"a leader of partition {partition} of {topic}"
        end_s = time.monotonic() + timeout_s
        while True:
            found = self._running.until(has_leader(topic, partition), what, max(end_s - time.monotonic(), 0.0))
            if self._leads(found, topic, partition):
                return found
            if time.monotonic() > end_s:
                raise in_vain(what, timeout_s, f"node {found} does not know yet that it leads")
            time.sleep(LOOK_AGAIN_S)

    def _leads(self, node_id: int, topic: str, partition: int) -> bool:
        """Ask a node itself: others hear sooner who leads, now and then, than the one who does."""
        try:
            with Conversation(self._address(node_id), ANSWER_S) as talk:
                return is_led_there(talk, topic, partition)
        except (OSError, ProtocolError):
            return False

    def _address(self, node_id: int) -> Endpoint:
        [address] = [node.address for node in self.nodes if node.node_id == node_id]
        return address

    def wait_isr(
        self,
        topic: str,
        partition: int = 0,
        wanted: Sequence[int] | int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[int, ...]:
        """
        Wait until a partition's in-sync replicas are as they should be, and return them, sorted.

        @param wanted: which nodes, or how many; by default all replicas.
        @raise TimeoutError: they are not.
        """
        should = "all its replicas" if wanted is None else wanted
        what = f"partition {partition} of {topic} to have {should} in sync"
        return self._running.until(has_isr(topic, partition, wanted), what, timeout_s)

    def wait_all(self, *node_ids: int, timeout_s: float = TIMEOUT_S) -> None:
        """
        Wait until these nodes take part, with all others that are neither dead, paused nor isolated, and a controller.

        @raise TimeoutError: one does not.
        """
        ids = self._known(node_ids)
        what = f"{named(ids)} to take part" if ids else "all nodes to take part"
        self._running.until(all_take_part(ids), what, timeout_s)

    # What can be done to it

    def kill(self, *node_ids: int) -> None:
        """End nodes as C{kill -9} does, all at once; fine where they are dead."""
        self._running.kill(self._known(node_ids))

    def restart(self, *node_ids: int, timeout_s: float = TIMEOUT_S) -> None:
        """
        Start nodes on their old addresses and data, together, and wait until they take part.

        Those that live are stopped in peace before, one after another; those that are paused are killed.

        @param node_ids: by default all that are dead.
        @raise TimeoutError: they do not serve, as when too few are there to agree on anything.
        """
        crew = self._running
        ids = self._known(node_ids) or [one for one in self.node_ids if not crew.is_running(one)]
        for one in ids:
            if crew.is_running(one):
                crew.stop([one], timeout_s)
        crew.start(ids, timeout_s)
        self.wait_all(*ids, timeout_s=timeout_s)

    def shut_down(self, *node_ids: int, timeout_s: float = TIMEOUT_S) -> None:
        """Stop nodes in peace, as SIGTERM does; fine where they are dead."""
        crew = self._running
        crew.stop([one for one in self._known(node_ids) if crew.is_running(one)], timeout_s)

    def pause(self, *node_ids: int) -> None:
        """Hold nodes as SIGSTOP does: their connections stay, and nothing answers."""
        for one in self._known(node_ids):
            self._running.pause(one)

    def resume(self, *node_ids: int) -> None:
        """Let nodes go on that were paused; fine where they were not.  By default all."""
        for one in self._known(node_ids) or self.node_ids:
            self._running.resume(one)

    def isolate(self, node_id: int, *, clients: bool = False) -> None:
        """
        Let nothing through between a node and the others, in either direction, until L{heal}.

        Connections are not closed: a partition is a silence.

        @param clients: whether clients do not reach it either; only for nodes in this process.
        @raise ValueError: clients of a process cannot be cut off.
        """
        [one] = self._known([node_id])
        if clients:
            self._running.cut_clients(one)
        self.partition([one], [other for other in self.node_ids if other != one])

    def partition(self, *sides: Sequence[int]) -> None:
        """
        Let nothing through between nodes that are on no side together, until L{heal}.

        A node may be on several sides: C{partition([1, 2], [2, 3])} parts node 1 from node 3, and node 2 hears both.
        One that is on no side is alone.
        """
        together = [set(self._known(side)) for side in sides]
        ids = self.node_ids
        self._running.cut(
            [(one, other) for one in ids for other in ids if one != other and not _are_in(together, one, other)]
        )

    def cut(self, source: int, target: int) -> None:
        """
        Let nothing through from one node to another, in this direction alone, until L{heal}; only for processes.

        @raise ValueError: they are nodes in this process.
        """
        self._known([source, target])
        self._running.cut([(source, target)])

    def slow(self, shortest_s: float, longest_s: float, *, resets_per_s: float = 0.0) -> None:
        """
        Have what nodes say to each other arrive that much later, until L{heal}; only for processes.

        @param resets_per_s: how often each connection between nodes is reset in a second, on average.
        @raise ValueError: they are nodes in this process.
        """
        self._running.slow((shortest_s, longest_s), resets_per_s)

    def heal(self, *, reset: bool = False) -> None:
        """
        Let everything through again.

        @param reset: whether connections that were cut end, as they do after a long time, instead of bringing what was
            sent meanwhile; only for processes.
        @raise ValueError: they are nodes in this process.
        """
        self._running.heal(reset=reset)

    @property
    def _running(self) -> Crew:
        if self._crew is None:
            raise RuntimeError("the cluster has not been started")
        return self._crew

    def _known(self, node_ids: Sequence[int]) -> list[int]:
        for one in node_ids:
            if one not in self.node_ids:
                raise ValueError(f"there is no node {one}; there are {list(self.node_ids)}")
        return list(node_ids)


def _are_in(sides: Sequence[set[int]], one: int, other: int) -> bool:
    return any(one in side and other in side for side in sides)
