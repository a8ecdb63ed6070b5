"""Providers and allegations: what is known on which day, and that unknown stays unknown."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from tiergate.catalog.allegations import alleged, load_allegations
from tiergate.catalog.models import load_catalog
from tiergate.catalog.providers import Attribute, find_provider, load_providers
from tiergate.errors import InputError


def test_a_fact_counts_from_the_day_it_began_or_was_read() -> None:
    # OpenAI announced FedRAMP 20x Moderate on 27 April 2026: 24-ai.news/en/news/2026-04-28/openai-fedramp-moderate-...
    openai = find_provider("openai")
    assert Attribute.FEDRAMP not in openai.on(dt.date(2026, 4, 26))
    assert openai.on(dt.date(2026, 4, 27))[Attribute.FEDRAMP].value == "yes"
    # The registry was read on 5 July 2026; what held before that day is not known.
    assert Attribute.SOC2 not in openai.on(dt.date(2026, 7, 4))
    assert openai.on(dt.date(2026, 7, 5))[Attribute.SOC2].value == "yes"


def test_unknown_is_not_no() -> None:
    held = find_provider("Groq".lower()).on(dt.date(2026, 11, 28))
    assert held[Attribute.ZERO_RETENTION].value == "yes"
    assert Attribute.FEDRAMP not in held
    assert len(load_providers()) > 10


def test_who_is_no_provider() -> None:
    with pytest.raises(InputError, match="did you mean `anthropic`"):
        find_provider("antropic")


def test_published_figures_of_campaigns() -> None:
    figures = {one.id: (one.exchanges, one.accounts) for one in load_allegations()}
    # anthropic.com/news/detecting-and-preventing-distillation-attacks, 23 February 2026: over 16 million in all.
    february = [figures[f"{name}-2026-02-23"][0] for name in ("deepseek", "moonshot", "minimax")]
    assert february == [150_000, 3_400_000, 13_000_000]
    # Letter to the Senate Banking Committee of 10 June 2026: techjacksolutions.com/?p=62569.
    assert figures["alibaba-2026-06-24"] == (28_800_000, 25_000)
    # Anthropic's threat report of 10 September 2026, pp. 143-154: 189.9 million in the five cases with figures.
    september = [one.exchanges or 0 for one in load_allegations() if one.on == dt.date(2026, 9, 10)]
    assert sum(september) == 189_900_000


def test_an_allegation_is_its_authors_and_its_answers_have_days() -> None:
    assert all(one.alleged_by and one.source for one in load_allegations())
    (letter,) = (one for one in load_allegations() if one.id == "alibaba-2026-06-24")
    assert letter.answers_on(dt.date(2026, 6, 24)) == ()
    assert [(one.by, one.said) for one in letter.answers_on(dt.date(2026, 6, 26))] == [("Alibaba", "denied")]
    with pytest.raises(ValueError, match="older than the allegation, and no answer to it"):
        msgspec.structs.replace(letter, on=dt.date(2026, 9, 10))
    assert len(alleged(dt.date(2026, 2, 23), "deepseek")) == 2
    with pytest.raises(InputError, match="nothing is alleged of `Meta` on file"):
        alleged(dt.date(2026, 11, 28), "Meta")


def test_developers_are_called_alike() -> None:
    developers = {one.developer for one in load_catalog().by_id.values()}
    # Developers against whom something is alleged, and of whom no model is in the catalog.
    without = {"not named", "SenseTime", "StepFun", "Xiaomi"}
    assert {one.against for one in load_allegations()} - developers == without
