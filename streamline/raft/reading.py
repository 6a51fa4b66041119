"""
Reading what is committed, at any replica, without a lease (RF11).

The leader notes its commit index, asks everybody once more (a round), and when a
majority has answered, it still led after the question was asked: nothing newer can have been
committed elsewhere.  Whoever has applied up to that index may read.  A clock is
never asked.  (Raft dissertation, section 6.4.)
"""

from __future__ import annotations

from streamline.raft.configuration import ReplicaKey
from streamline.raft.core import Core
from streamline.raft.messages import ReadRequest, ReadResponse
from streamline.raft.quorum import agreed
from streamline.raft.ready import ReadState
from streamline.raft.roles import Leader, PendingRead

READS_MAX = 100_000
"""Reads that wait at one replica; beyond it they are not taken, and whoever asked asks again."""


def ask(core: Core, context: bytes) -> None:
    """Ask, here or at the leader; the answer comes with a later L{Ready}."""
    role = core.role
    if isinstance(role, Leader):
        _wait(core, role, None, context)
    elif core.leader is None or len(core.asked) >= READS_MAX:
        core.reads.append(ReadState(context, None))
    else:
        core.asked[context] = core.ticks + core.settings.election_ticks
        core.send(ReadRequest(term=core.term, sender=core.me, to=core.leader, context=context))


def requested(core: Core, message: ReadRequest) -> None:
    """Hear a question from another replica; one that does not lead keeps silent."""
    if isinstance(core.role, Leader):
        _wait(core, core.role, message.sender, message.context)


def _wait(core: Core, leader: Leader, asker: ReplicaKey | None, context: bytes) -> None:
    """
    Note the question and wait for a round that begins after it.

    Until an entry of this term is committed, the commit index may be behind what
    the leader before had committed: the leader's first entry is behind all that.
    """
    if len(leader.reads) >= READS_MAX:
        if asker is None:
            core.reads.append(ReadState(context, None))
        return
    index = max(core.log.commit_index, leader.start_index)
    leader.reads.append(PendingRead(asker, context, index, leader.round + 1))


def begin_round(leader: Leader) -> None:
    """Ask everybody whether we still lead, where a question waits for that."""
    if leader.reads and leader.reads[-1].round > leader.round:
        leader.round += 1
        for peer in leader.peers.values():
            peer.is_due = True


def confirm(core: Core, leader: Leader) -> None:
    """Answer what was asked before the last round that a majority has answered."""
    if not leader.reads:
        return
    rounds = {key: peer.round for key, peer in leader.peers.items()}
    rounds[core.me] = leader.round
    confirmed = agreed(core.configuration.voter_sets, rounds)
    while leader.reads and leader.reads[0].round <= confirmed:
        _answer(core, leader.reads.popleft())


def _answer(core: Core, read: PendingRead) -> None:
    if read.asker is None:
        core.reads.append(ReadState(read.context, read.index))
    else:
        core.send(
            ReadResponse(term=core.term, sender=core.me, to=read.asker, context=read.context, index=read.index)
        )


def responded(core: Core, message: ReadResponse) -> None:
    """Hand on the leader's answer, unless it was given up."""
    if core.asked.pop(message.context, None) is not None:
        core.reads.append(ReadState(message.context, message.index))


def tick(core: Core) -> None:
    """Give up what was not answered in time."""
    for context in [context for context, end in core.asked.items() if end <= core.ticks]:
        del core.asked[context]
        core.reads.append(ReadState(context, None))
