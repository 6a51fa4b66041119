"""
What must not be in a history: Jepsen's checkers of a log, for one node (reliability 1.2).

Each checker is a function of a L{History} that returns anomalies.  All are
linear: since values are unique, the log's own order says everything.

Where a power cut may take acknowledged records (a topic that is not synced on
each append), L{streamline.testing.durability} says which; what it pardons is
handed to the checkers that would otherwise miss it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import pairwise
from typing import TypeAlias

from attrs import frozen

from streamline.model import TopicPartition
from streamline.testing.history import FAIL, OK, Change, History, Poll, Send


@frozen
class Anomaly:
    """
    Something that must not be.

    @ivar kind: the name of the rule that it breaks.
    """

    kind: str
    key: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.detail}"


@frozen
class Pardon:
    """
    What a power cut was allowed to take.

    @ivar lost: the values.
    @ivar changes: says whether what was seen of a partition at one time may look different at a later one.
    """

    lost: Collection[str] = ()
    changes: Callable[[TopicPartition, float, float], bool] = lambda key, before, after: False


NONE = Pardon()

Check: TypeAlias = Callable[[History, Pardon], list[Anomaly]]
"""Judges a history."""

Values: TypeAlias = dict[tuple[TopicPartition, str], list[int]]


def offsets_of_values(polls: Iterable[Poll]) -> Values:
    """Return the offsets at which each value was read, each once, in the order they were seen."""
    found: Values = {}
    for poll in polls:
        for offset, value in poll.records:
            offsets = found.setdefault((poll.key, value), [])
            if offset not in offsets:
                offsets.append(offset)
    return found


def lost_writes(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """
    Find acknowledged sends that nobody ever read although a later offset was read.

    A send below the log's start was given up by retention, not lost.
    """
    read = offsets_of_values(history.polls)
    highest: dict[TopicPartition, int] = {}
    for poll in history.polls:
        if poll.records:
            highest[poll.key] = max(highest.get(poll.key, -1), poll.records[-1][0])
    return [
        _lost("lost-write", send)
        for send in history.sends
        if _is_due(send, history, pardon)
        and (send.key, send.value) not in read
        and 0 <= send.offset <= highest.get(send.key, -1)
    ]


def unseen(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """Find acknowledged sends that the reading of everything at the end did not bring."""
    read = offsets_of_values(poll for poll in history.polls if poll.is_final)
    return [
        _lost("unseen", send)
        for send in history.sends
        if _is_due(send, history, pardon) and (send.key, send.value) not in read
    ]


def _is_due(send: Send, history: History, pardon: Pardon) -> bool:
    start = history.starts.get(send.key, 0)
    is_kept = send.offset >= start or (send.offset < 0 and start == 0)
    return send.status == OK and is_kept and send.value not in pardon.lost


def _lost(kind: str, send: Send) -> Anomaly:
    return Anomaly(kind, str(send.key), f"{send.value} at {send.offset}, acknowledged at {send.done_at:.3f}")


Sighting: TypeAlias = tuple[float, float, str, str]
"""When a value was seen, when it was asked for or sent, the value, and how it was seen."""


def inconsistent_offsets(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """Find offsets that hold two values, acknowledged or read; what was read never changes (ConsistentRead)."""
    seen: dict[tuple[TopicPartition, int], list[Sighting]] = {}
    for send in history.sends:
        if send.status == OK and send.offset >= 0:
            sighting = (send.done_at, send.sent_at, send.value, "acknowledged")
            seen.setdefault((send.key, send.offset), []).append(sighting)
    for poll in history.polls:
        for offset, value in poll.records:
            seen.setdefault((poll.key, offset), []).append((poll.at, poll.asked_at, value, "read"))
    found: list[Anomaly] = []
    for (key, offset), sightings in seen.items():
        if any(value != sightings[0][2] for _, _, value, _ in sightings):
            found.extend(_changed(key, offset, sorted(sightings), pardon))
    return found


def _changed(key: TopicPartition, offset: int, sightings: list[Sighting], pardon: Pardon) -> Iterable[Anomaly]:
    for (at, asked_at, value, how), (later_at, _, other, later_how) in pairwise(sightings):
        if value != other and not pardon.changes(key, asked_at, later_at):
            detail = f"offset {offset} held {value} ({how} at {at:.3f}), then {other} ({later_how} at {later_at:.3f})"
            yield Anomaly("inconsistent-offset", str(key), detail)


def vanished_reads(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """Find values that somebody read and that are not there at the end: nobody may see what can still be lost."""
    final: dict[tuple[TopicPartition, str], float] = {}
    ends: dict[TopicPartition, float] = {}
    for poll in history.polls:
        if poll.is_final:
            ends[poll.key] = poll.at
            final.update(dict.fromkeys(((poll.key, value) for _, value in poll.records), poll.at))
    found: dict[tuple[TopicPartition, str], Anomaly] = {}
    for poll in history.polls:
        if poll.key not in ends or pardon.changes(poll.key, poll.asked_at, ends[poll.key]):
            continue
        for offset, value in poll.records:
            if (poll.key, value) not in final and offset >= history.starts.get(poll.key, 0):
                detail = f"{value} was read at {offset} at {poll.at:.3f}, and is gone"
                found.setdefault((poll.key, value), Anomaly("vanished-read", str(poll.key), detail))
    return list(found.values())


def moved_starts(history: History, kept_topics: Collection[str]) -> list[Anomaly]:
    """
    Find logs that begin later than at 0 although nothing may be taken from them.

    @param kept_topics: the topics without retention.
    """
    return [
        Anomaly("moved-start", str(key), f"the log begins at {start}")
        for key, start in history.starts.items()
        if start and key.topic in kept_topics
    ]


def wrong_lookups(history: History, kept_topics: Collection[str]) -> list[Anomaly]:
    """
    Find times for which another offset was found than that of the first record of at least this time.

    @param kept_topics: the topics without retention; what was found in others may be gone by the time it is compared.
    """
    times: dict[TopicPartition, list[tuple[int, int]]] = {}
    for poll in history.polls:
        if poll.is_final:
            offsets = (offset for offset, _ in poll.records)
            times.setdefault(poll.key, []).extend(zip(offsets, poll.times_ms, strict=True))
    found = []
    for lookup in history.lookups:
        if lookup.key.topic not in kept_topics:
            continue
        known = times.get(lookup.key, [])
        least = max((time for _, time in known), default=-1) if lookup.time_ms < 0 else lookup.time_ms
        expected = next(((offset, time) for offset, time in known if time >= least), (-1, -1))
        if (lookup.offset, lookup.found_ms) != expected:
            detail = f"at time {lookup.time_ms}: {lookup.offset} ({lookup.found_ms}), not {expected[0]} ({expected[1]})"
            found.append(Anomaly("wrong-lookup", str(lookup.key), detail))
    return found


def duplicates(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """Find values at two offsets, unless a producer without idempotence sent them twice."""
    repeated = {send.value: None for send in history.sends if send.retried and not send.idempotent}
    last: dict[TopicPartition, dict[str, list[int]]] = {}
    for poll in history.polls:
        if poll.is_final:
            for offset, value in poll.records:
                last.setdefault(poll.key, {}).setdefault(value, []).append(offset)
    return [
        Anomaly("duplicate", str(key), f"{value} at {offsets}")
        for key, values in last.items()
        for value, offsets in values.items()
        if len(offsets) > 1 and value not in repeated
    ]


def phantom_reads(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """Find values that were read although their send certainly failed, or that nobody sent to that partition (G1a)."""
    sends = {(send.key, send.value): send for send in history.sends}
    found = []
    for key, value in offsets_of_values(history.polls):
        send = sends.get((key, value))
        if send is None:
            found.append(Anomaly("phantom", str(key), f"{value} was read and never sent there"))
        elif send.status == FAIL:
            found.append(Anomaly("aborted-read", str(key), f"{value} was read and had failed: {send.error}"))
    return found


def nonmonotonic_sends(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """
    Find later sends of one idempotent producer that landed at a lower offset.

    Where retention took the batches that the node knew a producer by, a restart forgets them too.  Their producer
    is told that its repeated batch is out of order, and takes a new id, behind what it sent later with the old one.
    """
    last: dict[tuple[str, TopicPartition], Send] = {}
    found = []
    for send in sorted(history.sends, key=lambda send: (send.producer, send.key, send.number)):
        if send.status != OK or send.offset < 0 or not send.idempotent or send.value in pardon.lost:
            continue
        before = last.get((send.producer, send.key))
        if before is not None and send.offset <= before.offset and not _may_go_back(history, before, send, pardon):
            detail = f"{send.value} at {send.offset}, after {before.value} at {before.offset}"
            found.append(Anomaly("nonmonotonic-send", str(send.key), detail))
        last[send.producer, send.key] = send
    return found


def _may_go_back(history: History, before: Send, send: Send, pardon: Pardon) -> bool:
    is_forgotten = before.incarnation != send.incarnation and history.starts.get(send.key, 0) > 0
    return is_forgotten or pardon.changes(send.key, before.sent_at, send.done_at)


def poll_gaps(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """
    Find jumps inside one fetch, and between two fetches of a consumer that chose no new position.

    Topics that are compacted or transactional have gaps by right and are not for this checker.
    """
    found = []
    expected: dict[tuple[str, TopicPartition], int] = {}
    for poll in history.polls:
        stream = (poll.consumer, poll.key)
        if not poll.is_reset and stream in expected and poll.position != expected[stream]:
            detail = f"{poll.consumer} went on at {poll.position}, not at {expected[stream]}"
            found.append(Anomaly("poll-skip", str(poll.key), detail))
        after = poll.position
        for offset, _ in poll.records:
            if offset != after:
                kind = "int-poll-skip" if offset > after else "int-nonmonotonic-poll"
                found.append(Anomaly(kind, str(poll.key), f"{poll.consumer} got {offset} where {after} was next"))
            after = offset + 1
        expected[stream] = after
    return found


def broken_changes(history: History, topics: Collection[str]) -> list[Anomaly]:
    """
    Find topics whose making or deletion was acknowledged and is not to be seen in the cluster at the end.

    @param topics: the names that the cluster has at the end.
    """
    wanted: dict[str, bool | None] = {}
    for change in history.changes:
        if change.what in ("create", "delete"):
            if change.status == OK:
                wanted[change.name] = change.what == "create"
            elif change.status != FAIL:
                wanted[change.name] = None
    return [
        Anomaly("lost-metadata", name, "it was made and is gone" if there else "it was deleted and is there")
        for name, there in wanted.items()
        if there is not None and (name in topics) != there
    ]


def lost_commits(history: History, may_go_back: Callable[[float, float], bool]) -> list[Anomaly]:
    """
    Find offsets that were committed and acknowledged, and fetched as lower ones later (KC9).

    The members of a group must commit what grows.

    @param may_go_back: says whether what was committed at one time may be gone at another.
    """
    highest: dict[str, Change] = {}
    found = []
    for change in sorted(history.changes, key=lambda change: change.done_at):
        if change.status != OK or change.what not in ("commit", "fetched"):
            continue
        known = highest.get(change.name)
        if known is None or change.detail >= known.detail:
            highest[change.name] = change
        elif change.what == "fetched" and change.sent_at > known.done_at:
            if not may_go_back(known.sent_at, change.done_at):
                detail = f"{change.detail} at {change.done_at:.3f}, after {known.detail} at {known.done_at:.3f}"
                found.append(Anomaly("lost-commit", change.name, detail))
            highest[change.name] = change
    return found


def double_owners(history: History, may_go_back: Callable[[float, float], bool]) -> list[Anomaly]:
    """Find partitions that two members of one generation of a group were assigned."""
    owners: dict[tuple[str, int], Change] = {}
    found = []
    for change in history.changes:
        if change.what == "assigned":
            known = owners.setdefault((change.name, change.detail), change)
            if known.who != change.who:
                if not may_go_back(known.sent_at, change.done_at):
                    detail = f"generation {change.detail} gave it to {known.who} and to {change.who}"
                    found.append(Anomaly("double-owner", change.name, detail))
                owners[change.name, change.detail] = change
    return found


CHECKS: tuple[Check, ...] = (
    lost_writes,
    unseen,
    inconsistent_offsets,
    vanished_reads,
    duplicates,
    phantom_reads,
    nonmonotonic_sends,
    poll_gaps,
)


def check_all(history: History, pardon: Pardon = NONE) -> list[Anomaly]:
    """Return what any checker finds."""
    return [anomaly for check in CHECKS for anomaly in check(history, pardon)]


def consume_counts(history: History) -> dict[int, int]:
    """Return how many values were read how many times, as a report."""
    times: dict[tuple[TopicPartition, str], int] = {}
    for poll in history.polls:
        for _, value in poll.records:
            times[poll.key, value] = times.get((poll.key, value), 0) + 1
    counts: dict[int, int] = {}
    for count in times.values():
        counts[count] = counts.get(count, 0) + 1
    return dict(sorted(counts.items()))


def longest_lag_s(history: History) -> float:
    """Return the longest time from an acknowledgement to the first read of the value, as a report."""
    first: dict[tuple[TopicPartition, str], float] = {}
    for poll in history.polls:
        for _, value in poll.records:
            first.setdefault((poll.key, value), poll.at)
    lags = [first[send.key, send.value] - send.done_at for send in history.sends if (send.key, send.value) in first]
    return max(lags, default=0.0)
