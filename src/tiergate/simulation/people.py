"""Ordinary customers."""

from __future__ import annotations

from collections.abc import Iterator

from tiergate.clock import DAY
from tiergate.simulation.maker import LOAD_WINDOW_US, Maker, Member, Request, person
from tiergate.simulation.rhythm import shaped, steady, timetable


def people(maker: Maker) -> Iterator[Member]:
    """People and their scripts, each on a few subjects of their own."""
    rng, spec = maker.rng, maker.spec
    shared_egress = [maker.surroundings.home(rng) for _ in range(max(2, spec.people // 150))]
    volumes = maker.volumes(spec.people, spec.people * spec.exchanges_per_account)
    for volume in volumes.tolist():
        place, machine = maker.surroundings.home(rng), rng.random()
        client = maker.surroundings.script(rng) if rng.random() < 0.55 else maker.surroundings.browser(rng)
        member = maker.member("people", maker.signed_up(), place, client)
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
                else person(rng, volume, spec.days)
            )
        for time in times.tolist():
            subject = own[min(int(rng.geometric(0.6)) - 1, len(own) - 1)]
            text = maker.prompts.asking(rng, subject)
            if template is not None and (machine < spec.machine_share or rng.random() < 0.6):
                text = template.replace("{filling}", text)
            member.requests.append(Request(time, text, places[int(rng.random() < 0.3) % len(places)]))
        yield member
