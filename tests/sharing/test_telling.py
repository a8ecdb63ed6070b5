"""What is worth telling of a case's clients."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tiergate.sharing.telling import telling


def batch(*rows: tuple[str, int | None, str | None]) -> pa.RecordBatch:
    accounts, networks, agents = zip(*rows, strict=True)
    columns = {
        "account_id": pa.array(accounts, pa.string()),
        "client_asn": pa.array(networks, pa.int64()),
        "tls_fingerprint": pa.array([None] * len(rows), pa.string()),
        "user_agent": pa.array(agents, pa.string()),
    }
    return pa.record_batch(columns)


def test_what_most_who_have_it_are_of_the_case_is_told_and_what_is_common_is_not() -> None:
    case = [(f"case-{n}", 64_500 if n < 3 else 64_501, "rare/1" if n else "lone/1") for n in range(6)]
    others = [(f"other-{n}", 64_501, "") for n in range(3)]
    found = telling([batch(*case), batch(*case, *others)], [name for name, *_ in case])
    assert found == {"client_asn": [64_500], "tls_fingerprint": [], "user_agent": ["rare/1"]}


def test_pairs_that_are_many_are_made_distinct_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiergate.sharing.telling.MOST_NEW", 3)
    rows = [(f"case-{n % 4}", 64_500 + n % 2, f"agent/{n % 3}") for n in range(24)]
    batches = [batch(*rows[at : at + 2]) for at in range(0, 24, 2)]
    assert telling(batches, [f"case-{n}" for n in range(4)]) == telling([batch(*rows)], [f"case-{n}" for n in range(4)])


def test_a_tenth_of_the_members_must_have_it() -> None:
    case = [(f"case-{n:02}", 64_500 if n < 2 else None, None) for n in range(21)]
    assert telling([batch(*case)], [name for name, *_ in case])["client_asn"] == []
    assert telling([batch(*case)], [name for name, *_ in case[:20]])["client_asn"] == [64_500]


def test_no_exchanges_tell_nothing() -> None:
    assert telling([], ["a"]) == {"client_asn": [], "tls_fingerprint": [], "user_agent": []}
