"""
Elections: who stands when, who is voted for, and when nobody is.

Three things keep a replica that cannot win, or was cut off, from disturbing the others
(RF8): it first asks whether it would be elected, without a new term (pre-vote); who hears
a leader neither grants that nor votes; and a leader that no majority hears resigns
(L{streamline.raft.leading}).  So that this strands nobody, old leaders are told of newer terms (RF9).

Any of this may be wrong about who is alive without harm; what elections must never get
wrong is small: one vote in a term, durable before it is given (RF1), and only for
somebody whose log is not behind.
"""

from __future__ import annotations

from streamline.raft import leading
from streamline.raft.core import Core
from streamline.raft.messages import TimeoutNow, VoteRequest, VoteResponse
from streamline.raft.quorum import Tally, tally
from streamline.raft.roles import Candidate, Follower, Leader, Prospective

ASKINGS_PER_TIMEOUT = 4
"""How often the voters are asked before an election is given up: messages get lost."""


# Standing


def prospect(core: Core) -> None:
    """Ask whether this replica would be elected; where nobody else has to be asked, be elected."""
    core.role = Prospective(core.drawn_timeout())
    _ask(core, core.role)
    _count_prospects(core, core.role)


def campaign(core: Core, *, transfer: bool = False) -> None:
    """Stand for election in the next term; the own vote counts once it is durable."""
    core.enter_term(core.term + 1, vote=core.me)
    core.role = Candidate(core.drawn_timeout(), transfer)
    _ask(core, core.role)


def own_vote_durable(core: Core, candidate: Candidate) -> None:
    """Count the own vote, now that no restart can take it back (RF1)."""
    candidate.votes[core.me] = True
    _count_votes(core, candidate)


def tick(core: Core, role: Follower | Prospective | Candidate) -> None:
    """Let a tick pass without a leader being heard."""
    role.silent_ticks += 1
    if isinstance(role, Follower):
        if core.may_stand and (role.silent_ticks >= role.timeout_ticks or _is_alone(core)):
            prospect(core)
    elif not core.may_stand:
        core.follow(core.term, None)
    elif role.silent_ticks >= role.timeout_ticks:
        prospect(core)
    elif role.silent_ticks % (core.settings.election_ticks // ASKINGS_PER_TIMEOUT or 1) == 0:
        _ask(core, role)


def _is_alone(core: Core) -> bool:
    """Say whether no one else votes: then there is nobody to wait for."""
    return core.configuration.voter_sets == ((core.me,),)


def leader_gone(core: Core) -> None:
    """
    Hear that the leader's process is gone, not just silent: stand at once.

    Should that be wrong, the others still hear their leader, and refuse.
    """
    core.follow(core.term, None)
    if core.may_stand:
        prospect(core)


def timeout_now(core: Core, message: TimeoutNow) -> None:
    """Stand at once, because the leader hands over; without asking first, as the others still hear it."""
    if isinstance(core.role, Follower) and core.may_stand:
        campaign(core, transfer=True)


def _ask(core: Core, role: Prospective | Candidate) -> None:
    """Ask every voter that has not answered; a prospective asks all, as what was said a while ago may be so no more."""
    if isinstance(role, Prospective):
        role.votes = {core.me: True}
    for voter in core.configuration.voter_keys:
        if voter != core.me and voter not in role.votes:
            core.send(
                VoteRequest(
                    term=core.term,
                    sender=core.me,
                    to=voter,
                    last_index=core.log.last_index,
                    last_term=core.log.last_term,
                    pre=isinstance(role, Prospective),
                    transfer=isinstance(role, Candidate) and role.transfer,
                )
            )


# Counting


def vote_responded(core: Core, message: VoteResponse) -> None:
    """Count an answer to what is being asked now, and no other."""
    role = core.role
    if message.asked_term != core.term or message.sender not in core.configuration.voter_keys:
        return
    if isinstance(role, Prospective) and message.pre:
        role.votes[message.sender] = message.granted
        _count_prospects(core, role)
    elif isinstance(role, Candidate) and not message.pre:
        role.votes[message.sender] = message.granted
        _count_votes(core, role)


def _count_prospects(core: Core, role: Prospective) -> None:
    """Stand when a majority would vote for it; refusals are no reason to stop asking, as their reasons pass."""
    if tally(core.configuration.voter_sets, role.votes) is Tally.WON:
        campaign(core)


def _count_votes(core: Core, role: Candidate) -> None:
    result = tally(core.configuration.voter_sets, role.votes)
    if result is Tally.WON:
        leading.begin(core)
    elif result is Tally.LOST:
        core.follow(core.term, None)


# Voting


def vote_requested(core: Core, message: VoteRequest) -> None:
    """
    Answer a request for a vote.

    Whether the asker, or this replica itself, is a voter by the configuration that this
    replica knows does not matter: it may know an old one (RF10).
    """
    if _hears_leader(core) and not message.transfer:
        if message.pre or message.term <= core.term:
            _answer(core, message, granted=False)
        return
    if message.pre:
        _prospect_requested(core, message)
        return
    if message.term > core.term:
        core.follow(message.term, None)
    granted = (
        message.term == core.term
        and core.leader is None
        and core.hard_state.vote in (None, message.sender)
        and not core.log.is_behind(message.last_term, message.last_index)
    )
    if granted:
        core.vote_for(message.sender)
        core.follow(core.term, None)  # and wait anew: it is the other's turn
    _answer(core, message, granted=granted)


def _prospect_requested(core: Core, message: VoteRequest) -> None:
    """Say whether the vote would be given; where both ask, the weaker of the two stands back, and the other asks on."""
    granted = message.term >= core.term and not core.log.is_behind(message.last_term, message.last_index)
    _answer(core, message, granted=granted)
    if isinstance(core.role, Prospective):
        if not granted:
            _ask(core, core.role)  # the asker hears no leader, by now, and will say yes
        elif _outranks(core, message):
            core.follow(core.term, None)


def _outranks(core: Core, message: VoteRequest) -> bool:
    """Say whether somebody's log is ahead, or the same and its key is lower."""
    theirs, ours = (message.last_term, message.last_index), (core.log.last_term, core.log.last_index)
    return theirs > ours or (theirs == ours and message.sender < core.me)


def _hears_leader(core: Core) -> bool:
    """Say whether there is a leader that was heard within the shortest time before an election (RF8)."""
    role = core.role
    if isinstance(role, Follower):
        return role.leader is not None and role.silent_ticks < core.settings.election_ticks
    return isinstance(role, Leader)


def _answer(core: Core, message: VoteRequest, *, granted: bool) -> None:
    core.send(
        VoteResponse(
            term=core.term,
            sender=core.me,
            to=message.sender,
            asked_term=message.term,
            granted=granted,
            pre=message.pre,
        )
    )
