"""
Who founds a cluster, who joins one, and what everybody else waits for.

# Note [Never two clusters]

Seed nodes are the Kafka addresses that a node was given; with its own address they make the set of its I{names}.  One
node of each set may found a cluster: the one whose name comes first.  It does so once it has seen all the others in
one moment, each of them in no cluster yet and with the same names as itself.  So two clusters could come of equal sets
only if one node founded twice, and it does not: its log is begun, durably, before anybody hears of it.  The others
begin theirs with the voters that they are told, and with nobody else's; a node that is there too late to be seen keeps
all of them waiting, and never finds a cluster that was founded without it.

A node that sees a cluster joins it, and a node without seeds is a set of its own.

A seed may name the node itself, by its own address or by another: then that is its name, because the others know it
by that.  Nothing in here waits, asks or draws; the service does (C{streamline.services.forming}).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from streamline.values import frozen


class Founder(NamedTuple):
    """A node that may found a cluster: its id, its data directory, and where its cluster listener is."""

    node_id: int
    directory_id: bytes
    address: str


@frozen
class Found:
    """Begin a log with these voters."""

    voters: tuple[Founder, ...]


@frozen
class Join:
    """Ask to join the cluster that is there, at any of these addresses of cluster listeners."""

    cluster_id: str
    addresses: tuple[str, ...]


@frozen
class Wait:
    """Go on asking; C{why} is a sentence for people."""

    why: str


Decision: TypeAlias = Found | Join | Wait


@frozen
class _Seen:
    """A seed that is in no cluster yet."""

    node: Founder
    names: tuple[str, ...]


@frozen
class _Formed:
    """A seed that is."""

    cluster_id: str
    addresses: tuple[str, ...]


@frozen
class _Silent:
    """A seed that did not answer, and why."""

    why: str


class Forming:
    """
    What a node without a cluster has heard so far.

    @param own_name: the Kafka address that it tells clients.
    @param seeds: the Kafka addresses that it was given, in any order.
    @param cluster_id: the one that it had begun to join before its last restart, or nothing.
    @param has_begun: whether its log was begun to join a cluster: then it founds none.
    """

    def __init__(
        self, me: Founder, own_name: str, seeds: Sequence[str], *, cluster_id: str = "", has_begun: bool = False
    ) -> None:
        self._me = me
        self._own_name = own_name
        self._seeds = tuple(sorted(dict.fromkeys(seeds)))
        self._cluster_id = cluster_id
        self._has_begun = has_begun
        self._selves: list[str] = [own_name] if own_name in self._seeds else []
        self._heard: dict[str, _Seen | _Formed | _Silent] = {}
        self._voters: tuple[Founder, ...] = ()

    # What comes in

    def recognised_itself(self, seed: str) -> None:
        """A seed turned out to be this node under another name."""
        if seed not in self._selves:
            self._selves.append(seed)
            self._heard.pop(seed, None)

    def seen(self, seed: str, node: Founder, names: Sequence[str]) -> None:
        """A seed that is in no cluster answered: who it is, and whom it waits for."""
        self._heard[seed] = _Seen(node, tuple(names))

    def formed(self, seed: str, cluster_id: str, addresses: Sequence[str]) -> None:
        """A seed that is in a cluster answered."""
        self._heard[seed] = _Formed(cluster_id, tuple(addresses))

    def silent(self, seed: str, why: str) -> None:
        """A seed did not answer; what it said before counts no more."""
        self._heard[seed] = _Silent(why)

    def founded(self, voters: Sequence[Founder]) -> None:
        """Somebody has founded a cluster with these voters."""
        if self._is_among(voters):
            self._voters = tuple(voters)

    # What it comes to

    @property
    def names(self) -> tuple[str, ...]:
        """Who founds a cluster together, this node included, sorted."""
        return self._seeds if self._selves else tuple(sorted((*self._seeds, self._own_name)))

    @property
    def offered_names(self) -> tuple[str, ...]:
        """What to tell others of L{names}: nobody, where this node could not found a cluster with them."""
        return () if self._has_begun or self._cluster_id else self.names

    @property
    def to_ask(self) -> tuple[str, ...]:
        """The seeds that are not this node."""
        return tuple(seed for seed in self._seeds if seed not in self._selves)

    def decide(self) -> Decision:
        """Say what to do now.  See Note [Never two clusters]."""
        if self._voters and not self._has_begun:
            return Found(self._voters)
        return self._cluster() or self._complaint() or self._founding()

    def _is_among(self, voters: Sequence[Founder]) -> bool:
        return any(voter[:2] == self._me[:2] for voter in voters)

    def _cluster(self) -> Decision | None:
        """Say what to do about a cluster that is there."""
        formed = [heard for heard in self._heard.values() if isinstance(heard, _Formed)]
        ids = sorted(dict.fromkeys(one.cluster_id for one in formed))
        wanted = self._cluster_id or (ids[0] if len(ids) == 1 else "")
        if not wanted:
            return Wait(f"the seed nodes are of different clusters: {', '.join(ids)}") if ids else None
        if wanted not in ids:
            others = f"; the seed nodes are of {', '.join(ids)}" if ids else ""
            return Wait(f"waiting for a node of the cluster {wanted}{others}{self._silences()}")
        addresses = [address for one in formed if one.cluster_id == wanted for address in one.addresses]
        return Join(wanted, tuple(dict.fromkeys(addresses)))

    def _silences(self) -> str:
        silent = [f"{seed} {heard.why}" for seed, heard in self._heard.items() if isinstance(heard, _Silent)]
        return f": {', '.join(sorted(silent))}" if silent else ""

    def _complaint(self) -> Wait | None:
        """Say what is in the way of founding, if anything is."""
        names = self.names
        missing = [seed for seed in self.to_ask if not isinstance(self._heard.get(seed), _Seen)]
        if missing:
            reasons = ", ".join(f"{seed} {self._why(seed)}" for seed in missing)
            return Wait(f"waiting for {len(missing)} of {len(names)} founding nodes: {reasons}")
        for seed in self.to_ask:
            heard = self._heard[seed]
            if isinstance(heard, _Seen) and heard.names != names:
                return Wait(
                    f"{seed} waits for {', '.join(heard.names) or 'others'}, and this node for {', '.join(names)}; "
                    "start all founding nodes with the same --seed-nodes"
                )
        return self._twins()

    def _why(self, seed: str) -> str:
        heard = self._heard.get(seed)
        return heard.why if isinstance(heard, _Silent) else "does not answer"

    def _twins(self) -> Wait | None:
        by_id: dict[int, Founder] = {}
        for founder in self._founders():
            other = by_id.setdefault(founder.node_id, founder)
            if other[:2] != founder[:2]:
                return Wait(
                    f"{other.address} and {founder.address} both have the node id {founder.node_id}; "
                    "give each node another with --node-id"
                )
        return None

    def _founding(self) -> Decision:
        first = self.names[0]
        if self._has_begun:
            return Wait("this node has begun to join a cluster, and none of its seed nodes is in one")
        if first not in (self._selves or [self._own_name]):
            return Wait(f"waiting for {first} to found the cluster")
        return Found(tuple(dict((one[:2], one) for one in self._founders()).values()))

    def _founders(self) -> list[Founder]:
        seen = [heard.node for heard in self._heard.values() if isinstance(heard, _Seen)]
        return sorted([self._me, *seen])
