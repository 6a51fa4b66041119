"""
Many searches at once: each is a process of its own, and there is more than one core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(one: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Return what C{one}, which waits for a process, gives for each, in their order; one runs for each core."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(one, things))
