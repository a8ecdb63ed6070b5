"""Rule packs: what they say, which bind, and who flips if that changes."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import msgspec
from starlette.responses import Response

from tiergate.admission.activations import Activation, day_of
from tiergate.admission.models import FILE as MODELS
from tiergate.admission.models import read_models
from tiergate.admission.preview import Preview, Row
from tiergate.admission.rule_packs import AppliesTo, RulePack, Standing, load_packs, standing
from tiergate.api.operators import Permission
from tiergate.api.packs import Trial, pack_of, whole_preview
from tiergate.api.problems import ProblemError
from tiergate.api.services import Services
from tiergate.clock import HOUR
from tiergate.console.acting import Consequence, Deed
from tiergate.console.admission.common import (
    WORDS,
    address,
    badge,
    columns,
    page,
    to,
    waiting,
    window,
    worked_out,
)
from tiergate.console.admission.ownership import linked
from tiergate.console.origins import Origin, Source, command
from tiergate.console.readings import WAIT_S
from tiergate.console.tables import Kind, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.errors import InputError

SHOWN_BEFORE: Final = 10
"""Rows of those who flip, on the page that asks whether that is wanted."""


def packs(visit: Visit) -> View:
    services, today = visit.services, day_of(visit.now_us)
    store = services.activations
    known = store.with_kept(load_packs(services.settings.packs))
    governing, house = store.governing(today), visit.may(Permission.PREVIEW_PACK)
    table = Table(
        name="packs",
        columns=columns(("pack", "code"), "title", "kind", ("text_says", "badge"), ("binds", "badge"),
                        "confirmed_by", "sources"),
        rows=[
            {
                "pack": to("packs", one.name), "title": one.title, "kind": one.kind,
                "text_says": badge(standing(one, today).value),
                "binds": badge("active") if binds(row, one) else None,
                "confirmed_by": row.confirmation if house and row is not None and binds(row, one) else None,
                "sources": ", ".join(source.title for source in one.sources[:2]),
            }
            for one in known.values() for row in (governing.get(one.id),)
        ],
    )  # fmt: skip
    proposals = services.proposals.every(visit.now_us) if house else []
    history = Table(
        name="activations",
        columns=columns(("number", "number"), ("pack", "code"), ("action", "badge"), "day", ("at_us", "time"),
                        "first", "second", "reason", "confirmed_by"),
        rows=[
            {
                "number": one.epoch, "pack": to("packs", f"{one.pack}@{one.version}"), "action": one.action,
                "day": one.effective_day.isoformat(), "at_us": one.recorded_at, "first": one.first_name,
                "second": one.second_name, "reason": one.reason, "confirmed_by": one.confirmation,
            }
            # Who signed is the house's to know.
            for one in (reversed(store.history()) if house else [])
        ],
        empty=WORDS.packs.never,
    )  # fmt: skip
    return {
        "table": table, "history": history, "proposals": proposals, "tables": [table, history],
        "origin": Origin(api="GET /v1/packs", command=command("packs", "list")),
    }  # fmt: skip


def pack(visit: Visit) -> View:
    services, today = visit.services, day_of(visit.now_us)
    _, one = pack_of(services, visit.path("pack"))
    governing = services.activations.governing(today).get(one.id)
    parameters: dict[str, Any] = msgspec.to_builtins(one)
    table = Table(
        name="parameters",
        columns=columns(("field", "code"), "value"),
        rows=[
            {"field": f"{part}.{key}", "value": _written(value)}
            for part in ("applies_to", "seeds", "test", "person") for key, value in (parameters[part] or {}).items()
            if value not in ("", False, [], None)
        ],
    )  # fmt: skip
    periods = Table(
        name="periods",
        columns=columns(("state", "badge"), "from", "to", "note"),
        rows=[{"state": badge(held.status), "from": held.valid_from.isoformat(),
               "to": held.valid_to.isoformat() if held.valid_to else None, "note": held.note} for held in one.periods],
    )  # fmt: skip
    return {
        "one": one, "says": badge(standing(one, today).value), "active": binds(governing, one),
        "governing": governing, "today": today.isoformat(), "needs_confirmation": _left_open(one, today),
        "table": table, "periods": periods, "closes": closed_models(services, one),
        "proposals": [held for held in services.proposals.every(visit.now_us)
                      if held.pack == one.name and visit.may(Permission.PREVIEW_PACK)],
        "tables": [table, periods],
        "origin": Origin(
            api="GET /v1/packs", command=command("packs", "show", one.name),
            sources=[Source(f"{source.title}: {source.covers}", source.url,
                            source.read.isoformat() if source.read else None) for source in one.sources],
        ),
    }  # fmt: skip


def preview(visit: Visit) -> View | Response:
    services = visit.services
    _, one = pack_of(services, visit.path("pack"))
    asked = _trial(visit.asked("action"), visit.asked("day"), visit.asked("confirmed") is not None)
    shown = _worked_out(services, one.name, asked, visit.now_us)
    if shown is None:
        return waiting(visit, "preview")
    rows, following = window(visit, shown.rows, lambda row: f"{row.kind} {row.id}")
    table = _rows_table(shown, rows, following)
    counts = Table(
        name="counts",
        columns=columns("kind", ("before", "badge"), ("after", "badge"), ("number_of", "count")),
        rows=[
            {"kind": kind, "before": badge(pair.split("->")[0]), "after": badge(pair.split("->")[1]),
             "number_of": count}
            for kind, counted in shown.counts.items() for pair, count in counted.items()
        ],
    )  # fmt: skip
    wanted = [(row.id, linked(row.would_settle, {})) for row in rows if row.would_settle]
    looked_at = {kind: sum(counted.values()) for kind, counted in shown.counts.items()}
    return {
        "one": one, "asked": asked, "shown": shown, "flips": shown.flips, "table": table, "counts": counts,
        "wanted": wanted,
        "looked_at": looked_at, "day": day_of(shown.at_us).isoformat(),
        "today": day_of(visit.now_us).isoformat(), "needs_confirmation": _left_open(one, day_of(shown.at_us)),
        "tables": [table, counts],
        "origin": Origin(
            api=f"POST /v1/packs/{one.name}/preview",
            command=command("packs", "preview", one.name, "--change", asked.action, "--on",
                            day_of(shown.at_us).isoformat()),
            note=WORDS.preview.note,
        ),
    }  # fmt: skip


def binds(row: Activation | None, one: RulePack) -> bool:
    """Whether the row that governs a pack says that this version binds."""
    return row is not None and row.action == "activate" and row.version == one.version


def closed_models(services: Services, one: RulePack) -> list[str]:
    """Models of the deployment that a pack is asked for where it binds."""
    try:
        listed = read_models(services.settings.data / MODELS).by_name.values()
    except InputError:
        return []
    return [each.model for each in listed
            if one.applies_to.meets(AppliesTo(tiers=(each.tier,), models=(each.model,)))]  # fmt: skip


def foretell_proposal(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Who flips if a proposal were confirmed."""
    values = deed.values
    asked = _trial(values.get("action"), values.get("day"), bool(values.get("confirmation")))
    return _foretold(services, deed.path["pack"], asked, now_us, WORDS.packs.second)


def foretell_confirmation(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Who flips by what another proposed."""
    wanted = deed.path["proposal_id"]
    held = next((one for one in services.proposals.every(now_us) if one.proposal_id == wanted), None)
    if held is None:
        return Consequence(sentences=[])  # the call itself says so
    asked = Trial(action=held.action, day=held.day, confirmed=held.confirmation is not None)
    said = WORDS("packs.proposed", who=held.proposed_by, reason=held.reason)
    return _foretold(services, held.pack, asked, now_us, said)


_COLUMNS: Final[tuple[str | tuple[str, Kind], ...]] = (
    "kind", ("id", "code"), ("before", "badge"), ("after", "badge"), ("pack_says", "badge"), ("reason", "code"),
    ("proof", "code"), "note",
)  # fmt: skip


def _foretold(services: Services, name: str, asked: Trial, now_us: int, first: str) -> Consequence:
    _, one = pack_of(services, name)
    day = asked.day or day_of(now_us)
    models = ", ".join(closed_models(services, one)) or WORDS.packs.no_models
    change = WORDS(f"packs.{asked.action}", pack=one.name, day=day.isoformat(), models=models)
    shown = _worked_out(services, name, asked, now_us, wait_s=2.0)
    if shown is None:
        return Consequence(sentences=[first, change, WORDS.packs.under_way])
    said = [first, change, WORDS("packs.flips", flips=f"{shown.flips:,}", standing=shown.standing)]
    if shown.standing not in (Standing.IN_FORCE, Standing.UNCONFIRMED) and asked.action == "activate":
        said.append(WORDS("packs.not_in_force", standing=shown.standing))
    flipped = [row for row in shown.rows if row.flips][:SHOWN_BEFORE]
    return Consequence(sentences=said, tables=[_rows_table(shown, flipped)] if flipped else [])


def _rows_table(shown: Preview, rows: list[Row], following: str | None = None) -> Table:
    return Table(
        name="rows",
        columns=columns(*_COLUMNS),
        rows=[
            {
                "kind": row.kind,
                "id": Link(row.id, address("organisations", row.id) if row.kind == "organisation" else None),
                "before": badge(row.before), "after": badge(row.after), "pack_says": badge(row.pack_after),
                "reason": row.reason,
                "proof": Link(row.proof[:12], f"{address('organisations', row.id)}?pack={shown.pack}")
                if row.proof and row.kind == "organisation" else None,
                "note": "; ".join(row.notes),
            }
            for row in rows
        ],
        next_page=following,
        empty=WORDS.preview.nobody,
    )  # fmt: skip


def _worked_out(services: Services, name: str, asked: Trial, now_us: int, *, wait_s: float = WAIT_S) -> Preview | None:
    """The preview, None while it is being worked out. One of today holds for an hour, if nothing changes."""
    changes, store = services.changes, services.activations
    key = ("preview", services.settings.data, changes.version(), store.epoch(), services.ownership.version(), name,
           asked, now_us // HOUR)  # fmt: skip
    return worked_out(key, lambda: whole_preview(services, name, asked, now_us), wait_s)


def _trial(action: str | None, day: str | None, confirmed: bool) -> Trial:
    try:
        chosen = date.fromisoformat(day) if day else None
    except ValueError:
        raise ProblemError(400, "unfit_query", f"`{day}` is no day", "give one such as 2026-12-01") from None
    return Trial(action="deactivate" if action == "deactivate" else "activate", day=chosen, confirmed=confirmed)


def _left_open(one: RulePack, day: date) -> bool:
    return standing(one, day) is Standing.UNCONFIRMED


def _written(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


FORETOLD: Final = {"propose_pack": foretell_proposal, "confirm_pack": foretell_confirmation}
PAGES: Final = (
    page("/admission/packs", "packs", packs),
    page("/admission/packs/{pack}", "pack", pack),
    page("/admission/packs/{pack}/preview", "preview", preview, Permission.PREVIEW_PACK),
)
