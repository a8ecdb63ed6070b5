"""Charts and rows that commands write: same bytes for the same drawing, and places that cannot be written are said."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tiergate.cli.charts import STYLES, Ending, chart_file, label_lines, write_chart
from tiergate.cli.rows import csv_file, print_rows, write_csv
from tiergate.errors import InputError


def draw(figure: Figure) -> None:
    axes = figure.subplots()
    for style in STYLES:
        axes.plot([0, 1], [1, 1], **style._asdict())
    label_lines(axes, [Ending(1, 1, f"line {place}", style) for place, style in enumerate(STYLES)])


def test_a_chart_is_text_and_names_its_source(tmp_path: Path) -> None:
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    for path in (one, two):
        chart_file(path)
        write_chart(draw, path, title="From $1 to $2", source="made up, for a test")
    text = one.read_text()
    assert "Source: made up, for a test" in text
    assert "From $1 to $2" in text
    assert "line 6" in text
    assert one.read_bytes() == two.read_bytes()


def test_lines_that_end_together_are_named_below_each_other(tmp_path: Path) -> None:
    seen: list[Figure] = []

    def remembered(figure: Figure) -> None:
        draw(figure)
        seen.append(figure)

    write_chart(remembered, tmp_path / "one.svg", title="t", source="s")
    places = sorted(text.xyann[1] for text in seen[0].axes[0].texts)  # type: ignore[attr-defined]
    assert len(places) == len(STYLES)
    assert all(after - before > 10 for before, after in pairwise(places))
    beside = [line.get_marker() for line in seen[0].axes[0].lines if len(line.get_xdata()) == 1]  # type: ignore[arg-type]
    assert beside == [style.marker for style in STYLES], "in print, only its marker says whose name it is"


def test_a_picture_of_dots(tmp_path: Path) -> None:
    write_chart(draw, tmp_path / "one.png", title="t", source="s", size=(2, 2))
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_no_two_lines_are_told_apart_by_colour_alone() -> None:
    assert len({(style.linestyle, style.marker) for style in STYLES}) == len(STYLES)


@pytest.mark.parametrize(
    ("name", "said"), [("one.pdf", r"an \.svg or a \.png"), ("is.svg", "is a folder: give `--chart`")]
)
def test_what_is_no_chart_is_said_before_the_work(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "is.svg").mkdir()
    with pytest.raises(InputError, match=said):
        chart_file(tmp_path / name)


def test_rows_reach_a_spreadsheet_without_formulas(tmp_path: Path) -> None:
    csv_file(tmp_path / "new" / "rows.csv")
    write_csv(tmp_path / "new" / "rows.csv", [{"model": "=HYPERLINK()", "usd": 1.5, "day": None}])
    with (tmp_path / "new" / "rows.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"model": "'=HYPERLINK()", "usd": "1.5", "day": ""}]


def test_a_table_shows_what_looks_like_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["model", "USD"], [["[bold]x[/]", 1]], right="lr")
    assert "[bold]x[/]" in capsys.readouterr().out


def test_a_narrow_table_breaks_its_headings_and_words_and_no_day_or_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    headings = ("claim", "by", "exchanges, at least", "released", "answers")
    print_rows(headings, [("a" * 12, "Anthropic", "13,000,000", "2026-02-23", "denied, disputed, not answered")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert [line for line in lines if "13,000,000" in line and "2026-02-23" in line]
    assert [line for line in lines if line.split() == ["exchanges,"]]
    print_rows(headings[:3], [("a", "b", 1)])
    assert "exchanges, at least" in capsys.readouterr().out
