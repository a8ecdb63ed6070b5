"""`tiergate economics forecast` and `backtest`: when a gap will close, and how often such forecasts came true."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.charts import STYLES, Chart, chart_file, write_chart
from tiergate.cli.economics_lag import AsOf, VintageFile, cited, day_of, read
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.catalog.scores import Vintage
    from tiergate.economics.backtest import Record
    from tiergate.economics.questions import Outlook, Resolution

TARGET_MAE = 2.0
TARGET_ORIGINS = 16


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("forecast")(forecast)
    app.command("backtest")(backtest)


def forecast(
    follower: Annotated[
        str | None, typer.Argument(metavar="FOLLOWER", help="Who is to reach the leader; a group.")
    ] = None,
    leader: Annotated[str | None, typer.Argument(metavar="LEADER", help="Whose best model is to be reached.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Which model is to be reached instead.")] = None,
    questions: Annotated[
        Path | None, typer.Option("--questions", metavar="FILE", help="Questions of your own beside ours, TOML.")
    ] = None,
    vintage: VintageFile = None,
    as_of: AsOf = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Say how the forecasts stand, or when FOLLOWER will reach the best model of LEADER.

    \b
    Example:
      tiergate economics forecast
      tiergate economics forecast open closed
      tiergate economics forecast China --model "Claude Fable 5"
      tiergate economics forecast --questions mine.toml
    """
    from tiergate.economics.questions import leader_now, outlook, read_questions, resolve

    csv_file(csv)
    chart_file(chart)
    scores = read(vintage)
    day = day_of(as_of)
    if day is not None:
        scores = scores.until(day)
    if follower is None:
        if model is not None or chart is not None:
            raise InputError("name who is to reach it: `tiergate economics forecast open --model NAME`")
        asked = read_questions() + (read_questions(questions) if questions is not None else [])
        _say_questions(resolve(asked, scores, known_by=day), scores, as_json, csv)
        return
    if (leader is None) == (model is None):
        raise InputError("say what is to be reached: a LEADER, or a model with `--model NAME`")
    target = scores.find(model) if model is not None else leader_now(scores, leader or "")
    found = outlook(scores, follower, target)
    if found is None:
        raise InputError(
            f"nothing to forecast: by {scores.last}, `{follower}` had reached {target.model}, or too few gaps had "
            "closed to learn from"
        )
    row = {name: value for name, value in asdict(found).items() if name != "months"}
    if csv is not None:
        write_csv(csv, [row])
    if chart is not None:
        write_chart(
            lambda figure: _draw_outlook(figure, found),
            chart,
            title=f"When {follower} models reach {target.model}",
            source=f"{cited(scores)}; forecast, see `tiergate economics backtest`",
        )
    if as_json:
        say_json(row)
        return
    print_rows(
        ("reaches", "ECI", "median", "80% interval"),
        [(found.model, f"{found.score:.1f}", found.median, f"{found.low} to {found.high}")],
        right="lr",
    )
    _say_method(scores)


def backtest(
    follower: Annotated[
        str | None, typer.Argument(metavar="FOLLOWER", help="A group; the three headline pairs if none is named.")
    ] = None,
    leader: Annotated[str | None, typer.Argument(metavar="LEADER", help="The group that is followed.")] = None,
    months: Annotated[int, typer.Option(metavar="N", min=1, max=12, help="Months from one origin to the next.")] = 1,
    vintage: VintageFile = None,
    older: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An older vintage that asks; repeatable.")
    ] = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show how well each method would have forecast when a gap closes, from every month since 2024.

    \b
    Example:
      tiergate economics backtest
      tiergate economics backtest Anthropic OpenAI --months 3
      tiergate economics backtest --vintage 2026-08.csv --older 2026-02.csv --older 2026-03.csv
    """
    from tiergate.economics.backtest import backtest as measured
    from tiergate.economics.backtest import over_vintages
    from tiergate.economics.catching_up import HEADLINES

    csv_file(csv)
    chart_file(chart)
    if (follower is None) != (leader is None):
        raise InputError("name both groups, FOLLOWER and LEADER, or neither")
    scores = read(vintage)
    pairs = HEADLINES if follower is None or leader is None else ((follower, leader),)
    found = measured(scores, pairs, step=months)
    if older:
        found += over_vintages([read(path) for path in older], scores)
    if not found:
        raise InputError(f"`{follower}` was never behind `{leader}` since 2024, so nothing could be asked")
    if csv is not None:
        write_csv(csv, [asdict(one) for one in found])
    if chart is not None:
        write_chart(
            lambda figure: _draw_records(figure, found),
            chart,
            title="How far forecasts of when a gap closes were off",
            source=f"{cited(scores)}. Mean absolute error over questions that have an answer; the dotted line is the "
            f"target of {TARGET_MAE} months",
        )
    if as_json:
        say_json([asdict(one) for one in found])
        return
    for protocol, behind, ahead in dict.fromkeys((one.protocol, one.follower, one.leader) for one in found):
        say(f"{behind} behind {ahead}, {protocol}; months")
        _print_records([one for one in found if (one.protocol, one.follower, one.leader) == (protocol, behind, ahead)])
        say()
    note(cited(scores))
    note("`other groups` knows the pace of the whole field with hindsight, `known then` what was known on the day")
    note("`plain` is what a method says, `median` that of its distribution, which is what `forecast` prints")
    note("successive months ask about the same models, so there are fewer independent trials than origins")
    _say_verdict(found)


def _print_records(found: list[Record]) -> None:
    print_rows(
        ("method", "answered", "plain off", "median off", "with open", "bias", "CRPS", "in 80%"),
        [
            (
                one.method,
                f"{one.resolved} of {one.origins}",
                _figure(one.mae_plain),
                _figure(one.mae),
                _figure(one.mae_open),
                _figure(one.bias, "+.1f"),
                _figure(one.crps),
                _figure(one.coverage, ".0%"),
            )
            for one in found
        ],
        right="lrrrrrrr",
    )


def _figure(value: float | None, form: str = ".1f") -> str:
    return "unknown" if value is None else format(value, form)


def _say_verdict(found: list[Record]) -> None:
    """Whether the forecasts that are published, medians of `pace`, met the target, pair by pair."""
    for protocol in dict.fromkeys(one.protocol for one in found):
        tried = [one for one in found if (one.protocol, one.method) == (protocol, "pace")]
        said = ", ".join(
            f"{'met' if one.mae <= TARGET_MAE else 'missed'} for {one.follower} behind {one.leader} ({one.mae:.2f})"
            for one in tried
            if one.mae is not None and one.resolved >= TARGET_ORIGINS
        )
        note(
            f"target, at most {TARGET_MAE} months off on {TARGET_ORIGINS} answers or more, median of `pace`, "
            f"{protocol}: {said or 'too few answers'}"
        )


def _say_questions(found: list[Resolution], scores: Vintage, as_json: bool, csv: Path | None) -> None:
    import msgspec

    rows = [_row(one) for one in found]
    if csv is not None:
        write_csv(csv, rows)
    if as_json:
        evidence = [{"evidence": msgspec.to_builtins(one.question.evidence)} for one in found]
        say_json([row | more for row, more in zip(rows, evidence, strict=True)])
        return
    print_rows(
        ("question", "by", "answer", "chance of yes"),
        [(one.question.id, one.question.by, f"{one.outcome} {one.on or ''}", _chance(one)) for one in found],
        right="lllr",
    )
    for one in found:
        say()
        say(f"{one.question.id}: {one.question.text}")
        say(f"  {one.because}")
        if one.outlook is not None:
            say(f"  80% between {one.outlook.low} and {one.outlook.high}, median {one.outlook.median}")
    _say_method(scores)
    note("sources: --json")


def _chance(one: Resolution) -> str:
    if one.outcome != "open":
        return ""
    if one.chance is None:
        return "unknown"
    return "over 99%" if one.chance > 0.99 else "under 1%" if one.chance < 0.01 else f"{one.chance:.0%}"


def _row(one: Resolution) -> dict[str, Any]:
    asked = one.question
    return {
        "id": asked.id,
        "text": asked.text,
        "asked": asked.asked,
        "by": asked.by,
        "source": asked.source,
        "outcome": one.outcome,
        "on": one.on,
        "because": one.because,
        "chance": one.chance,
        "median": one.outlook and one.outlook.median,
        "low": one.outlook and one.outlook.low,
        "high": one.outlook and one.outlook.high,
    }


def _say_method(scores: Vintage) -> None:
    note(f"{cited(scores)}; nothing after {scores.last} is known to it")
    note("a chance is a forecast by the method `pace`: `tiergate economics backtest` shows how such forecasts did")


def _draw_outlook(figure: Figure, found: Outlook) -> None:
    axes = figure.subplots()
    days: Any = [found.on + timedelta(days=months * 365.25 / 12) for months in found.months]
    shares = [number / (len(days) + 1) for number in range(1, len(days) + 1)]
    axes.plot(days, shares, color=STYLES[0].color, drawstyle="steps-post")
    marks: Any = ((found.low, 0.1), (found.median, 0.5), (found.high, 0.9))
    for day, share in marks:
        axes.plot([day], [share], marker="o", color="black")
        axes.annotate(f"{share:.0%} by {day}", (day, share), xytext=(8, -3), textcoords="offset points")
    until: Any = (found.on, found.high + (found.high - found.on) / 2)
    axes.set_xlim(*until)
    axes.set_ylim(0, 1)
    axes.set_ylabel("chance that it is reached by then")
    axes.grid(axis="y")


def _draw_records(figure: Figure, found: list[Record]) -> None:
    protocols = list(dict.fromkeys(one.protocol for one in found))
    pairs = list(dict.fromkeys((one.follower, one.leader) for one in found))
    methods = list(dict.fromkeys(one.method for one in found))
    panels = figure.subplots(1, len(protocols), sharey=True, squeeze=False)[0]
    for axes, protocol in zip(panels, protocols, strict=True):
        for number, (follower, leader) in enumerate(pairs):
            shown = {
                one.method: one.mae
                for one in found
                if one.mae is not None and (one.protocol, one.follower, one.leader) == (protocol, follower, leader)
            }
            if shown:
                style = STYLES[number % len(STYLES)]
                axes.plot(
                    list(shown.values()), [methods.index(one) for one in shown],
                    color=style.color, marker=style.marker, linestyle="none", label=f"{follower} < {leader}",
                )  # fmt: skip
        axes.axvline(TARGET_MAE, color="black", linestyle=":")
        axes.set_title(protocol, fontsize=9)
        axes.set_xlim(left=0)
        axes.set_xlabel("months off")
        axes.grid(axis="x")
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].legend(loc="best", fontsize=7)
