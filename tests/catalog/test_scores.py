"""Vintages of Epoch's index are read in every form they were published in; what is no score is left out or refused."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.scores import Score, read_vintage, shipped
from tiergate.errors import InputError

NEW = "Model,Display name,eci,eci_ci_low,eci_ci_high,date,Organization,Country (of organization),Model accessibility"
OLD = "Model version,ECI Score,Release date,Organization,Country,Model accessibility,Confidence,Display name"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_both_forms_of_the_columns_are_read_to_the_same(tmp_path: Path) -> None:
    us = "United States of America"
    new = read_vintage(written(tmp_path, NEW, f"a-1,A 1,150.5,149,152,2025-08-07,Google DeepMind,{us},API access"))
    assert new.scores == (Score("A 1", 150.5, 149.0, 152.0, dt.date(2025, 8, 7), ("Google",), ("US",), "closed"),)
    old = read_vintage(written(tmp_path, OLD, f"a-1,150.5,2025-08-07,Google DeepMind,{us},API access,Likely,A 1"))
    assert old.scores == (Score("A 1", 150.5, None, None, dt.date(2025, 8, 7), ("Google",), ("US",), "closed"),)
    assert not old.has_intervals


def test_rows_that_are_no_scores_are_left_out_and_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path, OLD,
        "a,150,2025-08-07,X,China,Open weights (unrestricted),,A",
        "b,,2025-08-07,X,China,,,B",
        "c,140,,X,China,,,C",
        "d,161,2026-04-07,X,China,,,D*",
    )  # fmt: skip
    vintage = read_vintage(path)
    assert [one.model for one in vintage.scores] == ["A"]
    assert vintage.left_out == {
        "without a score": 1, "without a day of release": 1, "starred as not Epoch's own": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("Model,date",), "no column for the score: one of eci, ECI Score"),
        ((NEW,), "no model with a score"),
        ((NEW, "a,A,many,,,2025-08-07,X,China,API access"), "line 2: `many` is no score"),
        ((NEW, "a,A\x1b[2J,150,,,2025-08-07,X,China,API access"), "line 2: the model has characters that cannot be"),
        ((NEW, "a,A,inf,,,2025-08-07,X,China,API access"), "line 2: `inf` is no score"),
        ((NEW, "a,A,150,,,last week,X,China,API access"), "line 2: `last week` is no day"),
        ((NEW, "a,A,150,,,9999-12-31,X,China,API access"), "line 2: no model came out on 9999-12-31"),
        ((NEW, "a,A,150,149,,2025-08-07,X,China,API access"), "line 2: an interval has two ends"),
        ((NEW, "a,A,150,152,149,2025-08-07,X,China,API access"), "line 2: an interval has two ends"),
        ((NEW + ",as_of,source,licence", "a,A,150,,,2025-08-07,X,China,,2026-01-01,me,NC"), "a licence of"),
        ((NEW + ",as_of,source,licence", "a,A,150,,,2025-08-07,X,China,,,me,MIT"), "a fact needs as_of"),
    ],
)
def test_a_file_that_is_no_vintage_is_refused(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_vintage(written(tmp_path, *lines))
    assert said in str(caught.value)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.text(alphabet='a1,."\n\r-*\x00é', max_size=60), max_size=5).map(
            lambda rows: "\n".join([NEW, *rows]).encode()
        ),
    )
)
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert read_vintage(path).scores


def test_what_was_out_on_a_day() -> None:
    vintage = shipped()
    assert vintage.until(dt.date(2023, 3, 15)).last == dt.date(2023, 3, 15)
    with pytest.raises(InputError, match="give a day from 2023-02-24 on"):
        vintage.until(dt.date(2022, 1, 1))
    with pytest.raises(InputError, match="ends on 2026-07-31"):
        vintage.until(dt.date(2026, 11, 1))
    with pytest.raises(InputError, match="did you mean `Kimi K2"):
        vintage.find("Kimi K2")


@pytest.mark.shared_data
def test_shipped_rows_are_those_of_the_vintage_they_name(shared_data: Path) -> None:
    whole = set(read_vintage(shared_data / "market" / "eci" / "2026-08-11_scores.csv").scores)
    assert shipped().name == "2026-08-11"
    assert [one.model for one in shipped().scores if one not in whole] == []


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "scored"), [("2026-02", 139), ("2026-03", 280), ("2026-04", 296), ("2026-08-11", 222)]
)
def test_every_vintage_is_read(shared_data: Path, name: str, scored: int) -> None:
    vintage = read_vintage(shared_data / "market" / "eci" / f"{name}_scores.csv")
    assert len(vintage.scores) == scored
    assert {"US", "CN", "FR"} <= set(vintage.countries)
    assert "Google" in vintage.developers
