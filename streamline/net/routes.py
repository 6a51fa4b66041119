"""How each API in each version is read, answered and written, put together when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from streamline.api.api_versions import API_VERSIONS
from streamline.api.call import Call
from streamline.api.familiar import Familiar, begins_at
from streamline.api.forwarding import keeping_bytes, keeping_bytes_in_steps, or_passed, or_passed_in_steps
from streamline.api.table import TABLE, Api, flexible_of
from streamline.model import Buffer
from streamline.values import define, frozen
from streamline.wire.codec import ReaderInSteps, WriterInSteps, reader, reader_in_steps, writer, writer_in_steps

PRODUCE = 0
FAMILIAR_MAX = 1000
"""How many beginnings of requests are kept in mind; they are some 2 KiB each."""
WAITING_BYTES = 4096
"""What a request that waits takes at least."""
WAITING_TIMES = 8
"""How much larger a request is in memory than on the wire.  The records of a Produce are let go before it waits."""


@frozen
class Steps:
    """How an API in a version is read and written in several turns of the reactor."""

    read: ReaderInSteps
    write: WriterInSteps


@define(slots=True, eq=False)
class Route:
    """
    How one API in one version is served.

    @ivar served: how many requests took it.
    """

    key: int
    name: str
    version: int
    read: Callable[..., tuple[Any, int]]
    handler: Callable[[Call, Any], Any]
    write: Callable[[Any], list[Buffer]]
    has_tags: bool
    served: int = 0

    def waiting_bytes(self, frame_bytes: int) -> int:
        """Return what a request of this size takes while it waits."""
        return WAITING_BYTES + (0 if self.key == PRODUCE else frame_bytes * WAITING_TIMES)


class Routes:
    """All routes that were ever asked for."""

    def __init__(self, elements_max: int) -> None:
        self._elements_max = elements_max
        self._routes: dict[tuple[int, int], Route] = {}
        self._steps: dict[tuple[int, int], Steps] = {}
        self.familiar: dict[bytes, tuple[Route, Familiar]] = {}
        """How requests are served that begin with these bytes, without the number of the request."""
        self.unknown = self.find(API_VERSIONS, 0)
        """The one for an ApiVersions request of an unknown version, which is answered in version 0 (KIP-511)."""

    def find(self, api_key: int, version: int) -> Route:
        """Return how an API in a version is served; the header has been checked against the table."""
        route = self._routes.get((api_key, version))
        if route is None:
            route = self._routes[api_key, version] = self._make(TABLE[api_key], version)
        return route

    def steps(self, route: Route) -> Steps:
        """Return how to read and write what takes this route and is long; few routes ever need it."""
        steps = self._steps.get((route.key, route.version))
        if steps is None:
            api = TABLE[route.key]
            read = reader_in_steps(api.request, route.version, self._elements_max)
            write = writer_in_steps(api.response, route.version)
            if api.is_controller_bound:
                read, write = keeping_bytes_in_steps(read), or_passed_in_steps(write)
            steps = self._steps[route.key, route.version] = Steps(read, write)
        return steps

    def learn(self, frame: bytes, route: Route, client_id: str | None, request: Any) -> int:
        """
        Keep in mind what a request means, for others that begin as it does.

        @return: up to where they must be the same; 0 where it cannot be said.
        """
        at = begins_at(frame, route.version, request)
        if at:
            key = frame[:4] + frame[8:at]
            if key not in self.familiar:
                if len(self.familiar) >= FAMILIAR_MAX:
                    self.familiar.clear()
                self.familiar[key] = route, Familiar(at, route.version, client_id, request)
        return at

    def _make(self, api: Api, version: int) -> Route:
        read, write = reader(api.request, version, self._elements_max), writer(api.response, version)
        return Route(
            api.key,
            api.request.__name__.removesuffix("Request"),
            version,
            keeping_bytes(read) if api.is_controller_bound else read,
            api.handler,
            or_passed(write) if api.is_controller_bound else write,
            bool(flexible_of(api.key, version)) and api.key != API_VERSIONS,
        )

    def served(self) -> Iterator[tuple[str, int, int]]:
        """Yield (API, version, requests so far)."""
        for route in self._routes.values():
            yield route.name, route.version, route.served
