"""
The consensus core: a log that replicas agree on, decided without any input or output.

# Note [Theory of operation]

A L{RaftNode} is a value that changes when it is told something: a message came
(C{step}), time passed (C{tick}), somebody wants a command agreed on (C{propose}), a
write is durable (C{advance}).  What it wants done then is in C{ready()}: write this, send
that, apply these.  It never waits, so whoever drives it may write on another thread,
send while that goes on, and take further Readies meanwhile.

One rule makes that safe, and it is kept in here and nowhere else: I{nothing is said before it is
durable}.  Messages that speak of a term or a vote are held back until it is reported written (RF1).  What
is said of the log counts only what was reported written (RF2), and a report is worth
nothing when the log has been cut since (RF3).  Whatever comes out of C{ready().messages} may be sent at once.

Whoever drives it does this after each input, and again when C{advance} was called:

    while (ready := node.ready()) is not None:
        if ready.must_write:
            disk.write(ready).addCallback(lambda _, ready=ready: node.advance(ready))   # in order
        for message in ready.messages: ...     # send; nobody has to wait for the disk
        for entry in ready.committed: ...      # apply commands; the other kinds only move the index
        for outcome in ready.outcomes: ...     # answer whoever proposed
        for read in ready.reads: ...           # when applied up to read.index, answer whoever reads

Where to look:

| module | decides |
|---|---|
| L{node<streamline.raft.node>} | nothing: it takes inputs to where they are decided |
| L{election<streamline.raft.election>} | who stands, who is voted for |
| L{following<streamline.raft.following>} | what of a leader's message to take over, and what to say about it |
| L{leading<streamline.raft.leading>} | what to send, what is committed |
| L{progress<streamline.raft.progress>} | how much to send to one replica |
| L{installing<streamline.raft.installing>} | snapshots on their way |
| L{reading<streamline.raft.reading>} | which reads are safe |
| L{membership<streamline.raft.membership>} | changes of members, handing over |
| L{log<streamline.raft.log>} | which entries there are, and how far they have come |
| L{quorum<streamline.raft.quorum>} | majorities |
| L{commit_times<streamline.raft.commit_times>} | nothing: it counts how long agreeing took |

The names RF1 to RF18 in here are known mistakes of other implementations; each has a test
that fails when the line that guards against it is taken out.
"""

from streamline.raft.commit_times import CommitTimes
from streamline.raft.configuration import (
    Configuration,
    Replica,
    ReplicaKey,
    decode_configuration,
    encode_configuration,
)
from streamline.raft.log import InvariantBroken
from streamline.raft.membership import AddLearner, AddVoter, Change, Remove
from streamline.raft.messages import BadMessage, Entry, EntryKind, Message, Snapshot
from streamline.raft.node import RaftNode
from streamline.raft.ready import (
    Fate,
    HardState,
    NotProposed,
    Outcome,
    Proposal,
    QuorumStatus,
    ReadState,
    Ready,
    Reason,
    Recovered,
)
from streamline.raft.settings import RaftSettings

__all__ = [
    "AddLearner",
    "AddVoter",
    "BadMessage",
    "Change",
    "CommitTimes",
    "Configuration",
    "Entry",
    "EntryKind",
    "Fate",
    "HardState",
    "InvariantBroken",
    "Message",
    "NotProposed",
    "Outcome",
    "Proposal",
    "QuorumStatus",
    "RaftNode",
    "RaftSettings",
    "ReadState",
    "Ready",
    "Reason",
    "Recovered",
    "Remove",
    "Replica",
    "ReplicaKey",
    "Snapshot",
    "decode_configuration",
    "encode_configuration",
]
