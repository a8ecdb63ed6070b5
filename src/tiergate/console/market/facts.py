"""What providers offer an enterprise, and who alleges that who distilled whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.catalog.allegations import Allegation, alleged
from tiergate.catalog.providers import Attribute, load_providers
from tiergate.console.market import asked
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit

TONES: Final[Mapping[str, str]] = {"yes": "good", "on request": "warn", "no": "bad"}


def providers(visit: Visit) -> View:
    words, day = visit.renderer.words.market, asked.day(visit, "on") or asked.this_day(visit)
    held = {one: one.on(day) for one in load_providers().values()}
    matrix = Table(
        name="providers",
        columns=[
            Column("provider", words.columns.provider),
            Column("country", words.columns.country),
            *(Column(one.value, words.attributes[one.value], "badge") for one in Attribute),
        ],
        rows=[
            {"provider": one.name, "country": one.country}
            | {
                name.value: Link(words.offers[fact.value], tone=TONES[fact.value])
                for name, fact in facts.items()
            }
            for one, facts in held.items()
        ],
    )  # fmt: skip
    facts = Table(
        name="facts",
        columns=[
            Column("provider", words.columns.provider),
            Column("attribute", words.columns.attribute),
            Column("value", words.columns.value),
            Column("detail", words.columns.detail),
            Column("since", words.columns.since),
            Column("source", words.columns.source, "source"),
            Column("as_of", words.columns.as_of),
            Column("licence", words.columns.licence),
        ],
        rows=[
            {
                "provider": one.name, "attribute": words.attributes[fact.attribute.value],
                "value": words.offers[fact.value], "detail": fact.detail, "since": fact.since, "source": fact.source,
                "as_of": fact.as_of, "licence": fact.licence,
            }
            for one, some in held.items()
            for fact in some.values()
        ],
        empty=words.no_offers,
    )  # fmt: skip
    line = command("catalog", "providers", "--as-of", day)
    return {"tables": [matrix, facts], "matrix": matrix, "facts": facts, "day": day, "origin": Origin(command=line)}


def allegations(visit: Visit) -> View:
    words, day = visit.renderer.words.market, asked.day(visit, "on") or asked.this_day(visit)
    columns = [
        Column("on", words.columns.alleged_on),
        Column("alleged_by", words.columns.alleged_by),
        Column("against", words.columns.against),
        Column("teacher", words.columns.teacher),
        Column("exchanges", words.columns.exchanges, "count"),
        Column("accounts", words.columns.accounts, "count"),
        Column("answers", words.columns.answers),
        Column("source", words.columns.source, "source"),
        Column("as_of", words.columns.as_of),
        Column("licence", words.columns.licence),
    ]
    table = Table(
        name="allegations",
        columns=columns,
        rows=[
            {
                "on": one.on, "alleged_by": words("by.alleged", by=one.alleged_by), "against": one.against,
                "teacher": one.teacher, "exchanges": one.exchanges, "accounts": one.accounts,
                "answers": "; ".join(words("answer", said=words.said[each.said], by=each.by, on=each.on)
                                     for each in one.answers_on(day)),
                "source": _sources(one), "as_of": one.as_of, "licence": one.licence,
            }
            for one in alleged(day)
        ],
        empty=words.no_allegations,
    )  # fmt: skip
    origin = Origin(command=command("catalog", "allegations", "--as-of", day))
    return {"tables": [table], "table": table, "day": day, "origin": origin}


def _sources(one: Allegation) -> str:
    return "; ".join([one.source, *(each.source for each in one.answer)])
