"""Questions are settled by what is out, forecast while they are open, and refused when nothing could settle them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tiergate.catalog.scores import read_vintage, shipped
from tiergate.economics.questions import Resolution, leader_now, outlook, read_questions, resolve
from tiergate.errors import InputError

HEAD = """
[[question]]
id = "mine"
text = "Ours"
asked = 2026-01-01
by = 2026-07-01
as_of = 2026-01-01
source = "us"
licence = "own"
"""


@pytest.fixture(scope="module")
def resolved() -> dict[str, Resolution]:
    return {one.question.id: one for one in resolve(read_questions(), shipped())}


def test_the_essay_against_the_index(resolved: dict[str, Resolution]) -> None:
    # Source book 1.4: Kimi K3, 2026-07-16, 4.4 to 5.3 months after the trio; o1 after 17.9 months, GPT-5 not by August.
    china = resolved["china-reaches-april-frontier"]
    assert (china.outcome, china.on) == ("yes", dt.date(2026, 7, 16))
    assert china.because.startswith(
        "Kimi K3 (157.0); GPT-5.4 (156.7) after 4.4 months, Claude Opus 4.6 (155.2) after 5.3"
    )
    assert "after 17.9 months" in resolved["us-open-reaches-o1"].because
    assert resolved["us-open-reaches-gpt-5"].outcome == "open"
    assert resolved["china-closes-the-gap"].outcome == "open"
    assert "4.6 on 2026-07-31" in resolved["china-closes-the-gap"].because
    assert [resolved[name].outcome for name in ("price-compression", "glasswing-expands", "members-ahead")] == [
        "mixed", "yes", "no"
    ]  # fmt: skip


def test_what_is_settled_later_is_open_before() -> None:
    day = dt.date(2026, 6, 20)
    found = {one.question.id: one for one in resolve(read_questions(), shipped().until(day), known_by=day)}
    assert found["price-compression"].outcome == "open"
    assert found["price-compression"].because == "nothing is known yet"
    assert found["members-ahead"].outcome == "no"
    assert found["china-reaches-april-frontier"].outcome == "open"
    assert found["china-reaches-april-frontier"].chance is not None


def test_a_forecast_is_of_days_to_come_and_rises() -> None:
    vintage = shipped()
    found = outlook(vintage, "open", leader_now(vintage, "closed"))
    assert found is not None
    assert found.model == "GPT-5.6 Sol"
    assert found.on <= found.low < found.median < found.high
    chances = [found.chance(found.on + dt.timedelta(days=days)) for days in range(0, 2000, 50)]
    assert chances == sorted(chances)
    assert 0 < chances[0] < 0.1
    assert 0.9 < chances[-1] < 1
    assert found.chance(found.median) == pytest.approx(0.5, abs=0.02)
    assert outlook(vintage, "US", leader_now(vintage, "closed")) is None


@pytest.mark.shared_data
def test_a_vintage_that_does_not_have_a_model_says_so(shared_data: Path) -> None:
    vintage = read_vintage(shared_data / "market" / "eci" / "2026-04_scores.csv")
    found = {one.question.id: one for one in resolve(read_questions(), vintage)}
    assert found["us-open-reaches-o1"].outcome == "open"
    assert "has no model `o1`: did you mean" in found["us-open-reaches-o1"].because


def test_questions_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + 'kind = "reach"\nfollower = "Meta"\nmodels = ["o3"]\n')
    (found,) = resolve(read_questions(path), shipped())
    assert (found.outcome, found.on) == ("yes", dt.date(2026, 4, 8))  # Muse Spark 152.8, o3 146.9
    path.write_text(HEAD + 'kind = "gap"\nfollower = "Google"\nleader = "OpenAI"\nat_most = 0.5\n')
    (found,) = resolve(read_questions(path), shipped())
    assert (found.outcome, found.on) == ("no", None)


def test_a_question_is_not_kept_back_where_it_was_asked_after_the_vintages_end(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    later = HEAD.replace("asked = 2026-01-01", "asked = 2026-11-28").replace("by = 2026", "by = 2028")
    for rows, outcome, said in (
        ('kind = "reach"\nfollower = "open"\nmodels = ["GPT-5"]\n', "yes", "months, before it was asked"),
        ('kind = "gap"\nfollower = "open"\nleader = "closed"\nat_most = 9\n', "open", "before it was asked"),
    ):
        path.write_text(later + rows)
        (found,) = resolve(read_questions(path), shipped())
        assert (found.outcome, found.because.endswith(said)) == (outcome, True)
    assert resolve(read_questions(path), shipped(), known_by=dt.date(2026, 11, 27)) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('kind = "reach"\nfollower = "open"\n', "question `mine` of kind `reach` needs models"),
        ('kind = "gap"\nfollower = "open"\nleader = "closed"\n', "needs at_most"),
        ('kind = "cited"\noutcome = "yes"\n', "needs outcome and settled"),
        ('kind = "cited"\noutcome = "yes"\nsettled = 2026-02-01\n', "needs evidence"),
        ('kind = "reach"\nfollower = "open"\nmodels = ["o1"]\noutcome = "yes"\n', "leave `outcome` out"),
        ('kind = "gap"\nfollower = "open"\nleader = "closed"\nat_most = nan\n', "`at_most` is a number of points"),
        ('kind = "guess"\n', "Invalid enum value 'guess'"),
        ('kind = "cited"\ncolour = 1\n', "unknown field `colour`"),
        ('kind = "cited"\n' + HEAD + 'kind = "cited"\n', "two questions `mine`"),
        (
            'kind = "cited"\n' + HEAD.replace("by = 2026", "by = 2025") + 'kind = "cited"\n',
            "`by` must come after `asked`",
        ),
        (
            'kind = "cited"\n' + HEAD.replace('"own"', '"CC-BY-NC-4.0"') + 'kind = "cited"\n',
            "does not let data be shipped",
        ),
    ],
)
def test_a_question_that_nothing_could_settle_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + rows)
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert said in str(caught.value)
