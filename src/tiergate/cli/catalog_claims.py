"""`tiergate catalog claims`: what the founding essay claims, what sources say, and what moves when you disagree."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.catalog_overrides import Of, ledger_of
from tiergate.cli.charts import Chart, chart_file
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from tiergate.catalog.claim_figures import Figure
    from tiergate.catalog.claims import Claim, Ledger
    from tiergate.economics.founding_charts import Bar, FoundingChart

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="CLAIM=VALUE", help="Your figure (5, or low,mode,high) or status; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``app``."""
    app.command("claims")(claims)


def claims(
    claim: Annotated[str | None, typer.Argument(metavar="[CLAIM]", help="One claim, by its id.")] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Only those on access, distillation, market or forecast.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only corroborated, disputed, refuted or uncorroborated ones.")
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="The figures that follow from claims, in place of the claims.")
    ] = False,
    override: Set = None,
    data: Of = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show the claims of the founding essay, each against what sources say, and where it is used.

    `--set` puts your figure in place of the evidence, for this call, and shows which other figures and bars move. What
    the essay said stays as it is.

    \b
    Example:
      tiergate catalog claims extraction_cost --set extraction_cost=2e6
    """
    from tiergate.catalog.claim_figures import figures as computed
    from tiergate.catalog.claim_figures import moved
    from tiergate.catalog.claims import Status
    from tiergate.economics.founding_charts import moved_bars

    csv_file(csv)
    chart_file(chart)
    shipped = ledger_of(data)
    ledger = shipped.with_overrides(override or ())
    _check(topic, "topic", sorted({one.topic for one in ledger.claims.values()}))
    _check(status, "status", list(Status))
    if claim is not None and (topic or status or figures):
        raise InputError("a claim by its id needs no `--topic`, `--status` or `--figures`: leave them out")
    found = [ledger.find(claim)] if claim else [
        one for one in ledger.claims.values() if topic in (None, one.topic) and status in (None, one.status)
    ]  # fmt: skip
    changed, bars = moved(shipped, ledger), moved_bars(shipped, ledger)
    rows = [_figure_row(one) for one in computed(ledger)] if figures else [_row(one, ledger) for one in found]
    if csv:
        write_csv(csv, rows)
    if chart:
        _draw(chart, found)
    if as_json:
        shown: dict[str, Any] = {"figures" if figures else "claims": rows}
        if override:
            shown["moved"] = [{"before": _figure_row(old), "after": _figure_row(new)} for old, new in changed]
            shown["moved_bars"] = [
                {"chart": chart.name, "claim": new.claim, "unit": new.unit}
                | _ends("before", old.value)
                | _ends("after", new.value)
                for chart, old, new in bars
            ]
        say_json(shown)
        return
    if figures:
        print_rows(
            ("figure", "as claimed", "as evidenced", "unit"),
            [(one["figure"], one["claimed"] or "-", one["evidence"] or "-", one["unit"]) for one in rows],
        )
        note("of which claims each is made: --json or --csv; a range over a range is the widest that they allow")
    elif claim:
        _say(found[0], ledger)
    else:
        print_rows(
            ("claim", "status", "as claimed", "as evidenced", "unit"),
            [(one.id, _marked(one, ledger), one.claimed or "-", one.evidence or "-", one.unit) for one in found],
        )
        counts = Counter(one.status.value for one in found)
        note(
            f"{counted(len(found), 'claim')}: " + ", ".join(f"{number} {name}" for name, number in counts.most_common())
        )
        note("sources and findings: `tiergate catalog claims CLAIM`, --json or --csv")
    if override:
        _say_moved(changed, bars)


def _check(given: str | None, name: str, allowed: list[str]) -> None:
    if given is not None and given not in allowed:
        raise InputError(f"`{given}` is no {name}: give {', '.join(allowed)}")


def _marked(claim: Claim, ledger: Ledger) -> str:
    return f"{claim.status}{', yours' if claim.id in ledger.overridden else ''}"


def _say(claim: Claim, ledger: Ledger) -> None:
    say(f"{claim.id}, {claim.topic}: {_marked(claim, ledger)}")
    say(f"  says          {claim.says}")
    if claim.claimed:
        say(f"  as claimed    {claim.claimed} {claim.unit}")
    if claim.evidence:
        yours = " (set by you)" if claim.id in ledger.overridden else ""
        say(f"  as evidenced  {claim.evidence} {claim.unit}{yours}")
    if claim.alleged_by:
        say(f"  alleged by    {claim.alleged_by}")
    say(f"  finding       {claim.finding}")
    if claim.note:
        say(f"  note          {claim.note}")
    say(f"  as of         {claim.as_of}")
    say(f"  source        {claim.source} ({claim.licence})")
    say(f"  used by       {', '.join(f'tiergate {one}' for one in claim.used_by) or 'nothing'}")


def _say_moved(changed: list[tuple[Figure, Figure]], bars: list[tuple[FoundingChart, Bar, Bar]]) -> None:
    say()
    if not changed and not bars:
        say("Nothing is computed from this: commands under `used by` measure it from data of their own, or show it.")
        return
    say("What moves, as evidenced:")
    print_rows(
        ("figure", "before", "with yours", "unit"),
        [(old.id, old.evidence or "-", new.evidence or "-", old.unit) for old, new in changed]
        + [(f"chart {chart.name}: {new.label}", old.value, new.value, new.unit) for chart, old, new in bars],
    )


def _row(claim: Claim, ledger: Ledger) -> dict[str, Any]:
    return {
        "claim": claim.id,
        "topic": claim.topic,
        "says": claim.says,
        "status": claim.status.value,
        **_ends("claimed", claim.claimed),
        **_ends("evidence", claim.evidence),
        "unit": claim.unit,
        "set_by_you": claim.id in ledger.overridden,
        "alleged_by": claim.alleged_by,
        "finding": claim.finding,
        "used_by": ", ".join(claim.used_by),
        "as_of": claim.as_of,
        "source": claim.source,
        "licence": claim.licence,
        "note": claim.note,
    }


def _ends(layer: str, value: Any) -> dict[str, float | None]:
    return {f"{layer}_{part}": value and getattr(value, part) for part in ("low", "mode", "high")}


def _figure_row(one: Figure) -> dict[str, Any]:
    return {
        "figure": one.id,
        "means": one.means,
        "claimed": one.claimed and str(one.claimed),
        "evidence": one.evidence and str(one.evidence),
        **_ends("claimed", one.claimed),
        **_ends("evidence", one.evidence),
        "unit": one.unit,
        "of": ", ".join(one.of),
    }


def _draw(path: Path, found: list[Claim]) -> None:
    from tiergate.catalog.claims import Status
    from tiergate.cli.charts import HATCHES, INK, STYLES, write_chart

    topics = list(dict.fromkeys(one.topic for one in found))

    def draw(figure: Drawing) -> None:
        axes = figure.subplots()
        start = [0] * len(topics)
        for status, style, hatch in zip(Status, STYLES, HATCHES, strict=False):
            counts = [sum(one.topic == topic and one.status == status for one in found) for topic in topics]
            axes.barh(topics, counts, left=start, color=style.color, hatch=hatch, edgecolor="white", label=status.value)
            start = [a + b for a, b in zip(start, counts, strict=True)]
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlabel("claims of the founding essay")
        axes.set_xticks(range(0, max(start) + 2, 2))
        figure.legend(loc="outside upper right", ncols=4)

    write_chart(draw, path, title="What became of each claim", source="`tiergate catalog claims`", size=(7.5, 2.8))
