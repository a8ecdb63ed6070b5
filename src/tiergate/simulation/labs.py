"""Labs: one world dealt out to several providers, as a campaign that spreads itself thin sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.simulation.world import World


@dataclass(frozen=True, slots=True)
class LabShare:
    """What one lab sees of a world: tables of the public formats, and the truth of its accounts."""

    exchanges: pa.Table
    accounts: pa.Table
    truth: pa.Table


def deal(world: World, labs: int, seed: int, *, using_several: float = 0.1, apart: bool = False) -> list[LabShare]:
    """Deal the accounts of a world to ``labs``: those of a campaign in turn, people by chance, and each population that
    looks guilty to a lab of its own.

    :param using_several: share of honest customers that have an account at each of two or more labs, with the same
        card, address and way of asking: they look alike everywhere, and are no campaign. Their exchanges are dealt too.
    :param apart: deal each population that looks guilty by chance too, so that it is spread just as a campaign is.
    """
    rng = np.random.default_rng([seed, *b"labs"])
    truth = world.truth
    campaign = np.asarray(truth["campaign_id"].is_valid())
    population = truth["population"].dictionary_encode().combine_chunks()
    count = len(truth)
    at = rng.integers(labs, size=count)
    if not apart:
        home = rng.integers(labs, size=len(population.dictionary))[population.indices.to_numpy()]
        at = np.where(pc.equal(truth["population"], "people").to_numpy(), at, home)
    at[campaign] = rng.permutation(int(campaign.sum())) % labs
    present = np.zeros((count, labs), bool)
    present[np.arange(count), at] = True
    for account in np.flatnonzero(~campaign & (rng.random(count) < using_several)).tolist():
        present[account, rng.permutation(labs)[: rng.integers(2, labs + 1)]] = True
    ids = truth["account_id"]
    place = pc.index_in(world.exchanges["account_id"], ids.combine_chunks()).to_numpy()
    # Each exchange goes to one of its customer's labs, by chance.
    served = np.where(present[place], rng.random((len(place), labs)), -1.0).argmax(axis=1)
    shares = []
    for lab in range(labs):
        here = pa.array(present[:, lab])
        accounts = world.accounts.filter(pc.is_in(world.accounts["account_id"], ids.filter(here).combine_chunks()))
        shares.append(LabShare(world.exchanges.filter(pa.array(served == lab)), accounts, truth.filter(here)))
    return shares
