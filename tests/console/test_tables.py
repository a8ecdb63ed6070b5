"""Tables as CSV, and charts as JSON within a page."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from tiergate.console.charts import Chart, Series
from tiergate.console.rendering import UNKNOWN, cell, seconds, share, usd
from tiergate.console.tables import Column, Link, Table, csv_lines

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(TEXT, st.integers()), max_size=5))
def test_csv_gives_back_what_a_table_has_and_nothing_that_computes(rows: list[tuple[str, int]]) -> None:
    columns = [Column("name", "Name"), Column("n", "N", "count")]
    table = Table(name="t", columns=columns, rows=[{"name": Link(name, "/x"), "n": n} for name, n in rows])
    text = "".join(csv_lines(table))
    head, *read = list(csv.reader(io.StringIO(text, newline="")))
    assert head == ["name", "n"]
    for (name, n), (said, count) in zip(rows, read, strict=True):
        assert said.removeprefix("'") == name.removeprefix("'")
        assert not said.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert int(count) == n


@given(TEXT)
def test_a_name_cannot_end_the_script_that_a_chart_stands_in(name: str) -> None:
    chart = Chart(
        name="c",
        title=name,
        x_title=name,
        y_title="",
        x=[1],
        series=[Series(name="s", title=name, values=[float("nan")])],
    )
    text = str(chart.json())
    assert not set("<>&") & set(text)
    held = json.loads(text)
    assert held["xTitle"] == name
    assert held["series"][0]["values"] == [None]


def test_values_are_written_for_people() -> None:
    dollars = [usd(v) for v in (None, 0, 1_234, 2_500_000, 45_678_900_000)]
    assert dollars == [UNKNOWN, "$0.00", "$0.0012", "$2.50", "$45,679"]
    assert [share(v) for v in (0, 1, 0.034127)] == ["0%", "100%", "3.41%"]
    assert [seconds(v) for v in (0.012, 3, 7200, 200_000)] == ["12 ms", "3 s", "2 h", "2.31 d"]
    assert cell(Link("<b>", "/a?b=1&c"), "code") == '<a href="/a?b=1&amp;c"><code>&lt;b&gt;</code></a>'
