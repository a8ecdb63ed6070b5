"""Small files in the forms that registers publish.

All of them were written for these tests from the published names of fields; none has a line of anybody's data. LEIs
are made up, with check digits that hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiergate.database import open_database
from tiergate.parties.fact_rows import Fact, Listing, Party, Stake, Undisclosed, party_id
from tiergate.parties.facts import FactStore
from tiergate.parties.snapshot import Snapshot
from tiergate.parties.sources.reading import Feed
from tiergate.parties.sources.taking import READERS, Taken, take_in
from tiergate.records.refused import RefusedRows

NOW = 1_790_000_000_000_000


def lei(stem: str) -> str:
    """A legal entity identifier from up to 18 letters and digits (ISO 17442, ISO 7064 MOD 97-10)."""
    body = stem.upper().ljust(18, "0")
    return f"{body}{98 - int(''.join(str(int(sign, 36)) for sign in body + '00')) % 97:02}"


class Facts(list[Fact]):
    """Facts that a reader gave, by kind, and what it refused."""

    def __init__(self, facts: list[Fact], feed: Feed) -> None:
        super().__init__(facts)
        self.refused = feed.refused
        self.whole = feed.whole

    @property
    def parties(self) -> list[Party]:
        return [one for one in self if isinstance(one, Party)]

    @property
    def stakes(self) -> list[Stake]:
        return [one for one in self if isinstance(one, Stake)]

    @property
    def undisclosed(self) -> list[Undisclosed]:
        return [one for one in self if isinstance(one, Undisclosed)]

    @property
    def listings(self) -> list[Listing]:
        return [one for one in self if isinstance(one, Listing)]


ReadText = Callable[..., Facts]


def read_files(kind: str, *paths: Path) -> Facts:
    feed = Feed(kind, RefusedRows(None))
    return Facts(list(READERS[kind](paths, feed)), feed)


@pytest.fixture
def read_text(tmp_path: Path) -> ReadText:
    """Write texts as files and read them as one kind."""

    def read(kind: str, *texts: str | bytes) -> Facts:
        paths = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"{kind}-{number}")
            paths[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_files(kind, *paths)

    return read


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FactStore]:
    engine = open_database(tmp_path / "parties.sqlite")
    yield FactStore(engine)
    engine.dispose()


@pytest.fixture
def take(store: FactStore, tmp_path: Path) -> Callable[..., Taken]:
    """Import one text as a file of a kind."""

    def taking(kind: str, text: str | bytes, **options: Any) -> Taken:
        path = tmp_path / "input"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        options = {"now_us": NOW + store.version(), "refused": RefusedRows(None)} | options
        return take_in(store, kind, [path], **options)

    return taking


def shares(snapshot: Snapshot, names: dict[str, bytes] | None = None) -> set[tuple[str, str, str, int, int]]:
    """Stakes of a snapshot as (owner, owned, prong, low, high), by the first name that a record has."""
    from tiergate.parties.fact_rows import PRONGS

    called = {}
    for number in range(snapshot.size):
        found = [row["name"] for row in snapshot.records(number) if row["name"]]
        called[number] = found[0] if found else str(number)
    for name, party in (names or {}).items():
        called[snapshot.number(party)] = name  # type: ignore[index]
    held = snapshot.stakes
    return {
        (called[int(a)], called[int(b)], PRONGS[p], int(low), int(high))
        for a, b, p, low, high in zip(held.owner, held.owned, held.prong, held.lo_ppm, held.hi_ppm, strict=True)
    }


__all__ = ["NOW", "Facts", "lei", "party_id", "read_files", "shares"]
