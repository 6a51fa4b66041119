"""Declarations: versions, defaults, nulls and tags."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.codec import decode, encode, reader, writer
from streamline.wire.schema import Message, Range, Unwritable, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    NULLABLE_STRUCT,
    RECORDS,
    STRING,
    STRUCT,
    Buffers,
)


@struct
class Inner:
    number: int = wire(INT32, default=-1)


@struct
class Other:
    number: int = wire(INT32, default=-1)


@message(key=7, versions="1-3", flexible="2+")
class ToyRequest(Message):
    """A bit of everything."""

    name: str | None = wire(STRING, nullable="2+")
    added: int = wire(INT16, "2+", default=5)
    dropped: int = wire(INT64, "1", ignorable=True)
    inner: Inner = wire(STRUCT(Inner))
    maybe: Inner | None = wire(NULLABLE_STRUCT(Inner), "3+")
    numbers: Sequence[int] = wire(ARRAY(INT32), "3+")
    rack: str | None = wire(NULLABLE_STRING, "1+", default=None, tag=1, tagged="2+")
    flag: bool = wire(BOOLEAN, "2+", tag=0)
    extra: Inner | None = wire(STRUCT(Inner), "3+", tag=2)


@message(key=8, versions="0", flexible="0+")
class WrongRequest(Message):
    """Records where they cannot be."""

    records: Buffers | None = wire(RECORDS, tag=0)


@struct
class Fresh:
    number: int = wire(INT32)
    text: str = wire(STRING, default="s")
    numbers: Sequence[int] = wire(ARRAY(INT32))


class DeclarationTests(SynchronousTestCase):
    """A declared class is a class that says what it is."""

    def test_class_attributes(self) -> None:
        self.assertEqual(
            (ToyRequest.KEY, ToyRequest.VERSIONS, ToyRequest.FLEXIBLE, ToyRequest.KIND), (7, (1, 3), 2, "request")
        )

    def test_defaults(self) -> None:
        toy = ToyRequest()
        self.assertEqual((toy.name, toy.added, toy.inner, toy.maybe), ("", 5, Inner(number=-1), None))
        self.assertEqual((toy.numbers, toy.rack, toy.extra), ([], None, None))
        self.assertIsNot(toy.inner, ToyRequest().inner)
        self.assertIsNot(toy.numbers, ToyRequest().numbers)

    def test_made_before_or_not(self) -> None:
        """Its constructor is compiled when it is first called, and is the same to all who call it."""
        for _ in range(2):
            self.assertRaises(TypeError, Fresh, nothing=1)
            self.assertRaises(TypeError, Fresh, 1, "s", [], 4)
        first, second = Fresh(number=1, text="t"), Fresh(numbers=[2])
        self.assertEqual((first.number, first.text, first.numbers), (1, "t", []))
        self.assertEqual((second.number, second.text, second.numbers), (0, "s", [2]))
        self.assertIsNot(first.numbers, Fresh().numbers)
        self.assertEqual(copy(second), second)
        self.assertRaises(TypeError, hash, first)

    def test_has_slots(self) -> None:
        self.assertRaises(AttributeError, setattr, ToyRequest(), "nmae", "x")

    def test_equals_what_says_the_same(self) -> None:
        self.assertEqual(ToyRequest(inner=Inner(number=3)), ToyRequest(inner=Inner(number=3)))
        self.assertNotEqual(ToyRequest(inner=Inner(number=3)), ToyRequest(inner=Inner(number=4)))
        self.assertNotEqual(Inner(), Other())
        self.assertRaises(TypeError, hash, Inner())

    def test_shows_what_it_says(self) -> None:
        self.assertEqual(repr(Inner(number=3)), "Inner(number=3)")

    def test_ranges(self) -> None:
        self.assertEqual([Range.parse(text) for text in ("3", "3-7")], [Range(3, 3), Range(3, 7)])
        self.assertTrue(9 in Range.parse("3+") and 2 not in Range.parse("3+") and 0 in Range.parse(None))

    def test_records_cannot_be_tagged(self) -> None:
        self.assertRaises(TypeError, writer, WrongRequest, 0)

    def test_versions_that_are_not_declared(self) -> None:
        for version in (0, 4, -1):
            self.assertRaises(ValueError, reader, ToyRequest, version)
            self.assertRaises(ValueError, writer, ToyRequest, version)


class BytesTests(SynchronousTestCase):
    """Each kind of field has the bytes that Kafka's protocol gives it."""

    def test_plain(self) -> None:
        toy = ToyRequest(name="n", dropped=9, rack="r", inner=Inner(number=1))
        self.assertEqual(encode(toy, 1), b"\0\1n" + b"\0\0\0\0\0\0\0\x09" + b"\0\0\0\1" + b"\0\1r")
        self.assertEqual(decode(ToyRequest, 1, encode(toy, 1)), toy)

    def test_flexible(self) -> None:
        toy = ToyRequest(name=None, inner=Inner(number=1))
        self.assertEqual(encode(toy, 2), b"\0" + b"\0\5" + b"\0\0\0\1\0" + b"\0")
        toy = ToyRequest(name="n", maybe=Inner(number=2), numbers=[7])
        self.assertEqual(
            encode(toy, 3), b"\2n" + b"\0\5" + b"\xff\xff\xff\xff\0" + b"\1\0\0\0\2\0" + b"\2\0\0\0\7" + b"\0"
        )

    def test_tags(self) -> None:
        toy = ToyRequest(flag=True, rack="r", extra=Inner())
        tail = b"\3" + b"\0\1\1" + b"\1\2\2r" + b"\2\5\xff\xff\xff\xff\0"
        self.assertTrue(encode(toy, 3).endswith(tail))
        self.assertEqual(decode(ToyRequest, 3, encode(toy, 3)), toy)

    def test_a_struct_with_a_tag_is_there_or_not(self) -> None:
        """Kafka leaves it out when all its fields have their defaults; None says that without making one."""
        for extra in (None, Inner()):
            toy = ToyRequest(extra=extra)
            self.assertEqual(decode(ToyRequest, 3, encode(toy, 3)).extra, extra)

    def test_unknown_tags_are_skipped(self) -> None:
        data = encode(ToyRequest(rack="r"), 2)
        body = data[: -len(b"\1\1\2\2r")]
        self.assertEqual(decode(ToyRequest, 2, body + b"\2" + b"\1\2\2r" + b"\x05\3xyz").rack, "r")

    def test_tags_that_are_refused(self) -> None:
        body = encode(ToyRequest(), 3)[:-1]
        for tags in (
            b"\2\0\1\1\0\1\1",  # one twice
            b"\2\1\2\2r\0\1\1",  # not in order
            b"\1\0\2\1\1",  # longer than its value
            b"\1\1\1\2r",  # shorter than its value
            b"\1\x05\x7fxyz",  # longer than the message
            b"\3\0\1\1",  # fewer than said
            b"\x80\x80\x80\x80\x10",  # more than 32 bits of them
        ):
            self.assertRaises(ProtocolError, decode, ToyRequest, 3, body + tags)

    def test_nulls(self) -> None:
        self.assertRaises(ProtocolError, decode, ToyRequest, 1, b"\xff\xff" + encode(ToyRequest(), 1)[2:])
        self.assertRaises(ProtocolError, decode, ToyRequest, 1, b"\xff\xfe" + encode(ToyRequest(), 1)[2:])
        there = b"\0" + b"\0\5" + b"\0\0\0\1\0"
        self.assertIsNone(decode(ToyRequest, 3, there + b"\xff" + b"\1\0").maybe)
        for neither in (b"\0", b"\2", b"\xfe"):
            self.assertRaises(ProtocolError, decode, ToyRequest, 3, there + neither + b"\1\0")

    def test_text_that_is_none(self) -> None:
        self.assertRaises(ProtocolError, decode, ToyRequest, 1, b"\0\2\xc3\x28" + encode(ToyRequest(), 1)[2:])
        self.assertRaises(ProtocolError, decode, ToyRequest, 2, b"\3\xed\xa0" + encode(ToyRequest(), 2)[1:])


class UnwritableTests(SynchronousTestCase):
    """What a version cannot say is a programming error, found before anything is sent."""

    def test_a_field_that_the_version_has_not(self) -> None:
        self.assertRaisesRegex(Unwritable, "added", encode, ToyRequest(added=6), 1)
        self.assertRaisesRegex(Unwritable, "numbers", encode, ToyRequest(numbers=[1]), 2)
        self.assertRaisesRegex(Unwritable, "maybe", encode, ToyRequest(maybe=Inner()), 2)
        self.assertRaisesRegex(Unwritable, "flag", encode, ToyRequest(flag=True), 1)

    def test_one_that_may_be_ignored(self) -> None:
        self.assertEqual(encode(ToyRequest(dropped=6), 2), encode(ToyRequest(), 2))

    def test_values_that_do_not_fit(self) -> None:
        for parts in (
            {"name": None},
            {"name": 5},
            {"name": b"bytes"},
            {"name": "\ud800"},
            {"name": "x" * 32768},
            {"inner": None},
            {"inner": Inner(number=1 << 31)},
            {"inner": Inner(number="1")},  # type: ignore[arg-type]
            {"dropped": 1.5},
        ):
            self.assertRaises(Unwritable, encode, ToyRequest(**parts), 1)
        self.assertRaises(Unwritable, encode, ToyRequest(name="x" * 32768), 2)
        self.assertRaises(Unwritable, encode, ToyRequest(numbers=[1 << 31]), 3)
        self.assertRaises(Unwritable, encode, ToyRequest(numbers=None), 3)  # type: ignore[arg-type]
