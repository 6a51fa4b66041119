"""
Where a node is attacked: the node, an honest client and the attacker in a process each, at real sockets.

L{fight} runs one L{Case}: the honest client comes first, then the attack goes on for so long, then everybody says how
it was.  The tests see to it that nobody else was harmed, C{python -m benchmarks.hostile} makes a table of it.
"""

from __future__ import annotations

import json
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from attrs import frozen

from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest
from streamline.wire.schema import Message
from tests.broker import as_configs
from tests.hostile.victim import TOPIC, Connection

ROOT = Path(__file__).parents[2]
EVERYBODY = ("max.connection.creation.rate=100000", "max.connections.per.ip=100000")
"""Settings that let in as many as come, which all come from one address here."""
SEND_BYTES = 1 << 18
PATIENCE_S = 60.0


def framed(request: Message, version: int, number: int = 1) -> bytes:
    """Return a request as it goes over the wire."""
    return sized(write_request_header(type(request).KEY, version, number, "attacker") + encode(request, version))


def sized(body: bytes) -> bytes:
    """Return a request with its length before it."""
    return struct.pack(">i", len(body)) + body


def ready(
    reading: Iterable[socket.socket], writing: Iterable[socket.socket] = ()
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Wait for a moment until some can be read or written; return those that can."""
    poll = select.poll()  # select takes no descriptor above 1023
    wanted: dict[int, int] = {}
    by_descriptor = {}
    for connections, event in ((reading, select.POLLIN), (writing, select.POLLOUT)):
        for one in connections:
            wanted[one.fileno()] = wanted.get(one.fileno(), 0) | event
            by_descriptor[one.fileno()] = one
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    found = [(by_descriptor[descriptor], wanted[descriptor], events) for descriptor, events in poll.poll(100)]
    gone = select.POLLERR | select.POLLHUP
    return (
        [one for one, asked, events in found if asked & select.POLLIN and events & (select.POLLIN | gone)],
        [one for one, asked, events in found if asked & select.POLLOUT and events & (select.POLLOUT | gone)],
    )


class NodeProcess:
    """A node that is attacked."""

    def __init__(self, *settings: str) -> None:
        self.directory = Path(mkdtemp(prefix="streamline-"))
        command = [sys.executable, "-m", "tests.hostile.node", str(self.directory / "data"), *settings]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def report(self, asking: str = "how are you?") -> dict[str, Any]:
        """Ask how it is and has been since it was told to C{begin} the account."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{asking}\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def end(self) -> None:
        """End it, and throw away what it wrote."""
        _hang_up(self.process)
        self.process.wait(30)
        shutil.rmtree(self.directory)


class Victim:
    """An honest client; it is being served when this is made."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "tests.hostile.victim", str(port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the honest client did not get as far as its first request"

    def end(self) -> dict[str, Any]:
        """Let it go, and return how it was served; wrong where it was not served to the end."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        said = self._process.stdout.read()
        self._process.stdout.close()
        self._process.wait(60)
        if not said:
            return {"count": 0, "wrong": 1, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
        found: dict[str, Any] = json.loads(said)
        return found


def _hang_up(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with suppress(OSError):
            stream.close()


class Arena:
    """
    What an attacker has.

    @ivar until: when the attack is over.
    """

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.until = 0.0
        self._open: list[socket.socket] = []

    @property
    def is_on(self) -> bool:
        """Whether the attack goes on."""
        return time.monotonic() < self.until

    @property
    def left_s(self) -> float:
        """How long the attack still has."""
        return max(0.0, self.until - time.monotonic())

    def make(self, name: str, partitions: int = 1, **configs: str) -> None:
        """Make a topic."""
        connection = Connection(self.node.port)
        topic = CreatableTopic(
            name=name, num_partitions=partitions, replication_factor=1, configs=as_configs(configs)
        )
        answer: Any = connection.ask(CreateTopicsRequest(topics=[topic], timeout_ms=10_000), 7)
        assert answer.topics[0].error_code == 0, answer
        connection.close()

    def connect(self, count: int) -> list[socket.socket]:
        """Open so many connections, which do not block."""
        found = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", self.node.port), timeout=10)
            self.adopt(one)
            found.append(one)
        return found

    def adopt(self, connection: socket.socket) -> None:
        """Take a connection that was opened elsewhere, and close it in the end."""
        connection.setblocking(False)
        self._open.append(connection)

    def close(self) -> None:
        """Close all connections."""
        for one in self._open:
            one.close()
        self._open = []

    @contextmanager
    def closing(self, connections: list[socket.socket]) -> Iterator[list[socket.socket]]:
        """Close these connections at the end."""
        yield connections
        for one in connections:
            one.close()
            self._open.remove(one)

    def flood(self, connections: list[socket.socket], data: bytes) -> int:
        """Send the same bytes over and over on all connections, reading nothing; return how many bytes left."""
        sent = 0
        view = memoryview(data)
        at = dict.fromkeys(connections, 0)
        while at and self.is_on:
            for one in ready((), at)[1]:
                try:
                    count = one.send(view[at[one] : at[one] + SEND_BYTES])
                except BlockingIOError:
                    continue
                except OSError:
                    del at[one]
                    continue
                sent += count
                at[one] = (at[one] + count) % len(data)
        return sent

    def ask(
        self, connections: Sequence[socket.socket], requests: Sequence[bytes], *, least: int, in_flight: int = 1
    ) -> None:
        """
        Keep so many requests unanswered on each connection, each of the requests in its turn.

        @param least: go on until there have been so many answers, even when the time is up.
        @raise AssertionError: the node closed a connection, or did not give as many answers.
        """
        askers = {one: Asker(one, requests, at, in_flight) for at, one in enumerate(connections)}
        while self.is_on or sum(asker.answers for asker in askers.values()) < least:
            assert time.monotonic() < self.until + PATIENCE_S, "the node hardly answers"
            writing = [one for one, asker in askers.items() if asker.unsent]
            readable, writable = ready(connections, writing)
            for one in writable:
                askers[one].send()
            for one in readable:
                askers[one].receive()

    def let_in(self, wanted: int) -> None:
        """
        Wait until the node has so many connections, the honest client's among them.

        @raise AssertionError: it has not in ten seconds.
        """
        deadline = time.monotonic() + 10
        while self.node.report()["connections"] != wanted:
            assert time.monotonic() < deadline, self.node.report()
            time.sleep(0.02)

    def ended(self, connections: Sequence[socket.socket], within_s: float = 10.0) -> int:
        """Read until the node closes these connections, or the time is up; return how many it closed."""
        left = list(connections)
        deadline = time.monotonic() + within_s
        while left and time.monotonic() < deadline:
            for one in ready(left)[0]:
                if is_at_end(one):
                    left.remove(one)
        return len(connections) - len(left)


def is_at_end(one: socket.socket) -> bool:
    """Read what there is, and say whether the other side has closed."""
    try:
        return not one.recv(1 << 20)
    except BlockingIOError:
        return False
    except OSError:
        return True


class Asker:
    """One connection that asks again whenever it is answered."""

    def __init__(self, connection: socket.socket, requests: Sequence[bytes], first: int, in_flight: int) -> None:
        self.answers = 0
        self._connection = connection
        self._requests = requests
        self._next = first
        self._due_bytes = -4
        """What is missing of the answer at hand; below zero, of its length."""
        self._length = b""
        self.unsent = b"".join(self._another() for _ in range(in_flight))

    def _another(self) -> bytes:
        self._next += 1
        return self._requests[self._next % len(self._requests)]

    def send(self) -> None:
        """Send what can be sent; what has gone wrong shows when there is nothing to be read."""
        with suppress(OSError):
            sent = self._connection.send(memoryview(self.unsent)[:SEND_BYTES])
            self.unsent = self.unsent[sent:]

    def receive(self) -> None:
        """Read what there is, and ask again for each answer."""
        try:
            data = self._connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        assert data, "the node closed the connection of somebody who only asked"
        before = self.answers
        while data:
            if self._due_bytes < 0:
                self._length, data = self._length + data[: -self._due_bytes], data[-self._due_bytes :]
                self._due_bytes = len(self._length) - 4
                if not self._due_bytes:
                    self._due_bytes, self._length = int.from_bytes(self._length, "big"), b""
            else:
                taken = min(len(data), self._due_bytes)
                data = data[taken:]
                self._due_bytes -= taken
                if not self._due_bytes:
                    self._due_bytes = -4
                    self.answers += 1
        self.unsent += b"".join(self._another() for _ in range(self.answers - before))


@frozen
class Case:
    """
    One way to be hostile.

    @ivar number: its number in the plan of cases; C{title} says it in words.
    @ivar attack: goes on while the arena C{is_on}, and asserts that the attacker got what it deserves.
    @ivar prepare: what has to be there before the honest client comes.
    @ivar memory_mib: what the node may take at most meanwhile.
    @ivar settings: of the node.
    """

    number: str
    title: str
    attack: Callable[[Arena], None]
    memory_mib: int = 200
    settings: tuple[str, ...] = ()
    prepare: Callable[[Arena], object] | None = None


@frozen
class Outcome:
    """How others were served meanwhile, and how the node was."""

    others: dict[str, Any]
    node: dict[str, Any]


def fight(case: Case, seconds: float) -> Outcome:
    """
    Attack a node of its own for so long.

    @raise AssertionError: the attacker was treated otherwise than it should be.
    """
    node = NodeProcess(*EVERYBODY, *case.settings)
    arena = Arena(node)
    try:
        arena.make(TOPIC)
        if case.prepare is not None:
            case.prepare(arena)
        victim = Victim(node.port)
        node.report("begin")
        arena.until = time.monotonic() + seconds
        try:
            case.attack(arena)
        finally:
            others = victim.end()
        return Outcome(others, node.report())
    finally:
        arena.close()
        node.end()
