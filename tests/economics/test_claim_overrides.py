"""Overrides of claims: whatever was said and taken back, what counts is what stands, and the essay stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tiergate.catalog.claims import load_claims
from tiergate.database import open_database
from tiergate.economics.claim_overrides import ClaimOverrides
from tiergate.errors import InputError, StateError

NAMES = ("extraction_cost", "training_cost", "mythos_leak")
VALUES = st.sampled_from(["2e6", "1,2,3", "refuted", "disputed", " 5 "])
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | VALUES), max_size=12)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_database(tmp_path / "control.sqlite")
    yield made
    made.dispose()


@given(STEPS)
@settings(max_examples=25, deadline=None)
def test_what_stands_is_what_was_said_last_and_not_taken_back(steps: list[tuple[str, str | None]]) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    try:
        overrides, stands = ClaimOverrides(engine), dict[str, str]()
        for at, (name, value) in enumerate(steps):
            if value is None and name in stands:
                overrides.withdraw(name, author="ann", now_us=at, reason="r")
                del stands[name]
            elif value is None:
                with pytest.raises(StateError):
                    overrides.withdraw(name, author="ann", now_us=at, reason="r")
            elif load_claims().find(name).unit or "r" in value or "d" in value:
                overrides.put(name, value, author="ann", now_us=at, reason="r")
                stands[name] = value.strip()
            else:
                with pytest.raises(InputError):
                    overrides.put(name, value, author="ann", now_us=at, reason="r")
        assert {name: one.value for name, one in overrides.standing().items()} == stands
        expected = load_claims().with_overrides(f"{name}={value}" for name, value in stands.items())
        assert overrides.ledger() == expected
        assert all(overrides.ledger().find(name).claimed == load_claims().find(name).claimed for name in NAMES)
    finally:
        engine.dispose()


def test_what_nothing_can_be_computed_with_is_refused_also_beside_what_stands(engine: sa.Engine) -> None:
    overrides = ClaimOverrides(engine)
    with pytest.raises(InputError, match="more than 0"):
        overrides.put("extraction_cost", "0", author="ann", now_us=1, reason="free")
    with pytest.raises(InputError, match="say why"):
        overrides.put("extraction_cost", "5", author="ann", now_us=1, reason=" ")
    with pytest.raises(InputError, match="needs an author"):
        overrides.put("extraction_cost", "5", author=" ", now_us=1, reason="r")
    assert overrides.standing() == {}
    assert overrides.history("extraction_cost") == []


def test_every_change_stays_on_record(engine: sa.Engine) -> None:
    overrides = ClaimOverrides(engine)
    overrides.put("extraction_cost", "5", author="ann", now_us=1, reason="one")
    overrides.put("extraction_cost", "6", author="bo", now_us=2, reason="two")
    overrides.withdraw("extraction_cost", author="ann", now_us=3, reason="three")
    kept = [(one.author, one.at_us, one.reason, then.value) for one, then in overrides.history("extraction_cost")]
    assert kept == [("ann", 1, "one", "5"), ("bo", 2, "two", "6"), ("ann", 3, "three", None)]
