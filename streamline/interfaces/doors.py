"""The four doors: all that a node knows of the world outside; the simulator gives its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory, IReactorTime
from zope.interface import Attribute, Interface

from streamline.model import Buffer, Stretch
from streamline.values import frozen


class IClock(IReactorTime):
    """
    Time.  C{seconds()} is monotonic and says nothing about the date.

    Calls that fall due together run in an order nobody may rely on.
    """

    def wall_ms() -> int:
        """Return the date as milliseconds since 1970 UTC; it may jump."""


class IRandom(Interface):
    """Chance.  C{random.Random} provides it as it stands."""

    def random() -> float:
        """Return a float in [0, 1)."""

    def randrange(start: int, stop: int) -> int:
        """Return an integer in [start, stop)."""

    def randbytes(n: int) -> bytes:
        """Return C{n} random bytes."""

    def shuffle(x: list[Any]) -> None:
        """Shuffle a list in place."""


class INetwork(Interface):
    """Sockets."""

    sockets_max: int = Attribute("How many sockets this process may have open at once.")

    def listen(endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen on a Twisted server endpoint string such as C{tcp:9092:interface=127.0.0.1}.

        @raise twisted.internet.error.CannotListenError: through the Deferred.
        """

    def connect(host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Connect a client protocol; fails with a L{twisted.internet.error.ConnectError}."""


class IFile(Interface):
    """
    One open file, used by one log at a time.

    Every call but L{sync_later} has happened when it returns.  Failures are
    L{OSError}.  What was written survives the death of the process at once, and
    the loss of power once a sync that began later has ended.
    """

    def size() -> int:
        """Return the length of the file in bytes."""

    def write(parts: Sequence[Buffer], at: int) -> int:
        """Write all the parts one after another from byte C{at}; return their length together."""

    def read(at: int, length: int) -> bytes:
        """Read up to C{length} bytes from byte C{at}; shorter only at the end of the file."""

    def stretch(at: int, length: int) -> Stretch:
        """
        Return C{length} bytes from byte C{at}, all of them written, to be read when they are sent.

        They can be sent after L{close}, too; not where they have been cut off or written anew before.
        """

    def is_cached(at: int, length: int) -> bool:
        """Say whether reading this range would (most likely) not wait for the device."""

    def truncate(size: int) -> None:
        """Cut or extend (with zeros) the file to C{size} bytes."""

    def allocate(size: int) -> None:
        """Reserve space for C{size} bytes without changing what L{size} says; a hint."""

    def sync() -> None:
        """Make everything written so far durable; blocks."""

    def sync_later() -> Deferred[None]:
        """
        Make everything written so far durable, without blocking.

        Group commit: at most one sync of a file is in flight; calls that come
        meanwhile share the next one.  After a failure the file accepts nothing
        more: a second sync would report success for pages that were lost.
        """

    def close() -> None:
        """Close it; calling it twice is allowed."""


class IDisk(Interface):
    """
    Files and directories, by absolute path.

    A created, renamed or removed name survives the loss of power once
    L{sync_directory} of its directory has returned.
    """

    def open(path: str, *, create: bool = False, write: bool = True) -> IFile:
        """Open a file; C{create} makes a new empty one and fails where one exists."""

    def exists(path: str) -> bool:
        """Say whether a file or directory is there."""

    def is_directory(path: str) -> bool:
        """Say whether a directory is there."""

    def list_directory(path: str) -> list[str]:
        """Return the names in a directory, sorted."""

    def make_directories(path: str) -> None:
        """Make a directory and its parents, durably; fine where it exists."""

    def make_directory(path: str) -> None:
        """Make a directory in one that is there; fails where something has the name."""

    def rename(source: str, target: str) -> None:
        """Rename a file or directory within its file system, replacing a file."""

    def remove(path: str) -> None:
        """Remove a file."""

    def remove_tree(path: str) -> None:
        """Remove a directory with all it holds."""

    def sync_directory(path: str) -> None:
        """Make the names in a directory durable."""

    def sync_together(files: Sequence[IFile], directories: Sequence[str]) -> bool:
        """
        Make everything written to these files of ours durable, and the names in these directories; blocks.

        It waits for a device once, however many there are, and for whatever else is to be written to it: not for few.

        @return: whether it did.  Where it is false, each has to be synced for itself, which says what failed, if
            anything did.
        @raise OSError: a file is closed or has failed before, or a directory is not there; nothing was synced.
        """

    def read_file(path: str) -> bytes:
        """Return all of a (small) file."""

    def replace_file(path: str, data: bytes) -> None:
        """Put C{data} under this name: write aside, sync, rename, sync the directory.  Old or new, never neither."""

    def space(path: str) -> tuple[int, int]:
        """Return (free bytes for us, total bytes) of the file system that holds C{path}."""

    def boot_id() -> str:
        """
        Return what changes whenever bytes that were written and not synced may be lost: each start of the machine.

        Empty where nobody knows; then nothing is taken to have outlived a process that ended without a clean stop.
        """

    def lock(path: str) -> Callable[[], None]:
        """
        Take an exclusive lock on a file that is made if need be; return what releases it.

        @raise BlockingIOError: somebody else holds it.
        """

    def elsewhere(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a blocking call where it does not hold up the reactor; fire with its result."""


Whim = Callable[[], bool]
"""Says, each time that somebody comes by, whether to do there what is rare and allowed."""


def without_whims(site: str) -> Whim | None:
    """Have none, whatever the site: nobody does on purpose what is rare."""
    return None


def fires(whim: Whim | None) -> bool:
    """Say whether to do what is rare, where there is a whim at all."""
    return whim is not None and whim()


@frozen
class Host:
    """
    The four doors together: all that a node has of the world outside.

    @ivar whim: gives the simulator's say at a site of the product (C{docs/simulation.md}); None where there is none,
        as always in production.  It is asked for when something is made, so that a site costs a look at an attribute.
    """

    clock: IClock
    disk: IDisk
    network: INetwork
    rng: IRandom
    whim: Callable[[str], Whim | None] = without_whims
