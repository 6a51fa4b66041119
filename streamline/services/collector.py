"""
When the garbage collector looks at what a node is made of: not while it starts, and not again and again afterwards.

It imports nothing of ours, so that it can be asked before anything else is imported.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECTOR_THRESHOLDS = (5_000, 4, 500)
"""
New objects before the youngest are looked at, and how often that happens before older ones are.

Every look is one turn of the reactor: at 200,000 objects, which the middle ones were when they waited for twenty looks,
one took up to 90 ms.  As often as they are looked at now, each object is still looked at twice.
"""


@contextmanager
def collector_held() -> Iterator[None]:
    """
    Keep the garbage collector from looking at what is there and what is made meanwhile, until L{calm_collector}.

    Nearly nothing of what is imported and put together is garbage, and looking for some takes a sixth of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        gc.enable()


def calm_collector() -> None:
    """
    Take everything that a started node is made of out of the garbage collector's sight.

    It would look at all modules and classes again and again, for tens of milliseconds each time in which nobody is
    served; requests make no cycles that have to be found soon.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
