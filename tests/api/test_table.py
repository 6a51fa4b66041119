"""What is advertised: Kafka 4.3's versions for every API that has somebody to answer it, and nothing else."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.table import TABLE, flexible_of
from streamline.errors import ErrorCode
from streamline.wire.header import flexible_of as declared_flexible
from streamline.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tests.broker import Broker

KAFKA_4_3 = {
    0: (3, 13), 1: (4, 18), 2: (1, 11), 3: (0, 13), 8: (2, 10), 9: (1, 10), 10: (0, 6), 11: (0, 9), 12: (0, 4),
    13: (0, 5), 14: (0, 5), 15: (0, 6), 16: (0, 5), 17: (0, 1), 18: (0, 4), 19: (2, 7), 20: (1, 6), 21: (0, 2),
    22: (0, 5), 23: (2, 4), 24: (0, 5), 25: (0, 4), 26: (0, 5), 27: (1, 2), 28: (0, 5), 29: (1, 3), 30: (1, 3),
    31: (1, 3), 32: (1, 4), 33: (0, 2), 34: (1, 2), 35: (1, 5), 36: (0, 2), 37: (0, 3), 38: (1, 3), 39: (1, 2),
    40: (1, 2), 41: (1, 3), 42: (0, 2), 43: (0, 2), 44: (0, 1), 45: (0, 1), 46: (0, 0), 47: (0, 0), 48: (0, 1),
    49: (0, 1), 50: (0, 0), 51: (0, 0), 55: (0, 2), 57: (0, 2), 60: (0, 2), 61: (0, 0), 64: (0, 0), 65: (0, 0),
    66: (0, 2), 68: (0, 1), 69: (0, 1), 71: (0, 0), 72: (0, 0), 74: (0, 1), 75: (0, 0), 80: (0, 1),
    81: (0, 0),
}  # fmt: skip
"""The stable versions of the client APIs of Apache Kafka 4.3."""

LOWEST_HIGHEST = {
    0: (7, 3), 1: (11, 4), 2: (3, 1), 3: (5, 0), 8: (3, 2), 9: (3, 1), 10: (1, 0), 11: (5, 0), 12: (1, 0), 13: (1, 0),
    14: (3, 0), 15: (2, 0), 16: (1, 0), 18: (2, 1), 19: (3, 2), 20: (1, 1), 22: (0, 0), 23: (2, 3), 32: (1, 1),
    42: (1, 0), 60: (1, 0),
}  # fmt: skip
"""What real clients pin: a version not above the first and one not below the second must be served."""

ISSUE = (
    0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 43, 44, 45, 46, 55,
    60, 64, 75, 80, 81,
)  # fmt: skip
"""What this release promises."""


class TableTests(SynchronousTestCase):
    """The table is what is advertised, read and answered."""

    def test_kafkas_versions(self) -> None:
        for key, api in TABLE.items():
            self.assertEqual(api.versions, KAFKA_4_3[key], api.request.__name__)

    def test_everything_that_was_promised(self) -> None:
        self.assertEqual([key for key in ISSUE if key not in TABLE], [])

    def test_sorted_by_key(self) -> None:
        self.assertEqual(list(TABLE), sorted(TABLE))

    def test_every_client_finds_a_version(self) -> None:
        for key, (not_above, not_below) in LOWEST_HIGHEST.items():
            first, last = TABLE[key].versions
            self.assertLessEqual(first, not_above, key)
            self.assertGreaterEqual(last, not_below, key)

    def test_flexibility_is_the_declarations(self) -> None:
        for key, api in TABLE.items():
            for version in range(api.versions[0], api.versions[1] + 1):
                self.assertEqual(flexible_of(key, version), declared_flexible(key, version))
            for version in (api.versions[0] - 1, api.versions[1] + 1):
                self.assertIsNone(flexible_of(key, version))
        self.assertIsNone(flexible_of(99, 0))


class ApiVersionsTests(SynchronousTestCase):
    """The first thing that a client asks."""

    def setUp(self) -> None:
        """Start a node."""
        self.broker = Broker().start()
        self.client = self.broker.connect()

    def test_features(self) -> None:
        """The one that there is, in every version that has features; clients choose what they do by them."""
        for version in (3, 4):
            answer = self.ask(version)
            supported = [(one.name, one.min_version, one.max_version) for one in answer.supported_features]
            self.assertEqual(supported, [("eligible.leader.replicas.version", 1, 1)])
            finalized = [(one.name, one.min_version_level, one.max_version_level) for one in answer.finalized_features]
            self.assertEqual(finalized, supported)

    def ask(self, version: int, name: str = "apache-kafka-java", of: str = "4.3.0") -> ApiVersionsResponse:
        """Ask in a version."""
        request = ApiVersionsRequest(client_software_name=name, client_software_version=of)
        answer: ApiVersionsResponse = self.broker.ask(request, version, self.client)
        return answer

    def test_every_version(self) -> None:
        for version in range(5):
            answer = self.ask(version)
            self.assertEqual(answer.error_code, ErrorCode.NONE)
            found = {api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}
            expected = {key: api.versions for key, api in TABLE.items()}
            expected[0] = (0, expected[0][1])  # older librdkafka stops compressing otherwise (KAFKA-18659)
            self.assertEqual(found, expected)

    def test_how_the_client_is_called(self) -> None:
        """KIP-511: what goes into logs and metrics is looked at first, from version 3 on."""
        for name in ("", "a b", "-a", "a-", "a\n", "é", "a" * 300 + "!"):
            self.assertEqual(self.ask(3, name).error_code, ErrorCode.INVALID_REQUEST, name)
            self.assertEqual(self.ask(4, "ok", name).error_code, ErrorCode.INVALID_REQUEST, name)
            self.assertEqual(self.ask(2, name).error_code, ErrorCode.NONE)
        self.assertEqual(self.ask(3, "librdkafka", "2.15.0-rc.1").error_code, ErrorCode.NONE)

    def test_unknown_version(self) -> None:
        """KIP-511: header 0, body 0, error 35, the range of this API; nothing of the body is read."""
        for version in (5, 6, 99, 32767):
            frame = struct.pack(">hhihs", 18, version, 77, 1, b"c") + b"\xff" * 40
            self.client.give(struct.pack(">i", len(frame)) + frame)
            (answer,) = self.client.frames()
            self.assertEqual(answer, struct.pack(">ihihhh", 77, 35, 1, 18, 0, 4))
        self.assertEqual(self.ask(0).error_code, ErrorCode.NONE, "the connection goes on")

    def test_unknown_version_and_next_to_no_header(self) -> None:
        frame = struct.pack(">hhi", 18, 99, 5)
        self.client.give(struct.pack(">i", len(frame)) + frame)
        (answer,) = self.client.frames()
        self.assertEqual(answer[:6], struct.pack(">ih", 5, 35))


class UnknownTests(SynchronousTestCase):
    """Any other key or version that is not served closes the connection, as in Kafka (SE6)."""

    def closes(self, key: int, version: int) -> None:
        """Expect a request to end its connection without an answer."""
        client = self.broker.connect()
        frame = struct.pack(">hhihb", key, version, 1, -1, 0) + bytes(30)
        client.give(struct.pack(">i", len(frame)) + frame)
        self.assertTrue(client.is_closed, (key, version))
        self.assertEqual(list(client.frames()), [])

    def test_all_of_them(self) -> None:
        self.broker = Broker().start()
        for key in (*range(-1, 95), 32767, -32768):
            known = TABLE.get(key)
            for version in (-1, 0, 1, 15, 32767):
                if key == 18 and version >= 0 or known and known.versions[0] <= version <= known.versions[1]:
                    continue
                self.closes(key, version)
        self.closes(0, 2)
        self.closes(18, -1)
        self.assertEqual(self.broker.ask(ApiVersionsRequest(), 0).error_code, ErrorCode.NONE, "others are served")
