"""
What differs from time to time in a few numbers only, written with one C{struct} call.

The answers that a busy node gives most are of that kind.  A template is derived from what the writer of the message
itself writes, so it cannot differ from that, and costs a fifth.
"""

from collections.abc import Callable, Sequence
from struct import Struct

Write = Callable[..., bytes]

_MARKS = {
    "i": (-0x6B3A5C71, -0x1C4D7E2B),
    "q": (-0x6B3A5C7119F2D4E3, -0x1C4D7E2B58A3C6F1),
}
"""Numbers of each kind to put in and find again, twice; nothing else that is written looks like them."""


def template(write: Write, codes: str) -> Write:
    """
    Derive a function that writes what C{write} does, for as long as its length does not depend on the numbers.

    @param write: takes numbers and writes them, each once and in this order, among what is always the same.
    @param codes: what C{struct} calls each of them: C{i} or C{q}, big-endian.
    @raise ValueError: C{write} is not of that kind.
    """
    made = _derive(write, codes, [_MARKS[code][0] + at for at, code in enumerate(codes)])
    others = [_MARKS[code][1] - at for at, code in enumerate(codes)]
    if made(*others) != write(*others):
        raise ValueError("more than those numbers differs")
    return made


def _derive(write: Write, codes: str, marks: Sequence[int]) -> Write:
    whole = write(*marks)
    layout, arguments, at = ">", [], 0
    names: dict[str, object] = {}
    for number, (code, mark) in enumerate(zip(codes, marks, strict=True)):
        packed = Struct(f">{code}").pack(mark)
        found = whole.find(packed, at)
        if found < 0:
            raise ValueError(f"number {number} is not written")
        layout += f"{found - at}s{code}"
        names[f"b{number}"] = whole[at:found]
        arguments += [f"b{number}", f"n{number}"]
        at = found + len(packed)
    names |= {"pack": Struct(f"{layout}{len(whole) - at}s").pack, "rest": whole[at:]}
    numbers = ", ".join(arguments[1::2])
    made: Write = eval(f"lambda {numbers}: pack({', '.join(arguments)}, rest)", names)
    return made
