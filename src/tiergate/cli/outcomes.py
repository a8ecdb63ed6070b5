"""`tiergate outcomes`: what an accepted outcome costs, arm by arm."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tiergate.cli.charts import STYLES, Chart, chart_file, write_chart
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.advice.outcomes import Arm, Comparison, Costs, Outcome

YES: Final = frozenset({"true", "yes", "1"})
NO: Final = frozenset({"false", "no", "0"})
MOST: Final = 1_000_000
"""Outcomes of one file."""


def outcomes(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV: outcome_id, accepted, and if there are any arm, exchange_ids (blanks between), other_usd.",
        ),
    ],
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Data folders, logs or exchange files; `data`.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(metavar="ARM", help="Compare every other arm with this one.")] = None,
    split: Annotated[
        list[str] | None, typer.Option(metavar="ARM=SHARE", help="Share that an arm was meant to get; one for each.")
    ] = None,
    effect: Annotated[
        float, typer.Option(metavar="SHARE", help="Difference in cost that you want to be able to see.")
    ] = 0.1,
    as_json: Json = False,
    csv_out: Csv = None,
    chart: Chart = None,
) -> None:
    """Say what an accepted outcome costs, and compare arms.

    \b
    Example:
      tiergate outcomes outcomes.csv data --baseline manual --split assistant=0.5 --split manual=0.5
    """
    import msgspec

    from tiergate.advice.outcomes import READ, arm_figures, compare, costs_by_arm
    from tiergate.cli.inputs import find_inputs
    from tiergate.records.refused import RefusedRows

    csv_file(csv_out)
    chart_file(chart)
    intended = _shares(split)
    read = read_outcomes(file)
    with RefusedRows(None) as refused:
        costs = costs_by_arm(read, find_inputs(paths or [Path("data")]).batches(refused, READ))
    arms = [arm_figures(name, one) for name, one in costs.items()]
    compared = [
        compare(costs, one.arm, baseline, intended=intended, effect=effect)
        for one in arms
        if baseline is not None and one.arm != baseline
    ]
    if baseline is not None and not compared:
        raise InputError(f"there is no arm to compare with `{baseline}`: the arms are {', '.join(costs)}")
    if csv_out is not None:
        write_csv(csv_out, [msgspec.structs.asdict(one) for one in arms])
    if chart is not None:
        write_chart(
            lambda figure: _draw(figure, arms),
            chart,
            title="Cost of an accepted outcome",
            source=f"{counted(len(read), 'outcome')} of {file.name}, exchange log; 95% intervals (Fieller)",
        )
    if as_json:
        say_json(msgspec.to_builtins({"arms": arms, "comparisons": compared}))
        return
    _print(_Found(costs, arms, compared))


@dataclass(frozen=True)
class _Found:
    costs: dict[str, Costs]
    arms: list[Arm]
    compared: list[Comparison]


def read_outcomes(path: Path) -> list[Outcome]:
    """Outcomes of a CSV file. Raises `InputError`, with the line, for one that is none."""
    from tiergate.advice.outcomes import Outcome

    found: list[Outcome] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            lacking = {"outcome_id", "accepted"} - set(rows.fieldnames or ())
            if lacking:
                raise InputError(f"`{path}` has no column `{min(lacking)}`")
            for row in rows:
                found.append(_outcome(Outcome, row, f"`{path}` line {rows.line_num}"))
                if len(found) > MOST:
                    raise InputError(f"`{path}` has more than {MOST:,} outcomes: give it in parts")
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is no CSV file: {error}") from error
    if not found:
        raise InputError(f"`{path}` has no outcome")
    return found


def _outcome(kind: type[Outcome], row: dict[str, Any], where: str) -> Outcome:
    said = (row["accepted"] or "").strip().lower()
    if said not in YES | NO:
        raise InputError(f"{where}: `accepted` is true or false, not `{said[:50]}`")
    try:
        other = float(row.get("other_usd") or 0)
    except ValueError:
        other = -1.0
    if not 0 <= other < 1e12:
        raise InputError(f"{where}: `other_usd` is a sum of dollars, not `{str(row['other_usd'])[:50]}`")
    if not row["outcome_id"]:
        raise InputError(f"{where}: an outcome needs an `outcome_id`")
    return kind(
        outcome_id=row["outcome_id"], accepted=said in YES, arm=row.get("arm") or "all",
        exchange_ids=tuple((row.get("exchange_ids") or "").split()), other_usd=other,
    )  # fmt: skip


def _shares(given: list[str] | None) -> dict[str, float] | None:
    shares: dict[str, float] = {}
    for one in given or ():
        arm, _, share = one.rpartition("=")
        try:
            shares[arm] = float(share)
        except ValueError:
            raise InputError(f"`--split {one}` is not of the form ARM=SHARE") from None
    return shares or None


def _print(found: _Found) -> None:
    print_rows(
        ("arm", "outcomes", "accepted", "models, USD", "people, USD", "USD an accepted outcome", "95% interval"),
        [
            (one.arm, f"{one.outcomes:,}", f"{one.accepted:,}", f"{one.model_usd:,.2f}", f"{one.other_usd:,.2f}",
             "-" if one.cost is None else f"{one.cost:,.4g}", _interval(one))
            for one in found.arms
        ],
        right="lrrrrrr",
    )  # fmt: skip
    for one in found.compared:
        _say_comparison(one)
    for arm in found.arms:
        if arm.missing or arm.unpriced:
            note(f"{arm.arm}: {arm.missing:,} exchanges are in no log, {arm.unpriced:,} have no price: cost is too low")


def _say_comparison(one: Comparison) -> None:
    from tiergate.advice.outcomes import UNEVEN

    if one.ratio is not None and one.ratio_low is not None and one.ratio_high is not None:
        interval = f"{one.ratio_low:.3g} to {one.ratio_high:.3g}"
        say(f"{one.arm} costs {one.ratio:.3g} times what {one.against} does ({interval}; p {one.p_value:.2g})")
    interval = f"{100 * one.acceptance_low:+.1f} to {100 * one.acceptance_high:+.1f}"
    say(f"{one.arm} is accepted {100 * one.acceptance:+.1f} points more often than {one.against} ({interval})")
    if one.needed is not None:
        say(f"to see a difference of {one.effect:.0%} in nine cases of ten, each arm needs {one.needed:,} outcomes")
    if one.uneven is None:
        note("a difference says what made it only where chance dealt the work out; --split checks the counts")
    elif one.uneven < UNEVEN:
        note(f"the arms have not the shares that were intended (p {one.uneven:.1g}): find out why first")


def _interval(one: Arm) -> str:
    if one.low is None:
        return "-"
    return f"{one.low:,.4g} to {one.high:,.4g}" if one.high is not None else f"{one.low:,.4g} or more"


def _draw(figure: Figure, arms: list[Arm]) -> None:
    axes = figure.subplots()
    drawn = [one for one in arms if one.cost is not None]
    for at, one in enumerate(drawn[::-1]):
        style, cost = STYLES[at % len(STYLES)], one.cost or 0.0
        # An interval without an end is drawn to twice the cost, beyond which the axis says nothing.
        end = one.high if one.high is not None else 2 * cost
        axes.plot([one.low or 0.0, end], [at, at], color=style.color, linestyle=style.linestyle, linewidth=2)
        axes.plot([cost], [at], color=style.color, marker=style.marker, markersize=6)
        axes.annotate(f"{cost:,.3g}", (cost, at), xytext=(0, 7), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(drawn)), [f"{one.arm} ({one.accepted:,} of {one.outcomes:,})" for one in drawn[::-1]])
    axes.set_ylim(-0.6, len(drawn) - 0.2)
    axes.set_xlim(left=0)
    axes.set_xlabel("USD for each accepted outcome, models and people together")
    axes.grid(axis="x")
