"""A stream of bytes becomes frames, however it is cut."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.frame import LARGE_BYTES, OTHER_BYTES, PRODUCE_BYTES, RESPONSE_BYTES, Frames


def framed(*bodies: bytes) -> bytes:
    """Put lengths before C{bodies}."""
    return b"".join(struct.pack(">i", len(body)) + body for body in bodies)


TAKEN = """
import struct, sys
from pathlib import Path
from resource import getpagesize
from streamline.services.host import keep_freed_memory
from streamline.wire.frame import PRODUCE_BYTES, Frames

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()

each_bytes, many = map(int, sys.argv[1:])
keep_freed_memory()
frames = [Frames(PRODUCE_BYTES) for _ in range(many)]
before = resident()
for one in frames:
    list(one.feed(struct.pack(">ih", PRODUCE_BYTES, 0)))
while any(one.buffered_bytes < each_bytes for one in frames):
    for one in frames:
        list(one.feed(b"x" * 139_000))  # all get on together, as they do at sockets
print(resident() - before)
"""


def run_alone(code: str, *arguments: object) -> list[str]:
    """Run code in a process of its own, where the C library has the settings of a node; return the lines it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


class FramesTests(SynchronousTestCase):
    """Frames come out whole, in order and once."""

    @given(
        st.lists(st.binary(min_size=8, max_size=40), max_size=6),
        st.lists(st.integers(1, 30), max_size=40),
    )
    def test_any_cuts(self, bodies: list[bytes], cuts: list[int]) -> None:
        found: list[bytes | memoryview] = []
        stream, at = framed(*bodies), 0
        frames = Frames(1000)
        for size in [*cuts, len(stream)]:
            found += frames.feed(stream[at : at + size])
            at += size
        self.assertEqual(found, bodies)
        self.assertEqual(frames.buffered_bytes, 0)

    def test_very_large(self) -> None:
        """One that is put together as it comes, between two that are joined, and however it is cut."""
        small, large = b"s" * 5000, bytes(range(256)) * (LARGE_BYTES // 128)
        stream = framed(small, large, small, large)
        for step in (100_003, 65_536, len(stream)):
            found: list[bytes | memoryview] = []
            frames, most = Frames(PRODUCE_BYTES), 0
            for at in range(0, len(stream), step):
                found += frames.feed(stream[at : at + step])
                most = max(most, frames.buffered_bytes)
            same = [bytes(frame) == body for frame, body in zip(found, (small, large) * 2, strict=True)]
            self.assertEqual(same, [True] * 4)
            self.assertEqual(frames.buffered_bytes, 0)
            if step < len(stream):
                self.assertGreaterEqual(most, LARGE_BYTES - step)

    def test_the_next_frame_is_another_buffer(self) -> None:
        """What was given is not written to again."""
        frames = Frames(PRODUCE_BYTES)
        stream = framed(b"a" * 2 * LARGE_BYTES, b"b" * 2 * LARGE_BYTES)
        pieces = [stream[at : at + (1 << 20)] for at in range(0, len(stream), 1 << 20)]
        first, second = [frame for piece in pieces for frame in frames.feed(piece)]
        self.assertEqual((first[:1], first[-1:], len(first)), (b"a", b"a", 2 * LARGE_BYTES))
        self.assertEqual((second[:1], second[-1:], len(second)), (b"b", b"b", 2 * LARGE_BYTES))

    def test_it_takes_no_more_than_has_come(self) -> None:
        """Counted is what is resident: sixty frames of a hundred megabytes of which some have come take those (SE2)."""
        for each_bytes, many in ((4_300_000, 60), (10_000_000, 10)):
            (took,) = run_alone(TAKEN, each_bytes, many)
            self.assertLess(int(took), each_bytes * many * 1.1)

    def test_crumbs_take_little(self) -> None:
        """Bytes that come one by one would each be an object of sixty bytes."""
        frames, count = Frames(1 << 20), 50_000
        list(frames.feed(struct.pack(">ih", 1 << 20, 1)))
        tracemalloc.start()
        try:
            for _ in range(count):
                list(frames.feed(bytes(2)))
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        self.assertEqual(frames.buffered_bytes, 2 * count + 2)
        self.assertLess(kept, 2 * count * 3)

    def test_byte_by_byte(self) -> None:
        body = b"12345678"
        frames = Frames(1000)
        found = [frame for byte in framed(body, body) for frame in frames.feed(bytes([byte]))]
        self.assertEqual(found, [body, body])

    def test_frames_before_a_bad_one_are_given(self) -> None:
        frames = iter(Frames(1000).feed(framed(b"12345678") + b"\xff\xff\xff\xff"))
        self.assertEqual(next(frames), b"12345678")
        self.assertRaises(ProtocolError, next, frames)


class LimitTests(SynchronousTestCase):
    """A length is judged before anything is kept for it."""

    def refuse(self, data: bytes, why: str, frames: Frames | None = None) -> None:
        """Feed C{data} and expect a refusal that says C{why}."""
        self.assertRaisesRegex(ProtocolError, why, lambda: list((frames or Frames()).feed(data)))

    def test_a_frame_that_has_come_whole_is_judged_too(self) -> None:
        """SE1; as nearly all frames come, alone and in one piece."""
        self.refuse(framed(bytes(1001)), "1001", Frames(1000))
        self.assertEqual([bytes(1000)], list(Frames(1000).feed(framed(bytes(1000)))))
        self.refuse(framed(bytes(7)), "cannot have 7 bytes")

    def test_lengths_that_no_frame_has(self) -> None:
        """SE1."""
        for length in (-1, -(1 << 31), 0, 1, 7):
            self.refuse(struct.pack(">i", length), f"cannot have {length} bytes")
            self.refuse(struct.pack(">ih", length, 0), f"cannot have {length} bytes")

    def test_produce_may_be_longer_than_others(self) -> None:
        for key, most in ((0, PRODUCE_BYTES), (1, OTHER_BYTES), (-1, OTHER_BYTES)):
            self.assertEqual(list(Frames().feed(struct.pack(">ih", most, key))), [])
            self.refuse(struct.pack(">ih", most + 1, key), f"longer than {most}")
            self.refuse(struct.pack(">ih", (1 << 31) - 1, key), f"longer than {most}")

    def test_the_key_is_waited_for(self) -> None:
        frames = Frames()
        self.assertEqual(list(frames.feed(struct.pack(">i", OTHER_BYTES + 1) + b"\0")), [])
        self.refuse(b"\3", "longer than", frames)

    def test_the_limit_may_change(self) -> None:
        frames = Frames(64)
        self.refuse(struct.pack(">ih", 65, 0), "longer than 64", frames)
        frames.max_bytes = 65
        self.assertEqual(list(frames.feed(struct.pack(">ih", 65, 0))), [])

    def test_responses_may_be_shorter(self) -> None:
        self.assertEqual(list(Frames(100, RESPONSE_BYTES).feed(framed(b"1234"))), [b"1234"])

    def test_other_protocols_are_recognised(self) -> None:
        self.refuse(b"GET / HTTP/1.1\r\n", "HTTP")
        self.refuse(b"POST /x HTTP/1.1\r\n", "HTTP")
        self.refuse(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS")
        self.refuse(b"\x15\x03\x01\x00\x02\x02\x46", "TLS alert")
