"""Headers of requests and responses."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.header import (
    flexible_of,
    read_request_header,
    read_response_header,
    response_header,
    write_request_header,
)
from streamline.wire.messages import REQUESTS

VERSIONS = [(key, version) for key, cls in REQUESTS.items() for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1)]


class RequestHeaderTests(SynchronousTestCase):
    """A request's header says what follows, or the connection ends."""

    @given(st.sampled_from(VERSIONS), st.integers(-(1 << 31), (1 << 31) - 1), st.none() | st.text(max_size=20))
    def test_survives(self, which: tuple[int, int], correlation_id: int, client_id: str | None) -> None:
        header = write_request_header(*which, correlation_id, client_id)
        read = read_request_header(header + b"body")
        self.assertEqual(
            (read.api_key, read.api_version, read.correlation_id, read.client_id, read.at, read.is_known),
            (*which, correlation_id, client_id, len(header), True),
        )

    def test_is_version_2_with_a_plain_client_id_when_flexible(self) -> None:
        self.assertEqual(write_request_header(3, 9, 7, "me"), b"\0\3\0\x09\0\0\0\7\0\2me\0")

    def test_is_version_1_when_not_flexible(self) -> None:
        self.assertEqual(write_request_header(3, 8, 7, None), b"\0\3\0\x08\0\0\0\7\xff\xff")

    def test_is_version_0_for_the_first_controlled_shutdown_only(self) -> None:
        self.assertEqual(write_request_header(7, 0, 5, "me", flexible=False), b"\0\7\0\0\0\0\0\5")
        read = read_request_header(b"\0\7\0\0\0\0\0\5rest", lambda key, version: False)
        self.assertEqual((read.at, read.client_id), (8, None))

    def test_unknown_key_or_version_is_refused_whatever_follows(self) -> None:
        """KAFKA-5062: nothing after the version is looked at."""
        for key, version in ((93, 0), (-1, 0), (3, 14), (3, -1), (0, 2), (18, -1)):
            for rest in (b"", b"\0\0\0\1", b"\0\0\0\1\x7f\xff", b"\0\0\0\1\xff\xfe" + bytes(100)):
                self.assertRaises(ProtocolError, read_request_header, struct.pack(">hh", key, version) + rest)

    def test_unknown_version_of_api_versions_is_to_be_answered(self) -> None:
        for rest in (b"", b"\xff", b"garbage that no version has"):
            read = read_request_header(struct.pack(">hhi", 18, 99, 5) + rest)
            self.assertEqual((read.api_version, read.correlation_id, read.is_known), (99, 5, False))

    def test_a_listener_may_speak_less(self) -> None:
        only_fetch = lambda key, version: flexible_of(key, version) if key == 1 else None  # noqa: E731
        self.assertEqual(read_request_header(write_request_header(1, 4, 1, "x"), only_fetch).api_key, 1)
        self.assertRaises(ProtocolError, read_request_header, write_request_header(0, 3, 1, "x"), only_fetch)

    def test_every_truncation_is_refused(self) -> None:
        for version in (8, 9):
            header = write_request_header(3, version, 7, "client")
            for end in range(len(header)):
                self.assertRaises(ProtocolError, read_request_header, header[:end])

    def test_malformed_client_ids_are_refused(self) -> None:
        start = struct.pack(">hhi", 3, 9, 7)
        for client_id in (b"\xff\xfe", b"\x80\0", b"\0\2\xff\xff\0", b"\x7f\xffshort"):
            self.assertRaises(ProtocolError, read_request_header, start + client_id)

    def test_tagged_fields_are_skipped_and_bounded(self) -> None:
        start = struct.pack(">hhih", 3, 9, 7, -1)
        read = read_request_header(start + b"\2\0\1x\5\0body")
        self.assertEqual(read.at, len(start) + 6)
        for tags in (b"\2\0\0\0\0", b"\1\0\x7f", b"\x65" + bytes(300), b"\xff\xff\xff\xff\x0f", b"\x80"):
            self.assertRaises(ProtocolError, read_request_header, start + tags)

    @given(st.binary(max_size=40))
    def test_noise_is_a_protocol_error_or_a_header(self, noise: bytes) -> None:
        try:
            read_request_header(noise)
        except ProtocolError:
            return


class ResponseHeaderTests(SynchronousTestCase):
    """A response's header has tagged fields when the message is flexible, except ApiVersions'."""

    def test_survives(self) -> None:
        for key, version in VERSIONS:
            header = response_header(key, version, -5)
            self.assertEqual(len(header), 5 if flexible_of(key, version) and key != 18 else 4)
            self.assertEqual(read_response_header(header + b"body", key, version), (-5, len(header)))

    def test_every_truncation_is_refused(self) -> None:
        for version in (8, 9):
            header = response_header(3, version, 1)
            for end in range(len(header)):
                self.assertRaises(ProtocolError, read_response_header, header[:end], 3, version)
