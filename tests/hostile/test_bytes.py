"""
Bytes that no honest client sends (SE1, SE3 to SE6): the connection they come on ends alone, or is answered.

Everything goes through a whole node: frames, headers, bodies, handlers, answers.
What must not happen is a traceback, a connection that is neither answered nor
closed nor waiting, or anything that another client notices.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.wire.messages.api_versions import ApiVersionsRequest
from tests.broker import Broker, Client, batch_of
from tests.hostile.corpus import LENGTHS, OTHER_PROTOCOLS, every_request, with_flipped_byte, with_hostile_number


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
        for data in OTHER_PROTOCOLS:
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

    def test_as_they_are(self) -> None:
        for api, version, good in every_request():
            with self.subTest(api=api.key, version=version):
                self.attack(framed(good))
        self.broker.wait(1)
        self.over()

    def test_cut_at_every_byte(self) -> None:
        for _, _, good in every_request():
            for end in range(8, len(good)):
                self.attack(framed(good[:end]))
            self.over()

    def test_one_byte_changed(self) -> None:
        for _, _, good in every_request():
            for at in range(8, len(good)):
                self.attack(framed(with_flipped_byte(good, at)))
            self.over()

    def test_hostile_counts_and_lengths(self) -> None:
        for _, _, good in every_request():
            for at in range(10, len(good)):
                self.attack(framed(with_hostile_number(good, at)))
            self.over()

    def test_rubbish_behind(self) -> None:
        """Let be, as Kafka does: librdkafka leaves some behind its Metadata requests."""
        for api, _, good in every_request():
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
