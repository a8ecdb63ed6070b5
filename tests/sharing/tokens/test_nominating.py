"""A lab nominates few honest customers, and its part of a campaign."""

from __future__ import annotations

import pytest

from tiergate.ledger.sketches import Sketcher
from tiergate.sharing.tokens.items import MOST_ITEMS, Nomination
from tiergate.sharing.tokens.nominating import nominate
from tiergate.simulation.labs import LabShare, deal
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import simulate

KEY = Sketcher(b"k" * 32)


@pytest.fixture(scope="module")
def shares() -> list[LabShare]:
    thin = CampaignSpec(accounts=12, address_sharing=0.6, payment_sharing=0.6)
    return deal(simulate(WorldSpec(people=100, hard_negatives={}, campaigns=(thin,)), 1, GrammarPrompts()), 3, 1)


def chosen(share: LabShare, sketcher: Sketcher = KEY) -> list[Nomination]:
    return nominate(share.exchanges.to_batches(), share.accounts, sketcher)


def test_a_campaign_is_nominated_and_most_people_are_not(shares: list[LabShare]) -> None:
    for share in shares:
        rows = zip(share.truth["account_id"].to_pylist(), share.truth["campaign_id"].to_pylist(), strict=True)
        campaign = {account for account, of in rows if of}
        named = {one.customer for one in chosen(share)}
        assert len(campaign) == 4
        assert campaign <= named
        assert len(named - campaign) < 0.25 * share.accounts.num_rows
        assert all(0 < len(one.items) <= MOST_ITEMS and one.exchanges for one in chosen(share))


def test_sketches_do_as_well_as_text(shares: list[LabShare]) -> None:
    batch = shares[0].exchanges.combine_chunks().to_batches()[0]
    sketches = KEY.sketch(batch)
    bare = batch.drop_columns(["system_text", "prompt_text"])
    for name in sketches.schema.names:
        bare = bare.append_column(name, sketches[name])
    assert nominate([bare], shares[0].accounts, KEY) == chosen(shares[0])
    # Sketches under another key than the group's match nothing, and are left out.
    kinds = {item.kind.name for one in nominate([bare], shares[0].accounts, Sketcher(b"o" * 32)) for item in one.items}
    assert not kinds & {"TEMPLATE", "SYSTEM"}


def test_a_world_is_dealt_out_whole(shares: list[LabShare]) -> None:
    ids = [one for share in shares for one in share.exchanges["exchange_id"].to_pylist()]
    assert len(ids) == len(set(ids))
    for share in shares:
        assert set(share.exchanges["account_id"].to_pylist()) <= set(share.accounts["account_id"].to_pylist())
