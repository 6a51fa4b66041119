"""Health and metrics, over a transport in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from streamline.http.gauges import Snapshot
from streamline.http.site import QuietSite, make_root
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

    def test_a_failure_to_render_is_an_error_and_is_logged(self) -> None:
        self.snapshot = lambda: Snapshot((object(),))  # type: ignore[method-assign, arg-type]
        self.site.resource = make_root(
            Host(clock=Clock(), disk=Disk(), network=None, rng=None),  # type: ignore[arg-type]
            lambda: True,
            self.snapshot,
        )
        self.assertEqual(self.get("/metrics")[0], 500)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
