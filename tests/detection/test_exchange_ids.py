"""Ids of exchanges: order of time then id, each once, and no two ids taken for one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tiergate.detection import exchange_ids
from tiergate.detection.exchange_ids import ExchangeIds, chronological, fingerprints


def expected(times: list[int], ids: list[str]) -> list[str]:
    seen: set[str] = set()
    return [
        name
        for _, name in sorted(zip(times, ids, strict=True))
        if not (name in seen or seen.add(name))  # type: ignore[func-returns-value]
    ]


def arranged(times: list[int], ids: list[str], cut: int) -> list[str]:
    column = pa.chunked_array([ids[:cut], ids[cut:]], pa.string())
    order = chronological(np.array(times), column)
    kept = ExchangeIds(column, order)
    return kept.take(pa.array(np.arange(len(kept)))).to_pylist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("coarse", [3, 10**9])
def test_order_is_of_time_then_id_and_repeats_are_left_out(seed: int, coarse: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"{'x' * int(rng.integers(1, 20))}-{number}" for number in rng.integers(0, 150, 200)]
    times = rng.integers(0, coarse, 200).tolist()
    assert arranged(times, ids, 70) == expected(times, ids)


def test_a_log_in_order_is_left_as_it_is() -> None:
    column = pa.chunked_array([["b", "a"], ["c"]])
    assert chronological(np.array([1, 2, 3]), column) is None


def test_ids_of_one_fingerprint_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_ids, "mix", lambda values: values * np.uint64(0))
    ids = ["one", "two", "six", "two"]
    assert arranged([4, 3, 2, 1], ids, 2) == ["two", "six", "one"]


def test_fingerprints_are_of_the_text_alone() -> None:
    ids = ["", "a", "abcdefgh", "abcdefghi", "ä", "a", "abcdefgh" * 9, ""]
    prints = fingerprints(pa.array(["sliced", *ids])[1:]).tolist()
    assert len(set(prints)) == 6
    assert prints[1] == prints[5]
    assert prints[0] == prints[7]
    assert prints == [fingerprints(pa.array([name]))[0] for name in ids]
