"""
The HTTP listener: C{/livez}, C{/readyz}, C{/metrics}, and an index of them.

It answers GET only and says nothing secret; by default it listens on loopback.  Nobody has a reason to send it much,
or to connect often: what goes beyond that is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, ITCPTransport
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import INTERNAL_SERVER_ERROR, OK, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from streamline.http.gauges import Snapshot
from streamline.interfaces import Host
from streamline.services.binding import address_of, bind

log = Logger()

TEXT = b"text/plain; charset=utf-8"
METRICS = b"text/plain; version=0.0.4; charset=utf-8"
IDLE_S = 60.0
CONNECTIONS_MAX = 100
"""At once; more are closed as they come."""
BODY_BYTES_MAX = 16_384
"""What may come behind the head of a request, whose own length Twisted limits; a connection that brings more ends."""


class Text(Resource):
    """A page of one line, made anew each time."""

    isLeaf = True

    def __init__(self, say: Callable[[], tuple[int, str]]) -> None:
        Resource.__init__(self)
        self._say = say

    def render_GET(self, request: Request) -> bytes:
        """Answer."""
        code, text = self._say()
        request.setResponseCode(code)
        request.setHeader(b"content-type", TEXT)
        return text.encode() + b"\n"


class Metrics(Resource):
    """All numbers, in the text format of Prometheus."""

    isLeaf = True

    def __init__(self, host: Host, snapshot: Callable[[], Snapshot]) -> None:
        Resource.__init__(self)
        self._host = host
        self._snapshot = snapshot

    def render_GET(self, request: Request) -> int:
        """Answer once the text is rendered."""
        answer = _Answer(request)
        self._host.disk.elsewhere(self._snapshot().render).addCallbacks(answer.give, answer.give_up)
        return NOT_DONE_YET


class _Answer:
    """An answer that is given later, unless the client has gone."""

    def __init__(self, request: Request) -> None:
        self._request: Request | None = request
        request.notifyFinish().addErrback(self._gone)

    def _gone(self, _: Failure) -> None:
        self._request = None

    def give(self, text: bytes) -> None:
        """Give it."""
        if self._request is not None:
            self._request.setHeader(b"content-type", METRICS)
            self._request.write(text)
            self._request.finish()

    def give_up(self, failure: Failure) -> None:
        """Say that there is none."""
        log.failure("metrics cannot be rendered", failure)
        if self._request is not None:
            self._request.setResponseCode(INTERNAL_SERVER_ERROR)
            self._request.finish()


def make_root(host: Host, is_ready: Callable[[], bool], snapshot: Callable[[], Snapshot]) -> Resource:
    """Return the tree of pages."""
    root = Resource()
    pages = {
        b"livez": Text(lambda: (OK, "alive")),
        b"readyz": Text(lambda: (OK, "ready") if is_ready() else (SERVICE_UNAVAILABLE, "not ready")),
        b"metrics": Metrics(host, snapshot),
    }
    index = "\n".join(f"/{name.decode()}" for name in sorted(pages))
    pages[b""] = Text(lambda: (OK, index))
    for name, page in pages.items():
        root.putChild(name, page)
    return root


class BriefRequest(Request):
    """A request that keeps little of what is sent with it."""

    _body_bytes = 0

    def gotLength(self, length: int | None) -> None:
        """Keep it in memory: of what is announced as more than may be there, no more is kept."""
        Request.gotLength(self, 0)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep it, or end the connection."""
        self._body_bytes += len(data)
        if self._body_bytes > BODY_BYTES_MAX:
            cast(ITCPTransport, self.transport).abortConnection()
        else:
            Request.handleContentChunk(self, data)


class QuietSite(Site):
    """A site that does not write a line for each request."""

    noisy = False
    requestFactory = BriefRequest

    def log(self, request: Any) -> None:
        """Keep quiet: a scrape every few seconds is no event."""


class FewConnections(WrappingFactory):
    """Lets in so many at once."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override]
        """Let a client in, or close its connection."""
        return super().buildProtocol(addr) if len(self.protocols) < CONNECTIONS_MAX else None


class HttpListener(Service):
    """Listens for people and their tools."""

    def __init__(self, host: Host, endpoint: str, root: Resource) -> None:
        self._host = host
        self._endpoint = endpoint
        site = QuietSite(root, reactor=host.clock, timeout=IDLE_S)  # type: ignore[no-untyped-call]
        self._site = FewConnections(site)  # type: ignore[no-untyped-call]
        self._port: IListeningPort | None = None

    def startService(self) -> Deferred[None]:
        """Bind."""
        Service.startService(self)
        bound = bind(self._host.network, self._endpoint, self._site, "--http-listen")
        return bound.addCallback(self._bound)

    def _bound(self, port: IListeningPort) -> None:
        self._port = port
        log.info("health and metrics on {address}", address=str(address_of(port)))

    def stopService(self) -> Deferred[None] | None:
        """Close."""
        Service.stopService(self)
        port, self._port = self._port, None
        return None if port is None else port.stopListening()
