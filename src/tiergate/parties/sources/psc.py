"""The snapshot of people with significant control of UK companies (Companies House): JSON lines, packed or not.

Natures of control are bands, as the Register of People with Significant Control Regulations 2016 (SI 2016/339) draw
them: over 25 up to 50%, over 50 and under 75%, 75% or more. Published wordings differ on whether exactly 75% is in the
middle band or the upper one, so it is in both here. A nature `as-trust` or `as-firm` says that the person controls a
trust or firm which holds the stake: it becomes an owner of its own, which the person controls.

What people were born, live and hold passports of is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tiergate.parties.fact_rows import (
    WHOLE_PPM,
    Fact,
    Party,
    Period,
    Stake,
    Undisclosed,
    cleaned,
    fact_key,
    party_id,
)
from tiergate.parties.sources.gleif import register_number, register_numbers
from tiergate.parties.sources.reading import Feed, Row, json_objects
from tiergate.parties.sources.values import UnreadableError, instant

_BANDS: Final = {
    "25-to-50-percent": (250_001, 500_000),
    "50-to-75-percent": (500_001, 750_000),
    "75-to-100-percent": (750_000, WHOLE_PPM),
    "more-than-25-percent": (250_001, WHOLE_PPM),
}
_MEASURED: Final = re.compile(
    r"(ownership-of-shares|voting-rights|right-to-share-surplus-assets)-"
    r"(25-to-50-percent|50-to-75-percent|75-to-100-percent|more-than-25-percent)(-as-\w+)?"
)
_GIVEN: Final = re.compile(
    r"(right-to-appoint-and-remove-(?:directors|members|persons?)|significant-influence-or-control)(-as-\w+)?"
)
_ENDINGS: Final = re.compile(r"-(limited-liability-partnership|registered-overseas-entity)$")
_PRONGS: Final = {
    "ownership-of-shares": "shares",
    "right-to-share-surplus-assets": "shares",
    "voting-rights": "votes",
    "significant-influence-or-control": "control",
}
_BRITISH: Final = re.compile(
    r"united kingdom|uk|u\.k\.|great britain|england.*|wales|scotland|northern ireland", re.IGNORECASE
)
_NO_PARTY: Final = ("totals", "exemptions")


def nature(text: str) -> tuple[str, int, int, str | None]:
    """Prong, bounds in parts per million, and `trust`, `firm` or the like where one stands between.

    Raises `UnreadableError` for a nature of control that the register does not have.
    """
    plain = _ENDINGS.sub("", text)
    if measured := _MEASURED.fullmatch(plain):
        low, high = _BANDS[measured[2]]
        return _PRONGS[measured[1]], low, high, (measured[3] or "").removeprefix("-as-") or None
    if given := _GIVEN.fullmatch(plain):
        return _PRONGS.get(given[1], "board"), WHOLE_PPM, WHOLE_PPM, (given[2] or "").removeprefix("-as-") or None
    raise UnreadableError("natures_of_control", "is no nature of control that is known")


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Parties, stakes, and statements that nobody is named, in the order of the file."""
    company = ""
    for path in paths:
        for number, row in json_objects(path, feed):
            data = row.get("data")
            try:
                if not isinstance(data, dict):
                    raise UnreadableError("data", "is no object")
                if str(data.get("kind", "")).startswith(_NO_PARTY):
                    continue
                facts = _facts(row, data, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, row.get("company_number"))
                continue
            # The file goes company by company: each is told once, unless another came in between.
            if facts and isinstance(facts[0], Party) and facts[0].identifiers[0] == company:
                facts = facts[1:]
            elif facts and isinstance(facts[0], Party):
                company = facts[0].identifiers[0]
            yield from facts


def _facts(row: Row, data: Row, source: str) -> list[Fact]:
    kind = data.get("kind")
    number = cleaned(row.get("company_number"))
    link = data.get("links")
    address = cleaned(link.get("self")) if isinstance(link, dict) else None
    if number is None or not isinstance(kind, str):
        raise UnreadableError("company_number" if number is None else "kind", "is missing")
    if address is None:
        raise UnreadableError("links.self", "is missing, which tells one entry from another")
    company = register_number("GB-COH", number)
    owned = party_id(*company.split(":", 1))
    told: list[Fact] = [Party(key=fact_key(source, company), party=owned, identifiers=(company,))]
    period: Period = {
        "valid_from_us": instant(data.get("notified_on"), "notified_on"),
        "valid_to_us": instant(data.get("ceased_on"), "ceased_on", end=True),
    }
    if "statement" in kind or kind.startswith("super-secure"):
        reason = cleaned(data.get("statement")) or cleaned(data.get("description")) or "super-secure"
        return [*told, Undisclosed(key=fact_key(source, address), party=owned, scope="owners", reason=reason, **period)]
    natures = data.get("natures_of_control")
    if not isinstance(natures, list) or not natures or not all(isinstance(one, str) for one in natures):
        raise UnreadableError("natures_of_control", "is no list of natures")
    owner = _owner(kind, data, address, source)
    between: dict[str, bytes] = {}
    for part, text in enumerate(natures[:64]):
        prong, low, high, holder = nature(text)
        holding = owner.party
        if holder is not None:
            if holder not in between:
                between[holder] = party_id(source, f"{address} {holder}")
                told += _between(holder, between[holder], owner.party, address, source, period)
            holding = between[holder]
        told.append(
            Stake(
                key=fact_key(source, address), part=part,
                owner=holding, owned=owned, prong=prong, lo_ppm=low, hi_ppm=high, **period,
            )
        )  # fmt: skip
    return [told[0], owner, *told[1:]]


def _owner(kind: str, data: Row, address: str, source: str) -> Party:
    name = cleaned(data.get("name"))
    person = kind.startswith("individual")
    if name is None:
        name = _full_name(data.get("name_elements"))
    if name is None:
        raise UnreadableError("name", "is missing")
    identification = data.get("identification")
    identification = identification if isinstance(identification, dict) else {}
    number = cleaned(identification.get("registration_number"))
    country = cleaned(identification.get("country_registered"))
    identifiers: list[str] = []
    # Who types the number of a British company names that company. Elsewhere it is not said in which register.
    if not person and country and _BRITISH.fullmatch(country):
        identifiers = register_numbers("GB-COH", [number])
    return Party(
        key=fact_key(source, address),
        party=party_id(source, address),
        kind="person" if person else "organisation",
        name=name,
        legal_form=cleaned(identification.get("legal_form")),
        incorporated_in=None if person else country,
        identifiers=identifiers,
    )


def _full_name(elements: Any) -> str | None:
    if not isinstance(elements, dict):
        return None
    parts = (cleaned(elements.get(part)) for part in ("forename", "middle_name", "surname"))
    return cleaned(" ".join(part for part in parts if part))


def _between(holder: str, party: bytes, controller: bytes, address: str, source: str, period: Period) -> list[Fact]:
    """The trust or firm that stands between a person and a stake, and the person's control of it."""
    return [
        Party(key=fact_key(source, address, "between", holder), party=party, legal_form=holder),
        Stake(
            key=fact_key(source, address, "controls", holder),
            owner=controller, owned=party, prong="control", lo_ppm=WHOLE_PPM, hi_ppm=WHOLE_PPM, directness="direct",
            **period,
        ),
    ]  # fmt: skip
