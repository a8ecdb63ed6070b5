"""Routes among upstreams, as the gateway reads them."""

from __future__ import annotations

from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.gateway.routing.listed import routes_of


def routes(visit: Visit) -> View:
    words, data = visit.renderer.words.gateway, visit.services.settings.data
    listed = routes_of(data)
    columns = words.columns
    groups = Table(
        name="groups", empty=words.no_groups,
        columns=[
            Column("name", columns.name, "code"), Column("strategy", columns.strategy),
            Column("candidates", columns.candidates), Column("offered", columns.offered),
        ],
        rows=[
            {"name": one.name, "strategy": one.strategy, "candidates": ", ".join(one.candidates),
             "offered": ", ".join(one.offered)}
            for one in listed.groups
        ],
    )  # fmt: skip
    models = Table(
        name="models", empty=words.no_models,
        columns=[
            Column("name", columns.model, "code"), Column("tier", columns.tier), Column("upstream", columns.upstream),
            Column("upstream_model", columns.upstream_model, "code"), Column("region", columns.region),
            Column("context_tokens", columns.context_tokens, "count"), Column("capabilities", columns.capabilities),
        ],
        rows=[
            {name: getattr(one, name) for name in ("name", "tier", "upstream", "upstream_model", "region",
                                                   "context_tokens")}
            | {"capabilities": ", ".join(one.capabilities)}
            for one in listed.models
        ],
    )  # fmt: skip
    upstreams = Table(
        name="upstreams", empty=words.no_upstreams,
        columns=[
            Column("name", columns.upstream), Column("url", columns.url, "code"), Column("dialect", columns.dialect),
            Column("concurrency", columns.concurrency, "count"), Column("key_env", columns.key_env, "code"),
        ],
        rows=[
            {name: getattr(one, name) for name in ("name", "url", "dialect", "concurrency", "key_env")}
            for one in listed.upstreams
        ],
    )  # fmt: skip
    return {
        "tables": [groups, models, upstreams],
        "named": {"groups": groups, "models": models, "upstreams": upstreams},
        "listed": listed,
        "check": command("routes", "check", data / "gateway.yaml"),
        "explain": command("routes", "explain", "--model", "NAME", "--data", data),
        "origin": Origin(api="GET /v1/routes", command=command("routes", "check", data / "gateway.yaml")),
    }
