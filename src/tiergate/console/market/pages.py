"""The pages of the market."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tiergate.api.operators import Permission
from tiergate.console.acting import Foretold
from tiergate.console.market import attack, bound, claims, facts, forecasts, founding, lag, prices, tiers
from tiergate.console.visits import Page, View, Visit


def _page(path: str, name: str, handler: Callable[[Visit], View]) -> Page:
    return Page(
        path=f"/market{path}", name=f"market{name and '_'}{name}", section="market",
        template=f"market/{name or 'tiers'}", handler=handler, permission=Permission.SEE_MARKET,
    )  # fmt: skip


PAGES: Final = (
    _page("", "", tiers.tier_map),
    _page("/models/{model_id}", "model", tiers.one_model),
    _page("/charts", "charts", founding.founding),
    _page("/claims", "claims", claims.ledger),
    _page("/claims/{claim_id}", "claims_one", claims.one_claim),
    _page("/lag", "lag", lag.lag),
    _page("/prices", "prices", prices.prices),
    _page("/attack", "attack", attack.attack),
    _page("/bound", "bound", bound.bound),
    _page("/forecasts", "forecasts", forecasts.forecasts),
    _page("/providers", "providers", facts.providers),
    _page("/allegations", "allegations", facts.allegations),
)
FORETOLD: Final[Mapping[str, Foretold]] = {
    "override_claim": claims.before_override,
    "withdraw_override": claims.before_withdrawal,
}
