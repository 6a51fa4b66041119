"""Places in the network, as people write them and get them wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.model import Endpoint
from streamline.options.addresses import (
    address_of,
    beside,
    parse_address,
    parse_addresses,
    parse_listen,
    parse_reachable,
)


class AddressTests(SynchronousTestCase):
    """host:port"""

    def test_read(self) -> None:
        self.assertEqual(parse_address("localhost:9092"), Endpoint("localhost", 9092))
        self.assertEqual(parse_address(" kafka_1.example.com:1 "), Endpoint("kafka_1.example.com", 1))
        self.assertEqual(parse_address("[::1]:65535"), Endpoint("::1", 65535))

    def test_refused(self) -> None:
        for wrong in (
            "",
            "localhost",
            ":9092",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:x",
            "::1:9092",
            "PLAINTEXT://localhost:9092",
            "a b:1",
            "[localhost]:1",
            "[::1:1",
            "localhost:-1",
            "localhost:\u0661",
        ):
            message = str(self.assertRaises(ValueError, parse_address, wrong))
            self.assertIn("127.0.0.1:9092", message, "an example says more than a rule")

    def test_reachable(self) -> None:
        self.assertEqual(parse_reachable("10.0.0.1:1"), Endpoint("10.0.0.1", 1))
        for wildcard in ("0.0.0.0:9092", "[::]:9092"):
            self.assertIn("stands for all", str(self.assertRaises(ValueError, parse_reachable, wildcard)))

    def test_lists(self) -> None:
        self.assertEqual(parse_addresses("a:1, b:2,,a:1"), (Endpoint("a", 1), Endpoint("b", 2)))
        self.assertEqual(parse_addresses(""), ())
        self.assertRaises(ValueError, parse_addresses, "a:1,b")

    @given(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True) | st.ip_addresses().map(str), st.integers(1, 65535))
    def test_what_is_shown_can_be_read(self, host: str, port: int) -> None:
        self.assertEqual(parse_address(str(Endpoint(host, port))), Endpoint(host, port))


class ListenTests(SynchronousTestCase):
    """Server endpoint strings."""

    def test_good_ones_stay_as_they_are(self) -> None:
        for text in (
            "tcp:9092",
            "tcp:0:interface=127.0.0.1",
            "tcp:port=1:backlog=9",
            r"tcp6:9092:interface=\:\:1",
            "unix:/run/x",
        ):
            self.assertEqual(parse_listen(text), text)

    def test_refused(self) -> None:
        for wrong in (
            "",
            "tcp",
            "tcp:x",
            "tcp:-1",
            "tcp:65536",
            "foo:1",
            "tcp:1:bogus=1",
            "tcp:1:2:3:4",
            "ssl:1:privateKey=/nowhere",
        ):
            message = str(self.assertRaises(ValueError, parse_listen, wrong))
            self.assertTrue(message.startswith("must "), message)
            self.assertNotIn("\n", message)

    def test_an_address_is_turned_into_an_endpoint_string(self) -> None:
        message = str(self.assertRaises(ValueError, parse_listen, "0.0.0.0:9092"))
        self.assertIn("write tcp:9092:interface=0.0.0.0", message)

    def test_where_it_is_found(self) -> None:
        self.assertEqual(address_of("tcp:9092:interface=127.0.0.1"), Endpoint("127.0.0.1", 9092))
        self.assertEqual(address_of(r"tcp6:port=9092:interface=\:\:1"), Endpoint("::1", 9092))
        for everywhere in ("tcp:9092", "tcp:9092:interface=0.0.0.0", r"tcp6:9092:interface=\:\:", "unix:/run/x"):
            self.assertIsNone(address_of(everywhere))

    def test_beside(self) -> None:
        self.assertEqual(beside("tcp:9092:interface=127.0.0.1", 1), "tcp:9093:interface=127.0.0.1")
        self.assertEqual(beside(r"tcp6:interface=\:\:1:port=9092", 2), r"tcp6:interface=\:\:1:port=9094")
        self.assertEqual(beside("tcp:0", 1), "tcp:0")
        self.assertIsNone(beside("tcp:65535", 1))
        self.assertIsNone(beside("unix:/run/x", 1))
