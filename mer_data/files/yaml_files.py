"""Read YAML within limits and with the line of every value, and write YAML that reads back the same.

Recipes, tables and source manifests are small files of plain values, and may come from anybody. So the reader
takes the core schema of YAML 1.2 (null, true and false, numbers, texts, lists and mappings) and no tags: a
date and a bare ``no`` stay texts, and ``5e-4`` is a number. How large, deep and long a file may be is bounded
before its values are built, and an alias counts as often as it is used: nothing in a file decides how much
memory or time reading it takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mer_data.errors import MerDataError

Place = tuple[int | str, ...]
"""Keys and list positions from the top of a document to a value."""

MAX_BYTES = 1 << 18
MAX_DEPTH = 20
MAX_VALUES = 20_000
_MAX_DIGITS = 40

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class YamlError(ValueError):
    """A text is not YAML, or more than is read; the message begins with the line, where there are several."""


@dataclass(frozen=True)
class YamlDocument:
    """The values of a YAML text.

    Attributes:
        content: None, bool, int, float, str, or lists and dicts of them; keys are texts.
        lines: line of every value, from 1.
    """

    content: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int | None:
        """Line of a value or, where the text does not have it, of the group that it belongs into."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines[place] if place else None


def read_yaml(path: Path, what: str, error: type[MerDataError]) -> YamlDocument:
    """Read a YAML file.

    Args:
        path: of the file.
        what: it is, for the message: "recipe".
        error: class of the error to raise.

    Raises:
        MerDataError: of the class ``error``: the file cannot be read, is too large, or no plain YAML.
    """
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise error(f"the {what} is too large", where=path, expected=f"at most {MAX_BYTES} bytes")
        return parse_yaml(data.decode("utf-8-sig"))
    except OSError as fault:
        raise error(f"cannot read the {what} ({fault.strerror or fault})", where=path) from fault
    except UnicodeDecodeError as fault:
        raise error(f"cannot read the {what} (byte {fault.start} is not UTF-8)", where=path) from fault
    except YamlError as fault:
        raise error(f"cannot read the {what} ({fault})", where=path) from fault


def parse_yaml(text: str) -> YamlDocument:
    """Read a YAML text.

    Raises:
        YamlError: not YAML; a tag, a key twice or one that is no text, an alias within itself; or more than
            ``MAX_DEPTH`` levels or ``MAX_VALUES`` values, those of aliases included.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise YamlError(_told(error, text)) from error
    builder = _Builder(several_lines="\n" in text)
    content = None if node is None else builder.build(node, ())
    return YamlDocument(content, builder.lines)


def to_yaml(value: object) -> str:
    """Write plain values as YAML that this reader and those of YAML 1.1 read as the same values."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _told(error: yaml.YAMLError, text: str) -> str:
    """One line of what is wrong, with its place."""
    if isinstance(error, yaml.MarkedYAMLError):
        problem = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        if mark is None:
            return problem
        line = f"line {mark.line + 1}, " if "\n" in text else ""
        return f"{line}column {mark.column + 1}: {problem}"
    if isinstance(error, yaml.reader.ReaderError):
        number = text.count("\n", 0, error.position) + 1
        return f"line {number}: the character U+{ord(text[error.position]):04X} is not allowed"
    return str(error)


class _Loader(yaml.SafeLoader):
    """Composes nodes and never constructs; refuses tags, too deep and too long documents on the way."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # that of the base class has those of YAML 1.1

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._num_values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        self._num_values += 1
        if self._num_values > MAX_VALUES:
            raise _refusal(f"more than {MAX_VALUES} values", event)
        if self._depth > MAX_DEPTH:
            raise _refusal(f"more than {MAX_DEPTH} levels", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal(f"the tag {event.tag.replace(_TAG, '!!')} is not read", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Dumper(yaml.SafeDumper):
    """Quotes texts that either version of YAML would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


def _refusal(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


class _Builder:
    """Turns nodes into values; every use of an alias is built, and counted, anew."""

    def __init__(self, *, several_lines: bool) -> None:
        self.lines: dict[Place, int] = {}
        self._several_lines = several_lines
        self._open: set[int] = set()

    def build(self, node: Any, place: Place) -> Any:
        self.lines[place] = node.start_mark.line + 1
        if len(self.lines) > MAX_VALUES:
            raise self._refused(node, f"more than {MAX_VALUES} values, with those of its aliases")
        if len(place) > MAX_DEPTH:
            raise self._refused(node, f"more than {MAX_DEPTH} levels, with those of its aliases")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._refused(node, "an alias stands within what it names")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*place, number)) for number, item in enumerate(node.value)]
            return self._mapping(node, place)
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self._refused(key_node, f"the key {_short(key_node)} is no text, put quotes around it")
            if key in built:
                raise self._refused(key_node, f"the key {_short(key_node)} stands twice")
            built[key] = self.build(value_node, (*place, key))
        return built

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > _MAX_DIGITS:
                raise self._refused(node, f"a number of {len(text)} digits")
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        if kind == "float":
            return float(re.sub(r"\.(?=[iInN])", "", text))
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self._refused(node, "half of a surrogate pair is no character")
        return text

    def _refused(self, node: yaml.Node, problem: str) -> YamlError:
        line = f"line {node.start_mark.line + 1}: " if self._several_lines else ""
        return YamlError(line + problem)


def _short(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        return "that is a list or mapping"
    return repr(key.value if len(key.value) <= 40 else f"{key.value[:40]}...")
