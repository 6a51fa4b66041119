"""Value classes behave as attrs' do, and are completed when the first of them is made."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path
from typing import Any, ClassVar

import attrs
from attrs import Factory, evolve, field
from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase

from streamline import values
from streamline.values import define, frozen

ROOT = Path(__file__).parents[1]


def _upper(text: str) -> str:
    return text.upper()


@frozen
class Place:
    """Something frozen."""

    KINDS: ClassVar[int] = 3

    host: str
    port: int = 9092

    def text(self) -> str:
        """Say it."""
        return f"{self.host}:{self.port}"


@frozen(kw_only=True)
class Marked(Place):
    """Something frozen that inherits."""

    mark: str = field(default="", eq=False, converter=_upper)


@define
class Basket:
    """Something that changes."""

    things: list[int] = Factory(list)


class Heavy(Basket):
    """A plain class that inherits, with a constructor of its own."""

    def __init__(self, weight: int) -> None:
        super().__init__([weight])


@define(eq=False)
class Token:
    """Something that only equals itself."""

    name: str


def is_complete(cls: type) -> bool:
    """Whether attrs has been at it."""
    return "__attrs_attrs__" in cls.__dict__


class ValueTests(SynchronousTestCase):
    """What attrs promises holds."""

    def test_frozen(self) -> None:
        """It compares, hashes, shows itself, matches and does not change."""
        place = Place("a")
        self.assertEqual(place, Place("a", 9092))
        self.assertEqual(len({place, Place("a"), Place("b")}), 2)
        self.assertEqual(repr(place), "Place(host='a', port=9092)")
        self.assertEqual((place.text(), Place.KINDS, Place.__doc__), ("a:9092", 3, "Something frozen."))
        match place:
            case Place(host, port):
                self.assertEqual((host, port), ("a", 9092))
            case _:
                self.fail("no match")
        with self.assertRaises(FrozenInstanceError):
            place.port = 1  # type: ignore[misc]
        with self.assertRaises(TypeError):
            Place()  # type: ignore[call-arg]
        self.assertEqual(evolve(place, port=1), Place("a", 1))

    def test_inherited(self) -> None:
        """Fields of the base come first; what is said of a field and of the class holds."""
        marked = Marked(host="a", mark="x")
        self.assertEqual((marked.mark, marked.port, marked.text()), ("X", 9092, "a:9092"))
        self.assertEqual(marked, Marked(host="a", mark="y"))
        self.assertNotEqual(marked, Place("a"))
        self.assertIsInstance(marked, Place)
        self.assertEqual(Place("b").text(), "b:9092")
        with self.assertRaises(FrozenInstanceError):
            marked.mark = ""  # type: ignore[misc]

    def test_changeable(self) -> None:
        """It changes, has no hash, takes nothing but its fields, and can be inherited from by a plain class."""
        heavy = Heavy(7)
        self.assertEqual(heavy.things, [7])
        basket = Basket()
        basket.things.append(1)
        self.assertEqual(basket, Basket([1]))
        self.assertIsNot(Basket().things, Basket().things)
        self.assertRaises(TypeError, hash, basket)
        with self.assertRaises(AttributeError):
            basket.weight = 1  # type: ignore[attr-defined]
        one = Token("a")
        self.assertNotEqual(one, Token("a"))
        self.assertIn(one, {one})

    def test_copied(self) -> None:
        """It can be copied and pickled."""
        for one in (Place("a", 1), Marked(host="a", mark="x"), Basket([1])):
            self.assertEqual(copy.deepcopy(one), one)
            self.assertEqual(pickle.loads(pickle.dumps(one)), one)

    def test_completed_late(self) -> None:
        """Attrs is at it when the first is made, or when its fields are asked for; its bases come with it."""

        @frozen
        class Base:
            name: str

        @frozen
        class Derived(Base):
            count: int = 0

        @define
        class Asked:
            name: str

        self.assertEqual([is_complete(each) for each in (Base, Derived, Asked)], [False] * 3)
        self.assertEqual((Derived.__name__, Derived.__mro__[1], Derived.__module__), ("Derived", Base, __name__))
        self.assertEqual(Derived("a"), Derived("a", 0))
        self.assertEqual([is_complete(each) for each in (Base, Derived, Asked)], [True, True, False])
        self.assertEqual([each.name for each in values.fields(Asked)], ["name"])
        self.assertEqual(attrs.fields(Asked), values.fields(Asked))

    def test_slots(self) -> None:
        """There is a slot for each field once, and a place for weak references once."""
        self.assertEqual(tuple(Place.__dict__["__slots__"]), ("host", "port", "__weakref__"))
        self.assertEqual(tuple(Marked.__dict__["__slots__"]), ("mark",))
        self.assertFalse(hasattr(Place("a"), "__dict__"))


class HouseTests(SynchronousTestCase):
    """What such a class must not do, and who must not do without."""

    def declared(self) -> list[tuple[Path, ast.ClassDef]]:
        """Return every value class of the product."""
        found = []
        for path in sorted((ROOT / "streamline").rglob("*.py")):
            text = path.read_text()
            if "from streamline.values import" in text:
                classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
                found += [(path, node) for node in classes if self.is_value(node)]
        return found

    @staticmethod
    def is_value(node: ast.ClassDef) -> bool:
        """Whether it is declared as one."""
        calls: list[Any] = [getattr(each, "func", each) for each in node.decorator_list]
        return any(getattr(each, "id", "") in ("define", "frozen") for each in calls)

    def test_no_super(self) -> None:
        """A method that says C{super()} or C{__class__} would mean another class; see Note there."""
        declared = self.declared()
        self.assertGreater(len(declared), 100)
        names = [
            (path.name, node.name)
            for path, node in declared
            for inner in ast.walk(node)
            if isinstance(inner, ast.Name) and inner.id in ("super", "__class__")
        ]
        self.assertEqual(names, [])
