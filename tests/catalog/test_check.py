"""The check of files of facts: what is shipped passes, rows without citation do not, and no file breaks it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.check import check_file
from tiergate.cli.catalog_check import shipped
from tiergate.errors import InputError

CITED = 'as_of = 2026-11-28\nsource = "https://example.org"\nlicence = "fact"\n'


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_every_fact_that_is_shipped_has_its_day_source_and_licence(path: Path) -> None:
    checked = check_file(path)
    assert checked.faults == ()
    assert checked.rows > 1


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (f"[[price]]\nusd = 1\n{CITED}", []),
        ("[[price]]\nusd = 1\n", ["price 1: Object missing required field `as_of`"]),
        (f"[[price]]\nid = 'x'\n{CITED}".replace('"fact"', '"CC-BY-NC-4.0"'), ["price x: the licence `CC-BY-NC-4.0`"]),
        (f"[[price]]\nid = 'x'\n{CITED}".replace('"https://example.org"', '""'), ["price x: Object missing"]),
        # A table of tables is a heading, each of them a row; a row within one need not repeat its citation.
        (f"[prices.small]\nusd = 1\n{CITED}[prices.large]\nusd = 2\n", ["prices.large: Object missing"]),
        (f"[[price]]\n{CITED}[[price.step]]\nusd = 1\n", []),
        (f"[[price]]\nusd = 1\n{CITED}[price.range]\nlow = 1\n", []),
        # Known kinds are read as what they are.
        (f"[[provider]]\nid = 'x'\n{CITED}", ["missing required field `name`"]),
        (f"[[model]]\nid = 'x'\n{CITED}", ["missing required field `name`"]),
    ],
)
def test_rows_of_toml(tmp_path: Path, text: str, faults: list[str]) -> None:
    path = tmp_path / "facts.toml"
    path.write_text(text)
    found = check_file(path).faults
    assert len(found) == len(faults)
    assert all(part in one for part, one in zip(faults, found, strict=True))


def test_rows_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "facts.csv"
    path.write_text("model,as_of,source,licence\na,2026-08-11,https://epoch.ai,CC-BY-4.0\nb,,https://epoch.ai,none\n")
    checked = check_file(path)
    assert checked.rows == 2
    assert checked.faults == ("line 3: Object missing required field `as_of`",)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{}", "ends in .toml or .csv"),
        ("a.toml", "", "has no rows"),
        ("a.toml", "[[a", "cannot be read"),
    ],
)
def test_what_is_no_file_of_facts(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        check_file(tmp_path / name)
    with pytest.raises(InputError, match="there is no file"):
        check_file(tmp_path / "none.toml")


@given(st.binary(max_size=200), st.sampled_from([".toml", ".csv"]))
def test_whatever_a_file_has_is_checked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"facts{kind}"
    path.write_bytes(raw)
    with suppress(InputError):
        check_file(path)


VALUES = st.recursive(
    st.integers(-9, 9) | st.sampled_from(['"x"', "2026-01-01", "true"]).map(str),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(map(str, found))}]")
        | st.dictionaries(st.sampled_from(["id", "as_of", "source", "licence", "a"]), inner, max_size=3).map(
            lambda found: "{" + ", ".join(f"{name} = {value}" for name, value in found.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["model", "provider", "id", "as_of", "source", "x"]), VALUES, min_size=1))
def test_whatever_toml_says_is_checked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "facts.toml"
    path.write_text("".join(f"{name} = {value}\n" for name, value in rows.items()))
    with suppress(InputError):
        check_file(path)
