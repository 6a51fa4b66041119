"""
The names of a simulated disk: directories as they look now, and as the device has them.

A created, renamed or removed name is on the device once its directory was
synced.  Where power is lost before, each such change is there or not,
independently of the others, but a rename is never half there (F8).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from random import Random
from typing import TypeAlias

from streamline.testing.simulation.pages import Inode


class Directory:
    """
    A directory.

    @ivar entries: its names now.
    @ivar platter: its names on the device.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Node] = {}
        self.platter: dict[str, Node] = {}


Node: TypeAlias = Inode | Directory
Change: TypeAlias = list[tuple[Directory, str, Node | None]]
"""Names that get a node or, with None, lose theirs, all together."""


def error(number: int, path: str) -> OSError:
    """Return the OSError (of the fitting subclass) for an errno."""
    return OSError(number, errno.errorcode[number], path)


def parts_of(path: str) -> list[str]:
    """
    Split an absolute path.

    @raise OSError: EINVAL for a relative one.
    """
    if not path.startswith("/"):
        raise error(errno.EINVAL, path)
    return [part for part in path.split("/") if part not in ("", ".")]


class Names:
    """The tree of all names on one disk."""

    def __init__(self) -> None:
        self.root = Directory()
        self._pending: list[Change] = []

    def find(self, path: str) -> Node | None:
        """Return what is at a path."""
        node: Node = self.root
        for part in parts_of(path):
            if not isinstance(node, Directory) or part not in node.entries:
                return None
            node = node.entries[part]
        return node

    def durable_file(self, path: str) -> Inode | None:
        """Return the file that a path leads to on the device, if there is one."""
        node: Node | None = self.root
        for part in parts_of(path):
            node = node.platter.get(part) if isinstance(node, Directory) else None
        return node if isinstance(node, Inode) else None

    def file(self, path: str) -> Inode:
        """
        Return the file at a path.

        @raise OSError: ENOENT or EISDIR.
        """
        node = self.find(path)
        if isinstance(node, Directory):
            raise error(errno.EISDIR, path)
        if node is None:
            raise error(errno.ENOENT, path)
        return node

    def directory(self, path: str) -> Directory:
        """
        Return the directory at a path.

        @raise OSError: ENOENT or ENOTDIR.
        """
        node = self.find(path)
        if node is None:
            raise error(errno.ENOENT, path)
        if not isinstance(node, Directory):
            raise error(errno.ENOTDIR, path)
        return node

    def _place(self, path: str) -> tuple[Directory, str]:
        *above, name = parts_of(path)
        return self.directory("/" + "/".join(above)), name

    def create(self, path: str) -> Inode:
        """
        Make an empty file.

        @raise OSError: EEXIST, or ENOENT for its directory.
        """
        parent, name = self._place(path)
        if name in parent.entries:
            raise error(errno.EEXIST, path)
        inode = Inode()
        self._change([(parent, name, inode)])
        return inode

    def make_directories(self, path: str) -> None:
        """
        Make a directory and those above it, durably.

        @raise OSError: EEXIST where a file is in the way.
        """
        node = self.root
        for part in parts_of(path):
            below = node.entries.get(part)
            if isinstance(below, Inode):
                raise error(errno.EEXIST, path)
            if below is None:
                below = Directory()
                self._change([(node, part, below)])
                self.sync(node)
            node = below

    def make_directory(self, path: str) -> None:
        """
        Make a directory.

        @raise OSError: EEXIST, or ENOENT for the one above it.
        """
        parent, name = self._place(path)
        if name in parent.entries:
            raise error(errno.EEXIST, path)
        self._change([(parent, name, Directory())])

    def rename(self, source: str, target: str) -> Node | None:
        """
        Give what is at C{source} another name; return the file it replaced.

        @raise OSError: ENOENT, EISDIR, ENOTDIR, or ENOTEMPTY for a directory in the way.
        """
        source_parent, source_name = self._place(source)
        target_parent, target_name = self._place(target)
        node = source_parent.entries.get(source_name)
        if node is None:
            raise error(errno.ENOENT, source)
        replaced = target_parent.entries.get(target_name)
        if replaced is node:
            return None
        _may_replace(node, replaced, target)
        self._change([(source_parent, source_name, None), (target_parent, target_name, node)])
        return replaced

    def remove(self, path: str) -> Inode:
        """
        Remove a file's name.

        @raise OSError: ENOENT or EISDIR.
        """
        inode = self.file(path)
        parent, name = self._place(path)
        self._change([(parent, name, None)])
        return inode

    def remove_directory(self, path: str) -> None:
        """
        Remove an empty directory's name.

        @raise OSError: ENOENT, ENOTDIR or ENOTEMPTY.
        """
        if self.directory(path).entries:
            raise error(errno.ENOTEMPTY, path)
        parent, name = self._place(path)
        self._change([(parent, name, None)])

    def _change(self, change: Change) -> None:
        for directory, name, node in change:
            _set(directory.entries, name, node)
        self._pending.append(change)

    def sync(self, directory: Directory) -> None:
        """
        Let every change so far that concerns this directory be on the device.

        A rename brings the earlier changes of both its directories along, or
        a name that it took away could come back later.
        """
        concerned = [directory]
        now: list[Change] = []
        later: list[Change] = []
        for change in reversed(self._pending):
            if any(one is known for one, _, _ in change for known in concerned):
                concerned.extend(one for one, _, _ in change)
                now.append(change)
            else:
                later.append(change)
        for change in reversed(now):
            _commit(change)
        self._pending = later[::-1]

    def lose_power(self, rng: Random) -> None:
        """Become what the device holds; files follow suit."""
        written_back = rng.choice((0.0, 1.0, rng.random()))
        not_moved: list[Node | None] = []
        for change in self._pending:
            moved = change[-1][2]
            stuck = len(change) > 1 and any(moved is node for node in not_moved)
            if rng.random() < written_back and not stuck:
                _commit(change)
            elif len(change) > 1:
                not_moved.append(moved)
        self._pending.clear()
        _revert(self.root)
        for inode in self.inodes():
            inode.lose_power(rng)

    def inodes(self) -> Iterator[Inode]:
        """Yield every file that has a name, in the order of names."""
        yield from _inodes(self.root)


def _may_replace(node: Node, replaced: Node | None, path: str) -> None:
    if isinstance(replaced, Directory):
        if isinstance(node, Inode):
            raise error(errno.EISDIR, path)
        if replaced.entries:
            raise error(errno.ENOTEMPTY, path)
    elif replaced is not None and isinstance(node, Directory):
        raise error(errno.ENOTDIR, path)


def _set(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def _commit(change: Change) -> None:
    for directory, name, node in change:
        _set(directory.platter, name, node)


def _revert(directory: Directory) -> None:
    directory.entries = dict(directory.platter)
    for node in directory.entries.values():
        if isinstance(node, Directory):
            _revert(node)


def _inodes(directory: Directory) -> Iterator[Inode]:
    for _, node in sorted(directory.entries.items(), key=lambda entry: entry[0]):
        if isinstance(node, Inode):
            yield node
        else:
            yield from _inodes(node)
