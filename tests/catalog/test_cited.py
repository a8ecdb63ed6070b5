"""A fact without its day, source or licence is refused, and one whose licence forbids shipping it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiergate.catalog.cited import Amount, read_facts
from tiergate.errors import InputError

GOOD = {
    "as_of": "2026-11-24",
    "source": '"https://example.org"',
    "licence": '"fact"',
    "low": "1.0",
    "mode": "2.0",
    "high": "3.0",
    "unit": '"USD"',
}


class Prices(msgspec.Struct, forbid_unknown_fields=True):
    price: list[Amount]


def written(path: Path, **changed: str | None) -> Path:
    rows = {name: text for name, text in (GOOD | changed).items() if text is not None}
    path.write_text("[[price]]\n" + "".join(f"{name} = {text}\n" for name, text in rows.items()))
    return path


def test_a_fact_is_read_with_its_citation(tmp_path: Path) -> None:
    (price,) = read_facts(written(tmp_path / "prices.toml"), Prices).price
    assert (price.mode, price.as_of.isoformat(), price.licence) == (2.0, "2026-11-24", "fact")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"as_of": None}, "missing required field `as_of`"),
        ({"source": None}, "missing required field `source`"),
        ({"source": '" "'}, "a fact needs a source"),
        ({"source": '"assumption"'}, "an assumption needs its reason"),
        ({"licence": None}, "missing required field `licence`"),
        ({"licence": '"CC-BY-NC-4.0"'}, "`CC-BY-NC-4.0` does not let data be shipped"),
        ({"mode": "4.0"}, "must not fall: 1.0, 4.0, 3.0"),
        ({"colour": "1"}, "unknown field `colour`"),
        ({"low": "["}, "not a file of facts"),
    ],
)
def test_a_fact_without_citation_is_refused(tmp_path: Path, changed: dict[str, str | None], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_facts(written(tmp_path / "prices.toml", **changed), Prices)
    assert said in str(caught.value)
    assert "prices.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_facts(tmp_path / "none.toml", Prices)
