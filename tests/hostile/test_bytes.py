"""
Bytes that no honest client sends (SE1, SE3 to SE6): the connection they come on ends alone, or is answered.

Everything goes through a whole node: frames, headers, bodies, handlers, answers.
What must not happen is a traceback, a connection that is neither answered nor
closed nor waiting, or anything that another client notices.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.table import TABLE, Api
from streamline.errors import ErrorCode
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages.api_versions import ApiVersionsRequest
from tests.broker import Broker, Client, batch_of
from tests.wire.samples import Dice, full

HOSTILE = (
    b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x80\x00", b"\xff" * 9 + b"\x01", b"\x02\x00\x00\x00\x00",
    b"\x02\x05\x00\x03\x00", b"\x00", b"\x7f\xff",
)  # fmt: skip
"""Counts and lengths: 2^31 - 1, -2^31, -2, -1, the same as varints, overlong, with doubled or falling tags."""

LENGTHS = (-1, -(2**31), 0, 1, 2, 3, 4, 5, 6, 7, (100 << 20) + 1, 2**31 - 1)


class HostileCase(SynchronousTestCase):
    """A node with a topic, and a client that wants to be served all the time."""

    def setUp(self) -> None:
        """Start it."""
        settings = {"auto_create_topics_enable": False, "max_connection_creation_rate": 10**6}
        self.broker = Broker(broker={**settings, "max_connections_per_ip": 10**6}).start()
        self.broker.create("t")
        self.broker.produce("t", batch_of(b"v"))
        self.other = self.broker.connect("10.0.0.2")

    def attack(self, data: bytes) -> Client:
        """Let a new client send these bytes and no more; return it."""
        client = self.broker.connect()
        client.give(data)
        return client

    def over(self) -> None:
        """See that nobody else noticed, and that nothing is left of it."""
        self.other.send(ApiVersionsRequest(), 0)
        ((_, answer),) = self.other.answers()
        self.assertEqual(answer.error_code, ErrorCode.NONE)
        self.assertEqual(self.broker.fetch("t").high_watermark, 1)
        for connection in list(self.broker.node.factory.connections):
            if connection is not self.other.connection:
                connection.drop("the test is over")
        self.broker.wait(0.01)
        self.assertEqual(self.flushLoggedErrors(), [])
        accounts = self.broker.node.factory.accounts
        self.assertEqual((accounts.inbound_bytes, accounts.waiting_bytes, accounts.outbound_bytes), (0, 0, 0))


def framed(body: bytes) -> bytes:
    """Put the length before a request."""
    return struct.pack(">i", len(body)) + body


def request(api: Api, version: int) -> bytes:
    """Return a request of which nearly every byte matters."""
    head = write_request_header(api.key, version, 77, "c")
    return head + encode(full(api.request, version, Dice(f"{api.key} {version}"), brief=True), version)


def versions(api: Api) -> Iterator[int]:
    """Yield the versions that differ most: the first, the last, and those beside the change of encoding."""
    first, last = api.versions
    flexible = api.request.FLEXIBLE
    beside = () if flexible is None else (flexible - 1, flexible)
    yield from sorted({version for version in (first, last, *beside) if first <= version <= last})


class FrameTests(HostileCase):
    """SE1: what is no frame at all."""

    def test_lengths(self) -> None:
        for length in LENGTHS:
            for rest in (b"", b"\0\0", b"\0\0\0\3" + bytes(30)):
                client = self.attack(struct.pack(">i", length) + rest)
                is_known = length < 8 or len(rest) >= 2
                self.assertEqual(client.is_closed, is_known, (length, rest))
        self.over()

    def test_other_apis_may_not_be_as_large(self) -> None:
        """A hundred megabytes are for Produce alone."""
        for key in (1, 3, 18, 19, 99, -1):
            self.assertTrue(self.attack(struct.pack(">ih", (1 << 20) + 1, key)).is_closed)
            self.assertFalse(self.attack(struct.pack(">ih", 1 << 20, key)).is_closed)
        self.assertFalse(self.attack(struct.pack(">ih", 100 << 20, 0)).is_closed)
        self.over()

    def test_other_protocols(self) -> None:
        hello = bytes.fromhex("16030100c8010000c40303") + bytes(200)
        requests = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", hello)
        for data in (*requests, b"SSH-2.0-OpenSSH_9.9\r\n", b"\0" * 8, b"\xff" * 100):
            client = self.attack(data)
            self.assertTrue(client.is_closed, data[:10])
            self.assertEqual(list(client.frames()), [])
        self.over()

    def test_nothing_or_next_to_nothing(self) -> None:
        for data in (b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\x10", b"\0\0\0\x10\0"):
            self.assertFalse(self.attack(data).is_closed)
        self.over()

    def test_answers_sent_as_requests(self) -> None:
        """SE6."""
        answering = self.broker.connect()
        answering.send(ApiVersionsRequest(), 3)
        for frame in answering.frames():
            self.assertTrue(self.attack(framed(frame)).is_closed)
        self.over()


class HeaderTests(HostileCase):
    """What stands before a request's body."""

    def test_client_ids(self) -> None:
        for version, tail in ((0, b""), (3, b"\0")):
            for length, name, closes in (
                (-1, b"", False), (0, b"", False), (3, b"a\0b", False), (1000, b"x" * 1000, False),
                (-2, b"", True), (-32768, b"", True), (32767, b"x", True), (2, b"\xff\xfe", True),
            ):  # fmt: skip
                body = b"" if version == 0 else b"\2a\2b\0"
                data = struct.pack(">hhih", 18, version, 5, length) + name + tail + body
                client = self.attack(framed(data))
                self.assertEqual(client.is_closed, closes, (version, length))
        self.over()

    def test_tags(self) -> None:
        """Unknown ones are passed over; as many as nobody has, or such as do not fit, are not."""
        head, body = struct.pack(">hhih", 18, 3, 5, -1), b"\2a\2b\0"
        for tags, closes in (
            (b"\0", False), (b"\1\x05\2xy", False), (b"\2\1\0\2\1z", False),
            (b"\xff\xff\xff\xff\x0f", True), (b"\1\x05\x7f", True), (b"\x7f" + b"\1\0" * 127, True),
        ):  # fmt: skip
            client = self.attack(framed(head + tags + body))
            self.assertEqual(client.is_closed, closes, tags[:8])
        self.over()


class BodyTests(HostileCase):
    """SE3, SE4, SE5: every API, its versions that differ most, and at every byte."""

    def every_request(self) -> Iterator[tuple[Api, int, bytes]]:
        """Yield requests to be spoilt."""
        for api in TABLE.values():
            for version in versions(api):
                yield api, version, request(api, version)

    def test_as_they_are(self) -> None:
        for api, version, good in self.every_request():
            with self.subTest(api=api.key, version=version):
                self.attack(framed(good))
        self.broker.wait(1)
        self.over()

    def test_cut_at_every_byte(self) -> None:
        for _, _, good in self.every_request():
            for end in range(8, len(good)):
                self.attack(framed(good[:end]))
            self.over()

    def test_one_byte_changed(self) -> None:
        for _, _, good in self.every_request():
            for at in range(8, len(good)):
                self.attack(framed(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]))
            self.over()

    def test_hostile_counts_and_lengths(self) -> None:
        for _, _, good in self.every_request():
            for at in range(10, len(good)):
                hostile = HOSTILE[at % len(HOSTILE)]
                self.attack(framed(good[:at] + hostile + good[at + len(hostile) :]))
            self.over()

    def test_rubbish_behind(self) -> None:
        """Let be, as Kafka does: librdkafka leaves some behind its Metadata requests."""
        for api, _, good in self.every_request():
            client = self.attack(framed(good + b"\xff" * 40))
            self.assertEqual(client.is_closed, self.attack(framed(good)).is_closed, api.key)
        self.broker.wait(1)
        self.over()

    def test_more_elements_than_any_request_has(self) -> None:
        """SE11: a million topics are not even read."""
        most = self.broker.node.factory.limits.elements_max
        for count, closes in ((most, False), (most + 1, True)):
            body = struct.pack(">hhihi", 3, 1, 5, -1, count) + struct.pack(">h", 0) * count
            self.assertEqual(self.attack(framed(body)).is_closed, closes)
            self.broker.wait(1)
        self.over()
