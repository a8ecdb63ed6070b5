"""The pages of the section, and what is said before somebody does something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from tiergate.api.operators import Permission
from tiergate.api.services import Services
from tiergate.console.acting import Consequence, Deed, Foretold
from tiergate.console.gateway.budgets import budgets
from tiergate.console.gateway.keys import keys
from tiergate.console.gateway.live import live
from tiergate.console.gateway.routes import routes
from tiergate.console.gateway.traffic import span_of, traffic
from tiergate.console.visits import Page, View, Visit
from tiergate.console.words import load_words


def gateway(visit: Visit) -> View | Response:
    now = live(visit)
    if visit.asked("part") == "live" and visit.csv is None:
        return visit.renderer.html("gateway/live", now)
    shown = traffic(visit, span_of(visit))
    return {**now, **shown, "tables": [*shown["tables"], now["live_upstreams"]]}


def _revoked(_services: Services, deed: Deed, _now_us: int) -> Consequence:
    return Consequence(sentences=load_words().gateway("revoke_will", key=deed.path["credential_id"]).split("\n"))


def _removed(_services: Services, deed: Deed, _now_us: int) -> Consequence:
    values = deed.values
    return Consequence(
        sentences=[load_words().gateway("remove_will", **{n: values.get(n) for n in ("measure", "subject")})]
    )


PAGES: Final = (
    Page(path="/gateway", name="gateway", section="gateway", template="gateway/gateway", handler=gateway,
         permission=Permission.SEE_GATEWAY),
    Page(path="/gateway/routes", name="routes", section="gateway", template="gateway/routes", handler=routes,
         permission=Permission.SEE_GATEWAY),
    Page(path="/gateway/budgets", name="budgets", section="gateway", template="gateway/budgets", handler=budgets,
         permission=Permission.SEE_KEYS),
    Page(path="/gateway/keys", name="keys", section="gateway", template="gateway/keys", handler=keys,
         permission=Permission.SEE_KEYS),
)  # fmt: skip
FORETOLD: Final[Mapping[str, Foretold]] = {"revoke_key": _revoked, "remove_budget": _removed}
