"""A handful of entities in the notation of the worked cases: `X50A` is 50% of A held by X, `X25-50A` a band."""

from __future__ import annotations

import numpy as np

from tiergate.admission.ownership_facts import OwnershipFacts, Places
from tiergate.parties.ownership import WHOLE, StakeGraph

NAMES = "XYABCZ"  # X and Y are listed, Z is a holder with a clean record
LISTS = ("SDN", "EL", "MEU", "EU", "UK")
PERCENT = WHOLE // 100
BANDS = {"25-50": (250_001, WHOLE // 2), "50-75": (WHOLE // 2 + 1, 749_999)}


def world(
    stakes: str,
    *,
    unknown: str = "",
    listed: dict[str, str] | None = None,
    headquarters: dict[str, str | None] | None = None,
    incorporated: dict[str, str] | None = None,
    people: str = "",
) -> OwnershipFacts:
    """Facts: X and Y are on every list and at home in China, the others in Singapore; ids are `pty_X` and so on.

    ``unknown``: whose other holders are not known; ``listed``: names by list, in place of the usual.
    """
    rows = []
    for stake in stakes.split():
        size = stake[1:-1]
        lo, hi = BANDS[size] if size in BANDS else (int(size) * PERCENT,) * 2
        rows.append((NAMES.index(stake[0]), NAMES.index(stake[-1]), lo, hi))
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    graph = StakeGraph.build(len(NAMES), *columns, undisclosed=[name in unknown for name in NAMES])
    homes = {name: "CN" if name in "XY" else "SG" for name in NAMES} | (headquarters or {})
    births = dict.fromkeys(NAMES, "SG") | (incorporated or {})
    on = dict.fromkeys(LISTS, "XY") if listed is None else listed
    return OwnershipFacts(
        graph,
        [f"pty_{name}" for name in NAMES],
        {name: np.array([NAMES.index(one) for one in who], np.int32) for name, who in on.items()},
        Places.of(len(NAMES), enumerate(homes[name] for name in NAMES)),
        Places.of(len(NAMES), enumerate(births[name] for name in NAMES)),
        np.array([name in people for name in NAMES]),
        "facts@1",
    )
