"""What is counted of a case: wording, values in common, places and ways of its graph."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.response.evidence.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tiergate.response.answers import Answers
from tiergate.response.case_files import CaseFile
from tiergate.response.graph import Link, layout, way
from tiergate.response.in_common import in_common
from tiergate.response.sheets import Failed, Sheet, Sheets
from tiergate.response.wording import wording

LISTS = pa.list_(pa.int64())


def rows(templates: list[list[int] | None], accounts: list[str]) -> pa.Table:
    count = len(templates)
    return pa.table(
        {
            "account_id": pa.array(accounts, pa.string()), "sketch_system": pa.array([[1, 2]] * count, LISTS),
            "sketch_template": pa.array(templates, LISTS), "sketch_prompt": pa.array(range(count), pa.int64()),
            "sketch_intent": pa.array([1] * count, pa.int64()),
        }
    )  # fmt: skip


def test_pieces_that_recur_are_told_from_slots() -> None:
    templates = [[7, 100 + number] for number in range(20)] + [[8, 9], None]
    told = wording(rows(templates, ["a", "b"] * 11), np.arange(22) < 20)
    piece = next(one for one in told.pieces if one.mark == "template:0000000000000007")
    assert (piece.charged_share, piece.other_share, piece.accounts) == (1.0, 0.0, 2)
    assert told.fixed == 0.5
    assert (told.asked, told.messages, told.systems) == (20, 20, 1)
    assert told.asks[0].charged_share == 1.0


def test_values_that_two_accounts_have_are_told_with_who_has_them() -> None:
    table = pa.table(
        {"account_id": ["a", "b", "b", "c"], "user_agent": ["x", "x", "y", None], "client_asn": [1, 2, 2, 1]}
    )
    told = in_common([table, None], ["a", "b", "c"])
    assert [(one.kind, one.value, one.accounts) for one in told] == [
        ("autonomous system", "1", [0, 2]), ("user agent", "x", [0, 1]),
    ]  # fmt: skip


LINKS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(1, 9)).filter(lambda one: one[0] != one[1]), max_size=14
)


@given(LINKS, st.integers(0, 7), st.integers(0, 7))
def test_a_way_is_the_shortest_and_holds_together(pairs: list[tuple[int, int, float]], start: int, end: int) -> None:
    links = [Link(a=a, b=b, weight=weight, families=[]) for a, b, weight in pairs]
    reached, steps = {start}, 0
    while end not in reached:
        more = {x for one in links for x in (one.a, one.b) if {one.a, one.b} & reached} - reached
        if not more:
            assert way(links, start, end) == []
            return
        reached, steps = reached | more, steps + 1
    found = way(links, start, end)
    assert len(found) == steps
    assert all({one.a, one.b} & {two.a, two.b} for one, two in pairwise(found))


def test_places_are_the_same_each_time_and_apart() -> None:
    ends = np.array([[0, 1], [1, 2], [3, 4]])
    one, two = (layout(6, ends, np.ones(3)) for _ in range(2))
    assert np.array_equal(one, two)
    gaps = np.linalg.norm(one[:, None] - one[None], axis=2)[np.triu_indices(6, 1)]
    assert gaps.min() > 0.01
    assert layout(1, np.empty((0, 2), np.int64), np.empty(0)).shape == (1, 2)


def test_a_sheet_counts_what_the_look_read_and_is_kept(deployment: Deployment) -> None:  # noqa: F811
    file, members = deployment.file, sorted(deployment.members)

    def made(file: CaseFile) -> Sheet | Failed | None:
        sheets = Sheets(deployment.data, Answers(deployment.data))
        try:
            sheets.of(file, members)
            sheets.wait()
            return sheets.of(file, members)
        finally:
            sheets.close()

    sheet = made(file)
    assert isinstance(sheet, Sheet)
    assert sum(count for count, _ in sheet.bins) == sheet.traffic.charged == file.found.exchanges
    assert len(sheet.points) == len(sheet.accounts) == len(members)
    assert any(one.kind == "payment instrument" for one in sheet.in_common)
    assert sheet.wording.pieces[0].charged_share > 0.5
    (deployment.data / "sheets").chmod(0o500)
    assert made(file) == sheet
