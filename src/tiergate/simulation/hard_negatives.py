"""Honest customers who look guilty: each a named population with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tiergate.clock import DAY
from tiergate.simulation.grammar import AGENT_TOOLS
from tiergate.simulation.maker import Maker, Member, Request, person
from tiergate.simulation.rhythm import sittings
from tiergate.simulation.surroundings import Client

OFFICE_SIZE: Final = 30


@dataclass(frozen=True, slots=True)
class HardNegative:
    """A population: how ``count`` accounts of it are made, and why it looks guilty."""

    make: Callable[[Maker, int], Iterator[Member]]
    looks_guilty: str


def _agent_users(maker: Maker, count: int) -> Iterator[Member]:
    """Users of one coding agent: the same tool around different people."""
    rng, spec = maker.rng, maker.spec
    versions = [Client(f"quill-agent/1.{minor}", "t13d5911h1_a33745022dd6_1f22a2ca17c4") for minor in range(4)]
    volumes = maker.volumes(count, count * spec.exchanges_per_account * 1.5)
    for volume in volumes.tolist():
        place = maker.surroundings.home(rng)
        # The tool came out some eight months ago and spread by word of mouth.
        created = -int(rng.beta(1.2, 1.6) * 240 * DAY)
        member = maker.member("agent_users", created, place, versions[rng.choice(4, p=(0.1, 0.2, 0.3, 0.4))])
        member.temperature, member.max_tokens, member.streams = 0.2, 8192, True
        member.model = int(rng.choice(3, p=(0.85, 0.1, 0.05)))
        projects = rng.integers(0, 1 << 20, int(rng.integers(1, 4))).tolist()
        for time in person(rng, volume, spec.days, turns=9).tolist():
            text = maker.prompts.code_task(rng, projects[rng.integers(len(projects))])
            member.requests.append(Request(time, text, place, maker.prompts.agent_system, AGENT_TOOLS))
        yield member


def _office(maker: Maker, count: int) -> Iterator[Member]:
    """Colleagues behind their company's two addresses; half were signed up by the company, half by themselves."""
    rng, spec = maker.rng, maker.spec
    number = 0
    while number < count:
        size = min(OFFICE_SIZE, count - number)
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
            member = maker.member("office", created, egress[0], client, **account)
            own = rng.choice(maker.prompts.subjects, size=min(3, maker.prompts.subjects), replace=False).tolist()
            times = sittings(rng, volume, spec.days, hour=hour + rng.normal(0, 1), spread_h=2.2, turns=4, weekend=0.05)
            for time in times.tolist():
                text = maker.prompts.asking(rng, own[rng.integers(len(own))])
                member.requests.append(Request(time, text, egress[rng.integers(2)]))
            yield member
        number += size


HARD_NEGATIVES: Final[dict[str, HardNegative]] = {
    "agent_users": HardNegative(_agent_users, "one system prompt, client, set of tools and parameters for all of them"),
    "office": HardNegative(_office, "dozens behind two addresses at the same hours, some on one company card"),
}
