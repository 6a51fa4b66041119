"""
Every interleaving of a small world (RC8): three replicas, two terms, a few entries, a crash and a broken connection.

    python -m tests.raft.search                      # as far as there is time for in a test
    python -m tests.raft.search --states 1000000     # most of what two terms, a crash and a broken connection come to
    python -m tests.raft.search --crashes 0 --breaks 0 --proposals 1 --hints 1

A state is three cores, their disks and the messages on their way.  In each, everything is tried that may happen next:
a message arrives, a sync ends, somebody hears that its leader is gone, a command is proposed, a process dies and loses
what was not synced, a connection breaks.  What must hold after each is what level 1 of the simulator checks.  States
that were seen before are not gone on from.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import permutations
from random import Random
from time import process_time
from typing import Any

from attrs import Factory, define, evolve, frozen

from streamline.raft import Configuration, NotProposed, RaftNode, RaftSettings, Ready, Replica, ReplicaKey, Snapshot
from streamline.raft.messages import Message
from streamline.testing.simulation.cores.disk import CoreDisk
from streamline.testing.simulation.cores.monitor import Monitor, Watched
from streamline.testing.simulation.cores.replica import StateMachine

KEYS = tuple(ReplicaKey(number, bytes((number,)) * 16) for number in (1, 2, 3))
FOUNDERS = Configuration(tuple(Replica(key, f"node{key.node_id}:9093") for key in KEYS))
TERMS = 2
STATES = 20_000
SAID_EVERY = 10_000
LEAP_EVERY = 64
"""After about so many states it is gone on from another one than the last."""

Action = tuple[Any, ...]
"""What happens: the name of a method of L{Small}, and its arguments."""


def first(stop: int) -> int:
    """Leave nothing to chance."""
    return 0


@define
class Budget:
    """
    How often each may still happen.

    @ivar hints: that somebody hears that its leader is gone, or has waited long enough.
    """

    hints: int = 3
    proposals: int = 2
    crashes: int = 1
    breaks: int = 1


@define(eq=False)
class Place:
    """One replica, its disk, and what it has applied."""

    node: RaftNode
    disk: CoreDisk
    machine: StateMachine
    watched: Watched


@define(eq=False)
class Small:
    """
    A state of the world.

    @ivar ways: the messages on their way, by sender and receiver.
    """

    budget: Budget
    monitor: Monitor = Factory(Monitor)
    places: dict[ReplicaKey, Place] = Factory(dict)
    ways: dict[tuple[ReplicaKey, ReplicaKey], deque[Message]] = Factory(dict)
    proposed: int = 0

    @classmethod
    def begun(cls, budget: Budget) -> Small:
        """Return the state that all come from: nobody leads, and one stands for election; which one is all the same."""
        world = cls(evolve(budget, hints=budget.hints - 1))
        world.ways = {(one, other): deque() for one, other in permutations(KEYS, 2)}
        for key in KEYS:
            world._start(CoreDisk(key, Snapshot(0, 0, FOUNDERS)))
        world.places[KEYS[0]].node.campaign()
        world._pump(KEYS[0])
        return world

    def _start(self, disk: CoreDisk) -> None:
        node = RaftNode(disk.key, disk.recovered(), RaftSettings(), first)
        watched = Watched(node, disk, term=disk.hard_state.term, written_index=disk.last_index)
        self.monitor.disks[disk.key] = disk
        self.places[disk.key] = Place(node, disk, StateMachine(), watched)
        self._pump(disk.key)

    # What may happen

    def actions(self) -> Iterator[Action]:
        """Yield everything that may happen next."""
        for way, messages in self.ways.items():
            if messages:
                yield "deliver", way
        for key, place in self.places.items():
            yield from ((name, key) for name in self._possible(place))
        if self.budget.breaks:
            for one, other in self.ways:
                if one < other and (self.ways[one, other] or self.ways[other, one]):
                    yield "break_", one, other

    def _possible(self, place: Place) -> Iterator[str]:
        if place.disk.waiting:
            yield "sync"
        if self.budget.proposals and place.node.is_leader:
            yield "propose"
        if self.budget.hints and not place.node.is_leader and place.node.term < TERMS:
            yield "hint"
        if self.budget.crashes:
            yield "crash"

    def name(self) -> bytes:
        """Return what tells this state from others: all that anything depends on, and nothing else."""
        places = [_name_of(place) for place in self.places.values()]
        ways = [list(messages) for messages in self.ways.values()]
        known = self.monitor.committed, sorted(self.monitor.votes.items()), sorted(self.monitor.leaders.items())
        said = repr((self.budget, self.proposed, places, ways, known))
        return blake2b(said.encode(), digest_size=12).digest()

    def happen(self, action: Action) -> None:
        """Let one of these happen."""
        name, *args = action
        method: Callable[..., None] = getattr(self, name)
        method(*args)

    def deliver(self, way: tuple[ReplicaKey, ReplicaKey]) -> None:
        """A message arrives."""
        self.places[way[1]].node.step(self.ways[way].popleft())
        self._pump(way[1])

    def sync(self, key: ReplicaKey) -> None:
        """What was written is durable, and the core hears it."""
        place = self.places[key]
        place.disk.syncing = len(place.disk.waiting)
        for job in place.disk.synced():
            assert isinstance(job, Ready)
            self._durable(place, job)
        self._pump(key)

    def _durable(self, place: Place, ready: Ready) -> None:
        place.node.advance(ready)

    def propose(self, key: ReplicaKey) -> None:
        """Somebody asks a leader for something."""
        self.budget.proposals -= 1
        self.proposed += 1
        try:
            self.places[key].node.propose(b"%d" % self.proposed)
        except NotProposed:
            return
        self._pump(key)

    def hint(self, key: ReplicaKey) -> None:
        """Somebody hears that its leader is gone, be it true or not; where it knows none, it has waited long enough."""
        self.budget.hints -= 1
        node = self.places[key].node
        if node.leader is None:
            node.campaign()
        else:
            node.peer_gone(node.leader)
        self._pump(key)

    def crash(self, key: ReplicaKey) -> None:
        """A process dies, loses what was not synced, and starts again at once."""
        self.budget.crashes -= 1
        disk = self.places[key].disk
        disk.waiting.clear()
        for other in KEYS:
            if other != key:
                self._disconnect(key, other)
        self._start(disk)
        for other in KEYS:
            self._pump(other)

    def break_(self, one: ReplicaKey, other: ReplicaKey) -> None:
        """A connection breaks, and both ends hear of it."""
        self.budget.breaks -= 1
        self._disconnect(one, other)
        self._pump(one)
        self._pump(other)

    def _disconnect(self, one: ReplicaKey, other: ReplicaKey) -> None:
        for here, there in ((one, other), (other, one)):
            self.ways[here, there].clear()
            self.places[here].node.connection_lost(there)

    # What a replica does

    def _pump(self, key: ReplicaKey) -> None:
        place = self.places[key]
        self.monitor.moved(place.watched)
        while (ready := place.node.ready()) is not None:
            self.monitor.handed_out(place.watched, ready)
            if ready.must_write:
                self._write(place, ready)
            for message in ready.messages:
                self.ways[key, message.to].append(message)
            for entry in ready.committed:
                place.machine.apply(entry)
                self.monitor.applied(entry.index, place.machine.state)
            self.monitor.moved(place.watched)

    def _write(self, place: Place, ready: Ready) -> None:
        place.disk.waiting.append(ready)


def _name_of(place: Place) -> tuple[Any, ...]:
    core, disk, log = place.node._core, place.disk, place.node._core.log
    waiting = [(one.hard_state, one.entries, one.written) for one in disk.waiting if isinstance(one, Ready)]
    indices = log.written_index, log.persisted_index, log.commit_index, log.delivered_index
    state = core.hard_state, core.durable, core.role, core._held, log._entries, indices
    return (*state, disk.hard_state, disk.entries, waiting, place.machine)


@frozen
class Found:
    """
    What a search came to.

    @ivar states: how many different ones were seen.
    @ivar ends: those in which nothing can happen any more.
    @ivar committed: the most entries that were committed in one.
    @ivar terms: the highest term.
    @ivar is_whole: whether there is nothing else.
    """

    states: int
    ends: int
    committed: int
    terms: int
    is_whole: bool


def search(
    budget: Budget,
    states_max: int,
    seed: int = 1,
    said: Callable[[str], object] | None = None,
    kind: type[Small] = Small,
) -> Found:
    """
    Go from state to state, deep first, in an order drawn from the seed.

    Every now and then it goes on from any of those that are left: deep first alone, all that there is time for would
    have the same beginning.

    @param kind: the world to search.
    @raise Violation: something does not hold.
    """
    rng = Random(seed)
    world = kind.begun(budget)
    seen, stack = {world.name()}, [pickle.dumps(world, pickle.HIGHEST_PROTOCOL)]
    ends = committed = terms = 0
    while stack and len(seen) < states_max:
        if rng.randrange(LEAP_EVERY) == 0:
            at = rng.randrange(len(stack))
            stack[at], stack[-1] = stack[-1], stack[at]
        packed = stack.pop()
        actions = list(pickle.loads(packed).actions())
        rng.shuffle(actions)
        ends += not actions
        for action in actions:
            world = pickle.loads(packed)
            world.happen(action)
            committed = max(committed, world.monitor.committed_index)
            terms = max(terms, max(place.node.term for place in world.places.values()))
            name = world.name()
            if name not in seen:
                seen.add(name)
                stack.append(pickle.dumps(world, pickle.HIGHEST_PROTOCOL))
                if said is not None and len(seen) % SAID_EVERY == 0:
                    said(f"{len(seen)} states, {len(stack)} to go on from")
    return Found(len(seen), ends, committed, terms, not stack)


def main(arguments: list[str]) -> int:
    """Search as far as the command line says."""
    parser = argparse.ArgumentParser("python -m tests.raft.search", description="Try every interleaving.")
    parser.add_argument("--states", type=int, default=STATES)
    parser.add_argument("--seed", type=int, default=1)
    for name, default in (("hints", 3), ("proposals", 2), ("crashes", 1), ("breaks", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(arguments)
    budget = Budget(options.hints, options.proposals, options.crashes, options.breaks)
    began_s = process_time()
    found = search(budget, options.states, options.seed, print)
    print(found)
    print(f"{found.states / (process_time() - began_s):.0f} states in a second of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
