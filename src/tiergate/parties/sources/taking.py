"""An import from files to facts: reads, refuses what is none, records the rest, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tiergate.errors import InputError
from tiergate.parties.fact_rows import Fact, fault, shown_id
from tiergate.parties.facts import FactStore
from tiergate.parties.sources import (
    bods,
    gleif,
    gleif_exceptions,
    gleif_relations,
    ofac,
    opensanctions,
    plain,
    psc,
    screening,
)
from tiergate.parties.sources.reading import Feed
from tiergate.records.refused import RefusedRows

Reader = Callable[[Sequence[Path], Feed], Iterator[Fact]]
READERS: Final[dict[str, Reader]] = {
    "gleif": gleif.read,
    "gleif-relations": gleif_relations.read,
    "gleif-exceptions": gleif_exceptions.read,
    "bods": bods.read,
    "psc": psc.read,
    "opensanctions": opensanctions.read,
    "ofac": ofac.read,
    "csl": screening.read,
    "csv": plain.read,
}
_HASHED: Final = 1 << 20


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What an import came to: the store's version, facts by kind, whether it counts as complete and, where that was
    asked for and is not so, why. ``unknown_parties``: of how many parties that a CSV file names nothing is told, in it
    or before, and ``first_unknown`` what it calls the first of them."""

    version: int
    parties: int
    stakes: int
    undisclosed: int
    listings: int
    complete: bool
    incomplete_because: str | None
    unknown_parties: int
    first_unknown: str | None


def take_in(
    store: FactStore,
    kind: str,
    paths: Sequence[Path],
    *,
    refused: RefusedRows,
    now_us: int,
    source: str | None = None,
    as_of_us: int | None = None,
    complete: bool = False,
    passed: Callable[[int], None] | None = None,
) -> Taken:
    """Read files of one kind (a key of `READERS`) into the store as one import.

    :param source: the name that facts are kept under; ``kind`` when None. Publishers of one format need a name each.
    :param complete: the files are all that the source knows, so that what they do not repeat ended at ``as_of_us``.
        Files of which a row was refused or the end is missing do not count as complete: nobody leaves a list because
        a file is broken.
    :param passed: hears of bytes read.
    Raises `InputError` when a file is missing, is not of that kind, or has no fact at all.
    """
    feed = Feed(source or kind, refused)
    if passed is not None:
        feed.passed = passed
    before = refused.count
    with store.importing(feed.source, now_us=now_us, as_of_us=as_of_us, complete=complete) as writer:
        for fact in READERS[kind](paths, feed):
            wrong = fault(fact)
            if wrong is None:
                writer.add(fact)
            else:
                refused.add(", ".join(map(str, paths)), 0, *wrong, shown_id(fact.key))
        writer.flush()
        counts = dict(writer.counts)
        if not any(counts.values()):
            raise InputError(f"{', '.join(f'`{path}`' for path in paths)} holds no facts of the kind `{kind}`")
        because = None
        if complete and (refused.count > before or not feed.whole):
            writer.complete_if_asked = False
            rows = refused.count - before
            because = "a file ends in the middle" if not feed.whole else f"{rows} of its rows were refused"
        writer.snapshot_hash = hash_of(paths)
    known = store.described(feed.named)
    unknown = [text for party, text in feed.named.items() if party not in known]
    return Taken(
        version=store.version(),
        complete=complete and because is None,
        incomplete_because=because,
        unknown_parties=len(unknown),
        first_unknown=unknown[0] if unknown else None,
        **counts,
    )


def hash_of(paths: Sequence[Path]) -> str:
    """SHA-256 over the files' own SHA-256, in the order given; hexadecimal."""
    whole = hashlib.sha256()
    for path in paths:
        one = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_HASHED):
                one.update(block)
        whole.update(one.digest())
    return whole.hexdigest()
