"""What is true of every message in every version."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Generator, Iterator
from itertools import count
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.codec import MAX_ELEMENTS, decode, encode, reader, reader_in_steps, writer, writer_in_steps
from streamline.wire.construct_spec import container, specification
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.configs import DescribeConfigsRequest
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic
from streamline.wire.messages.metadata import MetadataRequest
from streamline.wire.schema import Message, is_flexible
from tests.wire.samples import Dice, every_version, full, structs

T = TypeVar("T")

EVERY = list(every_version())

HOSTILE = (
    b"\x7f\xff\xff\xff",  # a count of 2^31 - 1
    b"\x80\x00\x00\x00",  # -2^31
    b"\xff\xff\xff\xfe",  # -2
    b"\xff\xff\xff\xff",  # null where it may not be
    b"\xff\xff\xff\xff\x07",  # 2^31 - 1 as a varint
    b"\xff\xff\xff\xff\x0f",  # 2^32 - 1
    b"\xff\xff\xff\xff\x10",  # more than 32 bits
    b"\x80\x80\x80\x80\x80\x00",  # more than five bytes
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # ten bytes
    b"\x80\x80\x00",  # zero, written long
    b"\x02\x00\x00\x00\x00",  # two tagged fields with one tag
    b"\x02\x05\x00\x03\x00",  # falling tags
    b"\x01\x80\x01\xff\xff\xff\xff\x07",  # a huge tagged field
)


def sample(cls: type[Message], version: int, brief: bool = False) -> Message:
    """Give the fixed full sample of a message."""
    found: Message = full(cls, version, Dice(f"{cls.__name__} {version}"), brief)
    return found


def brief_frame(cls: type[Message], version: int) -> bytes:
    """Give a message of which nearly every byte matters."""
    return encode(sample(cls, version, brief=True), version)


class FastPathTests(SynchronousTestCase):
    """The fast path says what the specification says, and reads what it wrote."""

    @settings(max_examples=800, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_equals_the_specification(self, data: st.DataObject) -> None:
        cls, version = data.draw(st.sampled_from(EVERY))
        self.check_message(data.draw(structs(cls, version)), version)

    def test_equals_the_specification_for_a_full_message_of_every_version(self) -> None:
        for cls, version in EVERY:
            self.check_message(sample(cls, version), version)
            self.check_message(cls(), version)

    def check_message(self, message: Message, version: int) -> None:
        """Write and read C{message} both ways."""
        cls = type(message)
        written = encode(message, version)
        spec = specification(cls, version)
        expected = container(message, version, is_flexible(cls, version))
        self.assertEqual(spec.build(expected), written, f"{cls.__name__} v{version}")
        self.assertEqual(plain(spec.parse(written)), plain(expected), f"{cls.__name__} v{version}")
        self.assertEqual(decode(cls, version, written), message)
        self.assertEqual(decode(cls, version, memoryview(written)), message)
        read, at = reader(cls, version)(b"before" + written + b"after", 6)
        self.assertEqual((read, at), (message, 6 + len(written)))

    def test_in_steps(self) -> None:
        """What pauses reads and writes the same, and pauses where there are so many elements, however deep."""
        for cls, version in EVERY:
            message = sample(cls, version)
            whole = encode(message, version)
            parts, _ = exhaust(writer_in_steps(cls, version, step=2)(message))
            self.assertEqual(b"".join(parts), whole, f"{cls.__name__} v{version}")
            read, _ = exhaust(reader_in_steps(cls, version, step=2)(b"before" + whole + b"after", 6))
            self.assertEqual(read, (message, 6 + len(whole)), f"{cls.__name__} v{version}")

    def test_how_often_those_in_steps_pause(self) -> None:
        """One long array, many short ones, and none."""
        for topics, pause_count in ((1, 9), (16, 17), (0, 0)):
            parts = [FetchPartition(partition=number) for number in range(16 // topics if topics else 0)]
            request = FetchRequest(topics=[FetchTopic(topic="t", partitions=parts) for _ in range(topics)])
            written, pauses = exhaust(writer_in_steps(FetchRequest, 4, step=2)(request))
            self.assertEqual(pauses, pause_count, topics)
            frame = b"".join(written)
            _, pauses = exhaust(reader_in_steps(FetchRequest, 4, step=2)(frame, 0))
            self.assertEqual(pauses, pause_count, topics)

    def test_parts_are_the_message(self) -> None:
        for cls, version in EVERY:
            message = sample(cls, version)
            parts = writer(cls, version)(message)
            self.assertEqual(b"".join(parts), encode(message, version))


def exhaust(steps: Generator[None, None, T]) -> tuple[T, int]:
    """Return what a generator returns, and how often it paused."""
    for pauses in count():
        try:
            next(steps)
        except StopIteration as done:
            return done.value, pauses
    raise AssertionError


def plain(value: object) -> object:
    """Turn what construct parsed into dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != "_io"}
    return [plain(item) for item in value] if isinstance(value, list) else value


class HostileBytesTests(SynchronousTestCase):
    """Bytes that are no message are a ProtocolError, and never anything else."""

    def refuse_in_steps(self, cls: type[Message], version: int, frames: Iterator[bytes]) -> None:
        """Read each in steps: what is refused at once is refused so, too, and nothing else."""
        read, in_steps = reader(cls, version), reader_in_steps(cls, version, step=2)
        for frame in frames:
            found: list[object] = []
            for attempt in (lambda frame=frame: read(frame, 0), lambda frame=frame: exhaust(in_steps(frame, 0))[0]):
                try:
                    found.append(attempt())
                except ProtocolError as error:
                    found.append(str(error))
            self.assertEqual(found[0], found[1], (cls.__name__, version, frame.hex()))

    def test_in_steps(self) -> None:
        """Every truncation, and every byte changed, of those with arrays."""
        for cls, version in EVERY[::5]:
            frame = brief_frame(cls, version)
            cut = [frame[:end] for end in range(len(frame))]
            changed = [frame[:at] + b"\x7e" + frame[at + 1 :] for at in range(len(frame))]
            self.refuse_in_steps(cls, version, iter(cut + changed))

    def try_all(self, cls: type[Message], version: int, frames: Iterator[bytes]) -> None:
        """Decode each frame; what does decode must survive being written and read again."""
        for frame in frames:
            try:
                message = decode(cls, version, frame)
            except ProtocolError:
                continue
            except Exception as error:
                self.fail(f"{cls.__name__} v{version}: {error!r} for {frame.hex()}")
            written = encode(message, version)
            if written != frame:
                self.assertEqual(encode(decode(cls, version, written), version), written)

    def test_every_truncation(self) -> None:
        for cls, version in EVERY:
            frame = brief_frame(cls, version)
            for end in range(len(frame)):
                self.assertRaises(ProtocolError, decode, cls, version, frame[:end])

    def test_trailing_garbage(self) -> None:
        for cls, version in EVERY:
            self.assertRaises(ProtocolError, decode, cls, version, brief_frame(cls, version) + b"\0")

    def test_one_byte_mutations(self) -> None:
        def mutations(frame: bytes) -> Iterator[bytes]:
            for at in range(len(frame)):
                for value in (0, 0x7F, 0x80, 0xFF, frame[at] ^ 1):
                    yield frame[:at] + bytes([value]) + frame[at + 1 :]

        for cls, version in EVERY:
            self.try_all(cls, version, mutations(brief_frame(cls, version)))

    def test_hostile_counts_and_lengths_everywhere(self) -> None:
        """SE3 and SE4: put wherever a count may be, that is, everywhere."""

        def mutations(frame: bytes) -> Iterator[bytes]:
            for at in range(len(frame)):
                for hostile in HOSTILE:
                    yield frame[:at] + hostile + frame[at + 1 :]

        for cls, version in EVERY[::2]:
            self.try_all(cls, version, mutations(brief_frame(cls, version)))

    @settings(max_examples=1000, deadline=None, database=None)
    @given(st.sampled_from(EVERY), st.binary(max_size=100))
    def test_noise(self, which: tuple[type[Message], int], noise: bytes) -> None:
        self.try_all(*which, iter([noise]))


class LimitTests(SynchronousTestCase):
    """Nothing that a peer says about itself makes us allocate."""

    def test_a_count_that_the_bytes_cannot_hold_allocates_nothing(self) -> None:
        for cls, version in EVERY:
            reader(cls, version)
        frames = [(cls, version, brief_frame(cls, version)) for cls, version in EVERY[::2]]
        tracemalloc.start()
        try:
            for cls, version, frame in frames:
                for hostile in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x07"):
                    for at in range(min(len(frame), 40)):
                        tracemalloc.reset_peak()
                        before, _ = tracemalloc.get_traced_memory()
                        with contextlib.suppress(ProtocolError):
                            decode(cls, version, frame[:at] + hostile + frame[at + 1 :])
                        _, peak = tracemalloc.get_traced_memory()
                        self.assertLess(peak - before, 16 * len(frame) + 16384, f"{cls.__name__} v{version}")
        finally:
            tracemalloc.stop()

    def test_more_elements_than_a_message_may_have(self) -> None:
        """A frame of a mebibyte can hold a million empty strings; to read them takes a quarter of a second."""
        count = MAX_ELEMENTS + 1
        topics = b"\x00" * 16 + b"\x01\x00"
        body = bytes([count + 1 & 127 | 128, count + 1 >> 7 & 127 | 128, count + 1 >> 14]) + topics * count + b"\0\0\0"
        self.assertRaisesRegex(ProtocolError, "100001 elements", decode, MetadataRequest, 12, body)
        message, at = reader(MetadataRequest, 12, max_elements=count)(body)
        self.assertEqual((len(message.topics or ()), at), (count, len(body)))

    def test_elements_of_all_arrays_count_together(self) -> None:
        one = b"\0\1t" + b"\0\0\0\3" + b"\0\1k" * 3
        body = b"\0\0\0\5" + (b"\2" + one) * 5 + b"\0"
        read = reader(DescribeConfigsRequest, 1, max_elements=20)
        self.assertEqual(len(read(body)[0].resources), 5)
        self.assertRaises(ProtocolError, reader(DescribeConfigsRequest, 1, max_elements=19), body)

    def test_short_arrays_of_numbers_count_too(self) -> None:
        """They are read without a look at the budget, which then is looked at in the end."""
        topics = [ForgottenTopic(topic="t", partitions=[0] * 16) for _ in range(10)]
        body = encode(FetchRequest(forgotten_topics_data=topics), 11)
        self.assertEqual(len(reader(FetchRequest, 11, max_elements=170)(body)[0].forgotten_topics_data), 10)
        self.assertRaises(ProtocolError, reader(FetchRequest, 11, max_elements=169), body)

    def test_text_that_reaches_beyond_the_end(self) -> None:
        """Where it comes last, no later field is there to miss its bytes."""
        body = encode(FetchRequest(rack_id="abc"), 11)
        self.assertRaises(ProtocolError, reader(FetchRequest, 11), body[:-1])

    def test_tagged_fields_count_too(self) -> None:
        tags = b"".join(bytes([tag, 0]) for tag in range(1, 101))
        body = b"\1\1" + bytes([100]) + tags
        self.assertEqual(decode(ApiVersionsRequest, 3, body), ApiVersionsRequest())
        self.assertRaises(ProtocolError, reader(ApiVersionsRequest, 3, max_elements=99), body)
