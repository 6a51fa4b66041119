"""
What the metadata make of this node for one partition.

Metadata speak of processes, not of machines: what was agreed on before this
process was registered is about another one, whose log may have had more in it.
So until the metadata at hand know of this process, it neither leads, follows nor
throws anything away, whatever they say (KR15, KR18).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from streamline.model import NO_LEADER, Broker, PartitionState


class Role(Enum):
    """
    What to be.

    C{WAITING}: nothing for now, and the log stays.  C{GONE}: no replica is wanted here any more.
    """

    LEADER = "leader"
    FOLLOWER = "follower"
    WAITING = "waiting"
    GONE = "gone"


def role_of(node_id: int, broker_epoch: int, state: PartitionState, brokers: Mapping[int, Broker]) -> Role:
    """
    Return this process's role.

    @param broker_epoch: that under which it is registered; -1 before it is.
    @param brokers: those of the same metadata as C{state}.
    """
    known = brokers.get(node_id)
    if known is None or known.epoch != broker_epoch:
        return Role.WAITING
    if node_id not in state.replicas:
        return Role.GONE
    if state.leader == node_id:
        return Role.LEADER
    return Role.WAITING if state.leader == NO_LEADER else Role.FOLLOWER
