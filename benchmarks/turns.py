"""
How long each API can hold up a node: every list of every request as long as it may be.

Run as C{python -m benchmarks.turns}.  For each list of each API that is advertised, an idle node is sent a request in
which that list is as long as a frame, or the elements that a request may have, allow.  The table says how long the
longest turn of the reactor was, in processor time: the first time, when readers and writers are put together and there
is most to do, and of some more times; and how long until the answer.  The node knows a topic of many partitions and
five hundred topics that the requests name, besides thousands that it does not know.
"""

from __future__ import annotations

import argparse
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.metadata import MetadataRequest
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest, DeleteTopicsRequest
from tests.hostile.arena import EVERYBODY, NodeProcess
from tests.hostile.victim import Connection
from tests.hostile.widest import KNOWN, Widest, every_list

PARTITIONS = 2000
TOPICS = 500
TIMES = 3
PATIENCE_S = 20.0
MUST_MS = 50
SETTINGS = ("group.initial.rebalance.delay.ms=0", "num.partitions=1")
HEAD = (
    "| list | version | elements | first turn | later turns | answer after |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
)


@frozen
class Taken:
    """How one request was borne: milliseconds; C{answer_ms} is None where the connection was closed instead."""

    first_ms: float
    turn_ms: float
    answer_ms: float | None


def populate(port: int) -> None:
    """Make the topics that the requests name, and where groups are kept."""
    connection = Connection(port)
    topics = [CreatableTopic(name=KNOWN, num_partitions=PARTITIONS, replication_factor=1)]
    topics += [CreatableTopic(name=f"t{number}", num_partitions=1, replication_factor=1) for number in range(TOPICS)]
    connection.ask(CreateTopicsRequest(topics=topics, timeout_ms=60_000), 7)
    connection.ask(FindCoordinatorRequest(key=KNOWN, key_type=0), 1)
    connection.close()


def ask(port: int, frame: bytes) -> float | None:
    """Send a request; return after how many milliseconds its answer was there."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        began = time.monotonic()
        try:
            connection.sendall(frame)
            with connection.makefile("rb") as answers:
                size_bytes = int.from_bytes(answers.read(4), "big")
                whole = bool(size_bytes) and len(answers.read(size_bytes)) == size_bytes
        except OSError:  # it was closed, or nothing came
            return None
        return (time.monotonic() - began) * 1000 if whole else None


def taken(node: NodeProcess, widest: Widest) -> Taken:
    """Ask some times, and return how it went."""
    found: list[float] = []
    answer_ms: float | None = 0.0
    for _ in range(TIMES + 1):
        node.report("begin")
        took_ms = ask(node.port, widest.frame)
        answer_ms = None if took_ms is None or answer_ms is None else max(answer_ms, took_ms)
        found.append(node.report()["turn_max_ms"])
    return Taken(found[0], max(found[1:]), answer_ms)


def _changes(widest: Widest) -> int:
    """Say how much a request changes what the others meet: what makes and deletes thousands of topics comes last."""
    lasting = (CreateTopicsRequest, MetadataRequest, DeleteTopicsRequest)
    return 1 + lasting.index(widest.api.request) if widest.api.request in lasting else 0


def rows(only: str) -> Iterator[tuple[Widest, Taken]]:
    """Ask for every list whose name contains this."""
    node = NodeProcess(*EVERYBODY, *SETTINGS)
    try:
        populate(node.port)
        for widest in sorted(every_list(), key=_changes):
            if only in widest.title:
                yield widest, taken(node, widest)
    finally:
        node.end()


def _judged(turn_ms: float) -> str:
    return f"{turn_ms:.0f}" if turn_ms <= MUST_MS else f"**{turn_ms:.0f}**"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="lists whose name contains this")
    parser.add_argument("--output", type=Path, help="a file for the table")
    given = parser.parse_args()
    lines = list(HEAD)
    print(*lines, sep="\n", flush=True)
    for widest, how in rows(given.only):
        after = "closed" if how.answer_ms is None else f"{how.answer_ms:.0f}"
        turns = f"{_judged(how.first_ms)} | {_judged(how.turn_ms)}"
        line = f"| {widest.title} | {widest.version} | {widest.count} | {turns} | {after} |"
        lines.append(line)
        print(line, flush=True)
    if given.output is not None:
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
