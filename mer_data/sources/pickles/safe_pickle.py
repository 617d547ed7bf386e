"""Reading pickles from strangers: only numpy arrays and plain Python containers get in.

The standard library takes the bytes apart into opcodes (``pickletools.genops``); the reader here carries out
those that arrays and plain containers need, and refuses every other. Nothing is imported and nothing of the
file is called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, cast

from mer_data.sources.pickles.pickle_limits import (
    CONTAINER_BYTES,
    BoundedContent,
    Budget,
    PickleRefusedError,
    check_data,
)
from mer_data.sources.pickles.pickled_values import MAKERS, Name, Unfinished, make_set, set_items

_MEMO_BYTES = 100
_MAX_BITS = 64
_MAX_NAME = 100


class PickleReader:
    """One pickle at the position of ``content``; exactly its bytes are read."""

    def __init__(self, content: BoundedContent, budget: Budget) -> None:
        """Read from ``content`` and count against ``budget``."""
        self.content, self.budget = content, budget
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Return the content: arrays, plain values, and dicts, lists, tuples and sets of them.

        Raises:
            PickleRefusedError: it holds or does anything else, or takes more than the budget.
            EOFError: the bytes end before the pickle does.
            ValueError, LookupError, TypeError: damaged bytes.
        """
        for opcode, argument, _ in pickletools.genops(cast(Any, self.content)):
            self.budget.count_opcode()
            action = _ACTIONS.get(opcode.name)
            if action is None:
                raise PickleRefusedError(f"refused opcode {opcode.name}")
            action(self, argument)
        (result,) = self._stack
        check_data(result, self.budget.max_bytes)
        return result

    def find(self, module: object, name: object) -> Name:
        """Return an admitted name.

        Raises:
            PickleRefusedError: any other name, which the message gives.
        """
        if not isinstance(module, str) or not isinstance(name, str):  # to hash anything else can take forever
            raise PickleRefusedError("a name that is no text")
        found = Name(module, name)
        if found not in MAKERS:
            raise PickleRefusedError(f"refused class {found.what[:_MAX_NAME]}")
        return found

    # --- what the opcodes do ---

    def _ignore(self, _: object) -> None:
        """PROTO changes nothing here, STOP ends the loop."""

    def _check_frame(self, size: int) -> None:
        self.content.check_left(size)

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_integer(self, value: int) -> None:
        if value.bit_length() > _MAX_BITS:
            raise PickleRefusedError(f"an integer of more than {_MAX_BITS} bits")
        self._stack.append(value)

    def _push_old_text(self, value: str) -> None:
        """The ``str`` of Python 2: text where it is ASCII, else bytes of an unknown encoding."""
        self._stack.append(value if value.isascii() else value.encode("latin-1"))

    def _push_container(self, value: Any) -> None:
        self.budget.charge(CONTAINER_BYTES)
        self._stack.append(value)

    def _mark(self, _: object) -> None:
        self._marks.append(len(self._stack))

    def _pop_marked(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _make_list(self, _: object) -> None:
        self._push_container(self._pop_marked())

    def _make_tuple(self, _: object) -> None:
        self._push_container(tuple(self._pop_marked()))

    def _make_tuple_of(self, size: int) -> None:
        items = tuple(self._stack[-size:])
        if len(items) != size:
            raise IndexError("a tuple of values that are not there")
        del self._stack[-size:]
        self._push_container(items)

    def _make_dict(self, _: object) -> None:
        items = self._pop_marked()
        self._push_container({})
        set_items(self._stack[-1], items[::2], items[1::2])

    def _make_frozenset(self, _: object) -> None:
        self._push_container(frozenset(make_set(self._pop_marked())))

    def _top(self, kind: type) -> Any:
        """The container on top; no other value takes items."""
        if type(self._stack[-1]) is not kind:
            raise PickleRefusedError(f"items for {type(self._stack[-1]).__name__}")
        return self._stack[-1]

    def _append(self, _: object) -> None:
        value = self._stack.pop()
        self._top(list).append(value)

    def _append_all(self, _: object) -> None:
        items = self._pop_marked()
        self._top(list).extend(items)

    def _set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        set_items(self._top(dict), [key], [value])

    def _set_all(self, _: object) -> None:
        items = self._pop_marked()
        set_items(self._top(dict), items[::2], items[1::2])

    def _add_all(self, _: object) -> None:
        items = self._pop_marked()
        self._top(set).update(make_set(items))

    def _put(self, key: int) -> None:
        self.budget.charge(_MEMO_BYTES)
        value = self._memo[key] = self._stack[-1]
        if isinstance(value, Unfinished):
            value.memo_keys.append(key)

    def _memoize(self, _: object) -> None:
        self._put(len(self._memo))

    def _get(self, key: int) -> None:
        self._stack.append(self._memo[key])

    def _global(self, both: str) -> None:
        module, name = both.split(" ")
        self._stack.append(self.find(module, name))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self.find(module, name))

    def _reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        make = MAKERS.get(function) if isinstance(function, Name) else None
        if make is None or type(arguments) is not tuple:
            raise PickleRefusedError(f"refused call of {getattr(function, 'what', type(function).__name__)}")
        self._stack.append(make(self.budget, *arguments))

    def _build(self, _: object) -> None:
        """Fill the value below the state; the memo then holds the filled one."""
        state, value = self._stack.pop(), self._stack.pop()
        if not isinstance(value, Unfinished):
            raise PickleRefusedError(f"refused state of {getattr(value, 'what', type(value).__name__)}")
        finished = value.finish(state)
        self._stack.append(finished)
        for key in value.memo_keys:
            self._memo[key] = finished

    def _new_object(self, _: object) -> None:
        """Admitted for joblib's wrapper alone."""
        raise PickleRefusedError("refused opcode NEWOBJ")


Action = Callable[[PickleReader, Any], None]


def _constant(value: object) -> Action:
    return lambda reader, _: reader._push(value)


def _new(make: Callable[[], Any]) -> Action:
    return lambda reader, _: reader._push_container(make())


def _tuple_of(size: int) -> Action:
    return lambda reader, _: reader._make_tuple_of(size)


_R = PickleReader
_ACTIONS: dict[str, Action] = {
    **dict.fromkeys(("PROTO", "STOP"), _R._ignore),
    "FRAME": _R._check_frame,
    **{"NONE": _constant(None), "NEWTRUE": _constant(True), "NEWFALSE": _constant(False)},
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _R._push_integer),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _R._push),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _R._push_old_text),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _R._push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _R._push),
    **{
        "EMPTY_LIST": _new(list),
        "EMPTY_TUPLE": _new(tuple),
        "EMPTY_DICT": _new(dict),
        "EMPTY_SET": _new(set),
    },
    **{"MARK": _R._mark, "LIST": _R._make_list, "DICT": _R._make_dict, "FROZENSET": _R._make_frozenset},
    **{"TUPLE": _R._make_tuple, "TUPLE1": _tuple_of(1), "TUPLE2": _tuple_of(2), "TUPLE3": _tuple_of(3)},
    **{"APPEND": _R._append, "APPENDS": _R._append_all, "ADDITEMS": _R._add_all},
    **{"SETITEM": _R._set_item, "SETITEMS": _R._set_all},
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _R._put),
    "MEMOIZE": _R._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _R._get),
    **{"GLOBAL": _R._global, "STACK_GLOBAL": _R._stack_global},
    **{"REDUCE": _R._reduce, "BUILD": _R._build, "NEWOBJ": lambda reader, _: reader._new_object(None)},
}
"""The action of each opcode. Pickles of plain data need no other."""
