"""Every way to be hostile that is tried at real sockets, by what it is about."""

from __future__ import annotations

from tests.hostile.arena import Case
from tests.hostile.cases import batches, crowds, elements, frames, load, names, sessions, unread

CASES: tuple[Case, ...] = (
    *frames.CASES, *batches.CASES, *elements.CASES, *unread.CASES, *crowds.CASES, *sessions.CASES, *names.CASES,
)  # fmt: skip
LOADS: tuple[Case, ...] = load.CASES
"""Nobody is hostile here, but the node has as much to do as it can."""
