"""One exchange by itself is sketched as it is among many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiergate.ledger import row_sketches
from tiergate.ledger.intents import ALTERNATIVES, likely
from tiergate.ledger.row_sketches import RowSketcher
from tiergate.ledger.sketches import TEXT_LIMIT_BYTES, Sketcher

SKETCHER = Sketcher(bytes(range(32)))
ROWS = RowSketcher(SKETCHER)

LINES = """
step by step|Chain-of-Thought|<think|reasoning steps|write out all the full rationale|footstep|explain your thinking
every step of the reasoning|think out loud|逐步|inner monologue|detail|RUBRIC|grade this|on a scale from|as a judge|评分
as an impartial grader|separate the|come up with five new exercises|write tasks|instruction-tuning|生成一些题目|because
training examples|use the tool|use one of the big APIs|invoke functions|function call|api-call|调用工具|```|refactor
xrefactor|debugs|bug|bug_|stacktrace|pull request|python code|javascript|java class|代码|unit tests|golang  script
generate a a a a a a|Answer item 7|item 12b|café|ПРИВЕТ мир|日本語の文|한국어|漢 字|。|.|,|a|I|0000000000000000000
"""
FOLDED = ["\u017fcore the", "\u212ainder", "\u017fdebug", "tool u\u017fe", "\u0130", "\u01c5", "\u00df"]
BREAKS = ["\u00a0", "\u3000", "\x85", "\x1c", "\0", "\n", "\t", " ", "  ", "\u2014", "\U0001f600", "x" * 70]
PIECES = [*LINES.strip().replace("\n", "|").split("|"), *FOLDED, *BREAKS]
MIXED = st.lists(st.sampled_from([*PIECES, " ", " "]), max_size=60).map("".join)
TEXTS = st.one_of(st.none(), st.text(max_size=200), MIXED, MIXED.map(lambda text: text * 40))


def in_rows(rows: RowSketcher, asked: Sequence[tuple[str | None, str | None]]) -> list[dict[str, Any]]:
    made = [msgspec.structs.asdict(one) for one in rows.sketch(asked)]
    return [
        {name: np.frombuffer(one, "<i8").tolist() if isinstance(one, bytes) else one for name, one in row.items()}
        for row in made
    ]


def by_columns(rows: list[tuple[str | None, str | None]]) -> list[dict[str, Any]]:
    texts = {"system_text": [system for system, _ in rows], "prompt_text": [prompt for _, prompt in rows]}
    batch = pa.RecordBatch.from_pydict(texts, pa.schema([(name, pa.string()) for name in texts]))
    return SKETCHER.sketch(batch).to_pylist()


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12))
@example([("", ""), ("!", "?"), (None, ""), ("", None), (None, None)])
def test_a_row_by_itself_is_sketched_as_in_columns(rows: list[tuple[str | None, str | None]]) -> None:
    expected = by_columns(rows)
    assert in_rows(ROWS, rows) == expected
    assert [in_rows(ROWS, [row])[0] for row in rows] == expected


ALL = [one for some in ALTERNATIVES for one in some]


@given(
    st.sampled_from(ALL).flatmap(lambda one: st.tuples(st.just(one[0]), st.from_regex(re.compile(one[1], re.ASCII))))
)
def test_whatever_an_expression_matches_has_its_anchor(case: tuple[str, str]) -> None:
    anchor, matching = case
    assert anchor in matching


@given(st.lists(MIXED, min_size=1, max_size=6))
def test_what_is_asked_for_is_always_thought_likely(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    sizes = np.array([len(data) for data in encoded], np.int64)
    bits = likely(b"".join(encoded), np.cumsum(sizes) - sizes)
    for text, some in zip(texts, bits, strict=True):
        for number, (_, pattern) in enumerate(ALL):
            assert some >> number & 1 or not re.search(pattern, text.lower(), re.ASCII)


def test_texts_of_every_length_around_the_limits() -> None:
    rng = np.random.default_rng(1)
    words = [bytes(rng.integers(97, 123, rng.integers(1, 9), np.uint8)).decode() for _ in range(4_000)]
    texts = ["é" * (TEXT_LIMIT_BYTES // 2 - 1) + "é tools", "a " * TEXT_LIMIT_BYTES, "漢" * 9_000 + "调用工具"]
    texts += ["漢" * 8_000 + "调用工具", "look at " + "QUJD" * 5_000, "b", "bu", "bug", "``` "]
    texts += ["ж " * 8_191 + "rubric", "ж" * 8_186 + "rubric", "ж" * 8_187 + "rubric", "x" * 8_186 + " rubric"]
    for size in (1, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 127, 128, 129, 130, 500, 4_000):
        texts += [" ".join(words[:size]), " ".join(words[:5] * size)]
    rows = [(text, text) for text in texts]
    assert in_rows(ROWS, rows) == by_columns(rows)
    for text in texts:
        assert in_rows(ROWS, [(text, text)]) == by_columns([(text, text)])


def test_what_is_remembered_is_bounded_and_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_sketches, "CONTENT_WORDS", 20)
    monkeypatch.setattr(row_sketches, "SYSTEM_PROMPTS", 8)
    rows = RowSketcher(SKETCHER)
    asked = [
        (f"system prompt {number}", f"what is item made{chr(97 + number % 26)} of? {number % 7}")
        for number in range(300)
    ]
    made = [row for start in range(0, 300, 3) for row in in_rows(rows, asked[start : start + 3])]
    assert made == by_columns(asked)
    assert len(rows._keyed) < 30
    assert len(rows._systems) <= 8
