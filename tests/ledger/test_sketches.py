"""Sketches: stable, keyed, and telling alike from unlike."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiergate.errors import InputError
from tiergate.ledger.intents import CAPABILITIES, capability, intents
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.words import split_words
from tiergate.records.schema import SKETCH_SCHEMA

KEY = bytes(range(32))
TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=80)), max_size=12)
# A second reading of the same rules, by regular expression; `é`, `д` and the like count as letters.
WORD = re.compile(r"[0-9]+|[A-Za-z\u0080-\u1fff]+|[\u3000-\udfff]")


def batch(prompts: list[str | None], systems: list[str | None] | None = None) -> pa.RecordBatch:
    columns = {
        "prompt_text": pa.array(prompts, pa.string()),
        "system_text": pa.array(systems or [None] * len(prompts), pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def sketch(prompts: list[str | None], systems: list[str | None] | None = None, key: bytes = KEY) -> list[dict]:
    return Sketcher(key).sketch(batch(prompts, systems)).to_pylist()


@given(TEXTS, st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_a_row_is_sketched_alike_in_whatever_company(texts: list[str | None], cut: int) -> None:
    whole = Sketcher(KEY).sketch(batch(texts, texts))
    sliced = pa.table(batch(texts, texts))
    parts = [Sketcher(KEY).sketch(sliced.slice(0, cut)), Sketcher(KEY).sketch(sliced.slice(cut))]
    assert whole.schema == SKETCH_SCHEMA
    assert whole.num_rows == len(texts)
    assert pa.Table.from_batches(parts).to_pylist() == whole.to_pylist()


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_words_are_cut_as_a_second_reading_of_the_rules_cuts_them(texts: list[str]) -> None:
    # Letters beyond U+1FFF that are not ideographs count as breaks, U+2000 to U+2FFF and emoji among them.
    words = split_words(pa.array(texts, pa.string()), 10_000, np.uint64(7))
    found = [int(words.row_end[row] - words.row_start[row]) for row in range(len(texts))]
    assert found == [len(WORD.findall(text)) for text in texts]


def test_numbers_are_masked_in_the_template_but_not_in_the_message() -> None:
    one, other = sketch(["translate item 7 into plain French now", "Translate item 1234 into plain French now"])
    assert one["sketch_template"] == other["sketch_template"]
    assert one["sketch_prompt"] != other["sketch_prompt"]


def test_messages_from_one_template_share_shingles_however_long_the_filling() -> None:
    template = "Read the request below and write out your complete reasoning before you answer it. Request: {}"
    fillings = [" ".join(f"word{row}x{i}" for i in range(20 + 40 * row)) for row in range(8)]
    rows = sketch([template.format(filling) for filling in fillings])
    shared = set.intersection(*(set(row["sketch_template"]) for row in rows))
    assert shared
    strangers = sketch(["Quite another question about the history of tin mining in Cornwall, if you please"])
    assert not shared & set(strangers[0]["sketch_template"])


def test_system_prompts_that_part_ways_late_share_their_first_blocks() -> None:
    head = " ".join(f"rule{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60))
    one, other = sketch(["a", "a"], [head + " for Ann", head + " for Bob"])
    assert one["sketch_system"][:2] == other["sketch_system"][:2]
    assert one["sketch_system"][-1] != other["sketch_system"][-1]


def test_a_subject_shows_in_words_in_scripts_without_spaces_too() -> None:
    one, other, stranger = sketch(["请解释光合作用的过程", "光合作用需要什么条件", "今天股票市场怎么样"])
    assert set(one["sketch_words"]) & set(other["sketch_words"])
    assert not set(one["sketch_words"]) & set(stranger["sketch_words"])


def test_nothing_carries_over_from_one_key_to_another() -> None:
    text = "the same message under two keys has nothing in common"
    one, other = sketch([text], [text])[0], sketch([text], [text], bytes(32))[0]
    for name in ("sketch_system", "sketch_template", "sketch_words"):
        assert not set(one[name]) & set(other[name])
    assert one["sketch_prompt"] != other["sketch_prompt"]
    assert one["sketch_key_id"] != other["sketch_key_id"]


def test_absent_text_has_no_sketch() -> None:
    row = sketch([None], [None])[0]
    assert set(row.values()) == {None}


def test_stored_sketches_stay_readable_by_later_versions() -> None:
    """Pinned: a change of these values makes every stored ledger incomparable with new traffic."""
    row = sketch(["Explain step by step why item 7 fails"], ["You are a careful engineer"])[0]
    assert row["sketch_key_id"] == "471887c074dc"
    assert row["sketch_prompt"] == 8647346916016583103
    assert row["sketch_system"] == [6093093637317931187]
    assert row["sketch_intent"] == 1 << CAPABILITIES.index("chain_of_thought")
    assert row["sketch_template"][-2:] == [4972305685081088531, 3640722364255471624]


def test_the_key_is_made_once_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="not a sketch key"):
        load_or_create_key(path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Think carefully and show your full reasoning", "chain_of_thought"),
        ("Score the answer on a scale of 1 to 10 with this rubric", "rubric_grading"),
        ("Generate 20 diverse instructions for a language model", "task_generation"),
        ("You can call one of the tools below", "tool_use"),
        ("refactor this repository and fix the traceback", "agentic_coding"),
        ("请一步一步写出推理过程", "chain_of_thought"),
    ],
)
def test_what_a_request_asks_for_is_named(text: str, name: str) -> None:
    bits = intents(pa.array([None], pa.string()), pa.array([text]))
    assert bits[0] >> CAPABILITIES.index(name) & 1


def test_a_workload_without_a_focus_is_general() -> None:
    assert capability(np.array([0, 0, 0, 1]))[0] == "general"
    assert capability(np.array([1, 1, 0])) == ("chain_of_thought", pytest.approx(2 / 3))
