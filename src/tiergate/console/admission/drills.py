"""The June drill: an order like that of 12 June 2026, tried in a copy of the deployment."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from tiergate.admission.drill import ORDER, Drill, drill, proposed_models
from tiergate.admission.models import FILE, read_models
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.api.operators import Permission
from tiergate.clock import HOUR
from tiergate.console.admission.common import WORDS, badge, columns, page, to, waiting, window, worked_out
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Table
from tiergate.console.visits import View, Visit


def june(visit: Visit) -> View | Response:
    services = visit.services
    listed = read_models(services.settings.data / FILE)
    chosen = tuple(dict.fromkeys(one for one in (visit.asked("first"), visit.asked("second")) if one))
    models = chosen or proposed_models(listed)
    done: Drill | None = None
    if visit.asked("run") and listed.by_name:
        store = services.activations
        key = ("drill", services.settings.data, models, services.changes.version(), store.epoch(),
               services.registry.version(), services.ownership.version(), visit.now_us // HOUR)  # fmt: skip
        settings = services.settings
        done = worked_out(key, lambda: drill(settings.data, models, visit.now_us, packs=settings.packs))
        if done is None:
            return waiting(visit, "drill")
    groups = Table(
        name="groups",
        columns=columns(("model", "code"), ("attested", "badge"), ("before", "badge"), ("during", "badge"),
                        ("after", "badge"), ("holders", "count"), "reasons"),
        rows=[
            {
                "model": one.model, "attested": badge(one.attested), "before": badge(one.before),
                "during": badge(one.during), "after": badge(one.after), "holders": one.holders,
                "reasons": ", ".join(one.reasons),
            }
            for one in (done.groups if done else [])
        ],
    )  # fmt: skip
    rows, following = window(visit, done.rows if done else [], lambda row: f"{row.model} {row.subject}")
    people = Table(
        name="holders",
        columns=columns(("holder", "code"), "organisation", ("model", "code"), ("attested", "badge"),
                        ("before", "badge"), ("during", "badge"), ("after", "badge"), "reasons"),
        rows=[
            {
                "holder": one.subject, "organisation": to("organisations", one.organisation), "model": one.model,
                "attested": badge(one.attested), "before": badge(one.before), "during": badge(one.during),
                "after": badge(one.after), "reasons": ", ".join(one.reasons),
            }
            for one in rows
        ],
        next_page=following,
        empty=WORDS.drill.nobody,
    )  # fmt: skip
    return {
        "result": done, "models": [(name, f"{name} ({one.tier})") for name, one in listed.by_name.items()],
        "first": models[0] if models else "", "second": models[1] if len(models) > 1 else "",
        "groups": groups, "people": people, "tables": [groups, people],
        "origin": Origin(
            api="POST /v1/drill",
            command=command("packs", "drill", *(word for name in models for word in ("--model", name))),
            sources=ORDER_SOURCES, note=WORDS.drill.note,
        ),
    }  # fmt: skip


def _sources() -> list[Source]:
    pack = find_pack(load_packs(), ORDER)
    return [Source(one.title, one.url, one.read.isoformat() if one.read else None) for one in pack.sources]


ORDER_SOURCES: Final = _sources()
PAGES: Final = (page("/admission/drill", "drill", june, Permission.PREVIEW_PACK),)
