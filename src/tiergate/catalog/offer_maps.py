"""Offers read off litellm's price map: which of its ids are which model of the catalog, at whose, and in which region.

Only ids that are a model's name once the provider, the region and the day of a snapshot are taken off count: a faster,
smaller or altered model of a like name is another one.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tiergate.catalog.models import Catalog
from tiergate.catalog.offers import Offer
from tiergate.catalog.price_maps import MILLION, TEXT_MODES
from tiergate.catalog.prices import MAX_USD

PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic", "azure": "azure-openai", "azure_ai": "azure-openai", "baseten": "baseten",
    "bedrock": "amazon-bedrock", "bedrock_converse": "amazon-bedrock", "bedrock_mantle": "amazon-bedrock",
    "cerebras": "cerebras", "cohere": "cohere", "dashscope": "alibaba", "databricks": "databricks",
    "deepinfra": "deepinfra", "deepseek": "deepseek", "fireworks_ai": "fireworks", "gemini": "google-gemini-api",
    "groq": "groq", "minimax": "minimax", "mistral": "mistral", "moonshot": "moonshot", "openai": "openai",
    "ovhcloud": "ovhcloud", "scaleway": "scaleway", "together_ai": "together", "wandb": "coreweave", "xai": "xai",
    "zai": "zai",
}  # fmt: skip
"""litellm's name of a provider -> ours. Resellers that pass a request on to somebody else are not read."""

_REGIONS: Final = {
    "apac": "APAC", "au": "AU", "eu": "EU", "global": "", "global-standard": "", "jp": "JP", "us": "US",
    "us-gov": "US-GOV",
}  # fmt: skip
_BEDROCK: Final = re.compile(r"(?:bedrock(?:_mantle)?/)?(?:(us-gov|us|eu|apac|au|jp|global)\.)?(?:[a-z]+\.)?([^/]+)")
_AZURE: Final = re.compile(r"azure/(?:(us-gov|us|eu|apac|global-standard|global)/)?([^/]+)")
_SNAPSHOT: Final = re.compile(r"-(\d{8}|\d{4}-\d\d-\d\d)$")
_CAPABILITIES: Final = {
    "tools": "supports_function_calling",
    "vision": "supports_vision",
    "structured_output": "supports_response_schema",
}


def offers_in(content: bytes, catalog: Catalog, *, as_of: dt.date, source: str) -> list[Offer]:
    """Offers of models of ``catalog`` in a map of litellm that is known to be one; of ids for the same model, provider
    and region the shortest counts."""
    found: dict[tuple[str, str, str], Offer] = {}
    for name, row in sorted(json.loads(content).items(), key=lambda one: (len(one[0]), one[0])):
        if row.get("mode") not in TEXT_MODES:
            continue
        offer = _offer(name, row, catalog, as_of, source)
        if offer is not None:
            found.setdefault((offer.model, offer.provider, offer.region), offer)
    return sorted(found.values(), key=lambda one: (one.model, one.provider, one.region))


def _offer(name: str, row: Mapping[str, Any], catalog: Catalog, as_of: dt.date, source: str) -> Offer | None:
    said = str(row.get("litellm_provider", ""))
    provider = "google-vertex" if said.startswith("vertex_ai") else PROVIDERS.get(said)
    given, answered = (_usd(row.get(f"{side}_cost_per_token")) for side in ("input", "output"))
    if provider is None or given is None or answered is None:
        return None
    region, bare = _taken_apart(name, said)
    model = None if bare is None else catalog.named(bare) or catalog.named(_SNAPSHOT.sub("", bare))
    if model is None:
        return None
    return Offer(
        model=model.id,
        provider=provider,
        region=_REGIONS.get(region, ""),
        id=name,
        input=given,
        output=answered,
        cached_input=_usd(row.get("cache_read_input_token_cost")),
        context_tokens=_whole(row.get("max_input_tokens")),
        output_tokens=_whole(row.get("max_output_tokens")),
        capabilities=tuple(ours for ours, theirs in _CAPABILITIES.items() if row.get(theirs) is True),
        ends=_day(row.get("deprecation_date")),
        as_of=as_of,
        source=source,
        licence="MIT",
    )


def _taken_apart(name: str, provider: str) -> tuple[str, str | None]:
    """Region, and the name without provider, region and version of the service; None where it is of another form."""
    region, bare = "", name.rpartition("/")[2]
    if provider.startswith("bedrock") or provider == "azure":
        parts = (_BEDROCK if provider.startswith("bedrock") else _AZURE).fullmatch(name)
        if parts is None:
            return "", None
        region, bare = parts[1] or "", parts[2]
        bare = re.sub(r"(-v\d+)?(:\d+)?$", "", bare) if provider.startswith("bedrock") else bare
    return region, bare.partition("@")[0].removesuffix("-maas")


def _usd(amount: object) -> float | None:
    """US dollars for a million tokens; None for what is free, which is a preview or a mistake, and for no price."""
    if not isinstance(amount, int | float):
        return None
    usd = round(float(amount) * MILLION, 9)
    return usd if 0 < usd <= MAX_USD / 10 else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _day(value: object) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
