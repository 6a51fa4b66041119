"""
When to do what is done again and again: at the same moments as everybody else in the process.

Each time that a node wakes up which has nothing to do costs it more than what it then looks at.
"""

from __future__ import annotations

from streamline.interfaces import IClock


def until_beat(clock: IClock, every_s: float) -> float:
    """
    Return the seconds until something is to be done next that is done every so often.

    The moments are the whole multiples of that on the node's clock, so that intervals which divide each other have
    their moments in common.  The first one may come half an interval early or late.
    """
    left_s: float = every_s - clock.seconds() % every_s
    return left_s if left_s > every_s / 2 else left_s + every_s
