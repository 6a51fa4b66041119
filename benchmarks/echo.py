"""
The least that Twisted can do with a frame: send it back.

C{python -m benchmarks.echo bytes|frames} prints its port and serves until it is ended. What it reaches is the
ceiling for a broker in Python on the same machine: C{bytes} is a bare C{Protocol}, C{frames} Twisted's own
C{Int32StringReceiver}.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.protocols.basic import Int32StringReceiver


class EchoBytes(Protocol):
    """Writes what it reads."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Write it back as it came."""
        self.transport.write(data)


class EchoFrames(Int32StringReceiver):
    """Writes each frame that it reads."""

    MAX_LENGTH = 1 << 24
    transport: Any

    def stringReceived(self, string: bytes) -> None:
        """Write it back with its length."""
        self.sendString(string)  # type: ignore[no-untyped-call]


def main(kind: str) -> None:
    """Serve on a port of the system's choice."""
    factory = ServerFactory()
    factory.protocol = {"bytes": EchoBytes, "frames": EchoFrames}[kind]
    port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])
