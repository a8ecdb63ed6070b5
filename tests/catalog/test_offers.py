"""Where models are sold, rules on origin, programmes: what the files say, and what cannot be one."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import msgspec
import pytest

from tiergate.catalog.access_programmes import gated_tasks, load_access_programmes
from tiergate.catalog.distilled import believed
from tiergate.catalog.models import Mode, load_catalog
from tiergate.catalog.offer_maps import offers_in
from tiergate.catalog.offers import read_offers, shipped_offers, write_offers
from tiergate.catalog.origin_rules import Sector, binding, load_origin_rules
from tiergate.catalog.providers import load_providers
from tiergate.errors import InputError

DAY = dt.date(2026, 11, 28)


def mapped(**rows: dict[str, object]) -> bytes:
    usual = {"mode": "chat", "input_cost_per_token": 4e-06, "output_cost_per_token": 2e-05}
    return json.dumps({name.replace("__", "/"): usual | row for name, row in rows.items()}).encode()


def offers(content: bytes) -> dict[str, tuple[str, str, str]]:
    found = offers_in(content, load_catalog(), as_of=DAY, source="a map")
    return {one.id: (one.model, one.provider, one.region) for one in found}


def test_ids_of_a_map_are_taken_apart() -> None:
    content = json.dumps(
        {
            name: {
                "mode": "chat", "litellm_provider": provider, "input_cost_per_token": 4e-06,
                "output_cost_per_token": 2e-05,
            }
            for name, provider in (
                ("eu.anthropic.claude-opus-5-5-v1:0", "bedrock_converse"),
                ("us-gov.anthropic.claude-opus-5-5", "bedrock_converse"),
                ("bedrock_mantle/google.gemma-4-31b", "bedrock_mantle"),
                ("azure/eu/gpt-5.6-luna", "azure"),
                ("azure/gpt-5.6-luna-2026-07-09", "azure"),
                ("vertex_ai/claude-opus-5-5@default", "vertex_ai-anthropic_models"),
                ("vertex_ai/openai/gpt-oss-120b-maas", "vertex_ai-openai_models"),
                # Other models, other services, and a reseller.
                ("azure/gpt-5.6-luna-fast", "azure"),
                ("bedrock/us-west-2/anthropic.claude-opus-5-5", "bedrock"),
                ("perplexity/openai/gpt-5.6-luna", "perplexity"),
            )
        }
    ).encode()  # fmt: skip
    assert offers(content) == {
        "eu.anthropic.claude-opus-5-5-v1:0": ("claude-opus-5-5", "amazon-bedrock", "EU"),
        "us-gov.anthropic.claude-opus-5-5": ("claude-opus-5-5", "amazon-bedrock", "US-GOV"),
        "bedrock_mantle/google.gemma-4-31b": ("gemma-4-31b", "amazon-bedrock", ""),
        "azure/eu/gpt-5.6-luna": ("gpt-5.6-luna", "azure-openai", "EU"),
        "azure/gpt-5.6-luna-2026-07-09": ("gpt-5.6-luna", "azure-openai", ""),
        "vertex_ai/claude-opus-5-5@default": ("claude-opus-5-5", "google-vertex", ""),
        "vertex_ai/openai/gpt-oss-120b-maas": ("gpt-oss-120b", "google-vertex", ""),
    }


@pytest.mark.parametrize(
    "row",
    [
        {"input_cost_per_token": 0},
        {"output_cost_per_token": None},
        {"input_cost_per_token": 5.0},
        {"mode": "embedding"},
        {"litellm_provider": "somebody"},
    ],
)
def test_what_has_no_price_or_is_something_else_is_no_offer(row: dict[str, object]) -> None:
    assert offers(mapped(kimi={"litellm_provider": "moonshot"})) == {}
    assert offers(mapped(moonshot__kimi_k3={"litellm_provider": "moonshot"})) != {}
    assert offers(mapped(moonshot__kimi_k3={"litellm_provider": "moonshot"} | row)) == {}


def test_offers_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_offers(reversed(shipped_offers()), tmp_path / "offers.csv")
    assert read_offers(tmp_path / "offers.csv") == shipped_offers()
    (one,) = (
        o for o in shipped_offers() if (o.model, o.provider, o.region) == ("claude-opus-5", "amazon-bedrock", "EU")
    )
    assert (one.input, one.output, one.context_tokens) == (5.5, 27.5, 1_000_000)
    assert not one.holds_on(one.as_of - dt.timedelta(days=1))
    text = (tmp_path / "offers.csv").read_text()
    (tmp_path / "offers.csv").write_text(text.replace(",300000,", ",many,", 1))
    with pytest.raises(InputError, match="line 2"):
        read_offers(tmp_path / "offers.csv")
    (tmp_path / "offers.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="no file of offers"):
        read_offers(tmp_path / "offers.csv")
    with pytest.raises(InputError, match="there is no file"):
        read_offers(tmp_path / "none.csv")


def test_offers_are_of_models_and_providers_that_are_on_file() -> None:
    assert {one.model for one in shipped_offers()} <= set(load_catalog().by_id)
    assert {one.provider for one in shipped_offers()} <= set(load_providers())
    keys = [(one.model, one.provider, one.region) for one in shipped_offers()]
    assert len(keys) == len(set(keys))


def test_rules_on_origin_bind_by_seat_sector_and_day() -> None:
    ids = {one.id for one in binding("US", Sector.DEFENCE, DAY)}
    assert ids == {"us-ndaa-2026-1532"}
    assert not any(binding("US", Sector.DEFENCE, dt.date(2025, 12, 17)))
    assert {one.id for one in binding("US-TX", Sector.STATE_GOVERNMENT, DAY)} == {"us-tx-deepseek"}
    assert [one.effect for one in binding("DE", Sector.BUSINESS, DAY)] == ["duty"]
    catalog, rules = load_catalog(), {one.id: one for one in load_origin_rules()}
    draft = rules["us-gsar-552-239-7001"]
    assert draft.is_about(catalog.find("mistral-large-4"))
    assert not draft.is_about(catalog.find("gpt-oss-120b"))
    assert rules["eu-ai-act-gpai"].is_about(catalog.find("gpt-oss-120b"))
    with pytest.raises(ValueError, match="is a draft"):
        msgspec.structs.replace(draft, effect="bar")
    with pytest.raises(ValueError, match="leave `developers`"):
        msgspec.structs.replace(draft, countries=("CN",))


def test_beliefs_on_distillation_are_of_models_on_file() -> None:
    assert set(believed()) <= set(load_catalog().by_id)
    assert believed()["deepseek-v3"].distilled == "no"
    assert believed()["gemma-3-27b"].distilled == "yes"


def test_every_programme_that_models_name_is_on_file() -> None:
    facts = [fact for one in load_catalog().by_id.values() for fact in one.access if fact.mode is Mode.MEMBERSHIP]
    assert facts
    for fact in facts:
        assert any(one.admits_to(fact) for one in load_access_programmes()), fact.programme
    assert "vulnerability_research" in gated_tasks()
    assert "coding" not in gated_tasks()
