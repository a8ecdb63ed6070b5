"""What there is to choose from on a day: each model by each way to have it, with what is on file of both.

A way is a provider's API, in one region where the provider sells it so, or `own`: published weights on machines of
one's own. A developer sells its own models unless its access on file has ended.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tiergate.admission.ownership_facts import OwnershipFacts
from tiergate.catalog.allegations import Allegation, alleged
from tiergate.catalog.cited import Cited
from tiergate.catalog.model_figures import prices_of, scores_of
from tiergate.catalog.models import Catalog, Mode, Model
from tiergate.catalog.offers import Offer, shipped_offers
from tiergate.catalog.priced_models import priced_models
from tiergate.catalog.prices import shipped_prices
from tiergate.catalog.providers import Attribute, Provider, ProviderFact, load_providers
from tiergate.catalog.scores import Vintage
from tiergate.catalog.tiers import Standing, Tier, standing

OWN: Final = "own"
SELLS: Final[Mapping[str, str]] = {
    "Alibaba": "alibaba",
    "Anthropic": "anthropic",
    "DeepSeek": "deepseek",
    "Google": "google-gemini-api",
    "MiniMax": "minimax",
    "Mistral AI": "mistral",
    "Moonshot AI": "moonshot",
    "OpenAI": "openai",
    "Z.ai": "zai",
    "xAI": "xai",
}
"""Developers -> the provider that is the developer itself."""


class Price(NamedTuple):
    """US dollars for a million tokens; ``since``: the day of the map, or from which it is in force."""

    input: float
    output: float
    cached_input: float | None
    since: dt.date
    fact: Cited


class Score(NamedTuple):
    """Points of Epoch's Capabilities Index, the best version's, with a 90% interval where one was published."""

    eci: float
    low: float | None
    high: float | None
    source: str
    licence: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model by one way. ``provider`` None: own hosting, or nobody on file; ``offer`` None where only the developer's
    access is on file."""

    model: Model
    standing: Standing
    way: str
    region: str = ""
    provider: Provider | None = None
    facts: Mapping[Attribute, ProviderFact] = field(default_factory=dict)
    offer: Offer | None = None
    price: Price | None = None

    @property
    def id(self) -> str:
        """`claude-opus-5-5@amazon-bedrock:EU`."""
        return f"{self.model.id}@{self.way}" + (f":{self.region}" if self.region else "")

    @property
    def hosted_by_its_developer(self) -> bool:
        return self.way == SELLS.get(self.model.developer)


@dataclass(frozen=True)
class Market:
    """``candidates``: by model and way; ``scores``: by model id, those that have one; ``allegations``: by developer;
    ``parties``: a deployment's facts of who owns whom, None without one."""

    day: dt.date
    catalog: Catalog
    candidates: tuple[Candidate, ...]
    scores: Mapping[str, Score]
    allegations: Mapping[str, Sequence[Allegation]]
    parties: OwnershipFacts | None = None

    def ways(self, model: Model) -> list[Candidate]:
        """Every way to have ``model``."""
        return [one for one in self.candidates if one.model is model]


def market_on(
    catalog: Catalog,
    day: dt.date,
    vintage: Vintage,
    *,
    offers: Iterable[Offer] | None = None,
    parties: OwnershipFacts | None = None,
) -> Market:
    """What there is on ``day``; ``offers`` are those shipped if not given. Raises `InputError` for a day before the
    first model."""
    catalog.check_day(day)
    by_model: dict[str, list[Offer]] = {}
    for offer in shipped_offers() if offers is None else offers:
        if offer.holds_on(day):
            by_model.setdefault(offer.model, []).append(offer)
    found: list[Candidate] = []
    scores: dict[str, Score] = {}
    for model in sorted(catalog.by_id.values(), key=lambda one: one.id):
        if model.released <= day:
            found += _ways(catalog, standing(model, day), by_model.get(model.id, ()))
            score = _score(catalog, model, vintage)
            if score is not None:
                scores[model.id] = score
    accused: dict[str, list[Allegation]] = {}
    for one in alleged(day):
        accused.setdefault(one.against, []).append(one)
    return Market(day, catalog, tuple(found), scores, accused, parties)


def _ways(catalog: Catalog, stands: Standing, offers: Iterable[Offer]) -> list[Candidate]:
    model, day, providers = stands.model, stands.day, load_providers()
    found = []
    for offer in offers:
        provider = providers[offer.provider]
        price = Price(offer.input, offer.output, offer.cached_input, offer.as_of, offer)
        facts = provider.on(day)
        found.append(Candidate(model, stands, provider.id, offer.region, provider, facts, offer, price))
    itself = SELLS.get(model.developer)
    sold = any(
        fact.mode in (Mode.GENERAL, Mode.VERIFIED, Mode.MEMBERSHIP) for fact in (*stands.facts, *stands.conditions)
    )
    if sold and itself is not None and all(one.way != itself for one in found):
        provider = providers[itself]
        listed = _list_price(catalog, model, day)
        found.append(Candidate(model, stands, itself, "", provider, provider.on(day), None, listed))
    if stands.tier is Tier.OPEN:
        found.append(Candidate(model, stands, OWN))
    # One that nobody is known to sell is shown with the reason all the same.
    return sorted(found, key=lambda one: one.id) or [Candidate(model, stands, "-")]


def _list_price(catalog: Catalog, model: Model, day: dt.date) -> Price | None:
    prices = prices_of(catalog, model, shipped_prices(), day)
    if not prices:
        return None
    # Of several ids that a model is sold by the cheapest counts; flexible and priority service have other ids.
    one = min(prices, key=lambda one: (one.input or 0.0, one.output or 0.0, one.id))
    assert one.input is not None
    assert one.output is not None
    return Price(one.input, one.output, one.cached_input, one.since, one)


def _score(catalog: Catalog, model: Model, vintage: Vintage) -> Score | None:
    found = scores_of(catalog, model, [vintage])
    if found:
        best = max(found, key=lambda one: one.eci)
        return Score(best.eci, best.low, best.high, best.source, best.licence, best.vintage)
    priced = [one for one in priced_models() if catalog.named(one.model) is model]
    if not priced:
        return None
    top = max(priced, key=lambda one: one.eci)
    return Score(top.eci, None, None, top.source, top.licence, str(top.as_of))
