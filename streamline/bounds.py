"""
What a setting's value may be: each bound looks at a value and says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, or None."""


def at_least(low: int) -> Check:
    """Allow numbers from C{low} up."""
    return lambda value: None if value >= low else f"must be at least {low}"


def between(low: float, high: float) -> Check:
    """Allow numbers from C{low} to C{high}, both included."""
    return lambda value: None if low <= value <= high else f"must be between {low} and {high}"


def one_of(*allowed: str) -> Check:
    """Allow just these words."""
    return lambda value: None if value in allowed else f"must be one of {', '.join(allowed)}"


def list_of(*allowed: str) -> Check:
    """Allow a comma-separated list of these words."""

    def check(value: str) -> str | None:
        words = [word.strip() for word in value.split(",")]
        return None if all(word in allowed for word in words) else f"must list only {', '.join(allowed)}"

    return check


def replica_list(value: str) -> str | None:
    """Allow nothing, C{*}, or a list of replicas, each as C{partition:node}."""
    words = [word.strip().partition(":") for word in value.split(",") if word.strip()]
    is_list = all(part.isdecimal() and node.isdecimal() for part, _, node in words)
    return None if is_list or value.strip() == "*" else "must be '*', or a list of partition:node"
