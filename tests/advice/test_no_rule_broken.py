"""10,000 random profiles of requirements: nobody is short-listed who breaks a hard rule, by an oracle of its own.

The oracle reads the files of facts as they are, and shares neither rules nor words with what it checks.
"""

from __future__ import annotations

import csv
import datetime as dt
import tomllib
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.advice.conftest import DAY
from tiergate.advice.candidates import Candidate, Market
from tiergate.advice.requirements import Requirements
from tiergate.advice.rules import Verdict
from tiergate.advice.shortlist import Judge

PROFILES = 10_000
FACTS = files("tiergate.catalog") / "facts"
EU = {"DE", "FR", "IE", "IT", "ES", "NL", "SE"}


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((FACTS / name).read_text(encoding="utf-8"))


MODELS = {one["id"]: one for one in _toml("models.toml")["model"]}
PROVIDERS = {one["id"]: one for one in _toml("providers.toml")["provider"]}
LAW = _toml("origin_rules.toml")["origin_rule"]
OFFERS = {
    (row["model"], row["provider"], row["region"]): row
    for row in csv.DictReader((FACTS / "offers.csv").read_text(encoding="utf-8").splitlines())
}
SCORES = [
    (row["model"], float(row["eci"]))
    for name in ("capability.csv", "priced_models.csv")
    for row in csv.DictReader((FACTS / name).read_text(encoding="utf-8").splitlines())
]
ACCUSED = {one["against"] for one in _toml("allegations.toml")["allegation"]}
OWN_API = {"Anthropic": "anthropic", "DeepSeek": "deepseek", "OpenAI": "openai", "Mistral AI": "mistral"}


def _holds(fact: dict[str, Any]) -> bool:
    return bool(fact["since"] <= DAY and ("until" not in fact or fact["until"] > DAY))


def _provider_fact(way: str, attribute: str) -> dict[str, Any] | None:
    held = [
        fact
        for fact in PROVIDERS[way]["fact"]
        if fact["attribute"] == attribute
        and fact.get("since", fact["as_of"]) <= DAY
        and fact.get("until", dt.date.max) > DAY
    ]
    return max(held, key=lambda fact: fact["as_of"]) if held else None


def best_eci(row: dict[str, Any]) -> float:
    """The most that any version of a model scores."""

    def plain(name: str) -> str:
        return name.casefold().replace("-", " ").replace("_", " ")

    names = {plain(name) for name in (row["id"], row["name"], *row.get("names", ()))}
    return max((eci for name, eci in SCORES if {plain(name), plain(name.rpartition(" (")[0])} & names), default=0.0)


def _may_be_in(places: set[str], allowed: list[str]) -> bool:
    wide = {"APAC", "EU"} if EU & set(allowed) else {"APAC"}
    eu = EU if "EU" in allowed else set()
    return bool({one.removesuffix("-GOV") for one in places} & (set(allowed) | wide | eu))


def hard_rules_broken(one: Candidate, told: Requirements) -> list[str]:
    """Names of hard rules that a short-listed candidate breaks, by the files of facts."""
    row, way = MODELS[one.model.id], one.way
    facts = [fact for fact in row.get("access", ()) if _holds(fact)]
    modes = {fact["mode"] for fact in facts}
    offer = OFFERS.get((one.model.id, way, one.region))
    own = way == "own"
    hit = []

    def broken(name: str, *, if_: bool) -> None:
        if if_:
            hit.append(name)

    broken("switched off", if_="suspended" in modes and "open_weights" not in modes)
    reachable = modes & {"open_weights", "general", "verified", "membership", "nationality"}
    broken("not to be had", if_=not reachable and (offer is None or not offer["ends"]))
    only_members = "membership" in modes and not modes & {"open_weights", "general", "verified"}
    broken("for members only", if_=only_members and not told.programmes.member_of)
    broken("hosting", if_=("own" if own else "api") not in told.hosting)
    broken("weights not published", if_=own and "open_weights" not in modes)
    broken("avoided", if_=one.model.id in told.models.avoid)
    broken("not among the only", if_=bool(told.models.only) and one.model.id not in told.models.only)
    broken("origin", if_=row["country"] in told.origin.barred)
    broken("origin only", if_=bool(told.origin.only) and row["country"] not in told.origin.only)
    here = {told.organisation.country, *told.users.countries}
    if row["developer"] == "Anthropic":
        owned = any(owner.country == "CN" and owner.percent > 50 for owner in told.organisation.owners or [])
        broken("regions", if_=not own and ("CN" in here or owned or "ER" in told.users.countries))
    elif not own:
        broken("regions unknown", if_="CN" in here and (way == "-" or PROVIDERS[way]["country"] != "CN"))
    exclude = told.origin.alleged_distillation == "exclude"
    broken("alleged", if_=exclude and row["developer"] in ACCUSED)
    for rule in LAW:
        binds = told.organisation.country in rule["seats"] or told.organisation.country[:2] in rule["seats"]
        binds = binds and told.organisation.sector in rule.get("sectors", [told.organisation.sector])
        about = row["developer"] in rule.get("developers", ()) or row["country"] in rule.get("countries", ())
        reached = rule["reach"] == "model" or OWN_API.get(row["developer"]) == way
        began = rule.get("since", rule["as_of"]) <= DAY
        broken(rule["id"], if_=rule["effect"] == "bar" and binds and about and reached and began)
    weights = [fact for fact in facts if fact["mode"] == "open_weights"]
    non_commercial = own and any(fact.get("use") == "non_commercial" for fact in weights)
    broken("licence", if_=told.commercial and non_commercial)
    broken("licence unknown", if_=own and any(not fact.get("use") for fact in weights))
    if told.data.retention_days is not None:
        duty = max((fact["retention_days"] for fact in facts if fact["mode"] == "retention"), default=0)
        broken("retention duty", if_=duty > told.data.retention_days)
        zero = None if own else _provider_fact(way, "zero_retention")
        broken("retention unknown", if_=not own and not duty and (zero is None or zero["value"] == "no"))
    if told.data.residency and not own:
        regions = _provider_fact(way, "regions")
        places = {one.region} if one.region else set(regions.get("places", ())) if regions else set()
        broken("residency", if_=not _may_be_in(places, told.data.residency))
        if not one.region and regions is not None and regions["value"] == "no":
            broken("no choice of region", if_=not places <= EU | {"EU"} | set(told.data.residency))
    health = told.data.health and told.organisation.country == "US"
    for name in {*told.certifications, *(["baa"] if health else [])}:
        fact = None if own else _provider_fact(way, name)
        broken(name, if_=not own and (fact is None or fact["value"] == "no"))
    if told.budget_usd_per_month is not None and not own:
        assert one.price is not None
        load = told.load
        cached = one.price.cached_input if one.price.cached_input is not None else one.price.input
        tokens = load.input_tokens * ((1 - load.cached_share) * one.price.input + load.cached_share * cached)
        usd = load.requests_per_month * (tokens + load.output_tokens * one.price.output) / 1e6
        broken("budget", if_=usd > told.budget_usd_per_month * (1 + 1e-9))
    if told.budget_usd_per_month is not None and own:
        broken("own budget", if_=(told.own_hosting_usd_per_month or 1e99) > told.budget_usd_per_month)
    for need in told.load.needs:
        broken(need, if_=not own and (offer is None or need not in offer["capabilities"].split()))
    tokens_asked = told.load.input_tokens + told.load.output_tokens
    served = [row for key, row in OFFERS.items() if key[0] == one.model.id and (own or row is offer)]
    largest = max((int(row["context_tokens"] or 0) for row in served), default=0)
    broken("context", if_=tokens_asked > largest)
    least = told.capability.least_eci
    broken("eci", if_=least is not None and best_eci(row) < least)
    for each in told.capability.evals:
        broken(each.name, if_=each.scores.get(one.model.id, -1.0) < each.least)
    return hit


def profile(rng: np.random.Generator) -> Requirements:
    """Requirements at random, of which any may be absent. Each field takes one of some values, all of them together
    trillions."""

    def of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    whole, answer = of((0, 0), (2_000, 500), (150_000, 8_000), (900_000, 500))
    fields = {
        "organisation": {
            "name": "E",
            "country": of("DE", "US", "US-TX", "US-VA", "AU", "IT", "CN"),
            "sector": of("business", "finance", "defence", "intelligence", "government", "state_government"),
            "owners": of(None, None, [{"name": "o", "country": "CN", "percent": 51}]),
        },
        "tasks": [of("coding", "vulnerability_research", "support")],
        "commercial": of(True, True, False),
        "users": {
            "countries": of([], ["DE"], ["US", "CN"], ["ER"]),
            "nationalities": of([], ["US"], ["US", "DE"], ["IN"]),
        },
        "data": {
            "residency": of([], ["EU"], ["US"], ["DE"], ["AU"], ["EU", "US"]),
            "retention_days": of(None, None, 0, 7, 30, 60),
            "health": of(False, False, False, True),
        },
        "certifications": rng.choice(CERTIFICATIONS, int(rng.integers(0, 3)), replace=False).tolist(),
        "capability": {"least_eci": of(None, None, 130.0, 150.0, 158.0), "evals": of([], [], [], *EVALS)},
        "load": {
            "requests_per_month": of(1_000, 5_000_000),
            "input_tokens": whole,
            "output_tokens": answer,
            "cached_share": 0.5,
            "needs": of([], [], ["tools"], ["vision", "structured_output"]),
        },
        "budget_usd_per_month": of(None, None, 100.0, 5_000.0, 100_000.0),
        "own_hosting_usd_per_month": of(None, 2_000.0, 50_000.0),
        "hosting": of(["api"], ["own"], ["api", "own"], ["own", "api"]),
        "models": {"only": of(*([],) * 9, *NAMES), "avoid": of([], [], *NAMES)},
        "origin": {
            "barred": of([], [], ["CN"], ["US"], ["FR"]),
            "only": of(*([],) * 4, ["US"], ["US", "FR"]),
            "alleged_distillation": of("show", "show", "exclude"),
        },
        "programmes": {"member_of": of([], [], [], ["glasswing"], ["daybreak"])},
    }
    return msgspec.convert(fields, Requirements)


CERTIFICATIONS = ("soc2", "iso_27001", "iso_42001", "baa", "fedramp")
_RNG = np.random.default_rng(1)
NAMES = [_RNG.choice(sorted(MODELS), 6, replace=False).tolist() for _ in range(4)]
EVALS = [
    [{"name": "ours", "least": 0.5, "scores": {name: round(float(_RNG.random()), 2) for name in sorted(MODELS)[::3]}}]
    for _ in range(3)
]


@pytest.fixture(scope="module")
def judge(market: Market) -> Judge:
    return Judge(market)


def test_no_hard_rule_is_ever_broken(judge: Judge) -> None:
    rng = np.random.default_rng(10)
    seen, empty, verdicts = 0, 0, np.zeros(4, int)
    for number in range(PROFILES):
        told = profile(rng)
        found = judge.judge(told)
        # All of every tenth profile, and some of each other: the oracle is slow where dozens are left.
        few = number % 10 and len(found.short) > 3
        for one in rng.choice(np.array(found.short, object), 3, replace=False) if few else found.short:
            assert hard_rules_broken(one, told) == [], (one.id, msgspec.to_builtins(told))
        seen += len(found.short)
        empty += not found.short
        verdicts += np.bincount(found.verdict, minlength=4)
    # The profiles are no empty exercise: many leave somebody, and every verdict occurs.
    assert seen > 30_000
    assert empty < PROFILES * 0.8
    assert verdicts.min() > 3_000


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), usd=st.floats(0, 1e7), most=st.floats(0, 200))
def test_whoever_is_excluded_has_a_reason_and_whoever_is_left_has_none(
    judge: Judge, seed: int, usd: float, most: float
) -> None:
    told = profile(np.random.default_rng(seed))
    told = msgspec.structs.replace(
        told, budget_usd_per_month=usd, capability=msgspec.structs.replace(told.capability, least_eci=most)
    )
    found = judge.judge(told)
    groups = (found.short, found.to_find_out, found.excluded)
    assert sorted(one.id for group in groups for one in group) == sorted(one.id for one in judge.market.candidates)
    for one in found.excluded:
        assert all(reason.finding.text for reason in found.reasons(one, Verdict.BROKEN))
        assert found.reasons(one, Verdict.BROKEN)
    for one in found.short:
        assert not found.reasons(one, Verdict.BROKEN)
        assert not found.reasons(one, Verdict.UNKNOWN)
        assert hard_rules_broken(one, told) == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_asking_more_never_lets_anybody_in(judge: Judge, seed: int) -> None:
    rng = np.random.default_rng(seed)
    told = profile(rng)
    less = msgspec.structs.replace(told, certifications=[], budget_usd_per_month=None, data=type(told.data)())
    assert {one.id for one in judge.judge(told).short} <= {one.id for one in judge.judge(less).short}
