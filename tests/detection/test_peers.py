"""Each peer finds a group planted by hand, and scores accounts in the order of their sorted ids."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from benchmarks.detection.peers import PEERS
from benchmarks.detection.peers.fraudar import densest_block

from tests.detection.conftest import START, Platform
from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.records.schema import ACCOUNT_SCHEMA, EXCHANGE_SCHEMA

PLANTED = 12
TEMPLATE = "Judge the answer below against the rubric and think step by step. Answer:"


def plant(platform: Platform, **of_account: Any) -> list[str]:
    return [platform.account("planted", **of_account) for _ in range(PLANTED)]


def send(platform: Platform, name: str, at: int, text: str | None = None, **columns: Any) -> None:
    own = {"client_address": platform.address(), "user_agent": f"agent-{platform.rng.integers(8)}"}
    platform.exchange(name, at, text or platform.words("alpha beta gamma delta epsilon zeta", 9), **own | columns)


def heavy(platform: Platform) -> None:
    for name in plant(platform):
        for turn in range(80):
            send(platform, name, turn * MINUTE)


def listed_indicators(platform: Platform) -> None:
    """New accounts on a small plan that use everything at once, at all hours, over many addresses."""
    for name in plant(platform, plan="subscription", created_at=START - DAY):
        for turn in range(96):
            send(platform, name, turn % 48 * HOUR // 2, "The same text each time.", cost_usd=0.5, user_agent="relay/1")


def shared_card(platform: Platform) -> None:
    for name in plant(platform, payment_hash="card-1"):
        send(platform, name, DAY)


def same_hours(platform: Platform) -> None:
    names = plant(platform)
    for burst in range(8):
        for name in names:
            send(platform, name, burst * 31 * HOUR + int(platform.rng.integers(HOUR)), f"{TEMPLATE} {burst}")


def shared_objects(platform: Platform) -> None:
    names = plant(platform, payment_hash="card-1")
    for name in names:
        for address in range(6):
            send(platform, name, address * HOUR, f"{TEMPLATE} {name}", client_address=f"10.0.0.{address}")


def narrow_content(platform: Platform) -> None:
    for name in plant(platform):
        for turn in range(40):
            send(platform, name, turn * 7 * HOUR, f"{TEMPLATE} {platform.words('yes no maybe', 2)}")


def many_signals(platform: Platform) -> None:
    names = plant(platform, payment_hash="card-1", payment_bin="400000")
    for turn in range(60):
        for name in names:
            text = f"{TEMPLATE} act as a judge for the reward model"
            send(platform, name, turn * 10_000_000, text, max_tokens=4_096, client_asn=14_061, system_text="You judge.")


def two_families(platform: Platform) -> None:
    names = plant(platform, payment_hash="card-1")
    for name in names:
        for turn in range(4):
            send(platform, name, turn * DAY, f"{TEMPLATE} {name} {turn}")


PLANTS: dict[str, Callable[[Platform], None]] = {
    "volume": heavy,
    "aa26_251a": listed_indicators,
    "components": shared_card,
    "synchrotrap": same_hours,
    "fraudar": shared_objects,
    "mmd": narrow_content,
    "glasswally": many_signals,
    "sybilkit": two_families,
}


def world(make: Callable[[Platform], None]) -> Platform:
    platform = Platform(seed=5)
    platform.people("people", 80)
    make(platform)
    return platform


def test_every_peer_has_a_planted_group_and_a_source() -> None:
    assert PEERS.keys() == PLANTS.keys()
    assert all(peer.name == name and "20" in peer.source and "https://" in peer.source for name, peer in PEERS.items())


@pytest.mark.parametrize("name", PLANTS)
def test_the_planted_group_scores_above_everyone_else(name: str) -> None:
    platform = world(PLANTS[name])
    score = PEERS[name].score(platform.exchange_table(), platform.account_table())
    planted = np.array([platform.population[account] == "planted" for account in sorted(platform.population)])
    assert score.dtype == np.float64
    assert score.shape == planted.shape
    assert score[planted].min() > score[~planted].max()


@pytest.mark.parametrize("name", PLANTS)
def test_scores_are_repeatable_and_do_not_depend_on_the_order_of_the_rows(name: str) -> None:
    platform = world(PLANTS[name])
    exchanges = platform.exchange_table()
    shuffled = exchanges.take(pa.array(np.random.default_rng(1).permutation(exchanges.num_rows)))
    accounts = platform.account_table()
    first = PEERS[name].score(exchanges, accounts)
    np.testing.assert_array_equal(first, PEERS[name].score(exchanges, accounts))
    if name not in {"fraudar", "mmd"}:  # ties in removal and the sample for the bandwidth follow the rows
        np.testing.assert_allclose(first, PEERS[name].score(shuffled, accounts))


@pytest.mark.parametrize("name", PLANTS)
def test_missing_accounts_columns_and_text_are_no_error(name: str) -> None:
    platform = world(PLANTS[name])
    exchanges, accounts = platform.exchange_table(), platform.account_table()
    n = len(platform.population)
    bare = exchanges.select([field.name for field in EXCHANGE_SCHEMA if not field.nullable])
    no_text = exchanges.set_column(
        exchanges.schema.get_field_index("prompt_text"), "prompt_text", pa.nulls(len(exchanges), pa.string())
    )
    for some, known in [(exchanges, ACCOUNT_SCHEMA.empty_table()), (bare, accounts.slice(0, 3)), (no_text, accounts)]:
        score = PEERS[name].score(some, known)
        assert score.shape == (n,)
        assert np.isfinite(score).all()
    assert PEERS[name].score(exchanges.slice(0, 0), accounts).shape == (0,)


def density(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], inside: set[int], n: int) -> float:
    column = 1 / np.log(np.bincount(right) + 5.0)
    kept = [column[b] for a, b in zip(left, right, strict=True) if a in inside and b + n in inside]
    return float(sum(kept)) / len(inside)


def brute_force(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], n: int) -> tuple[float, set[int]]:
    nodes = range(n + int(right.max()) + 1)
    every = chain.from_iterable(combinations(nodes, size) for size in range(1, len(nodes) + 1))
    return max(((density(left, right, set(some), n), set(some)) for some in every), key=lambda found: found[0])


def test_fraudar_finds_the_densest_block_of_a_small_graph() -> None:
    # Accounts 1 to 4 each touch objects 0 to 3; the others touch one object each.
    block = [(a, b) for a in range(1, 5) for b in range(4)]
    left, right = (np.array(side, np.int64) for side in zip(*block, (0, 4), (5, 0), (6, 3), strict=True))
    best, nodes = brute_force(left, right, 7)
    found, inside, order = densest_block(left, right, 7)
    assert found == pytest.approx(best)
    assert set(np.flatnonzero(inside).tolist()) == nodes == {1, 2, 3, 4, 7, 8, 9, 10}
    assert sorted(order.tolist()) == list(range(12))


@pytest.mark.parametrize("seed", range(4))
def test_fraudar_keeps_its_guarantee_of_half_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = np.nonzero(rng.random((6, 5)) < 0.4)
    found, inside, _ = densest_block(left.astype(np.int64), right.astype(np.int64), 6)
    best, _ = brute_force(left, right, 6)
    assert best / 2 <= found <= best + 1e-9
    assert found == pytest.approx(density(left, right, set(np.flatnonzero(inside).tolist()), 6))
