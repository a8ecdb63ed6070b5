"""Facts by hand or from any other system: one CSV file with the columns of `COLUMNS`, all but `record` optional.

`record` says what a row is: `party`, `stake`, `undisclosed` or `listing`. A party is named by an id of its own, by
`scheme:value` (an LEI as `lei:...`), or by what `tiergate parties show` prints. Lists are separated by semicolons.
See docs/parties.md for the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tiergate.errors import InputError
from tiergate.parties.fact_rows import (
    DIRECTNESS,
    WHOLE_PPM,
    Fact,
    Listing,
    Party,
    Period,
    Stake,
    Undisclosed,
    cleaned,
    distinct,
    fact_key,
    party_id,
    read_id,
)
from tiergate.parties.sources.gleif import register_number
from tiergate.parties.sources.reading import Feed, csv_rows
from tiergate.parties.sources.values import Bounds, UnreadableError, bounds, instant

COLUMNS: Final = (
    "record", "id", "kind", "name", "aliases", "previous_names", "legal_form", "incorporated_in", "headquarters",
    "identifiers", "owner", "owned", "prong", "percent", "percent_min", "percent_max", "percent_above",
    "percent_below", "directness", "components", "concert", "confidence", "party", "scope", "reason", "list",
    "programme", "valid_from", "valid_to", "effective_from", "retracted",
)  # fmt: skip
_NAMES: Final = frozenset(COLUMNS)
_NAMING: Final = {Stake: ("owner", "owned"), Undisclosed: ("party",), Listing: ("party",)}
MOST_NAMED: Final = 1_000_000
"""Of so many parties that a file names it is looked up whether anything is told of them."""
_TRUE: Final = {"": False, "false": False, "0": False, "no": False, "true": True, "1": True, "yes": True}
Fields = dict[str, str]


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """One fact a row. Raises `InputError` when a file has a column that is none of `COLUMNS`."""
    for path in paths:
        for number, row in csv_rows(path, feed, ("record",)):
            if unknown := sorted(row.keys() - _NAMES):
                raise InputError(f"`{path}` has a column `{unknown[0]}` that is none of {', '.join(COLUMNS)}")
            try:
                fact = _fact(row, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, ",".join(row.values()))
                continue
            for column in _NAMING.get(type(fact), ()):
                if len(feed.named) < MOST_NAMED:
                    feed.named.setdefault(getattr(fact, column), row[column])
            yield fact


def reference(text: str | None, column: str) -> bytes:
    """The party that a text names: by `scheme:value`, by the id that the command line shows, else by an own id."""
    text = cleaned(text)
    if text is None:
        raise UnreadableError(column, "is missing")
    shown = read_id(text)
    if shown is not None:
        return shown
    scheme, colon, value = text.partition(":")
    return party_id(*register_number(scheme, value).split(":", 1)) if colon and value else party_id("own", text)


def _fact(row: Fields, source: str) -> Fact:
    record = row["record"].strip().lower() if "record" in row else ""
    times: Period = {
        "valid_from_us": instant(row.get("valid_from"), "valid_from"),
        "valid_to_us": instant(row.get("valid_to"), "valid_to", end=True),
        "effective_us": instant(row.get("effective_from"), "effective_from"),
    }
    retracted = _TRUE.get(row.get("retracted", "").strip().lower())
    if retracted is None:
        raise UnreadableError("retracted", "is neither true nor false")
    if record == "party":
        return _party(row, source, times, retracted=retracted)
    if record == "stake":
        return _stake(row, source, times, retracted=retracted)
    if record == "undisclosed":
        party, scope = reference(row.get("party"), "party"), row.get("scope", "owners").strip()
        reason = cleaned(row.get("reason")) or "not given"
        key = fact_key(source, "undisclosed", row.get("id") or row["party"], scope)
        return Undisclosed(key=key, party=party, scope=scope, reason=reason, retracted=retracted, **times)
    if record == "listing":
        name, programme = cleaned(row.get("list")), cleaned(row.get("programme"))
        party = reference(row.get("party"), "party")
        if name is None:
            raise UnreadableError("list", "is missing")
        key = fact_key(source, "listing", row.get("id") or row["party"], name, programme or "")
        return Listing(key=key, party=party, list=name, programme=programme, retracted=retracted, **times)
    raise UnreadableError("record", "is none of party, stake, undisclosed, listing")


def _party(row: Fields, source: str, times: Period, *, retracted: bool) -> Party:
    party, name = reference(row.get("id"), "id"), cleaned(row.get("name"))
    own = row["id"] if ":" in row["id"] else None
    identifiers = [one for one in _many(row, "identifiers") if ":" in one]
    identifiers += [own] if own else []
    return Party(
        key=fact_key(source, "party", row["id"]),
        party=party,
        kind=row.get("kind", "organisation").strip().lower(),
        name=name,
        aliases=distinct(_many(row, "aliases"), but=name),
        previous_names=distinct(_many(row, "previous_names"), but=name),
        legal_form=cleaned(row.get("legal_form")),
        incorporated_in=cleaned(row.get("incorporated_in")),
        headquarters=cleaned(row.get("headquarters")),
        identifiers=list(dict.fromkeys(register_number(*one.split(":", 1)) for one in identifiers)),
        retracted=retracted,
        **times,
    )


def _stake(row: Fields, source: str, times: Period, *, retracted: bool) -> Stake:
    owner, owned = reference(row.get("owner"), "owner"), reference(row.get("owned"), "owned")
    prong = row.get("prong", "shares").strip().lower()
    directness = row.get("directness", "unknown").strip().lower()
    if directness not in DIRECTNESS:
        raise UnreadableError("directness", f"is none of {', '.join(DIRECTNESS)}")
    low, high = _share(row, prong)
    concert = cleaned(row.get("concert"))
    return Stake(
        key=_stake_key(source, row.get("id") or f"{row['owner']}>{row['owned']}:{prong}"),
        owner=owner,
        owned=owned,
        prong=prong,
        lo_ppm=low,
        hi_ppm=high,
        directness=directness,
        components=[_stake_key(source, one) for one in _many(row, "components")],
        concert=fact_key(source, "concert", concert) if concert else None,
        confidence=_confidence(row.get("confidence")),
        retracted=retracted,
        **times,
    )


def _stake_key(source: str, identity: str) -> bytes:
    return fact_key(source, "stake", identity)


def _share(row: Fields, prong: str) -> Bounds:
    names = ("percent", "percent_min", "percent_max", "percent_above", "percent_below")
    exact, minimum, maximum, above, below = (row.get(name) for name in names)
    if all(value is None for value in (exact, minimum, maximum, above, below)):
        # A share that is not told may be any; control that is told is there.
        return (0, WHOLE_PPM) if prong in ("shares", "votes", "unknown") else (WHOLE_PPM, WHOLE_PPM)
    return bounds(exact, minimum, maximum, above=above, below=below, column="percent")


def _confidence(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UnreadableError("confidence", "is no number from 0 to 1")
    return value


def _many(row: Fields, name: str) -> list[str]:
    return [part.strip() for part in row.get(name, "").split(";") if part.strip()]
