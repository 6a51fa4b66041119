"""
A node in a process of its own, to be attacked: C{python -m tests.hostile.node DIRECTORY [key=value ...]}.

It prints a line with its port, and then answers each line that it reads with a line of JSON: how long its reactor
was held up, how much memory it takes, and what its connections hold.  The line C{begin} begins the account anew.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor, stdio
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.protocols.basic import LineReceiver

from streamline.assembly import Node, build
from streamline.config import BrokerConfig, NodeConfig
from streamline.services.collector import calm_collector
from streamline.services.host import keep_freed_memory, real_host, share_interpreter
from streamline.settings import make
from streamline.storage.disk import RealDisk

BEAT_S = 0.005


class Strain:
    """
    A heartbeat that sees every stall.

    @ivar late_ms: how late each beat came, on the wall's clock: the machine's other work is in it.
    @ivar busy_ms: the most processor time of the reactor's thread between two beats, which other work is not in.
    @ivar turn_ms: the most processor time of one turn of the reactor.
    """

    def __init__(self) -> None:
        running: Any = reactor
        self._turn: Any = running.runUntilCurrent
        self._turn_s = time.thread_time()
        running.runUntilCurrent = self._turns  # what each turn begins with
        self.begin()
        self._beat()

    def begin(self) -> None:
        """Forget what was."""
        self.late_ms: list[float] = []
        self.busy_ms = self.turn_ms = 0.0
        self._due_s = self._busy_s = 0.0

    def _beat(self) -> None:
        now_s, busy_s = time.monotonic(), time.thread_time()
        if self._due_s:
            self.late_ms.append(max(0.0, now_s - self._due_s) * 1000)
            self.busy_ms = max(self.busy_ms, (busy_s - self._busy_s) * 1000)
        self._due_s, self._busy_s = now_s + BEAT_S, busy_s
        running: Any = reactor
        running.callLater(BEAT_S, self._beat)

    def _turns(self) -> None:
        now_s = time.thread_time()
        self.turn_ms = max(self.turn_ms, (now_s - self._turn_s) * 1000)
        self._turn_s = now_s
        self._turn()

    def quantile_ms(self, share: float) -> float:
        """Return how late at most this share of the beats was."""
        late_ms = sorted(self.late_ms) or [0.0]
        return round(late_ms[min(len(late_ms) - 1, int(share * len(late_ms)))], 1)


class Reporter(LineReceiver):
    """Says how the node is whenever it is asked, and ends it when nobody asks any more."""

    delimiter = b"\n"

    def __init__(self, node: Node) -> None:
        self._node = node
        self._strain = Strain()
        self._failures = 0
        globalLogPublisher.addObserver(cast(ILogObserver, self._logged))

    def _logged(self, event: Any) -> None:
        self._failures += "log_failure" in event

    def lineReceived(self, line: bytes) -> None:
        """Report."""
        if line == b"begin":
            self._strain.begin()
        factory, strain = self._node.factory, self._strain
        accounts, sessions = factory.accounts, self._node.broker.sessions
        report = {
            "stall_p50_ms": strain.quantile_ms(0.5),
            "stall_p999_ms": strain.quantile_ms(0.999),
            "stall_max_ms": strain.quantile_ms(1.0),
            "busy_max_ms": round(strain.busy_ms, 1),
            "turn_max_ms": round(strain.turn_ms, 1),
            "rss_mib": peak_resident_mib(),
            "failures": self._failures,
            "connections": len(factory.connections),
            "turned_away": factory.turned_away,
            "ended": factory.ended,
            "inbound": accounts.inbound_bytes,
            "waiting": accounts.waiting_bytes,
            "outbound": accounts.outbound_bytes,
            "sessions": len(sessions),
            "session_partitions": sessions.partitions,
            "topics": sorted(self._node.broker.metadata.image.topics),
        }
        self.sendLine(json.dumps(report).encode())

    def connectionLost(self, reason: Any = None) -> None:
        """End."""
        running: Any = reactor
        if running.running:
            running.stop()


def peak_resident_mib() -> float:
    """Return the most that this process has had in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def main(directory: str, *settings: str) -> None:
    """Run until standard input ends."""
    keep_freed_memory()
    share_interpreter()
    given = dict(setting.split("=", 1) for setting in settings)
    config = NodeConfig(
        listen="tcp:0:interface=127.0.0.1", http_listen=None, data_dir=directory, broker=make(BrokerConfig, given)
    )
    node = build(config, real_host(reactor, RealDisk(reactor)))

    def ready(_: object) -> None:
        calm_collector()
        reporter = Reporter(node)
        stdio.StandardIO(reporter)
        reporter.sendLine(str(node.address.port).encode())

    running: Any = reactor
    node.startService().addCallback(ready).addErrback(lambda failure: (failure.printTraceback(), running.stop()))
    running.addSystemEventTrigger("before", "shutdown", node.stopService)
    running.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
