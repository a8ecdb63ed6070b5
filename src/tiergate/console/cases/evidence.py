"""Why a case is one: evidence for and against, tests, how confidence comes about, and what each step would do."""

from __future__ import annotations

from tiergate.console.cases.drawings import waterfall
from tiergate.console.cases.opened import TONES, Opened, opened
from tiergate.console.cases.words import WORDS
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.errors import InputError
from tiergate.response.case_files import Outcome
from tiergate.response.dossier.alternatives import LEAST, alternatives
from tiergate.response.dossier.facts import Evidence, Part, part_of
from tiergate.response.dossier.inferred import arithmetic
from tiergate.response.effects import Effect, case_effects
from tiergate.response.ladder import LADDER


def evidence(visit: Visit) -> View:
    held = opened(visit)
    parts, gone = list[Part](), held.gone
    try:
        parts = _parts(held)
    except InputError as error:
        gone = gone or str(error)
    known = (held.found, held.members)
    told = [] if held.gone else case_effects(visit.services.cases, held.file.case_id, visit.now_us, known)
    effects = effects_table(told)
    shown = [_shown(one, number) for number, one in enumerate(parts)]
    tables = [effects, *(one[name] for one in shown for name in ("evidence", "tests", "ordinary", "sums"))]
    file, rank = held.file, LADDER.index(held.file.step)
    return held.view("evidence") | {
        "tables": tables, "effects": effects, "parts_of_case": shown, "gone": gone,
        "stricter": list(LADDER[max(rank, 1) :]), "milder": list(LADDER[:rank]), "outcomes": list(Outcome),
        "suggested": max(held.found.recommended, LADDER[min(rank + 1, len(LADDER) - 1)], key=LADDER.index),
        "effects_origin": Origin(
            api=f"GET /v1/cases/{file.case_id}/effects", note=WORDS.effects.how,
            sources=[Source(WORDS.effects.policy), Source(WORDS.effects.look.format(look=held.found.look))],
        ),
        "evidence_origin": Origin(
            api=f"GET /v1/cases/{file.case_id}/findings", command=command("case", "show", file.case_id),
            sources=[Source(WORDS.evidence.answer.format(look=held.found.look, digest=held.found.digest[:32]))],
            note=WORDS.evidence.note,
        ),
    }  # fmt: skip


def effects_table(effects: list[Effect]) -> Table:
    """What each step would do, a row each."""
    columns = WORDS.effects.columns
    held = [
        {
            "action": Link(one.action.value, tone=TONES[one.action]), "whole": one.whole, "part": one.part,
            "left": one.left, "a_day": one.a_day, "innocent": one.innocent, "innocent_a_day": one.innocent_a_day,
            "share": one.innocent / (one.charged + one.innocent) if one.charged + one.innocent else None,
            "let_through": one.let_through_a_day, "needed": one.needed,
        }
        for one in effects
    ]  # fmt: skip
    return Table(
        name="effects",
        columns=[
            Column("action", columns.action, "badge"), Column("whole", columns.whole, "count"),
            Column("part", columns.part, "count"), Column("left", columns.left, "count"),
            Column("a_day", columns.a_day, "number"), Column("innocent", columns.innocent, "count"),
            Column("innocent_a_day", columns.innocent_a_day, "number"), Column("share", columns.share, "share"),
            Column("let_through", columns.let_through, "number"), Column("needed", columns.needed, "count"),
        ],
        rows=held,
        empty=WORDS.effects.empty,
    )  # fmt: skip


def _parts(held: Opened) -> list[Part]:
    heads = {row["case_id"]: row for row in held.rows("cases")}
    evidence = held.rows("case_evidence")
    return [
        part_of(heads[name], "", [row for row in evidence if row["case_id"] == name], [])
        for name in held.cases
        if name in heads
    ]


def _shown(part: Part, number: int) -> dict[str, object]:
    """One case of the look: the drawing and its tables."""
    columns, ending = WORDS.evidence.columns, f"-{number}" if number else ""
    weighed = [
        Column("log_odds", columns.log_odds, "number"), Column("direction", columns.direction, "badge"),
        Column("family", columns.family), Column("statistic", columns.statistic),
        Column("explanation", columns.explanation), Column("p_value", columns.p_value, "number"),
    ]  # fmt: skip
    shared = [one for one in part.evidence if one.family != "workload"]
    tests = [one for one in part.evidence if one.family == "workload"]
    reasons = alternatives(part)
    names = ("reason", "tested", "outcome")
    sums = WORDS.evidence.sums
    figures = [
        (sums.links, part.links_nats, sums.links_note), (sums.workload, part.workload_nats, sums.workload_note),
        (sums.prior, -part.prior_nats, sums.prior_note), (sums.expected, part.expected, sums.expected_note),
        (sums.looks, part.looks, sums.looks_note),
    ]  # fmt: skip
    return {
        "case_id": part.case_id, "arithmetic": arithmetic(part),
        "drawing": waterfall(part.evidence, WORDS.evidence.together) if part.evidence else None,
        "speaking": sum(one.log_odds for one in part.evidence if one.log_odds >= LEAST),
        "against": sum(one.log_odds for one in part.evidence if one.log_odds <= -LEAST),
        "evidence": Table(
            name=f"evidence{ending}", columns=weighed, rows=[_row(one) for one in shared], empty=WORDS.evidence.empty
        ),
        "tests": Table(
            name=f"tests{ending}",
            columns=[*weighed[:2], weighed[3], Column("value", columns.value, "number"), weighed[5],
                     Column("compared", columns.compared), weighed[4]],
            rows=[_row(one) | {"value": one.value, "compared": compared(one)} for one in tests],
            empty=WORDS.evidence.no_tests,
        ),
        "ordinary": Table(
            name=f"ordinary{ending}", columns=[Column(name, WORDS.evidence.reasons[name]) for name in names],
            rows=[dict(zip(names, row, strict=True)) for row in reasons.rows],
        ),
        "sums": Table(
            name=f"sums{ending}",
            columns=[Column("what", sums.what), Column("figure", sums.figure, "number"), Column("means", sums.means)],
            rows=[{"what": what, "figure": figure, "means": means} for what, figure, means in figures],
        ),
    }  # fmt: skip


def compared(one: Evidence) -> str:
    """What a workload test is compared with."""
    groups = WORDS.evidence.groups
    return str(groups[one.statistic.replace("-", "_")]) if one.statistic.replace("-", "_") in groups else ""


def _row(one: Evidence) -> dict[str, object]:
    says = "neither" if abs(one.log_odds) < LEAST else "for" if one.log_odds > 0 else "against"
    return {
        "log_odds": round(one.log_odds, 3) + 0.0, "direction": Link(WORDS.evidence.says[says], tone=TONES[says]),
        "family": one.family, "statistic": one.statistic, "explanation": one.explanation, "p_value": one.p_value,
    }  # fmt: skip
