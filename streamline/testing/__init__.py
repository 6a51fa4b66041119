"""
What tests of Streamline, of its plugins and of programs that use it can build on.

L{Cluster<streamline.testing.cluster.Cluster>} can be imported from here; it is loaded when it is first asked for, as
pytest imports this package in every project in whose environment it is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamline.testing.cluster import Cluster, ClusterNode

__all__ = ["Cluster", "ClusterNode"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from streamline.testing import cluster

        return getattr(cluster, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
