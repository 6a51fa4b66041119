"""Whom clients are served by, who they are, and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zope.interface import Attribute, Interface


class IReplicaSelector(Interface):
    """
    Which replica a consumer is told to read from (KIP-392).  Pure: it keeps no state.

    It is asked by the leader, for each fetch of a consumer that says in which rack it is (C{client.rack}); all others
    read from the leader.
    """

    reads_followers: bool = Attribute("Whether followers serve consumers at all; where they do not, nobody is asked.")

    def select(leader: int, replicas: Mapping[int, str | None], client_rack: str | None) -> int:
        """
        Return the node to read from, which is one of C{replicas}.

        @param replicas: those in sync whose nodes are there, the leader among them, with their racks.
        """


class IAuthenticator(Interface):
    """Who are you?  One SASL mechanism (KIP-152)."""

    mechanism: str = Attribute("Its name on the wire, such as C{PLAIN}.")

    def begin() -> Callable[[bytes], tuple[bytes, str | None]]:
        """
        Return a function for one exchange: client bytes in, (server bytes, principal once known) out.

        @raise streamline.errors.Refused: SASL_AUTHENTICATION_FAILED, from that function.
        """


class IAuthorizer(Interface):
    """May you?"""

    def allows(principal: str, host: str, operation: str, resource_type: str, resource: str) -> bool:
        """Say whether this principal may do this (KIP-11's operations and resource types)."""
