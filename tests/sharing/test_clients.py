"""Of the log only what is new is read, and what comes of it is as if all had been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sharing.test_matching import EPOCH, KEY, finding
from tests.sharing.test_taxii import THEIRS
from tiergate.errors import LedgerError
from tiergate.ledger.log import ExchangeLog, read_log
from tiergate.ledger.segments import Segments
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import Exchange
from tiergate.sharing.clients import FILE, clients
from tiergate.sharing.matching import COLUMNS, Own

Row = tuple[int, int | None, str | None]
ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.none() | st.integers(1, 3), st.none() | st.sampled_from(["u1", "u2"])), max_size=9
)


def exchanges(rows: list[Row], start: int) -> list[Exchange]:
    return [
        Exchange(
            exchange_id=f"ex-{start + number}", started_at=1, account_id=f"acct-{account}", operation="chat",
            request_model="m", status=200, client_asn=asn, user_agent=agent,
        )
        for number, (account, asn, agent) in enumerate(rows)
    ]  # fmt: skip


def read_again(data: Path) -> list[pa.RecordBatch]:
    return list(read_log(data / "log", columns=["account_id", *COLUMNS]))


def rows_of(batches: list[pa.RecordBatch]) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for batch in batches for row in batch.to_pylist()}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Segments that are read."""
    seen: list[str] = []
    real = Segments.read

    def read(self: Segments, entry: Any, *arguments: Any, **more: Any) -> Iterator[pa.RecordBatch]:
        seen.append(entry.segment)
        return real(self, entry, *arguments, **more)

    monkeypatch.setattr(Segments, "read", read)
    return seen


@given(st.lists(st.tuples(ROWS, st.booleans()), max_size=4))
@settings(max_examples=15, deadline=None)
def test_it_is_as_if_all_was_read(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[list[Row], bool]]
) -> None:
    data = tmp_path_factory.mktemp("data")
    log = ExchangeLog.open(data / "log", sketcher=Sketcher(b"k" * 32))
    told = finding({1, 2}, set(), {"u1"}, {"acct-3"})
    for number, (rows, seal) in enumerate(parts):
        log.append(exchanges(rows, 100 * number))
        if seal:
            log.seal()
        assert rows_of(clients(data)) == rows_of(read_again(data))
        known = [Own(batches).matches(told, {EPOCH: KEY}, THEIRS) for batches in (clients(data), read_again(data))]
        assert known[0] == known[1]
    log.close()


def test_what_was_read_is_not_read_again_unless_something_of_it_is_gone(tmp_path: Path, counted: list[str]) -> None:
    with pytest.raises(LedgerError):
        clients(tmp_path)
    log = ExchangeLog.open(tmp_path / "log", sketcher=Sketcher(b"k" * 32))
    for number in range(3):
        log.append(exchanges([(number, 1, "u1")] * 50, 100 * number))
        log.seal()
        assert sum(batch.num_rows for batch in clients(tmp_path)) == number + 1
    log.append(exchanges([(9, 1, "u1")], 900))
    held = rows_of(clients(tmp_path))
    log.close()
    assert len(counted) == len(set(counted)) == 3
    for damage in (
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"PAR1"),
        lambda path: path.write_bytes(b""),
    ):
        damage(tmp_path / FILE)
        assert rows_of(clients(tmp_path)) == held
    counted.clear()
    assert rows_of(clients(tmp_path)) == held
    assert counted == []
    gone = next((tmp_path / "log" / "manifest").iterdir())
    gone.unlink()
    assert rows_of(clients(tmp_path)) == rows_of(read_again(tmp_path)) != held
    assert list(tmp_path.glob(".*")) == []
