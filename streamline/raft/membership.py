"""
Changing who takes part, and handing leadership over.

Every change of voters goes through a joint configuration (Raft dissertation, section
4.3), of however many it changes: an entry after which majorities of the old I{and} the
new voters are needed, and when that is committed, by itself, one with the new
voters alone.  Learners count for nothing, so they come and go with one entry.

One change at a time, and none before an entry of the term is committed (RF7).  Each
configuration is in force from the moment it is in the log (RF16).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from streamline.raft.configuration import Configuration, Replica, ReplicaKey, encode_configuration
from streamline.raft.core import Core
from streamline.raft.messages import Entry, EntryKind, TimeoutNow
from streamline.raft.progress import Progress
from streamline.raft.ready import NotProposed, Proposal, Reason
from streamline.raft.roles import Leader, Transfer
from streamline.values import frozen


@frozen
class AddLearner:
    """Send it everything and count it for nothing; a voter becomes a learner."""

    replica: Replica


@frozen
class AddVoter:
    """
    Let it vote; a learner is promoted.

    Whoever asks for this sees to it that it has caught up: until it has, nothing may be committed.
    """

    replica: Replica


@frozen
class Remove:
    """Let it take part no longer."""

    key: ReplicaKey


Change: TypeAlias = AddLearner | AddVoter | Remove


# Deciding


def propose(core: Core, leader: Leader, changes: Sequence[Change]) -> Proposal:
    """
    Change who takes part, all at once.

    The proposal is committed when the change can no longer fail; its end follows by itself.

    @raise NotProposed: not now, or the change makes no sense.
    """
    latest = core.configurations.latest
    if leader.transfer is not None:
        raise NotProposed(Reason.TRANSFERRING, core.me)
    # RF7: one after the other, and only by a leader that knows what was committed before it.
    if latest.index > core.log.commit_index or latest.configuration.is_joint:
        raise NotProposed(Reason.CHANGE_IN_FLIGHT, core.me)
    if core.log.commit_index < leader.start_index:
        raise NotProposed(Reason.TERM_NOT_COMMITTED, core.me)
    target = changed(latest.configuration, changes)
    return core.proposed(_append(core, leader, entering(latest.configuration, target)))


def changed(configuration: Configuration, changes: Sequence[Change]) -> Configuration:
    """
    Return the configuration that a change is to end with.

    @raise NotProposed: nobody, or somebody twice, would be in it, or it is what there is already.
    """
    voters = {one.key: one for one in configuration.voters}
    learners = {one.key: one for one in configuration.learners}
    for change in changes:
        key = change.key if isinstance(change, Remove) else change.replica.key
        if isinstance(change, Remove) and key not in voters and key not in learners:
            raise NotProposed(Reason.NOT_A_MEMBER)
        place = voters if isinstance(change, AddVoter) else learners
        (learners if place is voters else voters).pop(key, None)
        if isinstance(change, Remove):
            place.pop(key, None)
        else:
            place[key] = change.replica
    target = Configuration(tuple(voters.values()), tuple(learners.values()))
    _check(configuration, target)
    return target


def _check(configuration: Configuration, target: Configuration) -> None:
    nodes = [key.node_id for key in target.member_keys]
    if not target.voters:
        raise NotProposed(Reason.NO_VOTERS)
    if len(dict.fromkeys(nodes)) < len(nodes):
        raise NotProposed(Reason.SAME_NODE_TWICE)
    if target == configuration:
        raise NotProposed(Reason.NOTHING_CHANGES)


def entering(configuration: Configuration, target: Configuration) -> Configuration:
    """Return the first step towards C{target}: joint where the voters change."""
    if [one.key for one in configuration.voters] == [one.key for one in target.voters]:
        return target
    return Configuration(target.voters, target.learners, outgoing=configuration.voters)


def _append(core: Core, leader: Leader, configuration: Configuration) -> Entry:
    entry = core.append(EntryKind.CONFIGURATION, encode_configuration(configuration))
    know_peers(core, leader)
    return entry


def know_peers(core: Core, leader: Leader) -> None:
    """Have a progress for each member but oneself; who is none any more is told so, and need not stand in vain."""
    before, next_index = leader.peers, core.log.last_index + 1
    members = [key for key in core.configuration.member_keys if key != core.me]
    leader.peers = {key: before.get(key) or Progress(next_index) for key in members}
    leader.leaving.update((key, peer) for key, peer in before.items() if key not in leader.peers)


def committed(core: Core, leader: Leader) -> None:
    """Go on with a change when its entry is committed: leave the joint configuration, or leave."""
    latest = core.configurations.latest
    if latest.index > core.log.commit_index:
        return
    if latest.configuration.is_joint:
        _append(core, leader, latest.configuration.settled())
    elif core.me not in latest.configuration.voter_keys:
        step_down(core, leader)


def step_down(core: Core, leader: Leader) -> None:
    """Lead no longer, and let the strongest voter stand at once (RF16)."""
    target = strongest(core, leader)
    if target is not None:
        _send_timeout_now(core, target)
    core.follow(core.term, None)


def strongest(core: Core, leader: Leader) -> ReplicaKey | None:
    """Return the voter that is heard and has most of the log; None where there is nobody else."""
    voters = {one.key: leader.peers[one.key] for one in core.configuration.voters if one.key in leader.peers}
    heard = [key for key, peer in voters.items() if peer.is_active]
    return max(heard, key=lambda key: voters[key].matched_index, default=None)


# Handing over


def transfer(core: Core, leader: Leader, target: ReplicaKey) -> None:
    """
    Hand over to a voter, once it has everything; nothing is proposed meanwhile.

    @raise NotProposed: it is no voter, or a transfer is under way.
    """
    if target not in leader.peers or all(one.key != target for one in core.configuration.voters):
        raise NotProposed(Reason.NOT_A_VOTER, core.me)
    if leader.transfer is not None and leader.transfer.target != target:
        raise NotProposed(Reason.TRANSFERRING, core.me)
    leader.transfer = Transfer(target)
    handed_over(core, leader, target)


def handed_over(core: Core, leader: Leader, key: ReplicaKey) -> None:
    """Let the target of a transfer stand when it has everything."""
    is_target = leader.transfer is not None and leader.transfer.target == key
    if is_target and leader.peers[key].matched_index == core.log.last_index:
        _send_timeout_now(core, key)


def transfer_tick(core: Core, leader: Leader) -> None:
    """Give a transfer up that takes longer than an election; who is stopping goes all the same."""
    if leader.transfer is None:
        if core.resigned:
            resign(core)  # it was elected after all, by votes that were on their way
        return
    leader.transfer.passed_ticks += 1
    if leader.transfer.passed_ticks >= core.settings.election_ticks:
        leader.transfer = None
        if core.resigned:
            core.follow(core.term, None)


def resign(core: Core) -> None:
    """Stand for no election any more, and hand over what is led."""
    core.resigned = True
    if isinstance(core.role, Leader) and core.role.transfer is None:
        target = strongest(core, core.role)
        if target is None:
            core.follow(core.term, None)
        else:
            transfer(core, core.role, target)


def _send_timeout_now(core: Core, target: ReplicaKey) -> None:
    core.send(TimeoutNow(term=core.term, sender=core.me, to=target))
