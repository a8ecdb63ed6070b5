"""A case keeps its name while its accounts change, and its e-value adds up over looks."""

from __future__ import annotations

import pytest

from tiergate.detection.lineage import History, Seen, matched
from tiergate.detection.looks import calibrated

DAY = 86_400_000_000


def accounts(start: int, stop: int) -> frozenset[str]:
    return frozenset(f"a{number:03}" for number in range(start, stop))


def seen(name: str, start: int, stop: int, expected: float = 0.002) -> Seen:
    return Seen(name, accounts(start, stop), 10.0, expected)


def follow(*looks: list[Seen]) -> History:
    history = History.empty()
    for number, cases in enumerate(looks):
        history = history.followed(cases, number * DAY)
    return history


def lineages(history: History) -> dict[str, str]:
    return {case: str(row["lineage_id"]) for case, row in history.latest().items()}


def test_a_case_that_grows_and_shrinks_stays_itself() -> None:
    history = follow([seen("one", 0, 10)], [seen("two", 0, 200)], [seen("three", 50, 120)])
    assert lineages(history) == {"three": "one"}
    row = history.latest()["three"]
    assert (row["sightings"], row["look"], row["accounts"]) == (3, 3, 70)
    assert str(row["first_opened_at"]).startswith("1970-01-01")


def test_of_two_halves_the_larger_goes_on() -> None:
    history = follow([seen("whole", 0, 100)], [seen("small", 0, 40), seen("large", 40, 100)])
    assert lineages(history) == {"small": "small", "large": "whole"}


def test_of_two_that_merge_the_larger_goes_on() -> None:
    history = follow([seen("small", 0, 40), seen("large", 40, 100)], [seen("both", 0, 100)])
    assert lineages(history) == {"both": "large"}


def test_strangers_begin_their_own_and_one_that_comes_back_is_known() -> None:
    history = follow([seen("one", 0, 30)], [seen("other", 28, 58)], [seen("back", 3, 30), seen("other", 28, 58)])
    assert lineages(history) == {"back": "one", "other": "other"}
    assert history.latest()["back"]["sightings"] == 2


def test_the_same_accounts_after_their_lineage_moved_on_begin_another() -> None:
    history = follow([seen("x", 0, 10)], [seen("y", 4, 12)], [seen("z", 8, 16)], [seen("x", 0, 10), seen("z", 8, 16)])
    assert lineages(history) == {"x": "x-4", "z": "x"}


def test_matching_needs_a_third_in_common_or_half_of_the_smaller() -> None:
    assert matched({"l": accounts(0, 100)}, {"c": accounts(60, 130)}) == {"c": "l"}  # half of the smaller, and more
    assert matched({"l": accounts(0, 100)}, {"c": accounts(70, 160)}) == {}
    assert matched({"l": accounts(0, 100)}, {"c": accounts(54, 154)}) == {}  # Jaccard 46/154
    assert matched({"l": accounts(0, 100)}, {"c": accounts(53, 153)}) == {"c": "l"}  # Jaccard 47/153


def test_the_e_value_adds_up_with_its_weights_and_gaps_add_nothing() -> None:
    history = follow([seen("a", 0, 9, 0.01)], [], [seen("a", 0, 9, 0.5)])
    e = history.latest()["a"]["running_e"]
    assert e == pytest.approx(calibrated(0.01) / 2 + calibrated(0.5) / 12)
    late = follow([], [], [seen("a", 0, 9, 0.01)])
    assert late.latest()["a"]["running_e"] == pytest.approx(calibrated(0.01) / 2)
    alone = History.empty().followed([seen("a", 0, 9, 0.01)], 0, alone=True)
    assert alone.latest()["a"]["running_e"] == pytest.approx(calibrated(0.01))


def test_the_last_look_once_more_adds_nothing() -> None:
    history = follow([seen("a", 0, 9), seen("b", 20, 29)], [seen("a", 0, 9)])
    again = history.followed([seen("c", 0, 10), seen("d", 20, 29), seen("e", 40, 49)], DAY, again=True)
    assert again.count == 2
    before, told = history.latest()["a"], again.latest()
    assert told["c"]["lineage_id"] == "a"
    assert [told["c"][name] for name in ("running_e", "sightings")] == [before["running_e"], 2]
    assert told["d"]["running_e"] == pytest.approx(calibrated(0.002) / 2)
    assert told["e"]["running_e"] == 0


def test_a_case_stands_by_itself_or_with_others_of_its_look() -> None:
    strong, weak = [seen("s", 0, 9)], [seen("w", 20, 29, 0.3)]
    assert follow(strong).latest()["s"]["stands"]
    both = follow(strong + weak).latest()
    assert (both["s"]["stands"], both["w"]["stands"]) == (False, False)  # 35 < 2 / 0.05
    later = follow(strong + weak, strong).latest()
    assert later["s"]["stands"]  # 69 (1/2 + 1/6) > 40
    assert follow(weak, strong).latest()["s"]["stands"]  # cohorts do not dilute each other


def test_the_history_stays_sorted_by_look_and_empty_looks_count() -> None:
    history = follow([seen("a", 0, 9)], [], [seen("a", 0, 9), seen("b", 20, 29)])
    assert history.count == 3
    assert history.looks["look"].to_pylist() == [1, 3, 3]
    assert history.looks["p"].to_pylist() == [0.002] * 3
    assert len(history.members) == 18
