"""Campaigns: accounts that share out one queue, each harmless, one purpose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tiergate.clock import DAY, HOUR
from tiergate.simulation.maker import Maker, Member, Request
from tiergate.simulation.rhythm import steady
from tiergate.simulation.spec import CampaignSpec


def campaign(spec: CampaignSpec, maker: Maker) -> Iterator[Member]:
    """Accounts that share out one queue: each harmless, one purpose."""
    rng = maker.rng
    count, end = spec.accounts, int(maker.spec.days * DAY)
    if not count:
        return
    clients = [maker.surroundings.script(rng) for _ in range(4)]
    cards = [f"card_{rng.integers(1 << 60):015x}" for _ in range(max(1, count // 8))]
    pool = [maker.surroundings.home(rng) for _ in range(max(1, count // 8))]
    members = []
    for _ in range(count):
        place = pool[rng.integers(len(pool))] if rng.random() < spec.address_sharing else maker.surroundings.home(rng)
        created = -int(rng.uniform(0.5, spec.signup_spread_days) * DAY)
        member = maker.member("campaign", created, place, clients[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))])
        if rng.random() < spec.payment_sharing:
            member.account["payment_hash"] = cards[rng.integers(len(cards))]
        member.model, member.streams = int(rng.choice(3, p=(0.8, 0.2, 0.0))), bool(rng.random() < 0.5)
        if rng.random() < spec.pivot_share:
            member.pivots_at = int(maker.spec.release_day * DAY + rng.exponential(spec.pivot_spread_h) * HOUR)
        members.append((member, place))
    total = round(count * spec.exchanges_per_account)
    template = maker.prompts.campaign_templates[rng.integers(len(maker.prompts.campaign_templates))]
    fillings = maker.prompts.fillings(rng, total)
    # The dispatcher takes one of the accounts that rested longest, so that none stands out.
    share = rng.dirichlet(np.full(count, 8.0))
    dealt = rng.choice(count, total, p=share)
    for at, who, filling in zip(steady(rng, total, 0, end, noise=0.25).tolist(), dealt.tolist(), fillings, strict=True):
        member, place = members[who]
        text = template.replace("{filling}", filling)
        member.requests.append(Request(at, text, place, campaign=spec.name))
    for member, place in members:
        # A little ordinary talk as camouflage.
        for _ in range(int(rng.binomial(len(member.requests), spec.camouflage))):
            text = maker.prompts.asking(rng, int(rng.integers(maker.prompts.subjects)))
            member.requests.append(Request(int(rng.integers(0, end)), text, place))
        yield member
