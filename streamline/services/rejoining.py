"""
A node that hears of no leader asks whether it still belongs to the cluster.

A member that was removed while it was away knows nothing of that: by its own log it votes, and nobody calls it any
more.  It stands for election in vain, as whoever hears a leader refuses to be asked (pre-vote), and disturbs nobody.
So it asks to join, as a new node does: a member is told that it is one, and who is none is let in as a learner, with
the log and the votes that it has kept, or is told why not (RF15: another directory has its node id by now).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.joining import Search
from streamline.interfaces import Host, IQuorum
from streamline.raft import Replica
from streamline.raft.translation import replica_said
from streamline.services.asking import ANYBODY, ask
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers, parse_address
from streamline.wire.messages.peer_raft import JoinRequest, JoinResponse

log = Logger()

ALONE_S: Final = 5.0
"""How long nobody leads before a node asks: much longer than an election takes."""
ALONE_MAX_S: Final = 40.0
"""How long it waits at most until it asks again."""
REDIRECTS_MAX: Final = 3


class Rejoining(Service):
    """
    Asks, wherever this node has heard of no leader for long.

    @param me: returns this node, with the address of its cluster listener.
    """

    def __init__(self, host: Host, peers: Peers, quorum: IQuorum, me: Callable[[], Replica]) -> None:
        self._host = host
        self._peers = peers
        self._quorum = quorum
        self._me = me
        self._waiting: IDelayedCall | None = None
        self._wait_s = ALONE_S
        self._is_asking = False
        quorum.listen(self._leader_changed)

    def startService(self) -> None:
        """Watch from now on."""
        Service.startService(self)
        self._leader_changed(self._quorum.leader_id, self._quorum.term)

    def stopService(self) -> None:
        """Ask no more."""
        Service.stopService(self)
        self._rest()

    def _leader_changed(self, leader_id: int | None, term: int) -> None:
        if leader_id is not None:
            self._wait_s = ALONE_S
            self._rest()
        elif self.running and self._waiting is None and not self._is_asking:
            self._waiting = self._host.clock.callLater(self._wait_s, self._ask)

    def _rest(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _ask(self) -> None:
        self._waiting = None
        self._is_asking = True
        asking = Deferred.fromCoroutine(self._ask_around())
        asking.addErrback(_not_asked).addCallback(self._asked)

    def _asked(self, _: object) -> None:
        self._is_asking = False
        self._wait_s = min(2 * self._wait_s, ALONE_MAX_S)
        self._leader_changed(self._quorum.leader_id, self._quorum.term)

    async def _ask_around(self) -> None:
        """Ask whoever may know, until somebody leads or says that this node is a member."""
        me, configuration = self._me(), self._quorum.configuration
        others = [one.address for one in (*configuration.voters, *configuration.learners) if one.key != me.key]
        addresses = [address for address in others if address]
        if not addresses:
            return
        search, why = Search(addresses), ""
        request = JoinRequest(cluster_id=self._peers.identity.cluster_id, node=replica_said(me))
        for _ in range(len(addresses) + REDIRECTS_MAX):
            if not self.running or self._quorum.leader_id is not None:
                return
            address = search.next()
            try:
                where = parse_address(address)
                said = await ask(self._host, self._peers.identity, where, ANYBODY, request, JoinResponse)
            except NoAnswer as error:
                why = f"{address} {error}"
                continue
            if not said.error_code:
                log.info("{address} says that this node is a member of the cluster", address=address)
                return
            search.redirected(said.leader_address)
            why = f"{address} says: {said.error_message}"
        log.info("no leader has been heard of for long, and nobody takes this node in: {why}", why=why)


def _not_asked(failure: Failure) -> None:
    log.failure("this node cannot ask whether it is a member", failure)
