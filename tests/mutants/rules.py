"""
The rules that a broker is trusted for, in our own words, and which of them this release keeps.

The numbers of RF, KR, DK, SE and AU are those of the project's research into what
goes wrong in such systems; SQ, AC, GR, RT and LE are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

RAFT = "with Raft"
REPLICATION = "with replication"
SECURITY = "with authentication"
TRANSACTIONS = "with transactions"


@frozen
class Rule:
    """
    One rule.

    @ivar later: with what the rule comes, or the rest of it; empty where this release keeps all of it.
    @ivar is_kept: whether this release keeps it, in whole or in part: then it has mutants.
    """

    id: str
    says: str
    later: str = ""
    is_kept: bool = True


@frozen
class Family:
    """Rules of one kind, and what they are about."""

    prefix: str
    about: str
    rules: Sequence[Rule]


def _kept(id: str, says: str, rest: str = "") -> Rule:
    return Rule(id, says, rest)


def _later(id: str, says: str, when: str) -> Rule:
    return Rule(id, says, when, is_kept=False)


DISK = Family(
    "DK", "The disk: torn writes, rot, failures, and what a start believes.",
    (
        _kept("DK1", "A log whose end is torn recovers to its last whole batch."),
        _kept("DK2", "A flipped bit is found wherever a checksum or the order of batches covers it.",
              "repair from another replica, with replication"),
        _kept("DK3", "Zeros, preallocated space and repeated batches at the end are no records."),
        _kept("DK4", "Files beside the log are caches: whatever becomes of them, they are made anew as they were."),
        _kept("DK5", "A crash in any step of rolling, cutting or deleting leaves the old or the new state."),
        _kept("DK6", "A crash during recovery changes nothing about its outcome."),
        _later("DK7", "A segment that rots is served to nobody, and comes again from another replica.", REPLICATION),
        _later("DK8", "A replica that rots is not elected before it is repaired.", REPLICATION),
        _later("DK9", "A scrubber finds rot before readers do.", REPLICATION),
        _kept("DK10", "On a full disk nothing is acknowledged and nothing is lost; reads and deletes work, and the "
              "rest goes on by itself when there is space."),
        _kept("DK11", "Below a reserve of space records are refused, and what frees or moves data goes on."),
        _kept("DK12", "A sync that failed once is never tried again: what it was for is not acknowledged."),
        _kept("DK13", "A device that cannot be read costs the partitions that lie there, no others."),
        _kept("DK14", "After a failure of the metadata's device nothing more is agreed on, and the process "
              "ends with an error.", "votes, with Raft"),
        _kept("DK15", "A name that a power cut loses leaves the old file or the new one, never neither."),
        _kept("DK16", "A data directory has one node: that which is alive in it, and whose name is in it."),
        _kept("DK17", "A data directory that cannot be used ends the start with a sentence."),
        _later("DK18", "A node that dies again and again starts without taking records.", REPLICATION),
        _kept("DK19", "Where no more files can be opened, logs go on."),
        _kept("DK20", "A device that is too slow costs its node the leaderships.",
              "those of partitions, with replication"),
    ),
)

REPLICAS = Family(
    "KR", "Replication: what Kafka's history taught, as far as it holds on one node.",
    (
        _kept("KR1", "A follower cuts its log where it parts from the leader's, at no high watermark."),
        _kept("KR2", "Every batch carries the epoch of its leader."),
        _kept("KR3", "Asked where an epoch ends, a leader answers for the largest one that is not beyond it."),
        _kept("KR4", "The cache of epochs is durable before a record of a new one is acknowledged, rises, and is "
              "rebuilt from the batches."),
        _kept("KR5", "Requests say which epoch they believe in; older ones are fenced, newer ones told to wait."),
        _kept("KR6", "A reader whose log is another one is told where the two part."),
        _kept("KR7", "A follower cuts before it takes over a high watermark."),
        _kept("KR8", "A start that moves takes the high watermark and the recovery point along."),
        _kept("KR9", "Nothing beyond the high watermark is read, or told as the end."),
        _kept("KR10", "A follower that is behind tells its readers to wait, not to begin anew."),
        _kept("KR11", "Acknowledgements do not wait until followers know the high watermark."),
        _kept("KR12", "A replica that was asked for counts from the moment of asking."),
        _kept("KR13", "A change of a partition is compared with what it was meant for before it is set."),
        _kept("KR14", "A follower joins once it has caught up in this epoch."),
        _kept("KR15", "A broker's epoch is the index of its registration; fenced ones are given nothing."),
        _kept("KR16", "A fenced replica is not taken back by a leader that does not know of it."),
        _kept("KR17", "A replica that stops holds nothing back."),
        _kept("KR18", "A replica that came back with an empty disk is another one."),
        _kept("KR19", "Below min.insync.replicas nothing becomes readable."),
        _kept("KR20", "Replicas that were dropped below that number stay electable."),
        _kept("KR21", "A replica that stopped uncleanly is not."),
        _kept("KR22", "Without any that is, the best of those that were leads, once all of them have been asked."),
        _kept("KR23", "Replicas are dropped for being late, not for a moment's lag."),
        _kept("KR24", "Too few replicas before the append: nothing is written. After it: the produce is told so."),
        _kept("KR25", "Unclean elections are by request only, and said aloud.", "saying it aloud, with replication"),
        _kept("KR26", "Whoever waits at a partition that is led no longer hears that, and nothing else."),
        _kept("KR27", "What producers did is part of the log: rebuilt by reading it, however its snapshot fares."),
        _later("KR28", "A late EndTxn does not end the next transaction.", TRANSACTIONS),
        _kept("KR29", "A coordinator answers once it has read its log, and writes in its own epoch only."),
        _kept("KR30", "A topic made again under its name is another topic, in every place that knows it."),
        _kept("KR31", "Metadata change by agreed commands in their order, the same on every node."),
        _kept("KR32", "A node that is stopped has others lead, answers what it took, and takes nothing new."),
    ),
)

QUORUM = Family(
    "RF", "Raft: what implementations got wrong, as far as a log of one voter can.",
    (
        _kept("RF1", "A vote is durable before it is given."),
        _kept("RF2", "An entry counts once it is synced, also the leader's own."),
        _later("RF3", "A late acknowledgement of what was since replaced counts for nothing.", RAFT),
        _later("RF4", "A follower commits what this message proves to match, and no more.", RAFT),
        _later("RF5", "What a follower has is known from its acknowledgements alone.", RAFT),
        _later("RF6", "Entries of earlier terms are committed by one of the current term.", RAFT),
        _later("RF7", "Members change one at a time, in a term that has committed something.", RAFT),
        _later("RF8", "A node that nobody hears disturbs nobody.", RAFT),
        _later("RF9", "A node with a higher term than the leader's finds its way back.", RAFT),
        _later("RF10", "Votes are given whatever the voter takes itself for.", RAFT),
        _kept("RF11", "What is read was not overtaken by a pause."),
        _kept("RF12", "A snapshot takes the place of entries in one step."),
        _kept("RF13", "A log goes on exactly where its snapshot ends."),
        _kept("RF14", "A torn tail is cut; damage of what was acknowledged is refused.", "repair by others, with Raft"),
        _kept("RF15", "A new disk is a new directory, whatever node it is in."),
        _later("RF16", "A configuration counts as long as its entry does.", RAFT),
        _kept("RF17", "What was proposed to a leader that fell has an unknown outcome."),
        _kept("RF18", "A stall of a node is no election."),
    ),
)

SEQUENCES = Family(
    "SQ", "Idempotent producers (KIP-98, KIP-360).",
    (
        _kept("SQ1", "A batch comes right after the one before it."),
        _kept("SQ2", "Each of the last five may come again, and is answered as it was the first time."),
        _kept("SQ3", "A new epoch fences the one before, begins at 0 and knows none of its batches."),
        _kept("SQ4", "What could not be written was not sent; what was written stays."),
        _kept("SQ5", "A producer id is given once, over crashes and restarts."),
        _kept("SQ6", "Producers are forgotten when they have been silent for long, not before."),
    ),
)

ACKNOWLEDGING = Family(
    "AC", "Acknowledgements.",
    (
        _kept("AC1", "acks=all waits for every in-sync replica; acks that nobody knows are refused."),
        _kept("AC2", "Where a topic asks for syncs, a record counts once its sync has ended."),
    ),
)

GROUPS = Family(
    "GR", "Consumer groups of the classic protocol.",
    (
        _kept("GR1", "What a coordinator says is in the log first."),
        _kept("GR2", "A generation has one assignment, made by one of its members, told to nobody else."),
        _kept("GR3", "Members are in as long as they are heard of; ids, members and waits are bounded."),
        _kept("GR4", "A static member that is restarted keeps its place, and its old self is fenced (KIP-345)."),
        _kept("GR5", "Offsets are committed by those who may, and found as they were committed last."),
        _kept("GR6", "Offsets expire when nobody has needed them for long (KIP-211)."),
    ),
)

RETENTION = Family(
    "RT", "Retention.",
    (
        _kept("RT1", "It drops what is committed and not wanted, and nothing else."),
        _kept("RT2", "What is said to be deleted by request is deleted on every node that is there."),
    ),
)

ASKING = Family(
    "FW", "Asked anywhere: what only the controller can do.",
    (
        _kept("FW1", "Whichever node is asked, the controller answers, in the order of requests."),
        _kept("FW2", "Nobody says that nothing was done where that is not known."),
        _kept("FW3", "Who told a client that it was done has seen it."),
        _kept("FW4", "What can be changed takes effect at once, on every node; what would have none is refused."),
        _kept("FW5", "Who is made a voter by hand has caught up, and who is removed is gone."),
        _kept("FW6", "The cluster runs a feature at a level that every broker knows; a level falls on request only."),
    ),
)

PUSHED = Family(
    "PU", "What the controller pushes, ahead of the log.",
    (
        _kept("PU1", "Only the present controller's word counts, and only to the process that it is for."),
        _kept("PU2", "Pushes lead nowhere but where the log leads, in whichever order they come, if at all."),
        _kept("PU3", "A role is taken once all else that it depends on has been applied."),
        _kept("PU4", "What is on the disk, and which topics there are, is for the log alone."),
    ),
)

PASSING = Family(
    "PF", "Produce forwarding: what clients bring to a node that does not lead.",
    (
        _kept("PF1", "It is in each log in the order in which its client sent it."),
        _kept("PF2", "The leader of the epoch that was meant takes it, and nobody else."),
        _kept("PF3", "Nobody says that nothing was kept where that is not known, and nobody waits for ever."),
        _kept("PF4", "It takes bounded room, at the cost of who sends it."),
        _kept("PF5", "The leader knows whose it is, and believes other brokers only."),
    ),
)

SHORT_WAY = Family(
    "SW", "A follower's fetch of one partition, which is taken from its bytes and answered without a message.",
    (
        _kept("SW1", "It is answered as it would be on the long way, or goes that."),
        _kept("SW2", "It says what a fetch has to say, and is refused where any would be."),
        _kept("SW3", "What is read by hand has exactly the form that is written by hand."),
    ),
)

LESSONS = Family(
    "LE", "What other brokers got wrong.",
    (
        _kept("LE1", "Advertised is what is answered, in those versions."),
        _kept("LE2", "An ApiVersions of the future is answered with error 35 and what is spoken."),
        _kept("LE3", "Batches are stored as the producer made them."),
        _kept("LE4", "A fetch returns whole batches, at least one, from the one that holds the offset."),
        _kept("LE5", "ListOffsets finds the first record that is not older than a time."),
        _kept("LE6", "The metadata of a commit is not lost."),
        _kept("LE7", "DescribeConfigs shows the settings."),
        _kept("LE8", "Transactions are refused where they begin, as long as they are not served."),
        _kept("LE9", "max.message.bytes is a bound."),
        _kept("LE10", "A compacted topic takes no record without a key."),
        _kept("LE11", "Members in a rebalance within a rebalance are not told that nobody knows them."),
        _kept("LE12", "All nodes name the same coordinator."),
        _kept("LE13", "The id of a topic is not made of its name."),
        _kept("LE14", "acks=all is answered with success after it has waited, not before."),
    ),
)

HOSTILE = Family(
    "SE", "Hostile input.",
    (
        _kept("SE1", "A length that no frame has ends the connection."),
        _kept("SE2", "Who sends slowly, or nothing, holds up nobody and is let go."),
        _kept("SE3", "Counts are compared with the bytes there are before anything is made of them."),
        _kept("SE4", "So are lengths; text is UTF-8; tags are in order and fit."),
        _kept("SE5", "Cut, changed or lengthened requests give an error, and nothing else."),
        _kept("SE6", "What is not spoken here is not read."),
        _later("SE7", "Before it is authenticated a client may ask for next to nothing.", SECURITY),
        _later("SE8", "Frames before that are small.", SECURITY),
        _kept("SE9", "A batch is what its header says, or it is refused."),
        _kept("SE10", "What expands has a bound."),
        _kept("SE11", "A short request does not make a long answer, or much work in one turn."),
        _kept("SE12", "Who does not read is not answered any more."),
        _kept("SE13", "Connections are bounded: in all, of one address, in a second."),
        _later("SE14", "TLS handshakes are bounded, certificates checked.", SECURITY),
        _kept("SE15", "Fetch sessions and waits are bounded."),
        _later("SE16", "Patterns of strangers are not run by an engine that can be kept busy.", SECURITY),
        _later("SE17", "What producers and groups leave behind is bounded as a whole.", TRANSACTIONS),
        _kept("SE18", "What strangers say does not break the log, nor fill it."),
        _kept("SE19", "No name of a topic leaves the data directory."),
        _later("SE20", "Any sequence of valid requests has the answers of a model.", REPLICATION),
        _later("SE21", "Fuzzing by coverage finds nothing in the readers.", REPLICATION),
        _kept("SE22", "A hostile broker is no better than a hostile client.",
              "a hostile leader's records, with replication"),
    ),
)

ACCESS = Family(
    "AU", "Authentication and authorisation: not in this release, apart from what would be open without them.",
    (
        _later("AU1", "Passwords are checked in constant time, and a wrong one says nothing about the user.", SECURITY),
        _later("AU2", "An exchange cannot be repeated or altered.", SECURITY),
        _later("AU3", "Nobody acts as somebody else.", SECURITY),
        _later("AU4", "Who authenticates again is who it was.", SECURITY),
        _later("AU5", "Every API asks whether it is allowed, and tells nothing where it is not.", SECURITY),
        _kept("AU6", "A client does not pass for a replica.", "other requests of brokers, with authentication"),
        _kept("AU7", "The flags of a batch are looked at, not only its request.", "permissions, with authentication"),
        _later("AU8", "Permissions are removed one by one, everywhere, for good.", SECURITY),
        _kept("AU9", "Brokers know each other: of which cluster they are, by node and by disk.", "certificates, with "
              "authentication"),
        _later("AU10", "No setting that comes over the wire names code or files; secrets are shown nowhere.", SECURITY),
        _later("AU11", "A certificate's name becomes a principal by rules.", SECURITY),
        _later("AU12", "Quotas hold, and never hold back replication.", SECURITY),
        _later("AU13", "An open controller listener on a public address does not start.", SECURITY),
        _later("AU14", "Who is locked out is out within a minute.", SECURITY),
    ),
)

PLACES = Family(
    "PL", "Places: which nodes have a partition's replicas, and how they move.",
    (
        _kept("PL1", "Replicas, leaders and those who would follow them are spread over racks and nodes."),
        _kept("PL2", "A move never leaves a partition with less than it takes to commit, and ends in one moment.",
              "copying, with replication"),
        _kept("PL3", "Voters come and go where those who vote then can agree; who was removed comes back as another."),
        _kept("PL4", "A broker goes for good once nothing depends on it alone."),
        _kept("PL5", "A throttle holds on the average, for replicas that lack something and nobody else (KIP-73)."),
    ),
)  # fmt: skip

FAMILIES: Sequence[Family] = (
    DISK, SEQUENCES, ACKNOWLEDGING, GROUPS, RETENTION, REPLICAS, PLACES, QUORUM, ASKING, PASSING, PUSHED, SHORT_WAY,
    LESSONS, HOSTILE, ACCESS,
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.id: rule for family in FAMILIES for rule in family.rules}
