"""Written scenarios: who wants what, what comes of it, and by which rule and source."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from tests.advice.conftest import advice, asked
from tiergate.advice.advising import Advice, advise
from tiergate.advice.candidates import Market, market_on
from tiergate.advice.requirements import parse_requirements
from tiergate.advice.rules import Verdict
from tiergate.catalog.models import load_catalog
from tiergate.catalog.scores import shipped


def left(found: Advice) -> set[str]:
    return {one.id for one in found.found.short}


def says(found: Advice, candidate: str, verdict: Verdict = Verdict.BROKEN) -> dict[str, str]:
    """What each rule with that verdict says of a candidate."""
    (one,) = (each for each in found.market.candidates if each.id == candidate)
    return {reason.rule.id: reason.finding.text for reason in found.found.reasons(one, verdict)}


def sources(found: Advice, candidate: str, rule: str) -> str:
    (one,) = (each for each in found.market.candidates if each.id == candidate)
    (reason,) = (each for each in found.found.reasons(one, Verdict.BROKEN) if each.rule.id == rule)
    return " ".join(fact.source for fact in reason.finding.sources)


def test_1_ordinary_coding_needs_no_classified_tier(market: Market) -> None:
    found = advice(market)
    assert found.need.answer == "no"
    assert {"gpt-5.6-sol@openai", "claude-opus-5@amazon-bedrock:EU"} <= left(found)
    assert not any(one.startswith("claude-mythos") for one in left(found))
    assert "only members of Project Glasswing" in says(found, "claude-mythos-5@anthropic")["admitted"]
    assert found.paths == []


def test_2_a_bank_whose_data_stay_in_the_european_union(market: Market) -> None:
    found = advice(market, data={"residency": ["EU"]}, certifications=["soc2"])
    assert "gpt-5.6-sol@azure-openai:EU" in left(found)
    assert says(found, "gpt-5.6-sol@azure-openai:US") == {"residency": "azure-openai sells it so in US"}
    assert says(found, "deepseek-v4-pro@deepseek")["residency"].endswith("data are stored in China")
    assert "tnsafety.com" in sources(found, "deepseek-v4-pro@deepseek", "residency")
    # Unknown is not met: nobody is let in whose region or certificate is not on file.
    assert "soc2" in says(found, "gpt-oss-120b@groq", Verdict.UNKNOWN)
    assert "gpt-oss-120b@groq" not in left(found)


def test_3_nothing_may_be_retained(market: Market) -> None:
    found = advice(market, data={"retention_days": 0})
    fable = says(found, "claude-fable-5@amazon-bedrock")
    assert fable == {"retention": "it is had with 30 days of retention alone, 0 at most are asked"}
    assert "claude-opus-5@amazon-bedrock" in left(found)
    assert "after approval" in says(found, "gpt-5.6-sol@openai", Verdict.ASK)["retention"]


def test_4_a_contractor_of_the_department_of_defense(market: Market) -> None:
    found = advice(market, organisation={"name": "E", "country": "US", "sector": "defence"})
    barred = [one for one in found.market.candidates if one.model.country == "CN"]
    assert len(barred) > 50
    assert all("section 1532" in says(found, one.id)["law"] for one in barred)
    # Weights on machines of one's own are the same model.
    assert any(one.way == "own" for one in barred)
    assert "crowell.com" in sources(found, "kimi-k3@own", "law")
    assert "gpt-oss-120b@coreweave" in left(found)


def test_5_a_state_that_banned_a_service_and_not_its_weights(market: Market) -> None:
    texas = {"name": "E", "country": "US-TX", "sector": "state_government"}
    found = advice(market, organisation=texas)
    assert "31 January 2025" in says(found, "deepseek-v4-pro@deepseek")["law"]
    assert "deepseek-v4-pro@deepinfra" in left(found)
    elsewhere = advice(market, organisation=texas | {"country": "US-GA"})
    assert "have counsel look at it" in says(elsewhere, "deepseek-v4-pro@deepseek", Verdict.ASK)["law"]
    assert "law" not in says(advice(market), "deepseek-v4-pro@deepseek")


def test_6_patients_data_in_the_united_states_need_an_agreement(market: Market) -> None:
    clinic = {"name": "E", "country": "US", "sector": "health"}
    found = advice(market, organisation=clinic, data={"health": True})
    assert "claude-opus-5@amazon-bedrock" in left(found)
    assert says(found, "mistral-large-4@mistral") == {
        "baa": "mistral has no business-associate agreement: not offered directly"
    }
    assert "baa" in says(found, "gpt-oss-120b@groq", Verdict.UNKNOWN)
    assert "baa" in says(found, "gpt-5.6-sol@openai", Verdict.ASK)


def test_7_own_hosting_for_a_product_that_is_sold(market: Market) -> None:
    load = {"requests_per_month": 100_000, "input_tokens": 100_000, "output_tokens": 1_000, "needs": ["tools"]}
    found = advice(market, hosting=["own"], load=load, own_hosting_usd_per_month=9_000, budget_usd_per_month=10_000)
    assert "gpt-oss-120b@own" in left(found)
    # What others serve it with is what it can; nobody is known to serve the other at all.
    assert "131,072 tokens at" in says(found, "gpt-oss-120b@own", Verdict.ASK)["context"]
    assert "not on file" in says(found, "kolibri-1@own", Verdict.UNKNOWN)["context"]
    assert all(one.way == "own" for one in found.found.short)
    assert "non-commercial use alone" in says(found, "minimax-m2.7@own")["licence"]
    assert "20 million USD of revenue" in says(found, "kimi-k3@own", Verdict.ASK)["licence"]
    ruled_out = says(found, "gpt-5.6-sol@openai")["hosting"]
    assert ruled_out == "it would be had by an API, which `hosting` rules out"
    study = advice(market, hosting=["own"], load={}, commercial=False)
    assert "minimax-m2.7@own" in left(study)


def test_8_security_research_and_the_way_into_a_programme(market: Market) -> None:
    team = {"name": "E", "country": "US", "owners": [{"name": "founders", "country": "US", "percent": 100}]}
    found = advice(market, organisation=team, tasks=["vulnerability_research"], users={"nationalities": ["US"]})
    assert found.need.answer == "not known"
    assert "may refuse vulnerability_research" in found.need.because
    ways = {one.programme.id: one for one in found.paths}
    assert set(ways) == {"glasswing", "cyber-verification", "daybreak"}
    verification = ways["cyber-verification"]
    assert "claude-mythos-5-2" in verification.models
    answers = {one.of: one.answer for one in verification.conditions}
    assert answers["ear_person@1"] == "yes"
    assert answers["provider_supported_regions@1"] == "yes"
    # Lists were not imported: whether an owner is on one is not known, and not known is no yes.
    assert answers["ofac_50@1"] == "not known"
    assert verification.eligible == "not known"
    assert any("tiergate parties import" in one for one in verification.missing)
    assert any(one.startswith("legal_entity: ") for one in verification.missing)
    assert ways["glasswing"].missing[0] == "ask Anthropic to be let in"


def test_9_security_research_where_nothing_may_be_retained(market: Market) -> None:
    found = advice(market, tasks=["penetration_test"], data={"retention_days": 0})
    ways = {one.programme.id: one for one in found.paths}
    assert ways["cyber-verification"].eligible == "no"
    (retention,) = (one for one in ways["cyber-verification"].conditions if one.answer == "no")
    assert retention.text == "retention has to be on, and nothing may be retained"
    assert "14604842" in retention.sources[0].source
    assert ways["daybreak"].eligible == "not known"


def test_10_a_german_company_with_a_chinese_majority_owner(market: Market) -> None:
    def owned(percent: int) -> dict[str, Any]:
        owners = [{"name": "parent", "country": "CN", "percent": percent}]
        owners += [{"name": "fund", "country": "DE", "percent": 100 - percent}]
        return {"name": "E", "country": "DE", "owners": owners}

    found = advice(market, organisation=owned(51), tasks=["incident_response"])
    assert says(found, "claude-opus-5@amazon-bedrock:EU")["regions"].endswith("ownership")
    assert "gpt-5.6-sol@openai" in left(found)
    ways = {one.programme.id: one.eligible for one in found.paths}
    assert ways["cyber-verification"] == "no"
    assert ways["daybreak"] == "not known"
    # Half is not more than half.
    assert "claude-opus-5@amazon-bedrock:EU" in left(advice(market, organisation=owned(50)))


def test_16_users_where_one_developer_does_not_sell(market: Market) -> None:
    found = advice(market, users={"countries": ["DE", "CN"]})
    assert says(found, "claude-opus-5@amazon-bedrock:EU") == {
        "regions": "Anthropic does not sell in CN, where users are"
    }
    unknown = says(found, "gpt-5.6-sol@openai", Verdict.UNKNOWN)
    assert unknown == {"regions": "whether OpenAI or openai sells in CN is not on file"}
    assert {"deepseek-v4-pro@deepseek", "kimi-k3@moonshot"} <= left(found)
    assert "gpt-oss-120b@own" in left(advice(market, users={"countries": ["CN"]}, load={}))


def test_17_a_model_of_ones_own_for_the_members_of_a_programme(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    catalog, day = load_catalog().with_models(tmp_path / "mine.toml"), dt.date(2026, 6, 1)
    text = "organisation: {name: E, country: FR}\ntasks: [coding]\nmodels: {only: [inhouse]}\n"
    there = market_on(catalog, day, shipped())
    closed = advise(parse_requirements(text.encode(), catalog, day), there, draws=10)
    assert says(closed, "in-house-1@-") == {"admitted": "only members of Example partners are served"}
    text += "programmes: {member_of: [Example partners]}\n"
    inside = advise(parse_requirements(text.encode(), catalog, day), there, draws=10)
    assert says(inside, "in-house-1@-") == {}
    # Whose weights are out later is hosted by whoever likes.
    later = market_on(catalog, dt.date(2026, 9, 2), shipped())
    assert "in-house-1@own" in left(advise(parse_requirements(text.encode(), catalog, later.day), later, draws=10))


def test_11_the_shut_off_of_june(market: Market) -> None:
    day = dt.date(2026, 6, 20)
    june = market_on(load_catalog(), day, shipped())
    found = advise(asked(day, load={}), june, draws=100)
    assert says(found, "claude-fable-5@anthropic") == {"available": "it is switched off for everyone"}
    assert "fairbydesign.org" in sources(found, "claude-fable-5@anthropic", "available")
    assert "claude-opus-4-8@anthropic" in left(found)
    # What happened then is a risk on file afterwards.
    later = {risk.kind: risk.text for risk in advice(market).risks["claude-opus-5@anthropic"]}
    assert "switched off for everyone from 2026-06-12" in later["continuity"]


def test_12_a_tight_budget_and_a_capability(market: Market) -> None:
    load = {"requests_per_month": 1_000_000, "input_tokens": 3_000, "output_tokens": 1_000}
    found = advice(market, load=load, budget_usd_per_month=2_000, capability={"least_eci": 155})
    # 1,000,000 requests at 0.20 and 1.20 USD a million tokens: 600 + 1,200.
    assert found.usd["gpt-5.6-luna@openai"] == 1_800
    assert set(found.best) == {"gpt-5.6-luna"}
    assert says(found, "gpt-5.6-sol@openai") == {"budget": "$32,000 a month at this load, $2,000 at most are asked"}
    assert "points of ECI, 155 are asked" in says(found, "gpt-oss-120b@coreweave")["least_eci"]
    assert says(found, "gpt-6-sol@openai", Verdict.UNKNOWN) == {
        "least_eci": "it has no score of Epoch's index on file: 155 is asked"
    }


def test_13_only_the_classified_tier_reaches_an_evaluation(market: Market) -> None:
    evaluation = {"name": "exploits", "least": 0.9, "scores": dict.fromkeys(load_catalog().by_id, 0.2)}
    evaluation["scores"]["claude-mythos-5"] = 0.95
    found = advice(market, tasks=["vulnerability_research"], capability={"evals": [evaluation]})
    assert found.found.short == []
    assert found.need.answer == "yes"
    assert "only claude-mythos-5 of the classified tier" in found.need.because
    assert {one.programme.id for one in found.paths if "claude-mythos-5" in one.models} == {"glasswing"}
    weak = evaluation | {"least": 0.1, "task": "vulnerability_research"}
    refused = advice(market, tasks=["vulnerability_research"], capability={"evals": [weak | {"task": None}]})
    assert refused.need.answer == "not known"
    assert advice(market, tasks=["vulnerability_research"], capability={"evals": [weak]}).need.answer == "no"
    member = advice(market, capability={"evals": [evaluation]}, programmes={"member_of": ["glasswing"]})
    assert {one.model.id for one in member.found.short} == {"claude-mythos-5"}


def test_15_what_is_believed_to_be_distilled_is_a_risk_and_rules_nothing_out(market: Market) -> None:
    found = advice(market, hosting=["own"], load={})
    told = {risk.kind: risk for risk in found.risks["phi-4@own"]}
    assert told["distilled"].text == (
        "Phi-4 is believed to be distilled (confidence high, trained on synthetic data); ask from what"
    )
    assert "benchmark-stitching" in told["distilled"].sources[0].source
    assert "distilled" not in {risk.kind for risk in found.risks["gpt-oss-120b@own"]}


def test_14_an_own_policy_on_alleged_distillation(market: Market) -> None:
    found = advice(market, origin={"alleged_distillation": "exclude"})
    assert "Anthropic" in says(found, "kimi-k3@deepinfra")["alleged_distillation"]
    shown = {risk.kind for risk in advice(market).risks["kimi-k3@deepinfra"]}
    assert {"allegation", "licence", "law"} <= shown
    answers = [risk.text for risk in advice(market).risks["kimi-k3@deepinfra"] if risk.kind == "allegation"]
    assert any("denied" in text for text in answers)
