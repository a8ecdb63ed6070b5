"""The populations of a world. Each yields accounts with their exchanges; which is which only the truth table says.

| population | why it looks guilty |
| --- | --- |
| benign | some run machines around the clock, some share a carrier's or VPN's address, a popular template or a card |
| agent_users | one system prompt, one client, one set of tools and parameters for all of them |
| office | dozens of accounts behind two addresses, in the same working hours, some on one company card |
| campaign | it is: one queue of a filled-in template, dealt to accounts that pretend to be strangers |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY, MINUTE
from tiergate.simulation.grammar import AGENT_TOOLS
from tiergate.simulation.prompts import PromptSource
from tiergate.simulation.rhythm import shaped, sittings, steady, timetable
from tiergate.simulation.spec import WorldSpec
from tiergate.simulation.surroundings import Client, Place, Surroundings

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
LOAD_WINDOW_US = 10 * MINUTE
FREE_MAIL = ("gmail.com", "outlook.com", "qq.com", "yahoo.com", "proton.me", "163.com", "icloud.com", "gmx.de")
PLANS = ("free", "pay_as_you_go", "subscription", "team", "enterprise")


@dataclass
class Member:
    """One account of a population: its row, where and how it asks, and what it asked.

    ``requests``: (time in microseconds from the start, message, system prompt, place, tools).
    """

    account: dict[str, Any]
    client: Client
    model: int
    temperature: float | None
    max_tokens: int | None
    streams: bool
    requests: list[tuple[int, str, str | None, Place, tuple[str, ...] | None]] = field(default_factory=list)
    pivots_at: int | None = None


class Maker:
    """What all populations are made from."""

    def __init__(
        self,
        spec: WorldSpec,
        rng: np.random.Generator,
        prompts: PromptSource,
        surroundings: Surroundings,
        loads: Sequence[F64] = (),
    ) -> None:
        self.spec, self.rng, self.prompts, self.surroundings, self.loads = spec, rng, prompts, surroundings, loads
        self.cards = [f"card_{rng.integers(1 << 60):015x}" for _ in range(40)]

    def member(self, created: int, place: Place, client: Client, **account: Any) -> Member:
        """An account with its own payment, mail and settings, unless ``account`` says otherwise."""
        rng = self.rng
        free = rng.random() < 0.7
        domain = str(rng.choice(FREE_MAIL, p=_falling(len(FREE_MAIL)))) if free else f"site{rng.integers(1 << 30)}.com"
        row: dict[str, Any] = {
            "account_id": f"acct_{rng.integers(1 << 62):016x}",
            "created_at": created,
            "status": "active",
            "plan": str(rng.choice(PLANS, p=(0.25, 0.4, 0.25, 0.08, 0.02))),
            "signup_path": str(
                rng.choice(("self_serve", "education", "startup", "marketplace"), p=(0.85, 0.06, 0.05, 0.04))
            ),
            "declared_country": place.country,
            "email_domain": domain,
            "email_hash": f"mail_{rng.integers(1 << 60):015x}",
            "payment_hash": f"card_{rng.integers(1 << 60):015x}"
            if rng.random() < 0.98
            else str(rng.choice(self.cards)),
            "payment_bin": str(400_000 + int(rng.zipf(1.3)) % 900),
            "payment_country": place.country,
            "signup_address": place.address,
            "signup_user_agent": self.surroundings.browser(rng).user_agent,
            "verification": str(rng.choice(("email", "phone", "payment"), p=(0.3, 0.3, 0.4))),
        }
        if rng.random() < 0.4:
            row |= {"phone_hash": f"phone_{rng.integers(1 << 60):015x}", "phone_country": place.country}
        return Member(
            row | account,
            client,
            model=int(rng.choice(3, p=(0.5, 0.3, 0.2))),
            temperature=[None, 0.0, 0.2, 0.7, 1.0][rng.choice(5, p=(0.45, 0.15, 0.1, 0.2, 0.1))],
            max_tokens=[None, 512, 1024, 2048, 4096][rng.choice(5, p=(0.5, 0.1, 0.15, 0.1, 0.15))],
            streams=bool(rng.random() < 0.5),
        )

    def signed_up(self) -> int:
        """Microseconds before the start at which an ordinary account was made: within a year, more of late."""
        return -int(self.rng.beta(1, 1.3) * 365 * DAY)

    def volumes(self, count: int, total: float) -> I64:
        """Heavy-tailed exchanges by account (log-normal, sigma 1.3) that add up to about ``total``."""
        if not count:
            return np.empty(0, np.int64)
        drawn = self.rng.lognormal(0, 1.3, count)
        drawn = np.minimum(drawn, np.quantile(drawn, 0.998) * 1.5)
        volumes: I64 = np.maximum(1, np.round(drawn * total / drawn.sum())).astype(np.int64)
        return volumes


def benign(maker: Maker) -> Iterator[Member]:
    """People and their scripts, each on a few subjects of their own."""
    rng, spec = maker.rng, maker.spec
    shared_egress = [maker.surroundings.home(rng) for _ in range(max(2, spec.benign_accounts // 150))]
    volumes = maker.volumes(spec.benign_accounts, spec.benign_accounts * spec.exchanges_per_account)
    for volume in volumes.tolist():
        place, machine = maker.surroundings.home(rng), rng.random()
        client = maker.surroundings.script(rng) if rng.random() < 0.55 else maker.surroundings.browser(rng)
        member = maker.member(maker.signed_up(), place, client)
        places = [place, maker.surroundings.home(rng)]
        if rng.random() < 0.12:
            places[1] = shared_egress[rng.integers(len(shared_egress))]
        own = rng.choice(maker.prompts.subjects, size=min(3, maker.prompts.subjects), replace=False).tolist()
        template = None
        if machine < spec.machine_share:
            # Bots, integrations and nightly jobs: one template of the account's own, day and night.
            client = maker.surroundings.script(rng)
            member.client = client
            places = [maker.surroundings.hosting(rng)] if rng.random() < 0.6 else places[:1]
            template = f"Task {rng.integers(1 << 30):x}. {maker.prompts.asking(rng, own[0])} Answer for: {{filling}}"
            times = (
                steady(rng, volume, 0, int(spec.days * DAY), noise=0.5)
                if machine < spec.machine_share * 0.6
                else timetable(rng, volume, spec.days)
            )
        else:
            if rng.random() < 0.1:
                template = maker.prompts.public_templates[rng.integers(len(maker.prompts.public_templates))]
            times = (
                shaped(rng, volume, spec.days, maker.loads[int(rng.integers(len(maker.loads)))], LOAD_WINDOW_US)
                if maker.loads and client.user_agent.find("Mozilla") < 0 and rng.random() < 0.5
                else _person(rng, volume, spec.days)
            )
        for time in times.tolist():
            subject = own[min(int(rng.geometric(0.6)) - 1, len(own) - 1)]
            text = maker.prompts.asking(rng, subject)
            if template is not None and (machine < spec.machine_share or rng.random() < 0.6):
                text = template.replace("{filling}", text)
            member.requests.append((time, text, None, places[int(rng.random() < 0.3) % len(places)], None))
        yield member


def agent_users(maker: Maker) -> Iterator[Member]:
    """Users of one coding agent: the same tool around different people."""
    rng, spec = maker.rng, maker.spec
    versions = [Client(f"quill-agent/1.{minor}", "t13d5911h1_a33745022dd6_1f22a2ca17c4") for minor in range(4)]
    volumes = maker.volumes(spec.agent_accounts, spec.agent_accounts * spec.exchanges_per_account * 1.5)
    for volume in volumes.tolist():
        place = maker.surroundings.home(rng)
        # The tool came out some eight months ago and spread by word of mouth.
        created = -int(rng.beta(1.2, 1.6) * 240 * DAY)
        member = maker.member(created, place, versions[rng.choice(4, p=(0.1, 0.2, 0.3, 0.4))])
        member.temperature, member.max_tokens, member.streams = 0.2, 8192, True
        member.model = int(rng.choice(3, p=(0.85, 0.1, 0.05)))
        projects = rng.integers(0, 1 << 20, int(rng.integers(1, 4))).tolist()
        for time in _person(rng, volume, spec.days, turns=9).tolist():
            text = maker.prompts.code_task(rng, projects[rng.integers(len(projects))])
            member.requests.append((time, text, maker.prompts.agent_system, place, AGENT_TOOLS))
        yield member


def office(maker: Maker) -> Iterator[Member]:
    """Colleagues behind their company's two addresses; half were signed up by the company, half by themselves."""
    rng, spec = maker.rng, maker.spec
    number = 0
    while number < spec.office_accounts:
        size = min(spec.office_size, spec.office_accounts - number)
        egress = [maker.surroundings.home(rng), maker.surroundings.home(rng)]
        images = [maker.surroundings.browser(rng) for _ in range(3)]
        company, card = f"org_{rng.integers(1 << 50):013x}", f"card_{rng.integers(1 << 60):015x}"
        domain, hour = f"office{rng.integers(1 << 30)}.com", float(rng.uniform(0, 24))
        rollout = maker.signed_up()
        volumes = maker.volumes(size, size * spec.exchanges_per_account)
        for volume in volumes.tolist():
            by_company = rng.random() < 0.5
            created = min(rollout + int(rng.exponential(20) * DAY), -DAY) if by_company else maker.signed_up()
            client = images[rng.integers(3)] if rng.random() < 0.6 else maker.surroundings.script(rng)
            account: dict[str, Any] = {"email_domain": domain}
            if by_company:
                account |= {"organization_id": company, "payment_hash": card, "plan": "team"}
            member = maker.member(created, egress[0], client, **account)
            own = rng.choice(maker.prompts.subjects, size=min(3, maker.prompts.subjects), replace=False).tolist()
            times = sittings(rng, volume, spec.days, hour=hour + rng.normal(0, 1), spread_h=2.2, turns=4, weekend=0.05)
            for time in times.tolist():
                text = maker.prompts.asking(rng, own[rng.integers(len(own))])
                member.requests.append((time, text, None, egress[rng.integers(2)], None))
            yield member
        number += size


def campaign(maker: Maker) -> Iterator[Member]:
    """Accounts that share out one queue: each harmless, one purpose."""
    rng, spec = maker.rng, maker.spec
    count, end = spec.campaign_accounts, int(spec.days * DAY)
    if not count:
        return
    clients = [maker.surroundings.script(rng) for _ in range(4)]
    cards = [f"card_{rng.integers(1 << 60):015x}" for _ in range(max(1, count // 8))]
    pool = [maker.surroundings.home(rng) for _ in range(max(1, count // 8))]
    members = []
    for _ in range(count):
        place = pool[rng.integers(len(pool))] if rng.random() < spec.address_sharing else maker.surroundings.home(rng)
        created = -int(rng.uniform(0.5, spec.signup_spread_days) * DAY)
        member = maker.member(created, place, clients[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))])
        if rng.random() < spec.payment_sharing:
            member.account["payment_hash"] = cards[rng.integers(len(cards))]
        member.model, member.streams = int(rng.choice(3, p=(0.8, 0.2, 0.0))), bool(rng.random() < 0.5)
        member.pivots_at = int(spec.release_day * DAY + rng.exponential(0.4) * DAY) if rng.random() < 0.5 else None
        members.append((member, place))
    total = round(count * spec.campaign_exchanges_per_account)
    template = maker.prompts.campaign_templates[rng.integers(len(maker.prompts.campaign_templates))]
    fillings = maker.prompts.fillings(rng, total)
    # The dispatcher takes one of the accounts that rested longest, so that none stands out.
    share = rng.dirichlet(np.full(count, 8.0))
    dealt = rng.choice(count, total, p=share)
    for at, who, filling in zip(steady(rng, total, 0, end, noise=0.25).tolist(), dealt.tolist(), fillings, strict=True):
        member, place = members[who]
        member.requests.append((at, template.replace("{filling}", filling), None, place, None))
    for member, place in members:
        # A little ordinary talk as camouflage.
        for _ in range(int(rng.binomial(len(member.requests), spec.camouflage))):
            text = maker.prompts.asking(rng, int(rng.integers(maker.prompts.subjects)))
            member.requests.append((int(rng.integers(0, end)), text, None, place, None))
        yield member


POPULATIONS = {"benign": benign, "agent_users": agent_users, "office": office, "campaign": campaign}


def _person(rng: np.random.Generator, volume: int, days: float, turns: float = 3.5) -> I64:
    hour = float(rng.choice((4.0, 9.0, 14.0, 19.5), p=(0.25, 0.3, 0.25, 0.2)) + rng.normal(0, 1.8))
    spread, weekend = float(rng.uniform(1.5, 4.5)), float(rng.uniform(0.2, 1))
    return sittings(rng, volume, days, hour=hour, spread_h=spread, turns=turns, weekend=weekend)


def _falling(count: int) -> F64:
    weights = 1 / np.arange(1, count + 1)
    return np.asarray(weights / weights.sum())
