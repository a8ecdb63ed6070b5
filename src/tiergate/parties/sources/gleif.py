"""GLEIF golden copies, level 1 (LEI-CDF 3.1): who is who. CSV or XML, packed or not.

Column names of the CSV and elements of the XML as GLEIF publishes them (gleif.org, "LEI-CDF 3.1" and "Golden Copy").
The party's id is that of its LEI; its number in a business register is a second identifier, by which other registers'
records of the same company are joined to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tiergate.parties.fact_rows import Fact, Party, cleaned, distinct, fact_key, party_id
from tiergate.parties.sources.reading import Feed, Node, csv_rows, is_xml, xml_records
from tiergate.parties.sources.values import UnreadableError, instant

LEI_LENGTH: Final = 20
REGISTERS: Final = {"RA000585": "GB-COH", "RA000586": "GB-COH", "RA000587": "GB-COH"}
"""Registration authorities of GLEIF's list whose numbers other sources give under an org-id.guide scheme."""
VOID: Final = frozenset({"ANNULLED", "DUPLICATE"})
"""Registration states of records that should never have been."""
_LISTED: Final = range(1, 6)  # the CSV has five columns of each kind of name
_PREVIOUS: Final = frozenset({"PREVIOUS_LEGAL_NAME"})
Get = Callable[[str], str | None]


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Parties of LEI records; one a record."""
    for path in paths:
        for number, get, names in _records(path, feed):
            try:
                yield _party(get, names, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, get("LEI"))


def lei_of(value: str | None, column: str) -> str:
    """A legal entity identifier, in its form (ISO 17442): 18 letters and digits and two digits that check them.

    The check digits (ISO 7064 MOD 97-10) must hold: a mistyped LEI would tie strangers together.
    """
    lei = (value or "").strip().upper()
    if len(lei) != LEI_LENGTH or not (lei.isascii() and lei.isalnum() and lei[-2:].isdigit()):
        raise UnreadableError(column, "is no LEI")
    if int("".join(str(int(sign, 36)) for sign in lei)) % 97 != 1:
        raise UnreadableError(column, "is no LEI: its check digits are wrong")
    return lei


def register_number(scheme: str, value: str) -> str:
    """An identifier `scheme:value`, in the one form that all sources of it are brought to."""
    scheme, value = scheme.strip().upper(), value.strip().upper().replace(" ", "")
    if scheme == "LEI":
        return f"lei:{value}"[:256]
    if scheme == "GB-COH" and value.isdigit():
        # Companies House numbers have eight places; sources drop the zeros before them.
        value = value.zfill(8)
    return f"{scheme}:{value}"[:256]


def register_numbers(scheme: str, values: Sequence[str | None]) -> list[str]:
    """Identifiers of the values that can be a number in a register. `N/A`, `NONE` and `0` name nobody, and would make
    one party of all who wrote them."""
    return [register_number(scheme, one) for one in values if one and any(sign in "123456789" for sign in one)]


def _party(get: Get, names: list[tuple[str, str]], source: str) -> Party:
    lei = lei_of(get("LEI"), "LEI")
    name = cleaned(get("Entity.LegalName"))
    authority = get("Entity.RegistrationAuthority.RegistrationAuthorityID") or ""
    register = get("Entity.RegistrationAuthority.RegistrationAuthorityEntityID")
    identifiers = [f"lei:{lei}"]
    # RA888888 and RA999999 say that there is no register, or none that GLEIF knows.
    if authority.startswith("RA") and authority not in ("RA888888", "RA999999"):
        identifiers += register_numbers(REGISTERS.get(authority, authority), [register])
    return Party(
        key=fact_key(source, lei),
        party=party_id("lei", lei),
        kind="person" if get("Entity.EntityCategory") == "SOLE_PROPRIETOR" else "organisation",
        name=name,
        aliases=distinct([text for text, kind in names if kind not in _PREVIOUS], but=name),
        previous_names=distinct([text for text, kind in names if kind in _PREVIOUS], but=name),
        legal_form=cleaned(get("Entity.LegalForm.EntityLegalFormCode") or get("Entity.LegalForm.OtherLegalForm")),
        incorporated_in=cleaned(get("Entity.LegalJurisdiction")),
        headquarters=cleaned(get("Entity.HeadquartersAddress.Country")),
        identifiers=identifiers,
        valid_from_us=instant(get("Entity.EntityCreationDate"), "Entity.EntityCreationDate"),
        retracted=get("Registration.RegistrationStatus") in VOID,
    )


def _records(path: Path, feed: Feed) -> Iterator[tuple[int, Get, list[tuple[str, str]]]]:
    if is_xml(path, feed):
        for number, node in xml_records(path, feed, "LEIRecord"):
            yield number, dotted(node), _xml_names(node)
        return
    for number, row in csv_rows(path, feed, ("LEI", "Entity.LegalName")):
        yield number, row.get, list(_csv_names(row))


def dotted(node: Node) -> Get:
    """Look up elements of a record by the dotted names that GLEIF's CSV has for them."""
    return lambda name: node.get(*name.split("."))


def _csv_names(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    for group in ("OtherEntityName", "TransliteratedOtherEntityName"):
        for place in _LISTED:
            column = f"Entity.{group}s.{group}.{place}"
            if column in row:
                yield row[column], row.get(f"{column}.type", "")


def _xml_names(node: Node) -> list[tuple[str, str]]:
    groups = ("OtherEntityName", "TransliteratedOtherEntityName")
    return [(one.text, one.kind) for group in groups for one in node.all("Entity", f"{group}s", group)]
