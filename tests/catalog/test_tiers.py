"""The tier of a model on a day: the rules, days that are on record, and changes that add up."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.models import Access, Catalog, Mode, Model, load_catalog
from tiergate.catalog.tiers import RULES, Tier, changes, standing, tiers
from tiergate.errors import InputError

CITED = {"as_of": dt.date(2026, 11, 28), "source": "https://example.org", "licence": "fact"}
FIRST = dt.date(2026, 1, 1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


# Each with the published statement that it holds to.
ON_RECORD = [
    # Launched on 7 April 2026 for members only: cyber-lenin.com/reports/research/20260408_anthropic_mythos_project_...
    ("claude-mythos-preview", "2026-04-06", Tier.UNRELEASED),
    ("claude-mythos-preview", "2026-04-07", Tier.CLASSIFIED),
    # Public on 9 June, off for all from 12 June, back on 1 July: lokalaise.de/en/blog/fable-5-comeback-local-ai.
    ("claude-fable-5", "2026-06-11", Tier.COMMODITY),
    ("claude-fable-5", "2026-06-12", Tier.UNAVAILABLE),
    ("claude-fable-5", "2026-06-30", Tier.UNAVAILABLE),
    ("claude-fable-5", "2026-07-01", Tier.COMMODITY),
    # Restored for approved organisations on 27 June: aigovernance.com/news/mythos-5-partial-reinstatement-...
    ("claude-mythos-5", "2026-06-26", Tier.UNAVAILABLE),
    ("claude-mythos-5", "2026-06-27", Tier.CLASSIFIED),
    # The weights came eleven days after the API: huggingface.co/moonshotai/kimi-k3.
    ("kimi-k3", "2026-07-26", Tier.COMMODITY),
    ("kimi-k3", "2026-07-27", Tier.OPEN),
    # A year old when it was opened, as Grok 2.5, on 23 August 2025: tutitech.jp/xai-libera-grok-2-5-...
    ("grok-2", "2025-08-22", Tier.COMMODITY),
    ("grok-2.5", "2025-08-23", Tier.OPEN),
    # Apache-2.0 on 2 April 2026, whereas Meta's model of that month is closed: onesentinel.org (Ars Technica).
    ("gemma-4", "2026-04-02", Tier.OPEN),
    ("muse-spark", "2026-04-30", Tier.COMMODITY),
    # Approval, which verifying an identity does not give: developers.openai.com/api/docs/guides/safety-checks/...
    ("gpt-5.6-cyber", "2026-08-07", Tier.CLASSIFIED),
    # Retired on 15 June 2026: platform.claude.com/docs/en/release-notes/overview.
    ("claude-opus-4", "2026-06-15", Tier.UNAVAILABLE),
    # Shut down on 23 October 2026: developers.openai.com/api/docs/deprecations.
    ("gpt-4", "2026-10-22", Tier.COMMODITY),
    ("gpt-4", "2026-10-23", Tier.UNAVAILABLE),
    # Epoch's index of August 2026 calls its accessibility unknown.
    ("qwen3.6-max-preview", "2026-08-11", Tier.UNKNOWN),
]


@pytest.mark.parametrize(("name", "on", "tier"), ON_RECORD)
def test_days_that_are_on_record(name: str, on: str, tier: Tier) -> None:
    assert standing(load_catalog().find(name), day(on)).tier is tier


def test_the_same_weights_were_public_after_63_days() -> None:
    # "Fable 5 (same weights, safeguarded) public after 63 days": claudekit.io/en/updates/claude-fable-5-mythos-5.
    catalog = load_catalog()
    waited = catalog.find("claude-fable-5").released - catalog.find("claude-mythos-preview").released
    assert waited.days == 63


def test_what_moved_in_june_and_july_2026_and_by_which_fact() -> None:
    moved = changes(load_catalog(), day("2026-06-01"), day("2026-07-31"))
    told = [(str(one.day), one.model.id, one.before, one.after) for one in moved if one.before != Tier.UNRELEASED]
    assert told == [
        ("2026-06-12", "claude-fable-5", Tier.COMMODITY, Tier.UNAVAILABLE),
        ("2026-06-12", "claude-mythos-5", Tier.CLASSIFIED, Tier.UNAVAILABLE),
        ("2026-06-15", "claude-opus-4", Tier.COMMODITY, Tier.UNAVAILABLE),
        ("2026-06-15", "claude-sonnet-4", Tier.COMMODITY, Tier.UNAVAILABLE),
        ("2026-06-27", "claude-mythos-5", Tier.UNAVAILABLE, Tier.CLASSIFIED),
        ("2026-07-01", "claude-fable-5", Tier.UNAVAILABLE, Tier.COMMODITY),
        ("2026-07-27", "kimi-k3", Tier.COMMODITY, Tier.OPEN),
    ]
    (shut,) = [one for one in moved if one.model.id == "claude-fable-5" and str(one.day) == "2026-06-12"]
    assert {fact.mode for fact in shut.began} == {Mode.SUSPENDED, Mode.NATIONALITY}
    (back,) = [one for one in moved if one.model.id == "claude-fable-5" and str(one.day) == "2026-07-01"]
    assert [fact.mode for fact in back.ended] == [Mode.SUSPENDED]


def test_a_condition_moves_no_tier_and_is_told() -> None:
    found = standing(load_catalog().find("claude-fable-5"), day("2026-08-01"))
    assert found.tier is Tier.COMMODITY
    assert [(one.mode, one.retention_days) for one in found.conditions] == [(Mode.RETENTION, 30)]


def test_days_that_cannot_be_asked_about() -> None:
    catalog = load_catalog()
    with pytest.raises(InputError, match="the catalog begins on 2023-02-24"):
        tiers(catalog, day("2023-02-23"))
    with pytest.raises(InputError, match="give the earlier day first"):
        changes(catalog, day("2026-02-01"), day("2026-01-01"))


def fact(mode: Mode, since: int, length: int | None) -> Access:
    start = FIRST + dt.timedelta(since)
    until = None if length is None or mode is Mode.OPEN_WEIGHTS else start + dt.timedelta(length)
    programme = "p" if mode is Mode.MEMBERSHIP else ""
    retention = 30 if mode is Mode.RETENTION else None
    return Access(mode=mode, since=start, until=until, programme=programme, retention_days=retention, **CITED)


FACTS = st.lists(st.builds(fact, st.sampled_from(Mode), st.integers(0, 30), st.none() | st.integers(1, 20)), max_size=6)


def model(facts: list[Access]) -> Model:
    return Model(id="m", name="m", developer="d", country="FR", released=FIRST, access=tuple(facts), **CITED)


@given(FACTS, st.integers(0, 60))
def test_the_first_rule_that_has_a_fact_decides(facts: list[Access], after: int) -> None:
    on = FIRST + dt.timedelta(after)
    held = {one.mode for one in facts if one.since <= on and (one.until is None or on < one.until)}
    found = standing(model(facts), on)
    expected = next((rule.tier for rule in RULES if rule.mode in held), None)
    if expected is None:
        assert found.tier in (Tier.UNKNOWN, Tier.UNAVAILABLE)
    else:
        assert found.tier is expected
        assert found.facts
        assert not set(found.facts) & set(found.conditions)


@given(FACTS, st.integers(0, 60), st.integers(0, 60))
def test_changes_lead_from_the_first_day_to_the_last(facts: list[Access], one: int, two: int) -> None:
    first, last = (FIRST + dt.timedelta(days) for days in sorted((one, two)))
    mine = model(facts)
    told = changes(Catalog([mine]), first, last)
    reached = {change.day: change.after for change in told}
    at = standing(mine, first).tier
    for days in range((last - first).days + 1):
        on = first + dt.timedelta(days)
        at = reached.get(on, at)
        assert standing(mine, on).tier is at
    assert all(change.before is not change.after for change in told)
    assert all(change.began or change.ended for change in told)
