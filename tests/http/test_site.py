"""Health and metrics, over a transport in memory."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.http.gauges import Snapshot
from streamline.http.site import BODY_BYTES_MAX, CONNECTIONS_MAX, FewConnections, QuietSite, make_root
from streamline.interfaces import Host


class Disk:
    """Runs work elsewhere when told to."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[bytes]] = []

    def elsewhere(self, function: object, *args: object) -> Deferred[bytes]:
        """Take work."""
        assert callable(function)
        return succeed(None).addCallback(lambda _: function(*args))


class SiteTests(SynchronousTestCase):
    """What people and their tools are told."""

    def setUp(self) -> None:
        self.is_ready = False
        host = Host(clock=Clock(), disk=Disk(), network=None, rng=None)  # type: ignore[arg-type]
        root = make_root(host, lambda: self.is_ready, self.snapshot)
        self.site = QuietSite(root, reactor=Clock())

    def snapshot(self) -> Snapshot:
        """Return no numbers."""
        return Snapshot(())

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask for a page; return its status and text."""
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(f"{method} {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def test_alive_while_it_runs(self) -> None:
        self.assertEqual(self.get("/livez"), (200, "alive\n"))

    def test_ready_only_while_it_serves(self) -> None:
        self.assertEqual(self.get("/readyz")[0], 503)
        self.is_ready = True
        self.assertEqual(self.get("/readyz"), (200, "ready\n"))

    def test_the_index_names_the_pages(self) -> None:
        self.assertEqual(self.get("/")[1].split(), ["/livez", "/metrics", "/readyz"])

    def test_metrics_are_text_for_prometheus(self) -> None:
        self.assertEqual(self.get("/metrics"), (200, ""))

    def test_other_pages_and_methods_are_refused(self) -> None:
        self.assertEqual(self.get("/admin")[0], 404)
        self.assertEqual(self.get("/livez", "POST")[0], 405)

    def test_a_long_body_ends_the_connection(self) -> None:
        """Whether its length was announced or not, and however little of it comes at once."""
        for head in ("Content-Length: 1000000000", "Transfer-Encoding: chunked"):
            transport = StringTransport()
            protocol = self.site.buildProtocol(None)
            protocol.makeConnection(transport)
            protocol.dataReceived(f"POST /livez HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            sent, piece = 0, 1024
            while not transport.disconnected and sent < 4 * BODY_BYTES_MAX:
                protocol.dataReceived(b"400\r\n" + bytes(piece) + b"\r\n" if "chunked" in head else bytes(piece))
                sent += piece
            self.assertEqual(sent, BODY_BYTES_MAX + piece, head)

    def test_a_short_body_is_borne(self) -> None:
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        self.assertEqual(transport.value().split()[1], b"405")

    def test_so_many_connections_at_once(self) -> None:
        """One more is closed as it comes; when one has gone, another may come."""
        limited = FewConnections(self.site)
        protocols = [limited.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)) for _ in range(CONNECTIONS_MAX)]
        for protocol in protocols:
            assert protocol is not None
            protocol.makeConnection(StringTransport())
        self.assertIsNone(limited.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))
        assert protocols[0] is not None
        protocols[0].connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(limited.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))

    def test_a_failure_to_render_is_an_error_and_is_logged(self) -> None:
        self.snapshot = lambda: Snapshot((object(),))  # type: ignore[method-assign, arg-type]
        self.site.resource = make_root(
            Host(clock=Clock(), disk=Disk(), network=None, rng=None),  # type: ignore[arg-type]
            lambda: True,
            self.snapshot,
        )
        self.assertEqual(self.get("/metrics")[0], 500)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
