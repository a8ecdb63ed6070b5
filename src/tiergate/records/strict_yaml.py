"""YAML read strictly: every fault names its line, and nothing that is misspelt is passed over.

Only events of the parser are read (`yaml.parse`), so no tag ever makes an object. Refused are duplicate keys, which
PyYAML lets the last one win (yaml/pyyaml#165), tags, and anchors with their aliases, which a short file can unfold
into billions of values (yaml/pyyaml#235). Of plain scalars only `true`, `false`, `null`, `~` and decimal numbers are
more than text, as in the core schema of YAML 1.2: `NO` stays Norway, and a day stays a day.
"""

from __future__ import annotations

import difflib
import functools
import re
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec
import yaml

LARGEST: Final = 1 << 18
"""Bytes of a file: some 2,000 models with three prices each."""

DEEPEST: Final = 16

_WHOLE: Final = re.compile(r"[-+]?[0-9][0-9_]{0,29}")
_FRACTION: Final = re.compile(r"[-+]?[0-9]{1,30}\.[0-9]{1,30}")
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may have been built without libyaml


class Node(NamedTuple):
    """A value of the file and the line, from 1, that its key or the value itself stands on."""

    value: Any
    line: int


class Faults:
    """What is wrong with a file, in the order it was found."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, line: int, text: str) -> None:
        self.found.append(f"line {line}: {text}")


class UnreadableError(Exception):
    """The text is no YAML that is read here; the message names the line."""


BAD: Final = object()
"""Stands for a value that had a fault."""


def read_tree(content: bytes) -> Node:
    """The one document of a file as nodes of dicts, lists and scalars. Raises `UnreadableError`."""
    if len(content) > LARGEST:
        raise UnreadableError(f"line 1: the file is larger than {LARGEST:,} bytes")
    try:
        return _build(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"line {line}: this is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(f"line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"line 1: {str(error).splitlines()[0]}") from error


def _build(text: str) -> Node:
    open_: list[tuple[Any, int, Node | None]] = []  # what is being filled, its line, and the key it will stand under
    key: Node | None = None
    root: Node | None = None
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise UnreadableError(f"line {line}: anchors and aliases are not read, write the value out")
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise UnreadableError(f"line {line}: a second document begins here, there must be one")
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            _no_tag(event, line)
            if open_ and isinstance(open_[-1][0], dict) and key is None:
                raise UnreadableError(f"line {line}: a key must be a word")
            if len(open_) == DEEPEST:
                raise UnreadableError(f"line {line}: more than {DEEPEST} levels lie within each other")
            open_.append(({} if isinstance(event, yaml.MappingStartEvent) else [], line, key))
            key = None
            continue
        if isinstance(event, yaml.ScalarEvent):
            _no_tag(event, line)
            if open_ and isinstance(open_[-1][0], dict) and key is None:
                key = Node(event.value, line)
                if key.value in open_[-1][0]:
                    before = open_[-1][0][key.value].line
                    raise UnreadableError(f"line {line}: `{key.value}` stands here again, it is on line {before} too")
                continue
            done = Node(_scalar(event), line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            value, line, key = open_.pop()
            done = Node(value, line)
        else:
            continue
        if not open_:
            root = done
        elif key is not None:
            open_[-1][0][key.value] = Node(done.value, key.line)
        else:
            open_[-1][0].append(done)
        key = None
    if root is None:
        raise UnreadableError("line 1: the file is empty")
    return root


def _no_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int) -> None:
    if event.tag is not None:
        raise UnreadableError(f"line {line}: tags such as `{event.tag}` are not read")


def _scalar(event: yaml.ScalarEvent) -> object:
    text: str = event.value
    if not event.implicit[0]:
        return text  # quoted, or a block of text
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) else text


def take(kind: Any, node: Node, where: str, faults: Faults) -> Any:
    """The node as ``kind``: a msgspec Struct, `list[...]`, `dict[str, ...]`, or what `msgspec.convert` makes of it.

    What does not fit is added to ``faults`` under its key ``where``, and `BAD` comes back.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is dict:
        return _mapping(parts[1], node, where, faults)
    if origin is list:
        return _sequence(parts[0], node, where, faults)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind, node, where, faults)
    if origin is Literal and node.value not in parts:
        faults.add(node.line, f"`{where}` is `{_shown(node.value)}`: give one of {', '.join(map(str, parts))}")
        return BAD
    try:
        return msgspec.convert(plain(node), kind)
    except msgspec.ValidationError as error:
        said = str(error)
        faults.add(node.line, f"`{where}`: {said[:1].lower()}{said[1:]}")
        return BAD


def _mapping(kind: Any, node: Node, where: str, faults: Faults) -> Any:
    if not isinstance(node.value, dict):
        faults.add(node.line, f"`{where}` must have names with a colon below it, not `{_shown(node.value)}`")
        return BAD
    taken = {
        name: take(kind, below, f"{where}.{name}" if where else name, faults) for name, below in node.value.items()
    }
    return BAD if any(value is BAD for value in taken.values()) else taken


def _sequence(kind: Any, node: Node, where: str, faults: Faults) -> Any:
    if not isinstance(node.value, list):
        faults.add(node.line, f"`{where}` must be a list, not `{_shown(node.value)}`")
        return BAD
    taken = [take(kind, below, f"{where}[{place}]", faults) for place, below in enumerate(node.value)]
    return BAD if any(value is BAD for value in taken) else taken


def _struct(kind: type[msgspec.Struct], node: Node, where: str, faults: Faults) -> Any:
    fields = _fields(kind)
    if not isinstance(node.value, dict):
        faults.add(node.line, f"`{where}` must have fields below it ({', '.join(fields)}), not `{_shown(node.value)}`")
        return BAD
    prefix = f"{where}." if where else ""
    taken, bad = {}, False
    for name, below in node.value.items():
        if name not in fields:
            close = difflib.get_close_matches(name, fields, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(fields)}"
            faults.add(below.line, f"there is no field `{prefix}{name}`: {hint}")
            bad = True
            continue
        value = take(fields[name].type, below, prefix + name, faults)
        taken[fields[name].name] = value
        bad = bad or value is BAD
    for name, field in fields.items():
        if field.required and name not in node.value:
            faults.add(node.line, f"`{prefix}{name}` is missing")
            bad = True
    return BAD if bad else kind(**taken)


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def plain(node: Node) -> Any:
    """A value as dicts, lists and scalars, without its lines."""
    if isinstance(node.value, dict):
        return {name: plain(below) for name, below in node.value.items()}
    if isinstance(node.value, list):
        return [plain(below) for below in node.value]
    return node.value


def _shown(value: object) -> str:
    """A value as it may stand in a message: what was put in the wrong place may be a secret, so no long text."""
    if isinstance(value, dict | list):
        return "..."
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:4]}..."
