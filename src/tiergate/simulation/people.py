"""Ordinary customers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np

from tiergate.clock import DAY
from tiergate.simulation.maker import I64, LOAD_WINDOW_US, Maker, Member, Request, person
from tiergate.simulation.prompts import PromptSource
from tiergate.simulation.rhythm import resident, shaped, steady, timetable
from tiergate.simulation.surroundings import Client, Place

FOREIGN_HOURS: Final = 0.08
"""Share of people whose hours are not those of their address: travellers, emigrants, users of a VPN."""
OWN_TONGUE: Final = 0.7
"""Chance that the favourite subject is in the language of the country, where the prompts have that language."""
TONGUES: Final = {"CN": "zh", "JP": "ja", "KR": "ko", "ES": "es", "MX": "es", "DE": "de", "FR": "fr"}
# Told by script, else by words that the other languages here do not have; the first that fits counts.
_TOLD_BY: Final = {
    "ja": re.compile("[\u3041-\u30ff]"),
    "zh": re.compile("[\u4e00-\u9fff]"),
    "ko": re.compile("[\uac00-\ud7a3]"),
    "de": re.compile(r"\b(und|nicht|eine|ist)\b", re.IGNORECASE),
    "fr": re.compile(r"\b(les|une|dans|est)\b", re.IGNORECASE),
    "es": re.compile(r"\b(el|los|una|la|un)\b", re.IGNORECASE),
}


def people(maker: Maker) -> Iterator[Member]:
    """People and their scripts, each on a few subjects of their own, awake when their country is."""
    rng, spec = maker.rng, maker.spec
    shared_egress = [maker.surroundings.home(rng) for _ in range(max(2, spec.people // 150))]
    second: dict[str, list[Place]] = defaultdict(list)
    for place in (maker.surroundings.home(rng) for _ in range(spec.people)):
        second[place.country].append(place)
    spoken = languages(maker.prompts)
    volumes = maker.volumes(spec.people, spec.people * spec.exchanges_per_account)
    for volume in volumes.tolist():
        place, machine = maker.surroundings.home(rng), rng.random()
        client = maker.surroundings.script(rng) if rng.random() < 0.55 else maker.surroundings.browser(rng)
        member = maker.member("people", maker.signed_up(), place, client)
        # A phone or an office in the same country, where there is one left.
        places = [place, second[place.country].pop() if second[place.country] else place]
        if rng.random() < 0.12:
            places[1] = shared_egress[rng.integers(len(shared_egress))]
        own = maker.subjects()
        local = spoken.get(TONGUES.get(place.country, ""))
        if local and rng.random() < OWN_TONGUE:
            own = [local[rng.integers(len(local))], *own[:-1]]
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
            times = _hours(maker, volume, place, client)
        for time in times.tolist():
            subject = own[min(int(rng.geometric(0.6)) - 1, len(own) - 1)]
            text = maker.prompts.asking(rng, subject)
            if template is not None and (machine < spec.machine_share or rng.random() < 0.6):
                text = template.replace("{filling}", text)
            member.requests.append(Request(time, text, places[int(rng.random() < 0.3) % len(places)]))
        yield member


def languages(prompts: PromptSource) -> dict[str, list[int]]:
    """Subjects by language, as most of a few messages of each tell; subjects in English or unknown are left out."""
    rng = np.random.default_rng(0)
    found: dict[str, list[int]] = defaultdict(list)
    for subject in range(prompts.subjects):
        heard = [prompts.asking(rng, subject) for _ in range(5)]
        for name, told_by in _TOLD_BY.items():
            if sum(bool(told_by.search(one)) for one in heard) >= 3:
                found[name].append(subject)
                break
    return dict(found)


def _hours(maker: Maker, volume: int, place: Place, client: Client) -> I64:
    """A script may follow a measured load; anybody else keeps the hours of some country, mostly their address's."""
    rng, days = maker.rng, maker.spec.days
    if maker.loads and "Mozilla" not in client.user_agent and rng.random() < 0.5:
        return shaped(rng, volume, days, maker.loads[int(rng.integers(len(maker.loads)))], LOAD_WINDOW_US)
    return person(rng, volume, days) if rng.random() < FOREIGN_HOURS else resident(rng, volume, days, place.country)
