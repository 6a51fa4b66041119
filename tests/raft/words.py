"""How a scenario shows messages, entries and Readies: short, one line each."""

from __future__ import annotations

from attrs import fields_dict

from streamline.raft import Configuration, Entry, EntryKind, Message, RaftSettings, Ready, ReplicaKey
from streamline.raft.configuration import decode_configuration
from streamline.raft.messages import (
    AppendRejection,
    AppendRequest,
    AppendResponse,
    ReadRequest,
    ReadResponse,
    SnapshotRequest,
    SnapshotResponse,
    VoteRequest,
    VoteResponse,
)


def name(one: ReplicaKey) -> str:
    """Return a node's id, with a stroke for each disk after the first."""
    return f"{one.node_id}" + "'" * (one.directory_id[0] - 1)


def members(configuration: Configuration) -> str:
    """Return who takes part."""
    parts = ["voters " + " ".join(name(one.key) for one in configuration.voters)]
    if configuration.outgoing:
        parts.append("outgoing " + " ".join(name(one.key) for one in configuration.outgoing))
    if configuration.learners:
        parts.append("learners " + " ".join(name(one.key) for one in configuration.learners))
    return ", ".join(parts)


def entry(one: Entry) -> str:
    """Return an entry: index, term, what it is."""
    if one.kind is EntryKind.COMMAND:
        return f"{one.index}/{one.term} {one.payload.decode()!r}"
    if one.kind is EntryKind.CONFIGURATION:
        return f"{one.index}/{one.term} ({members(decode_configuration(one.payload))})"
    return f"{one.index}/{one.term} no-op"


def entries(some: tuple[Entry, ...]) -> str:
    """Return entries, or nothing."""
    return "[" + "; ".join(map(entry, some)) + "]" if some else "nothing"


def message(one: Message) -> str:
    """Return a message."""
    return f"{name(one.sender)} -> {name(one.to)} {type(one).__name__} term {one.term}: {_body(one)}".rstrip(": ")


def _body(one: Message) -> str:
    match one:
        case VoteRequest():
            flags = " pre" * one.pre + " transfer" * one.transfer
            return f"log ends at {one.last_index}/{one.last_term}{flags}"
        case VoteResponse():
            return f"{'granted' if one.granted else 'refused'}{' pre' * one.pre} (asked in {one.asked_term})"
        case ReadRequest():
            return one.context.decode()
        case ReadResponse():
            return f"{one.context.decode()} at {one.index}"
    return _about_the_log(one)


def _about_the_log(one: Message) -> str:
    match one:
        case AppendRequest():
            head = f"after {one.prev_index}/{one.prev_term}: {entries(one.entries)}, commit {one.commit_index}"
            return head + (f", round {one.round}" if one.round else "") + ", no answer" * (not one.wants_answer)
        case AppendResponse():
            return f"matched {one.matched_index}" + (f", round {one.round}" if one.round else "")
        case AppendRejection():
            return f"not at {one.rejected_index}, perhaps at {one.hint_index}/{one.hint_term}"
        case SnapshotRequest():
            piece = f"{one.offset}+{len(one.data)} of {one.total_bytes} bytes"
            return f"at {one.snapshot_index}/{one.snapshot_term}, {piece}, {members(one.configuration)}"
        case SnapshotResponse():
            return f"at {one.snapshot_index}/{one.snapshot_term}, has {one.offset} bytes"
    return ""


def ready(who: str, one: Ready) -> list[str]:
    """Return what a Ready asks for, messages apart: they are shown when they arrive."""
    lines = []
    if one.hard_state is not None:
        vote = name(one.hard_state.vote) if one.hard_state.vote else "nobody"
        lines.append(f"{who} writes term {one.hard_state.term}, vote {vote}")
    if one.snapshot is not None:
        lines.append(f"{who} installs snapshot {one.snapshot.index}/{one.snapshot.term}")
    if one.entries:
        lines.append(f"{who} writes {entries(one.entries)}")
    if one.committed:
        lines.append(f"{who} applies {entries(one.committed)}")
    lines += [f"{who} knows: {x.proposal.index}/{x.proposal.term} is {x.fate.value}" for x in one.outcomes]
    lines += [f"{who} may read {x.context.decode()}" + _at(x.index) for x in one.reads]
    return lines


def _at(index: int | None) -> str:
    return " never" if index is None else f" at {index}"


def settings(words: list[str]) -> dict[str, int]:
    """Read settings as C{name=number}."""
    known = fields_dict(RaftSettings)
    pairs = [word.split("=") for word in words]
    assert all(one in known for one, _ in pairs), f"settings are {', '.join(known)}"
    return {one: int(value) for one, value in pairs}
