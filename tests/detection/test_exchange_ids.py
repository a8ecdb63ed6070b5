"""Ids of exchanges: order of time then id, each once, and no two ids taken for one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from tiergate.detection import exchange_ids
from tiergate.detection.exchange_ids import ExchangeIds, chronological, contents, fingerprints


def expected(times: list[int], ids: list[str]) -> list[str]:
    seen: set[str] = set()
    return [
        name
        for _, name in sorted(zip(times, ids, strict=True))
        if not (name in seen or seen.add(name))  # type: ignore[func-returns-value]
    ]


def alike(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    assert (np.diff(rows) > 0).all()
    return np.zeros(len(rows), np.uint64)


def arranged(times: list[int], ids: list[str], cut: int) -> list[str]:
    column = pa.chunked_array([ids[:cut], ids[cut:]], pa.string())
    order = chronological(np.array(times), column, alike)
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
    assert chronological(np.array([1, 2, 3]), column, alike) is None


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


def test_of_one_id_at_one_time_the_least_content_counts_and_no_other_row_is_asked_for() -> None:
    asked: list[int] = []

    def content(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        asked.extend(rows.tolist())
        return np.array([9, 8, 7, 5, 6, 4, 3, 2], np.uint64)[rows]

    ids = pa.chunked_array([["a", "b", "c", "a"], ["a", "b", "d", "d"]])
    order = chronological(np.array([2, 1, 1, 2, 2, 3, 5, 5]), ids, content)
    assert order is not None
    assert order.tolist() == [1, 2, 3, 7]
    assert asked == [0, 3, 4, 6, 7]


def test_contents_are_of_the_values_alone() -> None:
    texts = ["x", None, "y", "x", "", "x"]
    lists = [[1, 2], [2, 1], None, [], [1, 2], [1, 2, 0]]
    numbers = [None, 0, 1, 7, None, 1]

    def hashed(cut: int, rows: list[int]) -> list[int]:
        def cut_up(values: list[Any], kind: pa.DataType) -> list[pa.Array]:
            return [pa.array(values[:cut], kind), pa.array(values[cut:], kind)]

        amounts = [np.arange(6, dtype=np.int32)[:cut] * 0, np.arange(6, dtype=np.int64)[cut:] * 0]
        columns = {
            "text": [part.dictionary_encode() for part in cut_up(texts, pa.string())],
            "lists": cut_up(lists, pa.list_(pa.int64())),
            "numbers": cut_up(numbers, pa.int64()),
            "amounts": amounts,
            "absent": [pa.nulls(6, pa.string()).dictionary_encode()],
        }
        return contents(columns, np.array(rows)).tolist()

    whole = hashed(3, [0, 1, 2, 3, 4, 5])
    assert len(set(whole)) == 6
    for cut in (0, 1, 5):
        assert hashed(cut, [0, 2, 5]) == [whole[row] for row in (0, 2, 5)]
    # One column at a time: what differs in nothing else is still told apart.
    for name, parts in {"text": ["", None, "a"], "lists": [[], None, [0]], "numbers": [0, None, 1]}.items():
        kind = {"text": pa.string(), "lists": pa.list_(pa.int64()), "numbers": pa.int64()}[name]
        column = pa.array(parts, kind)
        one = [column.dictionary_encode() if name == "text" else column]
        assert len(set(contents({name: one}, np.arange(3)).tolist())) == 3
