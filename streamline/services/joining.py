"""
What the leader does about members: lets nodes join, and lets them vote when they have caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.joining import Member, is_new, to_promote
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IQuorum
from streamline.raft import AddLearner, AddVoter, QuorumStatus, Replica
from streamline.raft.translation import replica, replica_said
from streamline.services.peers import Peers
from streamline.wire.messages.peer_raft import JoinRequest, JoinResponse

log = Logger()

LOOK_S: Final = 0.2
"""How often the leader looks whether somebody has caught up, while there is anybody who could."""
REST_S: Final = 2.0
"""How often it looks where everybody votes; whoever joins is looked at at once."""
HEARD_TICKS: Final = 5
"""A learner that was not heard of for longer does not get a vote: it may be gone."""


def members(status: QuorumStatus) -> Sequence[Member]:
    """Return who takes part, as the leader sees it."""
    voters = status.configuration.voter_keys
    states = {one.key: one for one in (*status.voters, *status.observers)}
    return [
        Member(
            node_id=key.node_id,
            directory_id=key.directory_id,
            is_voter=key in voters,
            is_caught_up=key in states
            and states[key].end_offset >= status.high_watermark
            and status.tick - states[key].heard_tick <= HEARD_TICKS,
        )
        for key in status.configuration.member_keys
    ]


class Joining(Service):
    """
    The door of the cluster.

    @param me: returns this node, with the address of its cluster listener as it is by now.
    """

    def __init__(self, host: Host, peers: Peers, quorum: IQuorum, me: Callable[[], Replica], voters_max: int) -> None:
        self._clock = host.clock
        self._peers = peers
        self._quorum = quorum
        self._me = me
        self._voters_max = voters_max
        self._looking: IDelayedCall | None = None
        self._is_changing = False
        quorum.listen(self._leader_changed)

    def startService(self) -> None:
        """Look after members from now on, wherever this node leads."""
        Service.startService(self)
        self._leader_changed(self._quorum.leader_id, self._quorum.term)

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        self._look_no_more()

    # Letting in

    async def answer(self, request: JoinRequest) -> JoinResponse:
        """Answer a node that wants to join: once it is a member, or with who leads, or with why not."""
        try:
            await self._let_in(request)
        except Refused as refusal:
            return self._response(refusal)
        return self._response(None)

    async def _let_in(self, request: JoinRequest) -> None:
        identity, quorum = self._peers.identity, self._quorum
        if quorum.leader_id != identity.node_id or not identity.cluster_id:
            raise Refused(ErrorCode.NOT_CONTROLLER, "this node does not lead")
        who = replica(request.node)
        known = members(quorum.describe())
        if is_new(identity.cluster_id, known, request.cluster_id, who.key.node_id, who.key.directory_id):
            log.info("node {node_id} at {address} joins", node_id=who.key.node_id, address=who.address)
            await quorum.change_members([AddLearner(who)])
            self._look_soon()

    def _response(self, refusal: Refused | None) -> JoinResponse:
        quorum = self._quorum
        voters = quorum.configuration.voters
        leader_id = -1 if quorum.leader_id is None else quorum.leader_id
        return JoinResponse(
            error_code=0 if refusal is None else refusal.code,
            error_message=None if refusal is None else refusal.message,
            cluster_id=self._peers.identity.cluster_id,
            leader_id=leader_id,
            leader_address=next((voter.address for voter in voters if voter.key.node_id == leader_id), ""),
            voters=list(map(replica_said, voters)),
        )

    # Promoting

    def _leader_changed(self, leader_id: int | None, term: int) -> None:
        leads = self.running and leader_id == self._peers.identity.node_id
        if leads and self._looking is None:
            self._look_after(0)
        elif not leads:
            self._look_no_more()

    def _look_soon(self) -> None:
        if self._looking is not None:
            self._look_no_more()
            self._look_after(LOOK_S)

    def _look_after(self, seconds: float) -> None:
        self._looking = self._clock.callLater(seconds, self._look)

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look(self) -> None:
        self._look_after(LOOK_S if self._quorum.configuration.learners else REST_S)
        if not self._is_changing and (wanted := self._wanted()) is not None:
            self._is_changing = True
            self._quorum.change_members([AddVoter(wanted)]).addCallbacks(
                self._changed, self._not_changed, callbackArgs=(wanted,)
            )

    def _wanted(self) -> Replica | None:
        """Return who should be a voter, or one under this address: this node itself comes first."""
        status = self._quorum.describe()
        configuration = status.configuration
        me = self._me()
        if any(one.key == me.key and one.address != me.address for one in configuration.voters):
            return me
        next_one = to_promote(members(status), self._voters_max)
        if next_one is None:
            return None
        key = next_one.node_id, next_one.directory_id
        return next(one for one in configuration.learners if one.key == key)

    def _changed(self, _: None, wanted: Replica) -> None:
        self._is_changing = False
        log.info("node {node_id} at {address} votes", node_id=wanted.key.node_id, address=wanted.address)

    def _not_changed(self, failure: Failure) -> None:
        self._is_changing = False
        failure.trap(Refused)
