"""
From what a partition is and what has happened to it, to what it is next.

One function, L{settle}, knows the rules by which leaders, in-sync replicas and
eligible leader replicas follow from each other; who goes, who comes and who asks
is for its callers to say.  Pure, and about one partition at a time.

# Note [Who may lead]

Committed is what every member of the ISR has, and nothing is committed while the
ISR has fewer than min.insync.replicas members (KR19).  So a replica that leaves
an ISR which is, or becomes, smaller than that has every committed record until
the ISR has grown again: it is kept as an eligible leader replica (KIP-966).  It
leaves the ELR when it may have lost records, which is known from how it stopped
(KR21), and all leave when the ISR is large enough to commit without them.

A leader is taken from the ISR, else from the ELR.  Any other has to be allowed
by the topic, or asked for by a person, and may lose what was acknowledged.  One
case is free of that choice: where a partition has one replica, nobody else could
have what that one has lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

from attrs import evolve

from streamline.model import NO_LEADER, PartitionState, quorum_of
from streamline.values import frozen

Nodes = tuple[int, ...]


class Election(Enum):
    """
    How a leader is chosen where there is a choice.

    C{CLEAN} keeps the leader if it can; C{PREFERRED} returns to the first replica; C{UNCLEAN} takes, where no other
    is left, one that may lack records.
    """

    CLEAN = "clean"
    PREFERRED = "preferred"
    UNCLEAN = "unclean"


@frozen
class Move:
    """
    Where replicas are on their way to (KIP-455).

    @ivar replicas: all of them while it lasts; those that stay or come first, in the order that they are to have.
    """

    replicas: Nodes
    adding: Nodes = ()
    removing: Nodes = ()


@frozen(kw_only=True)
class Aim:
    """
    What a partition is to become, as far as somebody decided it.

    @ivar can_lead: whether a node is there to lead.
    @ivar isr: the new ISR; None leaves it.
    @ivar move: the reassignment that is under way from now on; None leaves it.
    @ivar lost: replicas that may have lost records.
    @ivar has_recovered: the leader says that it has come to terms with an unclean election.
    """

    min_isr: int
    can_lead: Callable[[int], bool]
    isr: Nodes | None = None
    move: Move | None = None
    lost: Nodes = ()
    election: Election = Election.CLEAN
    has_recovered: bool = False


def settle(state: PartitionState, aim: Aim) -> PartitionState:
    """Return what a partition is next, with its epochs grown; the same object where nothing changes."""
    move, isr = _completed(*_aimed(state, aim), aim.min_isr)
    elr = _eligible(state, move.replicas, isr, aim)
    leader, is_unclean = _elected(state, move.replicas, isr, elr, aim)
    if leader != NO_LEADER and leader not in isr:
        isr = (leader,)
        elr = () if is_unclean else _eligible(state, move.replicas, isr, aim)
    settled = PartitionState(
        index=state.index,
        replicas=move.replicas,
        isr=isr,
        leader=leader,
        leader_epoch=state.leader_epoch,
        partition_epoch=state.partition_epoch,
        elr=elr,
        adding=move.adding,
        removing=move.removing,
        last_known_elr=() if is_unclean else _last_known(state, move.replicas, isr + elr, aim),
        is_recovering=is_unclean or (state.is_recovering and not aim.has_recovered),
    )
    return with_epochs(state, settled)


def with_epochs(before: PartitionState, after: PartitionState) -> PartitionState:
    """
    Return C{after} with its epochs: the partition's grows with any change, the leader's with each new leader.

    It grows as well when a replica goes for good, so that the leader and the others hear of it as of an election.
    """
    if after == before:
        return before
    is_new = after.leader != before.leader or any(node not in after.replicas for node in before.replicas)
    return evolve(
        after, leader_epoch=before.leader_epoch + is_new, partition_epoch=before.partition_epoch + 1
    )


def _aimed(state: PartitionState, aim: Aim) -> tuple[Move, Nodes]:
    """Return where replicas are going and who is in sync, before anything that follows from that."""
    move = aim.move or Move(state.replicas, state.adding, state.removing)
    wanted = state.isr if aim.isr is None else aim.isr
    return move, tuple(node for node in wanted if node in move.replicas and node not in aim.lost)


def _completed(move: Move, isr: Nodes, min_isr: int) -> tuple[Move, Nodes]:
    """End a reassignment once everybody on the way in is in sync, and enough stay without those on the way out."""
    if not move.adding and not move.removing:
        return move, isr
    replicas = tuple(node for node in move.replicas if node not in move.removing)
    staying = tuple(node for node in isr if node in replicas)
    is_done = all(node in isr for node in move.adding) and len(staying) >= max(1, quorum_of(min_isr, replicas))
    return (Move(replicas), staying) if is_done else (move, isr)


def _eligible(before: PartitionState, replicas: Nodes, isr: Nodes, aim: Aim) -> Nodes:
    """Return the ELR: who has everything that is committed, besides the ISR.  See Note [Who may lead]."""
    if len(isr) >= quorum_of(aim.min_isr, replicas):
        return ()
    return tuple(
        node
        for node in _once(before.elr + before.isr)
        if node in replicas and node not in isr and node not in aim.lost
    )


def _last_known(before: PartitionState, replicas: Nodes, sure: Nodes, aim: Aim) -> Nodes:
    """
    Return who had everything before it may have lost some: the ones to compare when nobody else is left (KR22).

    Stricter than KIP-966, a node stays here until it is in sync again, however many others are.

    @param sure: those of whom it is known that they have everything.
    """
    if not aim.lost and not before.last_known_elr:
        return ()
    lost = tuple(node for node in aim.lost if node in before.isr or node in before.elr)
    known = _once(before.last_known_elr + lost)
    return tuple(node for node in known if node in replicas and node not in sure)


def _elected(before: PartitionState, replicas: Nodes, isr: Nodes, elr: Nodes, aim: Aim) -> tuple[int, bool]:
    """Return the leader, or L{NO_LEADER}, and whether it may lack records."""
    pool = _able(isr, aim) or _able(elr, aim)
    if aim.election is Election.PREFERRED and replicas[0] in pool:
        return replicas[0], False
    if before.leader in pool:
        return before.leader, False
    for node in replicas:
        if node in pool:
            return node, False
    if aim.election is Election.UNCLEAN or len(replicas) == 1:
        for node in _able(_once(tuple(node for node in before.last_known_elr if node in replicas) + replicas), aim):
            return node, True
    return NO_LEADER, False


def _able(nodes: Iterable[int], aim: Aim) -> Nodes:
    return tuple([node for node in nodes if aim.can_lead(node)])


def _once(nodes: Nodes) -> Nodes:
    return tuple(dict.fromkeys(nodes))
