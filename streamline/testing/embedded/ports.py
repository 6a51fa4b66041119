"""
Addresses that are a cluster's own for as long as it lives.

A port that is only picked and let go again can be somebody else's before a node listens there, and a node that restarts
may find its own taken by an outgoing connection.  Here a socket stays bound to each, without listening: whoever
connects is refused, the kernel gives the port to nobody else, and a node that sets C{SO_REUSEADDR}, as servers do, can
listen beside it as often as it likes.
"""

from __future__ import annotations

import socket

from streamline.model import Endpoint

LOOPBACK = "127.0.0.1"


class PortTaken(Exception):
    """Somebody else listens there."""


class ReservedPort:
    """
    One port of the loopback interface.

    @ivar number: which one.
    @param number: which one it has to be; 0 for any.
    @raise PortTaken: that one is in use.
    """

    def __init__(self, number: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if number:
                self._probe(number)
            self._socket.bind((LOOPBACK, number))
        except OSError as error:
            self._socket.close()
            raise PortTaken(f"port {number} is taken") from error
        # Only now: with it, binding to port 0 might be given a port that another cluster has reserved this way.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number: int = self._socket.getsockname()[1]

    def _probe(self, number: int) -> None:
        """Bind where connections that have ended linger; only a listener is in the way then."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, number))
            probe.listen(1)

    @property
    def endpoint(self) -> str:
        """Where to listen, as a Twisted server endpoint string."""
        return f"tcp:{self.number}:interface={LOOPBACK}"

    @property
    def address(self) -> Endpoint:
        """Where to connect."""
        return Endpoint(LOOPBACK, self.number)

    def release(self) -> None:
        """Let others have it."""
        self._socket.close()
