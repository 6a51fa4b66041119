"""
Which version of each API a client speaks: any that the node advertises and we know, drawn per client.

Real clients differ in this as in nothing else, so that the versions' differences are
met in every run.
"""

from __future__ import annotations

from streamline.interfaces import IRandom
from streamline.testing.simulation.clients.connection import Gone, Line
from streamline.wire.messages import REQUESTS
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.schema import Message

API_VERSIONS_VERSION = 3


class Versions:
    """
    The versions that one client speaks.

    @ivar known: whether the node was asked.
    """

    def __init__(self, rng: IRandom) -> None:
        self._rng = rng
        self._chosen: dict[int, int] = {}

    @property
    def known(self) -> bool:
        """Whether the node was asked."""
        return bool(self._chosen)

    async def learn(self, line: Line) -> None:
        """
        Ask the node which versions it speaks, and choose.

        @raise Gone: no answer came, or an error.
        """
        request = ApiVersionsRequest(client_software_name="simulated", client_software_version="1")
        answer = await line.ask(request, API_VERSIONS_VERSION)
        if answer.error_code:
            raise Gone(f"ApiVersions was refused with {answer.error_code}")
        for api in answer.api_keys:
            first, last = REQUESTS[api.api_key].VERSIONS
            low, high = max(first, api.min_version), min(last, api.max_version)
            if low <= high:
                self._chosen[api.api_key] = self._rng.randrange(low, high + 1)

    def of(self, request: type[Message]) -> int:
        """Return the version for a request; L{learn} was called before."""
        return self._chosen[request.KEY]
