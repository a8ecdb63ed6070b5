"""Numbers for hashes: the same as counting every value, whatever the values are."""

from __future__ import annotations

import numpy as np
import pytest

from tiergate.detection import numbering
from tiergate.detection.numbering import Places, recurring

RNG = np.random.default_rng(5)
HASHES = RNG.integers(-(2**63), 2**63 - 1, 4_000)
VALUES = {
    "hashes, some again": np.concatenate([HASHES, RNG.choice(HASHES, 900), HASHES[:3].repeat(500)]),
    "small numbers": RNG.integers(-20, 400, 3_000),
    "ends of the range": np.array([-(2**63), 2**63 - 1, 0, -1, 2**63 - 1, -(2**63)]),
    "nothing twice": np.unique(HASHES),
    "nothing": np.empty(0, np.int64),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("range_items", [1 << 25, 64])
def test_what_recurs_is_what_counting_says(name: str, range_items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "RANGE_ITEMS", range_items)
    values, times = np.unique(VALUES[name], return_counts=True)
    parts = np.array_split(VALUES[name], 3)
    before = [part.copy() for part in parts]
    assert recurring(parts).tolist() == values[times > 1].tolist()
    assert all(np.array_equal(one, other) for one, other in zip(parts, before, strict=True))


@pytest.mark.parametrize("name", VALUES)
def test_every_value_finds_its_place_and_others_none(name: str) -> None:
    known = np.unique(VALUES[name])[::2]
    place = {value: at for at, value in enumerate(known.tolist())}
    asked = np.concatenate([VALUES[name], VALUES["small numbers"] * 7])
    assert Places(known).of(asked).tolist() == [place.get(value, -1) for value in asked.tolist()]
