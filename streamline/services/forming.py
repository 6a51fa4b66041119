"""
How a node gets into a cluster: it founds one with others, joins one, or is in one already.

It asks its seed nodes, over and over, and does what L{streamline.cluster.forming} makes of the answers; it answers the
same questions of others.  It never decides who founds.  When it is done, the metadata's log has begun and the replica
of this node takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.forming import Decision, Forming, Found, Founder, Join, Wait
from streamline.cluster.joining import Search
from streamline.errors import ErrorCode, StartRefused
from streamline.interfaces import Host, IQuorum, IStateMachine
from streamline.model import Controllers, Endpoint
from streamline.raft import Replica, ReplicaKey
from streamline.raft.translation import replica, replica_said
from streamline.services.asking import ANYBODY, ask, describe
from streamline.services.data_directory import DataDirectory
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers, parse_address
from streamline.wire.messages.peer_raft import (
    FoundingRequest,
    FoundingResponse,
    JoinRequest,
    JoinResponse,
)

log = Logger()

ROUND_S: Final = 0.1
"""How long until the seeds are asked again, about."""
SLOW_ROUND_S: Final = 0.5
HURRIED_ROUNDS: Final = 100
"""Rounds until that takes longer."""
SAID_AGAIN_S: Final = 10.0
"""How often a node says what it waits for while that stays the same; something else it says at once, about."""
SAID_ANEW_S: Final = 1.0
TELLING_S: Final = 0.02
TELLINGS_MAX: Final = 20
"""How often, and how many times, the other founders are asked whether they have begun."""
REDIRECTS_MAX: Final = 5
FINAL: Final = (ErrorCode.DUPLICATE_VOTER, ErrorCode.INCONSISTENT_CLUSTER_ID)
"""Refusals that no waiting changes."""


class Formation:
    """
    One node's way into its cluster.

    @param seeds: the Kafka addresses that it was given.
    @param own_name: returns the one that it tells clients; known once it listens.
    @param own_address: the same of the cluster listener.
    """

    def __init__(
        self,
        host: Host,
        directory: DataDirectory,
        peers: Peers,
        quorum: IQuorum,
        *,
        seeds: Sequence[Endpoint],
        own_name: Callable[[], Endpoint],
        own_address: Callable[[], Endpoint],
    ) -> None:
        self._host = host
        self._directory = directory
        self._peers = peers
        self._quorum = quorum
        self._seeds = tuple(map(str, seeds))
        self._own_name = own_name
        self._own_address = own_address
        self._forming: Forming | None = None
        self._voters: tuple[Replica, ...] = ()
        self._pause: tuple[Deferred[None], IDelayedCall] | None = None
        self._is_stopping = False
        self._said = ("", -SAID_AGAIN_S)

    # What others ask

    @property
    def me(self) -> Replica:
        """This node as a replica."""
        identity = self._peers.identity
        return Replica(ReplicaKey(identity.node_id, identity.directory_id), str(self._own_address()))

    def controllers(self) -> Controllers:
        """Say where the controllers are; before there are any, where this node is."""
        cluster_id, quorum = self._peers.identity.cluster_id, self._quorum
        members = [one for one in quorum.configuration.voters if one.address] if cluster_id else []
        if not members:
            return Controllers(cluster_id, -1, ((self.me.key.node_id, self._own_address()),))
        nodes = tuple((one.key.node_id, parse_address(one.address)) for one in members)
        return Controllers(cluster_id, -1 if quorum.leader_id is None else quorum.leader_id, nodes)

    def answer(self, request: FoundingRequest) -> FoundingResponse:
        """Tell another node whom this one waits for, or with whom it has begun."""
        if request.voters:
            self._heard_voters([replica(one) for one in request.voters])
        return FoundingResponse(
            cluster_id=self._peers.identity.cluster_id,
            node=replica_said(self.me),
            names=self._names,
            voters=list(map(replica_said, self._voters or self._quorum.configuration.voters)),
        )

    @property
    def _names(self) -> Sequence[str]:
        return () if self._forming is None else self._forming.offered_names

    def _heard_voters(self, voters: Sequence[Replica]) -> None:
        if self._forming is not None:
            self._forming.founded(list(map(_founder, voters)))
            self._go_on()

    # Getting there

    async def form(self, machine: IStateMachine) -> None:
        """
        Have this node's replica take part; return when it does, or when the node stops first.

        @raise StartRefused: it cannot: its metadata is gone, or the cluster does not take it.
        """
        meta = self._directory.meta
        assert meta is not None, "the data directory is open by now"
        quorum, cluster_id = self._quorum, meta.cluster_id or ""
        has_begun = quorum.is_founded()
        if has_begun:
            await self._start(machine)
            if quorum.configuration.voters:
                return
        elif cluster_id:
            # It is written down only after the log has begun, so that has been there and is gone.  To begin another
            # one under this directory's id would be to forget votes (RF15).
            raise StartRefused(
                f"the metadata of the cluster {cluster_id} is missing from the data directory; "
                "restore it from a backup, or name another directory with --data-dir"
            )
        self._forming = Forming(
            _founder(self.me), str(self._own_name()), self._seeds, cluster_id=cluster_id, has_begun=has_begun
        )
        try:
            await self._go_round(self._forming, machine, has_begun)
        finally:
            self._forming = None

    def stop(self) -> None:
        """Go round no more."""
        self._is_stopping = True
        self._go_on()

    async def _go_round(self, forming: Forming, machine: IStateMachine, has_begun: bool) -> None:
        rounds = 0
        while not self._is_stopping and not (has_begun and self._quorum.configuration.voters):
            await DeferredList([Deferred.fromCoroutine(self._ask(seed, forming)) for seed in forming.to_ask])
            decision = forming.decide()
            if self._is_stopping:
                return
            if await self._do(decision, machine, has_begun):
                return
            rounds += 1
            round_s = ROUND_S if rounds < HURRIED_ROUNDS else SLOW_ROUND_S
            await self._wait(round_s * (0.5 + self._host.rng.random()))

    async def _do(self, decision: Decision, machine: IStateMachine, has_begun: bool) -> bool:
        """Do what was decided; return whether this node takes part now."""
        if isinstance(decision, Wait):
            self._say(decision.why)
            return False
        if isinstance(decision, Found):
            voters = [_replica(one) for one in decision.voters]
            await self._begin(voters, machine)
            names = ", ".join(f"node {voter.key.node_id} at {voter.address}" for voter in voters)
            log.info("founding a cluster of {count}: {names}", count=len(voters), names=names)
            if voters[0].key == self.me.key:
                ensureDeferred(self._tell(voters)).addErrback(_not_told)
            return True
        return await self._join(decision, machine, has_begun)

    async def _begin(self, voters: Sequence[Replica], machine: IStateMachine) -> None:
        self._quorum.found(voters)
        # Only now may anybody hear of it: see Note [Never two clusters] in streamline.cluster.forming.
        self._voters = tuple(voters)
        await self._start(machine)

    async def _start(self, machine: IStateMachine) -> None:
        await self._quorum.start(machine)
        now = self._quorum.configuration
        members = {one.key: one for one in (*now.outgoing, *now.voters, *now.learners) if one.key != self.me.key}
        self._peers.know(list(members.values()))

    async def _tell(self, voters: Sequence[Replica]) -> None:
        """
        Have the other founders begin at once, and stand for election when enough of them have.

        Whoever does not hear it asks, and elections take care of themselves: this only saves the time until then.
        """
        others = [voter for voter in voters if voter.key != self.me.key]
        begun: list[ReplicaKey] = []
        for _ in range(TELLINGS_MAX):
            missing = [voter for voter in others if voter.key not in begun]
            if self._is_stopping or not missing:
                return
            saying = [self._spoken(voter.key, parse_address(voter.address)) for voter in missing]
            for (said, answer), voter in zip(await DeferredList(saying, consumeErrors=True), missing, strict=True):
                if said and answer.voters:
                    begun.append(voter.key)
            if 2 * (len(begun) + 1) > len(voters):
                self._quorum.campaign()
                return
            await self._wait(TELLING_S)

    def _spoken(self, key: ReplicaKey, address: Endpoint) -> Deferred[FoundingResponse]:
        request = FoundingRequest(
            node=replica_said(self.me),
            names=self._names,
            voters=list(map(replica_said, self._voters)),
        )
        asking = ask(self._host, self._peers.identity, address, key, request, FoundingResponse)
        return Deferred.fromCoroutine(asking)

    # Asking

    async def _ask(self, seed: str, forming: Forming) -> None:
        try:
            described = await describe(self._host, self._peers.identity, parse_address(seed))
            if described.error_code:
                raise NoAnswer(f"forms no clusters ({described.error_message})")
            nodes = [(one.broker_id, Endpoint(one.host, one.port)) for one in described.brokers]
            if nodes == [(self.me.key.node_id, self._own_address())]:
                forming.recognised_itself(seed)
            elif described.cluster_id:
                forming.formed(seed, described.cluster_id, [str(address) for _, address in nodes])
            elif nodes:
                await self._ask_founder(seed, nodes[0], forming)
            else:
                raise NoAnswer("knows no controllers")
        except NoAnswer as error:
            forming.silent(seed, str(error))

    async def _ask_founder(self, seed: str, node: tuple[int, Endpoint], forming: Forming) -> None:
        said = await self._spoken(ReplicaKey(node[0], ANYBODY.directory_id), node[1])
        voters = [_founder(replica(one)) for one in said.voters]
        forming.founded(voters)
        if voters:
            raise NoAnswer("is founding a cluster")
        forming.seen(seed, _founder(replica(said.node)), said.names)

    # Joining

    async def _join(self, wanted: Join, machine: IStateMachine, has_begun: bool) -> bool:
        search = Search(wanted.addresses)
        why = "nobody there knows who leads"
        for _ in range(len(wanted.addresses) + REDIRECTS_MAX):
            address = search.next()
            try:
                said = await self._ask_to_join(address)
            except NoAnswer as error:
                why = f"{address} {error}"
                continue
            if not said.error_code:
                await self._joined(said, machine, has_begun)
                return True
            if said.error_code in FINAL:
                raise StartRefused(f"the cluster {wanted.cluster_id} does not take this node: {said.error_message}")
            search.redirected(said.leader_address)
            why = f"{address} says: {said.error_message or ErrorCode(said.error_code).name}"
        self._say(f"waiting to join the cluster {wanted.cluster_id}: {why}")
        return False

    async def _ask_to_join(self, address: str) -> JoinResponse:
        request = JoinRequest(cluster_id=self._peers.identity.cluster_id, node=replica_said(self.me))
        return await ask(self._host, self._peers.identity, parse_address(address), ANYBODY, request, JoinResponse)

    async def _joined(self, said: JoinResponse, machine: IStateMachine, has_begun: bool) -> None:
        self._peers.became(said.cluster_id)
        if not has_begun:
            voters = [replica(one) for one in said.voters]
            is_founder = any(voter.key == self.me.key for voter in voters)
            await self._begin(voters if is_founder else (), machine)
        self._directory.join(said.cluster_id)
        log.info("joined the cluster {cluster_id}", cluster_id=said.cluster_id)

    # Waiting

    def _wait(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._pause = waiting, self._host.clock.callLater(seconds, self._go_on)
        return waiting

    def _go_on(self) -> None:
        """End a pause, if there is one."""
        if self._pause is not None:
            (waiting, timer), self._pause = self._pause, None
            if timer.active():
                timer.cancel()
            waiting.callback(None)

    def _say(self, why: str) -> None:
        """Log what this node waits for, not too often."""
        said, at = self._said
        now = self._host.clock.seconds()
        if now >= at + (SAID_AGAIN_S if why == said else SAID_ANEW_S):
            self._said = why, now
            log.info("{why}", why=why)


def _not_told(failure: Failure) -> None:
    log.failure("the other founders could not be told", failure)


def _founder(one: Replica) -> Founder:
    return Founder(one.key.node_id, one.key.directory_id, one.address)


def _replica(one: Founder) -> Replica:
    return Replica(ReplicaKey(one.node_id, one.directory_id), one.address)
