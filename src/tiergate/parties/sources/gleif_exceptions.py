"""GLEIF golden copies, reporting exceptions (2.1): why a company names no parent. CSV or XML, packed or not.

They are ten times as many as relations, so that "not disclosed" is the usual state of a company, and a fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tiergate.parties.fact_rows import Fact, Undisclosed, cleaned, fact_key, party_id
from tiergate.parties.sources.gleif import lei_of
from tiergate.parties.sources.reading import Feed, csv_rows, is_xml, xml_records
from tiergate.parties.sources.values import UnreadableError

_SCOPES: Final = {
    "DIRECT_ACCOUNTING_CONSOLIDATION_PARENT": "direct-parent",
    "ULTIMATE_ACCOUNTING_CONSOLIDATION_PARENT": "ultimate-parent",
}


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Undisclosed parents; one fact a record, with its reasons joined by a comma."""
    for path in paths:
        for number, lei, category, reasons in _records(path, feed):
            try:
                yield _undisclosed(lei, category, reasons, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, lei)


def _undisclosed(lei: str | None, category: str | None, reasons: list[str], source: str) -> Undisclosed:
    lei = lei_of(lei, "LEI")
    if category not in _SCOPES:
        raise UnreadableError("Exception.Category", f"is none of {', '.join(_SCOPES)}")
    reason = cleaned(", ".join(reasons))
    if reason is None:
        raise UnreadableError("Exception.Reason", "is missing")
    return Undisclosed(
        key=fact_key(source, lei, category),
        party=party_id("lei", lei),
        scope=_SCOPES[category],
        reason=reason,
    )


def _records(path: Path, feed: Feed) -> Iterator[tuple[int, str | None, str | None, list[str]]]:
    if is_xml(path, feed):
        for number, node in xml_records(path, feed, "Exception"):
            reasons = [one.text.strip() for one in node.all("ExceptionReason")]
            yield number, node.get("LEI"), node.get("ExceptionCategory"), reasons
        return
    for number, row in csv_rows(path, feed, ("LEI", "Exception.Category", "Exception.Reason.1")):
        reasons = [row[name] for name in (f"Exception.Reason.{place}" for place in range(1, 6)) if name in row]
        yield number, row.get("LEI"), row.get("Exception.Category"), reasons
