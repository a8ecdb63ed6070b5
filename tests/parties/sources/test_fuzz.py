"""Whatever bytes a file has, a reader gives facts that can be stored, refuses, or says what the file is not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parties.sources import test_gleif, test_lists
from tests.parties.sources.conftest import NOW, Facts, lei, read_files
from tests.parties.sources.test_bods import D1
from tests.parties.sources.test_psc import PERSON
from tiergate.database import open_database
from tiergate.errors import InputError
from tiergate.parties.fact_rows import SCHEMAS, TABLE_OF, fault, to_batch
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.taking import READERS, take_in
from tiergate.records.refused import RefusedRows

ENTITIES = [
    {"id": "a", "schema": "Company", "properties": {"name": ["A"], "topics": ["sanction"], "leiCode": ["L"]}},
    {"id": "o", "schema": "Ownership", "properties": {"owner": ["b"], "asset": ["a"], "percentage": ["50"]}},
    {"id": "s", "schema": "Sanction", "properties": {"entity": ["a"], "authority": ["C"], "startDate": ["2020"]}},
]
EXCEPTION = f"LEI,Exception.Category,Exception.Reason.1\n{lei('A')},DIRECT_ACCOUNTING_CONSOLIDATION_PARENT,NO_LEI\n"
PLAIN = "record,id,owner,owned,percent,valid_from,party,list\nstake,s,X,A,50,2020-01-01,,\nlisting,,,,,,X,L\n"
SEEDS: dict[str, list[str]] = {
    "gleif": [test_gleif.LEVEL_1, test_gleif.LEVEL_1_XML],
    "gleif-relations": [test_gleif.RELATIONS, test_gleif.RELATION_XML],
    "gleif-exceptions": [EXCEPTION],
    "bods": [json.dumps(D1), "\n".join(map(json.dumps, D1))],
    "psc": [json.dumps({"company_number": "1", "data": PERSON})],
    "opensanctions": ["\n".join(map(json.dumps, ENTITIES))],
    "ofac": [test_lists.SDN],
    "csl": [test_lists.CSL],
    "csv": [PLAIN],
}
JSON_KINDS = ("bods", "psc", "opensanctions")
quiet = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_odd: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(10**30, 10**40),
              st.floats(allow_nan=False, allow_infinity=False),
              st.text(max_size=8), st.sampled_from(["50", "x" * 3_000, "\x00", "2020-01-01", "indirect", "closed"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


def test_every_kind_has_a_seed() -> None:
    assert SEEDS.keys() == READERS.keys()


def survives(kind: str, path: Path, data: bytes) -> Facts | None:
    """Read bytes as a kind: the facts, all of which can be stored as far as they are not refused; None for an error
    that says what the file is not."""
    path.write_bytes(data)
    try:
        facts = read_files(kind, path)
    except InputError:
        return None
    for table in SCHEMAS:
        kept = [one for one in facts if TABLE_OF[type(one)] == table and fault(one) is None]
        assert not kept or to_batch(table, kept).num_rows == len(kept)
    return facts


@pytest.mark.parametrize("kind", READERS)
@quiet
@given(data=st.binary(max_size=400))
def test_garbage(kind: str, data: bytes, tmp_path: Path) -> None:
    survives(kind, tmp_path / "x", data)


@pytest.mark.parametrize("kind", READERS)
@quiet
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1), edits=st.integers(0, 12))
def test_cut_and_bitten_files(kind: str, seed: int, share: float, edits: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    text = bytearray(dice.choice(SEEDS[kind]).encode())
    for _ in range(edits):
        at = dice.randrange(len(text))
        text[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3)) or dice.choice(
            [b'"', b"\n", b"<", b"9" * 40]
        )
    survives(kind, tmp_path / "x", bytes(text[: int(len(text) * share) + 1]))


@pytest.mark.parametrize("kind", JSON_KINDS)
@quiet
@given(data=st.data())
def test_odd_values_in_any_place(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    records = [json.loads(line) for line in SEEDS[kind][-1].splitlines()]
    target: Any = data.draw(st.sampled_from(records))
    while True:
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(target[key], (dict, list)) and target[key] and data.draw(st.booleans()):
            target = target[key]
        else:
            target[key] = data.draw(_odd)
            break
    survives(kind, tmp_path / "x", "\n".join(map(json.dumps, records)).encode())


@pytest.mark.parametrize("kind", READERS)
def test_what_comes_twice_counts_once(kind: str, tmp_path: Path) -> None:
    store = FactStore(open_database(tmp_path / "parties.sqlite"))
    path = tmp_path / "x"
    path.write_text(SEEDS[kind][-1])
    counted = []
    for now in (NOW, NOW + 1):
        take_in(store, kind, [path, path] if kind != "ofac" else [path], refused=RefusedRows(None), now_us=now)
        snapshot = store.as_of(1_700_000_000_000_000)
        counted.append(
            (len(snapshot.stakes), snapshot.size, snapshot.listing_facts.num_rows, len(snapshot.undisclosed))
        )
    once = read_files(kind, path)
    assert counted[0] == counted[1]
    assert counted[0][0] == len(
        {(one.key, one.part) for one in once.stakes if not one.retracted and one.valid_to_us is None}
    )
