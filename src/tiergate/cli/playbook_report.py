"""The go/no-go report of a playbook: one document, as JSON, Markdown or a page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tiergate.cli.outputs import writable_file
from tiergate.cli.terminal import visible
from tiergate.errors import SettingsError

if TYPE_CHECKING:
    from tiergate.advice.playbooks.adoption import Adoption
    from tiergate.advice.playbooks.clauses import Evidence
    from tiergate.advice.playbooks.decision import Decision
    from tiergate.advice.playbooks.findings import Finding
    from tiergate.advice.playbooks.kpis import Kpi, Measured
    from tiergate.advice.playbooks.playbook import Playbook
    from tiergate.cli.playbook_live import Probe

FOOT = (
    "Stated means somebody's word in playbooks.toml; all else was read from this deployment or measured in its log. "
    "That there is evidence for a clause does not mean that the clause is met. This is no legal advice."
)


def document(
    playbook: Playbook, adoption: Adoption | None, findings: Sequence[Finding], probes: Sequence[Probe],
    measured: Measured, kpis: Sequence[Kpi], decision: Decision, pack: Sequence[Evidence],
    *, from_us: int, to_us: int, now_us: int,
) -> dict[str, Any]:  # fmt: skip
    """The report as plain values: every form of it is made from these."""
    from tiergate.advice.playbooks.clauses import load_clauses
    from tiergate.advice.playbooks.decision import amount, bounds

    figures = [
        msgspec.to_builtins(one)
        | {"shown": "-" if one.value is None else amount(one.name, one.value), "asked": bounds(one.name, one.threshold)}
        for one in kpis
    ]
    names = {one.id: one.name for one in load_clauses().framework}
    return {
        "playbook": playbook.id,
        "name": playbook.name,
        "text": playbook.text,
        "made_at": _day(now_us),
        "from": _day(from_us),
        "until": _day(to_us),
        "adoption": None if adoption is None else msgspec.to_builtins(adoption),
        "go": decision.go,
        "against": list(decision.against),
        "controls": msgspec.to_builtins(list(findings)),
        "probes": msgspec.to_builtins(list(probes)),
        "figures": figures,
        "usd": measured.usd,
        "refusals": measured.refusals,
        "evidence": [msgspec.to_builtins(one) | {"framework": names[one.framework]} for one in pack if one.shown],
        "no_evidence": [
            {"framework": names[one.framework], "clause": one.clause, "about": one.about, "why": one.limit}
            for one in pack
            if not one.shown
        ],
        "not_offered": playbook.not_offered,
        "not_covered": playbook.not_covered,
        "sources": [
            {"name": one.name, "source": one.source, "as_of": one.as_of.isoformat(), "note": one.note}
            for one in load_clauses().framework
        ],
        "foot": FOOT,
    }


def markdown(made: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [f"# {made['name']}: {'go' if made['go'] else 'no-go'}", "", made["text"], ""]
    lines += [f"Made {made['made_at']}, from exchanges of {made['from']} until {made['until']}.", ""]
    if made["adoption"] is not None:
        owners = ", ".join(f"{role}: {_cell(name)}" for role, name in made["adoption"]["owners"].items())
        lines += [f"Owners (stated): {owners}. Review by {made['adoption']['review_by']}.", ""]
    lines += [f"- {_cell(one)}" for one in made["against"]] + ([""] if made["against"] else [])
    for title, headings, rows in tables(made):
        head = [f"## {title}", "", f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
        lines += [*head, *(f"| {' | '.join(map(_cell, row))} |" for row in rows), ""]
    lines += [f"The exchanges cost {made['usd']:,.2f} USD together.", "", "## Not offered and not covered", ""]
    lines += [f"- {what}: {why}" for what, why in made["not_offered"].items()]
    lines += [f"- {one}" for one in made["not_covered"]]
    lines += ["", "## Sources", ""]
    lines += [f"- {one['name']}: {one['source']}, {one['as_of']}. {one['note']}" for one in made["sources"]]
    return "\n".join([*lines, "", made["foot"]])


def tables(made: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """The report's tables that have rows: title, headings, cells."""
    states = {True: "met", False: "not met"}
    found: list[tuple[str, list[str], list[list[str]]]] = [
        ("Controls", ["control", "state", "seen", "what to do"], [
            [one["control"], one["state"] + (", stated" if one["stated"] else ""), "; ".join(one["because"]),
             "; ".join(one["do"])]
            for one in made["controls"]
        ]),
        ("Probes in a sandbox", ["control", "state", "answer"], [
            [one["control"], "shown" if one["passed"] else "not shown", one["said"]] for one in made["probes"]
        ]),
        ("Figures", ["figure", "measured", "asked", "state"], [
            [one["name"], one["shown"], one["asked"], states.get(one["met"], one["why"])] for one in made["figures"]
        ]),
        ("Refusals", ["code", "exchanges"], [[code, f"{count:,}"] for code, count in made["refusals"].items()]),
        ("Evidence, clause by clause", ["framework", "clause", "about", "evidence", "does not show", "source"], [
            [one["framework"], one["clause"], one["about"],
             ", ".join(f"{name} ({state})" for name, state in one["shown"].items()), one["limit"],
             f"{one['source']} ({one['as_of']})"]
            for one in made["evidence"]
        ]),
        ("Clauses without evidence here", ["framework", "clause", "about", "why"], [
            [one["framework"], one["clause"], one["about"], one["why"]] for one in made["no_evidence"]
        ]),
    ]  # fmt: skip
    return [one for one in found if one[2]]


def write_report(made: dict[str, Any], out: Path) -> None:
    """Write ``out`` as its ending says, .md or .html. Raises `SettingsError` where pages need an extra."""
    writable_file(out)
    if out.suffix == ".md":
        out.write_text(markdown(made) + "\n", encoding="utf-8")
        return
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"a page needs `{error.name}`, which is not installed: run `pip install 'tiergate[report]'`, or write .md"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tiergate.cli", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    out.write_text(
        environment.get_template("playbook_report.html.j2").render(made, from_=made["from"], tables=tables(made)),
        encoding="utf-8",
    )


def _cell(text: str) -> str:
    """Names that others chose stay in their cell."""
    return visible(text).replace("|", "\\|").replace("<", "&lt;")


def _day(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
