"""
A node in a process of its own, to be attacked: C{python -m tests.hostile.node DIRECTORY [key=value ...]}.

It prints a line with its port, and then answers each line that it reads with a line of JSON: how long its reactor
was held up since the last one, how much memory it takes, and what its connections hold.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.protocols.basic import LineReceiver

from streamline.assembly import Node, build
from streamline.config import BrokerConfig, NodeConfig, make
from streamline.services.host import keep_freed_memory, real_host
from streamline.services.pulse import Pulse
from streamline.storage.disk import RealDisk


class Reporter(LineReceiver):
    """Says how the node is whenever it is asked, and ends it when nobody asks any more."""

    delimiter = b"\n"

    def __init__(self, node: Node, pulse: Pulse) -> None:
        self._node = node
        self._pulse = pulse

    def lineReceived(self, line: bytes) -> None:
        """Report."""
        factory, pulse = self._node.factory, self._pulse
        accounts = factory.accounts
        report = {
            "p999_ms": pulse.quantile_ms(0.999),
            "max_ms": round(pulse.longest_ms, 1),
            "rss_mib": resident_mib(),
            "connections": len(factory.connections),
            "turned_away": factory.turned_away,
            "ended": factory.ended,
            "inbound": accounts.inbound_bytes,
            "waiting": accounts.waiting_bytes,
            "outbound": accounts.outbound_bytes,
            "largest_topics": len(self._node.broker.metadata.image.topics),
        }
        pulse.reset()
        self.sendLine(json.dumps(report).encode())

    def connectionLost(self, reason: Any = None) -> None:
        """End."""
        running: Any = reactor
        running.stop()


def resident_mib() -> float:
    """Return what this process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(directory: str, *settings: str) -> None:
    """Run until standard input ends."""
    keep_freed_memory()
    given = dict(setting.split("=", 1) for setting in settings)
    config = NodeConfig(
        listen="tcp:0:interface=127.0.0.1", http_listen=None, data_dir=directory, broker=make(BrokerConfig, given)
    )
    node = build(config, real_host(reactor, RealDisk(reactor)))
    pulse = Pulse(node.broker.host.clock)

    def ready(_: object) -> None:
        pulse.startService()
        reporter = Reporter(node, pulse)
        stdio.StandardIO(reporter)
        reporter.sendLine(str(node.address.port).encode())

    running: Any = reactor
    node.startService().addCallback(ready).addErrback(lambda failure: (failure.printTraceback(), running.stop()))
    running.addSystemEventTrigger("before", "shutdown", node.stopService)
    running.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
