"""Operations on the market: tiers by date, claims and what people here put in their place, lags, an attack's cost."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated, Any, Final, Literal

import msgspec

from tiergate.api.members import Given
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.problems import not_found
from tiergate.catalog.claim_figures import Figure, figures
from tiergate.catalog.claims import Claim, Ledger, load_claims
from tiergate.catalog.models import Access, load_catalog
from tiergate.catalog.scores import shipped
from tiergate.catalog.tiers import Tier, changes, tiers
from tiergate.clock import SECOND
from tiergate.economics.attack import Campaign, Channel, Deployment, Mix
from tiergate.economics.claim_overrides import Override
from tiergate.economics.lag import Lag, lags
from tiergate.economics.monte_carlo import AttackCost, Quantiles, attack_cost
from tiergate.errors import InputError

DRAWS: Final = 10_000
RESAMPLES: Final = 300
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class TierQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``on``: the day, today if not given; ``since``: changes of tier after that day too."""

    on: dt.date | None = None
    since: dt.date | None = None


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A model's tier, and the facts that decided it; ``conditions``: other facts in force."""

    model: str
    name: str
    developer: str
    country: str
    released: dt.date
    tier: Tier
    because: str
    facts: tuple[Access, ...]
    conditions: tuple[Access, ...]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A change of tier on a day, by the facts that ``began`` and those that ``ended``."""

    model: str
    day: dt.date
    before: Tier
    after: Tier
    because: str
    began: tuple[Access, ...]
    ended: tuple[Access, ...]


class TierMap(msgspec.Struct, frozen=True, kw_only=True):
    """Every model that was out on a day. ``newest_fact``: what happened later is on file of no model."""

    on: dt.date
    newest_fact: dt.date
    models: list[Placed]
    changes: list[Moved]


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """An override of this deployment: ``value`` in place of what sources say, since ``at_us`` (UTC)."""

    value: str
    author: str
    at_us: int
    reason: str


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as the essay and the sources have it. ``here``: what counts in this deployment, the same without an
    ``override``."""

    claim: Claim
    here: Claim
    override: Here | None


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a claim's override; ``value`` is null where it was withdrawn."""

    action: str
    value: str | None
    author: str
    at_us: int
    reason: str


class ClaimDetail(ClaimView, frozen=True, kw_only=True):
    """The same, with every override that it had, and the figures that rest on it, as they are here."""

    history: list[Past]
    figures: list[Figure]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """All claims, and what follows from them here."""

    claims: list[ClaimView]
    figures: list[Figure]


class NewOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``value``: a figure (`5`, or `low,mode,high`) in the claim's unit, or a status; ``reason``: why."""

    value: Word
    reason: Given


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reason."""

    reason: Given


class LagQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Groups of models (`open`, `closed`, a country, a developer), as of a day."""

    follower: Word = "open"
    leader: Word = "closed"
    as_of: dt.date | None = None


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """By each definition; intervals are of so many ``resamples``."""

    lags: list[Lag]
    resamples: int
    source: str


class AttackQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign and what stands against it; see `economics.attack`. A limit that is not given is none."""

    exchanges: Annotated[float, msgspec.Meta(ge=1, lt=1e15)] = 16e6
    accounts: Annotated[float, msgspec.Meta(ge=1, lt=1e12)] | None = None
    channel: Channel | None = None
    mix: Mix | None = None
    identity_check: bool = False
    account_cost: Amount | None = None
    limit: Annotated[float, msgspec.Meta(ge=0.001, le=1e12)] | None = None
    newcomer_limit: Annotated[float, msgspec.Meta(ge=0.001, le=1e12)] | None = None
    recall: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    delay: Annotated[float, msgspec.Meta(ge=0, le=36_500)] = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 1

    def campaign(self) -> Campaign:
        """Raises `InputError` for one that cannot be."""
        numbers = [value for value in msgspec.structs.astuple(self) if isinstance(value, float)]
        if any(map(math.isnan, numbers)):
            raise InputError("give numbers, not `nan`")
        free: Any = "cheapest" if self.accounts is None else "unknown"
        here = Deployment(
            identity_check=self.identity_check, account_cost=self.account_cost, recall=self.recall, delay=self.delay,
            limit=math.inf if self.limit is None else self.limit,
            newcomer_limit=math.inf if self.newcomer_limit is None else self.newcomer_limit,
        )  # fmt: skip
        return Campaign(
            self.exchanges, accounts=self.accounts, channel=self.channel or free, mix=self.mix or free, deployment=here
        )


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A figure's median, and its 5th and 95th percentile."""

    figure: str
    unit: Literal["USD", "number", "share"]
    p5: float | None
    median: float | None
    p95: float | None


class AttackView(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign costs. ``models``: share of draws by the model that is cheapest for it, where that is chosen."""

    figures: list[Spread]
    models: dict[str, float]
    draws: int
    seed: int


def tier_map(call: Call) -> TierMap:
    asked: TierQuery = call.query
    day = asked.on or today(call.now_us)
    catalog = load_catalog()
    return TierMap(
        on=day,
        newest_fact=catalog.newest_fact,
        models=[
            Placed(
                model=one.model.id, name=one.model.name, developer=one.model.developer, country=one.model.country,
                released=one.model.released, tier=one.tier, because=one.because, facts=one.facts,
                conditions=one.conditions,
            )
            for one in tiers(catalog, day)
        ],
        changes=[] if asked.since is None else [
            Moved(model=one.model.id, day=one.day, before=one.before, after=one.after, because=one.because,
                  began=one.began, ended=one.ended)
            for one in changes(catalog, asked.since, day)
        ],
    )  # fmt: skip


def today(now_us: int) -> dt.date:
    """The day of a time, UTC."""
    return dt.datetime.fromtimestamp(now_us / SECOND, dt.UTC).date()


def list_claims(call: Call) -> Claims:
    overrides = call.services.claim_overrides
    standing, ledger = overrides.standing(), overrides.ledger()
    return Claims(
        claims=[_view(name, ledger, standing.get(name)) for name in load_claims().claims], figures=figures(ledger)
    )


def get_claim(call: Call) -> ClaimDetail:
    return _detail(call, _named(call))


def override_claim(call: Call) -> ClaimDetail:
    name = _named(call)
    call.services.claim_overrides.put(
        name, call.body.value, author=call.operator.name, now_us=call.now_us, reason=call.body.reason
    )
    return _detail(call, name)


def withdraw_override(call: Call) -> ClaimDetail:
    name = _named(call)
    call.services.claim_overrides.withdraw(name, author=call.operator.name, now_us=call.now_us, reason=call.body.reason)
    return _detail(call, name)


def get_lags(call: Call) -> Lags:
    asked: LagQuery = call.query
    vintage = shipped()
    found = lags(vintage, asked.follower, asked.leader, as_of=asked.as_of, resamples=RESAMPLES)
    return Lags(lags=found, resamples=RESAMPLES, source=f"{vintage.source}, {vintage.name}")


def get_attack_cost(call: Call) -> AttackView:
    asked: AttackQuery = call.query
    found = attack_cost(asked.campaign(), draws=DRAWS, seed=asked.seed)
    return AttackView(figures=spreads(found), models=dict(found.models), draws=found.draws, seed=found.seed)


def spreads(found: AttackCost) -> list[Spread]:
    """Every figure of an estimate, items first."""
    money = {**found.items, "total": found.total, "all but labour": found.but_labour,
             "per exchange": found.per_exchange}  # fmt: skip
    numbers = {"accounts bought": found.accounts, "exchanges per account": found.exchanges_per_account,
               "exchanges per account and day": found.exchanges_per_account_a_day}  # fmt: skip
    return [
        *(_spread(name, "USD", one) for name, one in money.items()),
        *(_spread(name, "number", one) for name, one in numbers.items()),
        _spread("share from resellers", "share", found.resold),
    ]


def _spread(name: str, unit: Literal["USD", "number", "share"], one: Quantiles) -> Spread:
    low, middle, high = (value if math.isfinite(value) else None for value in (one.low, one.median, one.high))
    return Spread(figure=name, unit=unit, p5=low, median=middle, p95=high)


def _named(call: Call) -> str:
    name = call.path("claim_id")
    if name not in load_claims().claims:
        raise not_found("claim", name)
    return name


def _view(name: str, ledger: Ledger, override: Override | None) -> ClaimView:
    return ClaimView(claim=load_claims().find(name), here=ledger.find(name), override=_here(override))


def _here(one: Override | None) -> Here | None:
    return None if one is None else Here(value=one.value, author=one.author, at_us=one.at_us, reason=one.reason)


def _detail(call: Call, name: str) -> ClaimDetail:
    overrides = call.services.claim_overrides
    ledger = overrides.ledger()
    return ClaimDetail(
        claim=load_claims().find(name),
        here=ledger.find(name),
        override=_here(overrides.standing().get(name)),
        history=[
            Past(action=one.action, value=then.value, author=one.author, at_us=one.at_us, reason=one.reason)
            for one, then in overrides.history(name)
        ],
        figures=[one for one in figures(ledger) if name in one.of],
    )


def _operation(method: str, path: str, name: str, summary: str, **more: Any) -> Operation:
    permission = more.pop("permission", Permission.SEE_MARKET)
    return Operation(
        method=method, path=path, name=name, summary=summary, permission=permission, subject="market", **more
    )


OPERATIONS: Final = (
    _operation("GET", "/v1/market/tiers", "tier_map", "Tiers of models on a day", handler=tier_map, query=TierQuery,
               gives=TierMap),
    _operation("GET", "/v1/market/claims", "list_claims", "Claims, as sources and as people here have them",
               handler=list_claims, gives=Claims),
    _operation("GET", "/v1/market/claims/{claim_id}", "get_claim", "A claim, its overrides and what rests on it",
               handler=get_claim, gives=ClaimDetail),
    _operation("POST", "/v1/market/claims/{claim_id}/override", "override_claim", "Override a claim",
               permission=Permission.OVERRIDE_CLAIM, handler=override_claim, takes=NewOverride, gives=ClaimDetail),
    _operation("POST", "/v1/market/claims/{claim_id}/withdrawal", "withdraw_override", "Withdraw a claim's override",
               permission=Permission.OVERRIDE_CLAIM, handler=withdraw_override, takes=Why, gives=ClaimDetail),
    _operation("GET", "/v1/market/lags", "lags", "How far one group of models is behind another", handler=get_lags,
               query=LagQuery, gives=Lags),
    _operation("GET", "/v1/market/attack-cost", "attack_cost", "What a campaign costs whoever runs it",
               handler=get_attack_cost, query=AttackQuery, gives=AttackView),
)  # fmt: skip
