"""
A reactor of a node's own, which can be held, silenced in part, and ended as C{kill -9} ends a process.

It is never the global one: whoever runs a cluster in a program that uses Twisted keeps that to himself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.tcp import Client, Port, Server

READING = "reading"
WRITING = "writing"


class NodeReactor(EPollReactor):
    """
    A reactor that somebody else turns (L{streamline.testing.embedded.turning}).

    A descriptor that was silenced is left alone, whatever its owner wants: what comes in waits in the kernel, what is
    written waits here, and the end of the connection is not noticed.  That is how a network looks that lets nothing
    through.

    @ivar name: whose it is, for the log.
    @ivar is_dead: whether it looks at nothing any more; what is left of its node, and is found by the garbage
        collector, may still ask.
    """

    _registerAsIOThread = False  # there are many, and the program's own thread is none of ours

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self._known: WeakSet[Any] = WeakSet()
        self._silenced: dict[Any, set[str]] = {}
        super().__init__()
        self.startRunning(installSignalHandlers=False)

    def fileno(self) -> int:
        """Return what is readable while there is something to do, timers apart."""
        number: int = self._poller.fileno()
        return number

    def turn(self) -> None:
        """Do what there is to do, and do not wait."""
        self.runUntilCurrent()
        self.doIteration(0)

    # What is looked at

    def addReader(self, reader: Any) -> None:
        """Look at it for reading, unless it was silenced."""
        self._known.add(reader)
        if reader in self._silenced:
            self._silenced[reader].add(READING)
        elif not self.is_dead:
            super().addReader(reader)

    def addWriter(self, writer: Any) -> None:
        """Look at it for writing, unless it was silenced."""
        self._known.add(writer)
        if writer in self._silenced:
            self._silenced[writer].add(WRITING)
        elif not self.is_dead:
            super().addWriter(writer)

    def removeReader(self, reader: Any) -> None:
        """Look at it no more."""
        if reader in self._silenced:
            self._silenced[reader].discard(READING)
        elif not self.is_dead:
            super().removeReader(reader)

    def removeWriter(self, writer: Any) -> None:
        """Look at it no more."""
        if writer in self._silenced:
            self._silenced[writer].discard(WRITING)
        elif not self.is_dead:
            super().removeWriter(writer)

    def callers(self) -> Iterator[Client]:
        """Yield the connections that were opened here."""
        return (one for one in list(self._known) if isinstance(one, Client) and one.fileno() >= 0)

    def called(self) -> Iterator[Server]:
        """Yield the connections that were taken here."""
        return (one for one in list(self._known) if isinstance(one, Server) and one.fileno() >= 0)

    def ports(self) -> Iterator[Port]:
        """Yield the listening ports."""
        return (one for one in list(self._known) if isinstance(one, Port) and one.fileno() >= 0)

    def silence(self, descriptor: Any) -> None:
        """Leave it alone until L{hear_again}; fine where that is so."""
        if descriptor in self._silenced:
            return
        wanted = set()
        if descriptor in self.getReaders():
            wanted.add(READING)
            super().removeReader(descriptor)
        if descriptor in self.getWriters():
            wanted.add(WRITING)
            super().removeWriter(descriptor)
        self._silenced[descriptor] = wanted

    def hear_again(self) -> None:
        """Look again at everything that was silenced and is still open."""
        silenced, self._silenced = self._silenced, {}
        for descriptor, wanted in silenced.items():
            if descriptor.fileno() < 0:
                continue
            if READING in wanted:
                self.addReader(descriptor)
            if WRITING in wanted:
                self.addWriter(descriptor)

    def die(self) -> None:
        """Close every socket as the kernel does for a process that was killed: nobody here hears of it."""
        self.is_dead = True
        for descriptor in list(self._known):
            socket = getattr(descriptor, "socket", None)
            if socket is not None:
                socket.close()
        for reader in list(self._internalReaders):
            reader.connectionLost(None)
        self._poller.close()
