"""List prices: which is in force on a day, and files that are none."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.priced_models import find_priced, priced_models
from tiergate.catalog.prices import ListPrice, Since, as_prices, read_prices, shipped_prices, write_prices
from tiergate.errors import InputError

HEADER = "provider,id,input,output,cached_input,first_seen,effective,as_of,source,licence,note\n"


def price(seen: dt.date, usd: float | None, *, effective: dt.date | None = None, name: str = "m") -> ListPrice:
    return ListPrice(
        provider="p", id=name, input=usd, output=usd, first_seen=seen, effective=effective, as_of=seen, source="s",
        licence="MIT",
    )  # fmt: skip


def test_a_price_that_was_in_force_before_it_was_seen_counts_from_then_on() -> None:
    before = price(dt.date(2026, 7, 31), 1.0)
    after = price(dt.date(2026, 8, 31), 0.2, effective=dt.date(2026, 7, 30))
    known = as_prices([after, before])
    assert known.on("m", dt.date(2026, 7, 31)) is after
    assert known.on("m", dt.date(2026, 7, 30)).dated_by is Since.EFFECTIVE
    with pytest.raises(InputError, match="no price of `m` is on file before 2026-07-30"):
        known.on("m", dt.date(2026, 7, 29))
    assert known.in_force("m", dt.date(2026, 7, 29)) is None


def test_an_id_that_is_not_there_names_one_that_is() -> None:
    with pytest.raises(InputError, match=r"did you mean `gpt-5\.6-luna`"):
        shipped_prices().changes("gpt-5.6-lunar")


prices = st.builds(
    price,
    st.dates(dt.date(2024, 1, 1), dt.date(2026, 12, 31)),
    st.none() | st.floats(0, 1_000, allow_subnormal=False),
    name=st.sampled_from(["a", "b,c", 'd"e', "f/g"]),
)


@given(st.lists(prices, min_size=1, unique_by=lambda one: (one.id, one.first_seen)))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, rows: list[ListPrice]) -> None:
    folder = tmp_path_factory.mktemp("prices")
    write_prices(rows, folder / "one.csv")
    write_prices(reversed(rows), folder / "two.csv")
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()
    read = read_prices(folder / "one.csv").by_id
    for name, changes in as_prices(rows).by_id.items():
        for one, again in zip(changes, read[name], strict=True):
            assert (one.first_seen, one.input is None) == (again.first_seen, again.input is None)
            assert again.input == (None if one.input is None else pytest.approx(one.input, rel=1e-11))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n", "is no file of prices: its columns must be provider,id,"),
        (HEADER, "has no price"),
        (HEADER + "p,m,1,2,,2026-01-01,,2026-01-01,,MIT,\n", "line 2: .*missing required field `source`"),
        (HEADER + "p,m,1,,,2026-01-01,,2026-01-01,s,MIT,\n", "line 2: a price has input and output"),
        (HEADER + "p,m,nan,2,,2026-01-01,,2026-01-01,s,MIT,\n", "line 2: `nan` is no amount"),
        (HEADER + "p,m,1,-2,,2026-01-01,,2026-01-01,s,MIT,\n", "line 2: -2 is no price"),
        (HEADER + "p,m,1,2e9,,2026-01-01,,2026-01-01,s,MIT,\n", "line 2: 2e\\+09 is no price"),
        (HEADER + "p,m,1,2,,9999-12-31,,2026-01-01,s,MIT,\n", "line 2: a price of 9999-12-31 is none"),
        (HEADER + "p,m,1,2,,yesterday,,2026-01-01,s,MIT,\n", "line 2: Invalid RFC3339"),
        (HEADER + "p,m,1,2,,2026-01-01,,2026-01-01,s,CC-BY-NC-4.0,\n", "does not let data be shipped"),
        (HEADER + "p,m,1,2,,2026-01-01,,2026-01-01,s,MIT,,more\n", "line 2: more cells than columns"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "prices.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_prices(tmp_path / "prices.csv")


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_prices(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_prices(tmp_path / "binary.csv")


def test_every_shipped_model_has_a_shipped_price() -> None:
    known = shipped_prices()
    assert [name for model in priced_models() for name in model.ids if name not in known.by_id] == []
    assert len(priced_models()) > 80


def test_a_model_is_found_by_any_of_its_names() -> None:
    assert find_priced("GPT 5.6 luna") is find_priced("gpt-5.6-luna")
    assert find_priced("deepseek/deepseek-v4-flash").model == "DeepSeek V4 Flash 0731"
    with pytest.raises(InputError, match="no price is on file for a model `GPT-9`: did you mean"):
        find_priced("GPT-9")
    with pytest.raises(InputError, match="see `tiergate catalog prices`"):
        find_priced("zzzz")


def test_a_published_price_is_on_file() -> None:
    # Mythos Preview at 25/125 to members: techjacksolutions.com/?p=45647, by way of market.md section 1.1.
    preview = shipped_prices().on("claude-mythos-preview", dt.date(2026, 4, 8))
    assert (preview.input, preview.output, preview.licence) == (25.0, 125.0, "fact")
    # Mythos 5 at 10/50: litellm 1.109.1, by way of the same.
    mythos = shipped_prices().on("claude-mythos-5", dt.date(2026, 11, 1))
    assert (mythos.input, mythos.output) == (10.0, 50.0)
    # OpenAI's flagship 5/30 -> 4/20 on 2026-08-21: the README of model-prices, by way of market.md section 1.4.
    assert shipped_prices().on("gpt-5.6-sol", dt.date(2026, 8, 20)).input == 5.0
    sol = shipped_prices().on("gpt-5.6-sol", dt.date(2026, 8, 21))
    assert (sol.input, sol.output, sol.dated_by) == (4.0, 20.0, Since.EFFECTIVE)
