"""`tiergate catalog tiers`, `model` and `changes`: which tier a model is in on a day, by which fact, and since when."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.charts import Chart, chart_file, write_chart
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.catalog.cited import Cited
    from tiergate.catalog.models import Access, Catalog
    from tiergate.catalog.tiers import Change, Standing

AsOf = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The day that is asked about; today.")
]
Models = Annotated[
    Path | None,
    typer.Option("--models", metavar="FILE", help="Models of your own, TOML; one with an id of ours replaces ours."),
]
Vintages = Annotated[
    list[Path] | None,
    typer.Option("--vintage", metavar="FILE", help="Vintage of the index for the scores; repeatable. That shipped."),
]
SOURCES = "sources: `tiergate catalog model NAME`, or --json"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("tiers")(tiers)
    app.command("model")(model)
    app.command("changes")(changes)


def day_of(as_of: datetime | None) -> dt.date:
    """The day that was named, or today in UTC."""
    return datetime.now(UTC).date() if as_of is None else as_of.date()


def tiers(
    as_of: AsOf = None,
    tier: Annotated[str | None, typer.Option(metavar="TIER", help="Only models of this tier.")] = None,
    country: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only developers seated there, two letters.")
    ] = None,
    models: Models = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show the tier of every model on a day, from facts of access and never from scores.

    \b
    Example:
      tiergate catalog tiers --as-of 2026-06-20
      tiergate catalog tiers --tier classified --csv classified.csv
    """
    from tiergate.catalog.tiers import Tier
    from tiergate.catalog.tiers import tiers as found

    csv_file(csv)
    chart_file(chart)
    if tier is not None and tier not in list(Tier):
        raise InputError(f"there is no tier `{tier}`: give one of {', '.join(Tier)}")
    catalog = _catalog(models)
    if country is not None:
        catalog = catalog.seated_in(country)
    day = day_of(as_of)
    shown = [one for one in found(catalog, day) if tier in (None, one.tier)]
    rows = [_standing_row(one) for one in shown]
    if csv is not None:
        write_csv(csv, [row | {"sources": "; ".join(row["sources"])} for row in rows])
    if chart is not None:
        from tiergate.cli.catalog_chart import draw_tiers

        write_chart(
            lambda figure: draw_tiers(figure, catalog, day),
            chart,
            title=f"Models of the catalog{f', {country.upper()},' if country else ''} by tier, to {day}",
            source="facts of access that `tiergate catalog model NAME` shows, each with its source; developers, "
            "countries and dates of most models: Epoch AI, Epoch Capabilities Index, CC-BY-4.0",
        )
    if as_json:
        say_json({"as_of": day, "newest_fact": catalog.newest_fact, "models": rows})
        return
    print_rows(
        ("tier", "model", "developer", "seat", "released", "by which fact"),
        [
            (
                one.tier,
                one.model.name,
                one.model.developer,
                one.model.country,
                one.model.released,
                "; ".join(fact_words(fact) for fact in (*one.facts, *one.conditions)) or one.because,
            )
            for one in shown
        ],
    )
    counts = Counter(one.tier for one in shown)
    said = ", ".join(f"{counts[name]} {name}" for name in Tier if counts[name])
    note(f"{counted(len(shown), 'model')} on {day}{': ' if said else ''}{said}; {SOURCES}")
    _say_age(catalog, day)


def model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Id or name of a model, such as kimi-k3.")],
    as_of: AsOf = None,
    models: Models = None,
    vintages: Vintages = None,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Show what is on file of a model: tier, facts of access, scores by vintage and list prices, each with its source.

    Scores are of Epoch's index and decide no tier. --csv has the facts of access.

    \b
    Example:
      tiergate catalog model claude-fable-5 --as-of 2026-06-20
    """
    import msgspec

    from tiergate.catalog.allegations import load_allegations
    from tiergate.catalog.model_figures import prices_of, scores_of
    from tiergate.catalog.prices import shipped_prices
    from tiergate.catalog.scores import read_vintage, shipped
    from tiergate.catalog.tiers import Tier, standing

    csv_file(csv)
    catalog = _catalog(models)
    day = day_of(as_of)
    catalog.check_day(day)
    one = catalog.find(name)
    found = standing(one, day)
    alleged = [each for each in load_allegations() if each.against == one.developer and each.on <= day]
    scores = scores_of(catalog, one, [read_vintage(path) for path in vintages] if vintages else [shipped()])
    prices = prices_of(catalog, one, shipped_prices(), day)
    if csv is not None:
        write_csv(csv, [{"model": one.id} | msgspec.to_builtins(fact) for fact in one.access])
    if as_json:
        say_json(
            {"as_of": day, "tier": found.tier, "because": found.because}
            | msgspec.to_builtins(one)
            | {
                name: msgspec.to_builtins(rows)
                for name, rows in (("scores", scores), ("prices", prices), ("alleged", alleged))
            }
        )
        return
    say(f"{one.name} ({one.id}), {one.developer}, {one.country}, released {one.released}")
    say_source(one)
    say(f"\non {day}: {found.tier}" + ("" if found.tier is Tier.UNRELEASED else f", because {found.because}"))
    say("\naccess" if one.access else "\naccess: nothing on file")
    for fact in one.access:
        say(f"  {fact_words(fact)}, {_span(fact)}{', in force' if fact.holds_on(day) else ''}")
        say_source(fact, indent="    ")
    say("\nscores, points of ECI" if scores else "\nscores: none on file")
    for score in scores:
        interval = "" if score.low is None else f" ({score.low:.1f} to {score.high:.1f})"
        say(f"  {score.version}: {score.eci:.1f}{interval}, vintage {score.vintage}")
        say(f"    {score.source} ({score.licence})")
    say(f"\nlist prices on {day}, USD a million tokens" if prices else f"\nlist prices on {day}: none on file")
    for price in prices:
        say(f"  {price.id}: {price.input:g} in, {price.output:g} out, {price.dated_by} {price.since}")
        say_source(price, indent="    ")
    if alleged:
        note(f"{counted(len(alleged), 'allegation')} against {one.developer}: `tiergate catalog allegations`")


def changes(
    first: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DATE", help="The earlier day.")],
    last: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DATE", help="The later day.")],
    releases: Annotated[
        bool, typer.Option("--releases/--no-releases", help="Show models that came out in between as well.")
    ] = True,
    models: Models = None,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Show which models changed tier between two days, on which day, and by which fact.

    \b
    Example:
      tiergate catalog changes 2026-06-01 2026-07-31 --no-releases
    """
    from tiergate.catalog.tiers import Tier
    from tiergate.catalog.tiers import changes as found

    csv_file(csv)
    catalog = _catalog(models)
    shown = [one for one in found(catalog, first.date(), last.date()) if releases or one.before is not Tier.UNRELEASED]
    rows = [_change_row(one) for one in shown]
    if csv is not None:
        write_csv(csv, [row | {"sources": "; ".join(row["sources"])} for row in rows])
    if as_json:
        say_json({"after": first.date(), "to": last.date(), "changes": rows})
        return
    print_rows(
        ("day", "model", "from", "to", "by which fact"),
        [(one.day, one.model.name, one.before, one.after, _moved_by(one)) for one in shown],
    )
    note(f"{counted(len(shown), 'change')} of tier after {first.date()}, to {last.date()}; {SOURCES}")
    _say_age(catalog, last.date())


def _catalog(models: Path | None) -> Catalog:
    from tiergate.catalog.models import load_catalog

    return load_catalog() if models is None else load_catalog().with_models(models)


def fact_words(fact: Access) -> str:
    """An access fact in a few words, without its days."""
    from tiergate.catalog.models import Mode

    words = {
        Mode.OPEN_WEIGHTS: "open weights",
        Mode.GENERAL: "general access",
        Mode.VERIFIED: "access after a check of identity",
        Mode.MEMBERSHIP: f"members of {fact.programme}",
        Mode.NATIONALITY: "limited by nationality",
        Mode.SUSPENDED: "switched off",
        Mode.RETENTION: f"{fact.retention_days} days of retention",
    }[fact.mode]
    more = [fact.weights, f"{fact.use.replace('_', '-')} use" if fact.use else ""]
    return ", ".join([words, *(one for one in more if one)])


def _span(fact: Access) -> str:
    return f"from {fact.since}" + (f" until {fact.until}" if fact.until else "")


def _moved_by(one: Change) -> str:
    said = [f"begins: {fact_words(fact)}" for fact in one.began] + [f"ends: {fact_words(fact)}" for fact in one.ended]
    return "; ".join(said) or one.because


def _standing_row(one: Standing) -> dict[str, Any]:
    return {
        "as_of": one.day,
        "model": one.model.id,
        "name": one.model.name,
        "developer": one.model.developer,
        "country": one.model.country,
        "released": one.model.released,
        "tier": one.tier.value,
        "because": one.because,
        "facts": "; ".join(f"{fact_words(fact)}, {_span(fact)}" for fact in one.facts),
        "conditions": "; ".join(f"{fact_words(fact)}, {_span(fact)}" for fact in one.conditions),
        "sources": [fact.source for fact in one.facts] or [one.model.source],
    }


def _change_row(one: Change) -> dict[str, Any]:
    facts = [*one.began, *one.ended]
    return {
        "day": one.day,
        "model": one.model.id,
        "name": one.model.name,
        "before": one.before.value,
        "after": one.after.value,
        "because": one.because,
        "facts": _moved_by(one),
        "sources": [fact.source for fact in facts] or [one.model.source],
    }


def say_source(fact: Cited, indent: str = "  ") -> None:
    """Print the citation of a fact, and its note."""
    say(f"{indent}as of {fact.as_of}, {fact.source} ({fact.licence})")
    if fact.note:
        say(f"{indent}{fact.note}")


def _say_age(catalog: Catalog, day: dt.date) -> None:
    if day > catalog.newest_fact:
        note(f"the newest fact was read on {catalog.newest_fact}, {(day - catalog.newest_fact).days} days before")
