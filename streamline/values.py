"""
Value classes, which attrs completes when the first instance of each is made.

Said and used as in attrs: C{frozen} and C{define} are its own but for the moment in which it writes and compiles a
constructor, comparisons and the rest of a class.  A node declares some two hundred of them and needs a third to start;
completing all took a tenth of the start.

# Note [Classes that are completed later]

What can be seen of a class before it has instances is here from the beginning: name, bases, slots, methods.  Its
C{__init__} has attrs complete the class as it was declared, which makes another one, and takes over what attrs wrote.
Everything else that attrs adds is asked of instances, and by then it is there; L{fields} asks for it without one.  All
have slots.  A method may not say C{super()}: it would mean the other class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

_NOT_TAKEN_OVER = frozenset({"__slots__", "__weakref__", "__init__"})
_UNFINISHED: Final[dict[type, Callable[[], type]]] = {}
"""What completes each class that nothing has been made of yet: a class as attrs would have made it."""

if TYPE_CHECKING:
    from attrs import AttrsInstance
    from attrs import define as define
    from attrs import frozen as frozen
else:

    def define(cls=None, **how):
        """Declare a class as C{attrs.define} does."""
        return _declared(attrs.define, how, cls)

    def frozen(cls=None, **how):
        """Declare a class as C{attrs.frozen} does."""
        return _declared(attrs.frozen, how, cls)


def fields(cls: type[AttrsInstance]) -> tuple[attrs.Attribute[Any], ...]:
    """Return a class's fields in order, as C{attrs.fields} does."""
    _finish(cls)
    return tuple(attrs.fields(cls))


def _declared(decorator: Any, how: Mapping[str, Any], cls: type | None) -> Any:
    if cls is None:
        return lambda cls: _later(cls, decorator(**how))
    return _later(cls, decorator)


def _later(cls: type, decorator: Callable[[type], type]) -> type:
    """Return the class with slots for its fields, to be completed; see Note [Classes that are completed later]."""
    fields = [name for name, kind in inspect.get_annotations(cls).items() if not str(kind).startswith("ClassVar")]
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
    slots = [name for name in fields if name not in inherited]
    if not any(base.__weakrefoffset__ for base in cls.__bases__):
        slots.append("__weakref__")

    def __init__(self: Any, *args: Any, **more: Any) -> None:
        _finish(made)
        made.__init__(self, *args, **more)  # type: ignore[misc]

    left_out = {*fields, "__dict__", "__weakref__"}
    namespace = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    namespace |= {"__qualname__": cls.__qualname__, "__slots__": slots, "__init__": __init__}
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    _UNFINISHED[made] = lambda: decorator(cls)
    return made


def _finish(made: type) -> None:
    """Complete a class and those that it inherits from.  Threads that meet here do it twice, which does no harm."""
    for each in reversed(made.__mro__):
        complete = _UNFINISHED.get(each)
        if complete is None:
            continue
        declared, written = dict(each.__dict__), complete().__dict__
        for name, value in written.items():
            is_new = name not in declared or declared[name] is not value
            if is_new and name.startswith("__") and name not in _NOT_TAKEN_OVER:
                setattr(each, name, value)
        each.__init__ = written["__init__"]  # type: ignore[misc] # last: now it is complete
        _UNFINISHED.pop(each, None)
