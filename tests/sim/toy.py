"""
A toy broker: a log behind a socket, to prove the simulator with before any real node.

A put is a line C{client sequence}; it is appended to a log on disk with its length
and checksum, synced, and answered C{ok}.  Run as a program it prints the digest of
one seed, to be compared between interpreters with different hash seeds.
"""

from __future__ import annotations

import sys
from struct import Struct
from typing import Any
from zlib import crc32

from attrs import define, field
from twisted.internet.defer import succeed
from twisted.internet.protocol import Factory, Protocol

from streamline.interfaces import Host, IFile
from streamline.testing.simulation import Fabric, Machine, Process, Simulation, Weather
from streamline.testing.simulation.faults import KIND_NAMES, draw
from streamline.testing.simulation.injector import Injector, Stop, Supervisor

HEAD = Struct(">II")
LOG = "/data/log"
PORT = 7
RETRY_S = 0.2
PATIENCE_S = 2.0
THINK_S = 0.05


def recover(host: Host, flaw: str = "") -> tuple[IFile, list[bytes]]:
    """
    Open the log, cut its tail at the first bad entry, and return it with its entries.

    What is kept is written once more before it is synced: after a failed sync the
    page cache shows bytes that it takes for clean and that the device lacks.
    """
    host.disk.make_directories("/data")
    new = not host.disk.exists(LOG)
    file = host.disk.open(LOG, create=new)
    if flaw != "forgets the name":
        host.disk.sync_directory("/data")
    data = file.read(0, file.size())
    entries, at = [], 0
    while at + HEAD.size <= len(data):
        length, checksum = HEAD.unpack_from(data, at)
        entry = data[at + HEAD.size : at + HEAD.size + length]
        if not length or len(entry) < length or crc32(entry) != checksum:
            break
        entries.append(entry)
        at += HEAD.size + length
    file.truncate(at)
    if flaw != "trusts the page cache":
        file.write([data[:at]], 0)
    file.sync()
    return file, entries


class Lines(Protocol):
    """Cuts what comes into lines."""

    _rest = b""

    def dataReceived(self, data: bytes) -> None:
        """Hand over whole lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.line(line)

    def line(self, line: bytes) -> None:
        """Take one."""
        raise NotImplementedError


FLAWS = ("answers before the sync", "forgets the name", "trusts the page cache")


class Toy(Factory):
    """
    The toy broker.

    @ivar flaw: what is wrong with it, one of L{FLAWS}, to see that the simulator finds it.
    """

    def __init__(self, process: Process, flaw: str) -> None:
        self.process = process
        self.host = process.host
        self.flaw = flaw
        self.file, entries = recover(self.host, flaw)
        self.seen = dict.fromkeys(entries)
        self.end = self.file.size()
        self.host.network.listen(f"tcp:{PORT}", self)

    def buildProtocol(self, addr: object) -> Lines:
        """Serve a connection."""
        return _Served(self)

    def put(self, entry: bytes, answer: Any) -> None:
        """Append, unless it is there; answer when it is safe; give up where the disk does."""
        try:
            if entry not in self.seen:
                self.end += self.file.write([HEAD.pack(len(entry), crc32(entry)), entry], self.end)
                self.seen[entry] = None
        except OSError:
            self.process.machine.crash(power=False)
            return
        if self.flaw == "answers before the sync":
            answer(None)
        else:
            self.file.sync_later().addCallbacks(answer, lambda _: self.process.machine.crash(power=False))


class _Served(Lines):
    transport: Any

    def __init__(self, toy: Toy) -> None:
        self._toy = toy

    def line(self, line: bytes) -> None:
        self._toy.put(line, lambda _: self.transport.write(line + b"\n"))


@define
class Client:
    """
    Puts one line after another, each until it is answered.

    @ivar acked: the lines that were.
    """

    process: Process
    name: str
    server: str
    acked: list[bytes] = field(factory=list)
    _sequence: int = 0
    _line: Any = None

    def connect(self) -> None:
        """Connect, and again whenever the connection is lost."""
        attempt = self.process.network.connect(self.server, PORT, _Asking.factory(self), PATIENCE_S)
        attempt.addErrback(lambda _: self.again())

    def again(self) -> None:
        """Try again a little later."""
        self.process.reactor.callLater(RETRY_S, self.connect)

    def current(self) -> bytes:
        """Return the line to put."""
        return f"{self.name} {self._sequence}".encode()

    def answered(self, line: bytes) -> None:
        """Go on with the next line."""
        if line == self.current():
            self.acked.append(line)
            self._sequence += 1


class _Asking(Lines):
    transport: Any
    _late: Any = None

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def factory(cls, client: Client) -> Factory:
        factory = Factory()
        factory.buildProtocol = lambda addr: cls(client)  # type: ignore[method-assign,assignment,return-value]
        return factory

    def connectionMade(self) -> None:
        self._ask()

    def _ask(self) -> None:
        self.transport.write(self._client.current() + b"\n")
        self._late = self._client.process.reactor.callLater(PATIENCE_S, self.transport.abortConnection)

    def line(self, line: bytes) -> None:
        self._late.cancel()
        self._client.answered(line)
        self._client.process.reactor.callLater(THINK_S, self._ask_if_there)

    def _ask_if_there(self) -> None:
        if self.transport.connected:
            self._ask()

    def connectionLost(self, reason: Any = None) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._client.again()


@define
class Outcome:
    """
    What one run came to.

    @ivar missing: lines that were answered and are not in the log.
    """

    digest: str
    events: int
    acked: int
    missing: list[bytes]
    injected: dict[str, int]


def run(seed: int, *, until: float = 120.0, flaw: str = "", kinds: tuple[str, ...] = KIND_NAMES) -> Outcome:
    """Run three clients against one toy broker that has a hard time."""
    simulation = Simulation(seed)
    fabric = Fabric.of(simulation, Weather())
    supervisor = Supervisor(Machine(fabric, "toy", "10.0.0.1"), lambda process: _start(process, flaw))
    injector = Injector(supervisor, draw(seed, until - 20, kinds))
    supervisor.start()
    injector.begin()
    clients = []
    for number in range(3):
        client = Client(Machine(fabric, f"c{number}", f"10.0.1.{number}").start(), f"c{number}", "10.0.0.1")
        clients.append(client)
        client.connect()
    simulation.after(until - 20, injector.end)
    simulation.run(until)
    supervisor.machine.crash(power=False)
    process = supervisor.machine.start()
    _, entries = recover(process.host)
    acked = [line for client in clients for line in client.acked]
    kept = dict.fromkeys(entries)
    missing = [line for line in acked if line not in kept]
    return Outcome(simulation.digest(), simulation.events, len(acked), missing, injector.counts())


def _start(process: Process, flaw: str) -> Stop:
    try:
        Toy(process, flaw)
    except OSError:
        process.machine.crash(power=False)
    return lambda: succeed(None)


if __name__ == "__main__":
    print(run(int(sys.argv[1])).digest)
