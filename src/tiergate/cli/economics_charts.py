"""`tiergate economics charts`: the founding essay's two charts, as it claims and as sources have it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.catalog_claims import Set
from tiergate.cli.catalog_overrides import Of, ledger_of
from tiergate.cli.charts import Chart, chart_file
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tiergate.economics.founding_charts import Bar, FoundingChart

NAMES = {"claimed": "as claimed", "evidence": "as evidenced"}


class Which(StrEnum):
    """One of the charts."""

    EXTRACTION = "extraction"
    TIERS = "tiers"


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``app``."""
    app.command("charts")(charts)


def charts(
    which: Annotated[
        Which | None, typer.Argument(metavar="[CHART]", help="extraction or tiers; both if not given.")
    ] = None,
    override: Set = None,
    data: Of = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show the two charts of the founding essay, each in two layers: as it claims, and as sources have it.

    `extraction`: what extracting a model costs against training one. `tiers`: SWE-bench Verified by tier of access.
    Every bar is a claim, which `tiergate catalog claims` explains and `--set` overrides.

    \b
    Example:
      tiergate economics charts extraction --chart extraction.svg
    """
    from tiergate.economics.founding_charts import extraction_against_training, swe_bench_by_tier

    if chart and which is None:
        raise InputError("`--chart` draws one of them: name extraction or tiers")
    csv_file(csv)
    chart_file(chart)
    ledger = ledger_of(data).with_overrides(override or ())
    made = [extraction_against_training(ledger), swe_bench_by_tier(ledger)]
    wanted = [one for one in made if which in (None, one.name)]
    rows = [_row(one, bar) for one in wanted for bar in one.bars]
    if csv:
        write_csv(csv, rows)
    if chart:
        _draw(chart, wanted[0], yours=ledger.overridden)
    if as_json:
        say_json({"bars": rows, "figures": [_figure(one) for whole in wanted for one in whole.figures]})
        return
    for whole in wanted:
        say(f"{whole.title}, {whole.bars[0].unit}")
        print_rows(
            ("claim", "of", "layer", "value", "by"),
            [(bar.claim, bar.label, NAMES[bar.layer], bar.value, _whose(bar, ledger.overridden)) for bar in whole.bars],
        )
        say()
        for one in whole.figures:
            layers = f"{one.claimed or 'unknown'} as claimed, {one.evidence or 'unknown'} as evidenced"
            say(f"  {one.means}, {one.unit}: {layers}")
        if whole.figures:
            say()
    note("where each figure is from, and what is wrong with it: `tiergate catalog claims CLAIM`, --json or --csv")


def _whose(bar: Bar, yours: frozenset[str]) -> str:
    if bar.layer == "evidence" and bar.claim in yours:
        return "set by you"
    if bar.layer == "claimed":
        return "the essay"
    if bar.source == "assumption":
        return "simulation"
    alone = bar.value.low == bar.value.high
    return f"alleged by {bar.alleged_by}" if bar.alleged_by and alone else "sources"


def _row(whole: FoundingChart, bar: Bar) -> dict[str, Any]:
    return {
        "chart": whole.name,
        "layer": bar.layer,
        "group": bar.group,
        "label": bar.label,
        **{part: getattr(bar.value, part) for part in ("low", "mode", "high")},
        "unit": bar.unit,
        "claim": bar.claim,
        "status": bar.status,
        "alleged_by": bar.alleged_by,
        "after_the_essay": bar.after,
        "source": bar.source,
    }


def _figure(one: Any) -> dict[str, Any]:
    ends = ("low", "mode", "high")
    return {
        "figure": one.id,
        "means": one.means,
        "unit": one.unit,
        **{layer: value and {part: getattr(value, part) for part in ends}
           for layer, value in (("claimed", one.claimed), ("evidence", one.evidence))},
    }  # fmt: skip


def _draw(path: Path, whole: FoundingChart, *, yours: frozenset[str]) -> None:
    from tiergate.cli.charts import write_chart
    from tiergate.economics.founding_charts import LAYERS

    money = whole.name == Which.EXTRACTION

    def draw(figure: Figure) -> None:
        panels = figure.subplots(2, 1, sharex=True)
        for axes, layer in zip(panels, LAYERS, strict=True):
            _panel(axes, [bar for bar in whole.bars if bar.layer == layer], layer, money=money)
            if money:
                axes.set_xscale("log")
                said = f"{NAMES[layer]}: training costs {_ratio(whole, layer)} times as much"
                axes.set_title(said, loc="left", fontsize=9)
        panels[1].set_xlabel(f"{whole.bars[0].unit}{', logarithmic' if money else ''}")
        if money:
            panels[1].xaxis.set_major_formatter(lambda value, _: _money(value))
            panels[0].set_xlim(1e4, 3e10)
        else:
            panels[0].set_xlim(70, 100)

    source = "claims of the ledger, `tiergate catalog claims`; vendors' own figures are their allegations"
    simulated = [bar.label for bar in whole.bars if bar.layer == "evidence" and _whose(bar, yours) == "simulation"]
    if simulated:
        source += f"; as evidenced, {' and '.join(simulated)} is a simulation over prior beliefs"
    if yours:
        source += f"; set by the reader: {', '.join(sorted(yours))}"
    write_chart(draw, path, title=whole.title, source=source, size=(7.5, 3.6 if money else 4.6))


def _panel(axes: Axes, bars: list[Bar], layer: str, *, money: bool) -> None:
    from tiergate.cli.charts import INK, STYLES

    styles = dict(zip(dict.fromkeys(bar.label if money else bar.group for bar in bars), STYLES, strict=False))
    for place, bar in enumerate(bars):
        style = styles[bar.label if money else bar.group]
        axes.plot([bar.value.low, bar.value.high], [place, place], color=style.color, linewidth=5, alpha=0.35,
                  solid_capstyle="butt")  # fmt: skip
        for end in (bar.value.low, bar.value.high):
            axes.plot([end], [place], marker="|", color=style.color, markersize=9)
        if bar.value.mode is not None:
            axes.plot([bar.value.mode], [place], marker=style.marker, color=style.color, markersize=6)
        alone = bar.alleged_by and not money and bar.value.low == bar.value.high
        said = f"{bar.value} (vendor's own)" if alone else str(bar.value)
        axes.annotate(said, (bar.value.high, place), xytext=(7, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(range(len(bars)), [bar.label if money else f"{bar.label}, {bar.group}" for bar in bars])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_title(NAMES[layer], loc="left", fontsize=9)
    axes.grid(axis="x")


def _ratio(whole: FoundingChart, layer: str) -> str:
    (found,) = (one for one in whole.figures if one.id == "training_to_extraction")
    return str(found.claimed if layer == "claimed" else found.evidence)


def _money(value: float) -> str:
    from tiergate.catalog.claims import short

    return f"${short(value)}" if value >= 1e6 else f"${value / 1e3:,.0f}K"
