"""The report: one file, no network, everything in it, the same marks each time."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tiergate.cli.report import Outcome, write_report
from tiergate.cli.report.layout import spring_layout
from tiergate.cli.report.traffic import traffic_by_case
from tiergate.cli.report.write import Answer, Truth
from tiergate.errors import SettingsError

CASE = "case_7f3a90bb12cd"
OUTCOME = Outcome(CASE, "verify", "analyst", "a reason", [Answer("acct-001, a member", 403, '{"code": "<verify>"}')])
TRUTH = Truth("the preset demo", [("campaign", 40, 38), ("office", 30, 0)], frozenset({"campaign"}))


class Page(HTMLParser):
    """Ids, addresses that a browser would load, open tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in {"src", "href", "xlink:href", "srcset"} and value:
                self.loads.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(cases_folder: Path, traffic: list[pa.RecordBatch]) -> Page:
    path = write_report(
        cases_folder, cases_folder, exchanges=traffic, sources=["logs/"], outcomes=[OUTCOME], truth=TRUTH
    )
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_from_outside(page: Page) -> None:
    assert page.loads
    assert all(address.startswith(("#", "data:,")) for address in page.loads)
    assert "script" not in page.tags


def test_every_reference_inside_the_page_has_a_target(page: Page, cases_folder: Path) -> None:
    text = (cases_folder / "report.html").read_text(encoding="utf-8")
    assert len(page.ids) == len(set(page.ids))
    wanted = {a[1:] for a in page.loads if a.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted <= set(page.ids)


def test_the_page_shows_five_figures_in_colours_that_follow_the_theme(page: Page, cases_folder: Path) -> None:
    assert page.tags.count("svg") == 5
    drawn = re.findall(r"<svg.*?</svg>", (cases_folder / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert not [c for svg in drawn for c in re.findall(r"#[0-9a-f]{6}\b", svg) if c.startswith("#0102")]
    assert all("var(--" in svg for svg in drawn)


def test_the_page_says_what_a_reader_must_know(page: Page) -> None:
    for words in (
        "40 accounts work through one queue",
        "<unusual for the platform>",
        "activity falls by 40% at night",
        "Simulated.",
        '{"code": "<verify>"}',
        "acct-039",
        "score 13.8: links 7.5, workload +6.2",
        "workload, pivot (40% of those who could",
        "It proves coordination",
    ):
        assert words in page.text
    assert "acct-001, a member got HTTP 403" in page.text


def test_figures_are_the_same_each_time(cases_folder: Path, traffic: list[pa.RecordBatch]) -> None:
    def drawn() -> list[str]:
        path = write_report(cases_folder, cases_folder, exchanges=traffic, sources=[])
        return re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL)

    assert drawn() == drawn()


def test_a_missing_extra_is_one_line_with_the_remedy(cases_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SettingsError, match=r"pip install 'tiergate\[report\]'"):
        write_report(cases_folder, cases_folder, exchanges=[], sources=[])


def test_traffic_counts_every_exchange_once(traffic: list[pa.RecordBatch]) -> None:
    members = {f"acct-{n:03}" for n in range(40)}
    counted = traffic_by_case(traffic, {"a": members, "b": {"acct-001", "nobody"}})
    case, part = counted["a"], counted["b"]
    assert case.case.sum() == case.case_hours.sum() == 4_321
    assert case.rest.sum() == case.rest_hours.sum() == 15_000
    assert 0 < part.case.sum() < 4_321
    assert part.case.sum() + part.rest.sum() == 19_321
    assert len(case.starts) == len(case.case) == 56


def test_layout_keeps_linked_points_together() -> None:
    group = [(a, b) for a in range(10) for b in range(a)]
    ends = np.array(group + [(a + 10, b + 10) for a, b in group])
    places = spring_layout(20, ends, np.ones(len(ends)))
    assert np.isfinite(places).all()
    centres = places[:10].mean(0), places[10:].mean(0)
    spread = np.linalg.norm(places[:10] - centres[0], axis=1).mean()
    assert np.linalg.norm(centres[0] - centres[1]) > spread
