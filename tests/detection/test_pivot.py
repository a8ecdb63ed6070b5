"""Turning to a new model together shows against customers of like volume, and heavy users alone do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tests.detection.conftest import START, Platform, log_batches
from tiergate.clock import DAY, HOUR
from tiergate.detection.intake import take_in
from tiergate.detection.pivot import Release, releases_seen, synchrony
from tiergate.records.schema import MODEL_RELEASE_SCHEMA


def test_who_could_turn_and_who_did() -> None:
    made = Platform(1)
    cases = {"turned": [(0, "a"), (130, "b")], "late": [(0, "a"), (200, "b")], "new": [(130, "b")], "gone": [(0, "a")]}
    names = {who: made.account(who) for who in cases}
    for who, sent in cases.items():
        for hour, model in sent:
            made.exchange(names[who], hour * HOUR, "copper tin zinc", request_model=model)
    traffic = take_in(log_batches(made.exchange_table()), bytes(32))
    rows = [{"model": "b", "released_at": START + 5 * DAY}, {"model": "never", "released_at": START + DAY}]
    (seen,) = releases_seen(traffic, pa.Table.from_pylist(rows, MODEL_RELEASE_SCHEMA))
    who = [made.population[name] for name in traffic.account_ids]
    assert {w for w, one in zip(who, seen.could.tolist(), strict=True) if one} == {"turned", "late"}
    assert {w for w, one in zip(who, seen.did.tolist(), strict=True) if one} == {"turned"}
    assert releases_seen(traffic, None) == []


def test_half_of_a_pool_is_together_and_heavy_users_are_not() -> None:
    rng = np.random.default_rng(2)
    stratum = np.repeat(np.arange(10), 200)
    did = rng.random(2000) < 0.02 + 0.04 * stratum
    pool = np.arange(0, 2000, 50)
    did[pool[::2]] = True
    release = Release("b", np.ones(2000, bool), did)
    together = synchrony(pool, [release], stratum, rng)
    assert together is not None
    assert together.p_value < 0.005
    assert together.share >= 0.5
    heavy = synchrony(np.arange(1801, 2000, 5), [release], stratum, rng)
    assert heavy is not None
    assert heavy.p_value > 0.01
    assert synchrony(pool[:3], [release], stratum, rng) is None
