"""What the mock says, before it is put into an API's form."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

_TEXT: Final = (
    "the answer depends on what is measured first and then on how each part adds to the whole so take it in order "
    "check every step against the question and say plainly where the facts end and the guess begins"
)
WORDS: Final = _TEXT.split()
ONE_TOOL: Final = b"use-a-tool"
"""A request with this word gets a call of the first tool that it offers."""

ALL_TOOLS: Final = b"use-all-tools"
"""A request with this word gets a call of every tool that it offers."""

LENGTH: Final = re.compile(rb"say-(\d{1,5})-words")
FAILURE: Final = re.compile(rb"fail-with-([45]\d\d)")
"""A request with such a word gets an error of this status."""

MODELS: Final = ("model-large", "model-medium", "model-small")
CREATED: Final = 1_700_000_000
"""When everything was made, seconds since the epoch."""

Json = dict[str, Any]
Schema = Json


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: text in pieces, or calls of tools as name and arguments. ``answer_id`` has no prefix yet."""

    answer_id: str
    model: str
    pieces: list[str]
    calls: list[tuple[str, dict[str, Any]]]
    input_tokens: int
    echo: dict[str, Any]
    """Goes into the answer: what a request has under `mock_echo` comes back under the same name."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def output_tokens(self) -> int:
        return len(self.pieces) + len(self.calls)

    @property
    def cached_tokens(self) -> int:
        """Of the input."""
        return self.input_tokens // 4


def say(
    request: dict[str, Any],
    body: bytes,
    *,
    tools: list[tuple[str, Schema]],
    results: list[str],
    images: int,
    schema: Schema | None,
) -> Said:
    """The answer to a request.

    :param tools: name and parameters of each tool offered.
    :param results: what tools answered since the mock last spoke; then it calls none again.
    :param schema: of the answer, where it must have one.
    """
    digest = hashlib.blake2b(body, digest_size=16).digest()
    length = LENGTH.search(body)
    count = int(length[1]) if length else 6 + digest[0] % 10
    words = [WORDS[digest[number % 16] % len(WORDS)] for number in range(count)]
    if images:
        words += ["saw", str(images), "images"]
    if results:
        words += ["tools", "said", *results]
    called: list[tuple[str, Schema]] = []
    if not results and (ONE_TOOL in body or ALL_TOOLS in body):
        called = tools if ALL_TOOLS in body else tools[:1]
    pieces = [word if number == 0 else " " + word for number, word in enumerate(words)]
    if schema is not None:
        text = json.dumps(example(schema, schema))
        pieces = [text[start : start + 8] for start in range(0, len(text), 8)]
    return Said(
        answer_id=hashlib.blake2b(body, digest_size=12, person=b"answer-id").hexdigest(),
        model=str(request.get("model", MODELS[0])),
        pieces=[] if called else pieces,
        calls=[(name, example(parameters, parameters)) for name, parameters in called],
        input_tokens=count_tokens(body),
        echo={"mock_echo": request["mock_echo"]} if "mock_echo" in request else {},
    )


def count_tokens(body: bytes) -> int:
    return max(1, len(body) // 4)


def example(schema: Schema, root: Schema) -> Any:
    """A value that fits a JSON schema as tools and structured answers have it."""
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return example(target, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], root)
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: example(part, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}), root)]
    return {"string": "tin", "integer": 7, "number": 1.5, "boolean": True}.get(kind)
