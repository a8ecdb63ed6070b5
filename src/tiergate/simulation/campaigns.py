"""Campaigns: accounts that share out one queue, each harmless, one purpose.

A dispatcher hands the next entry of the queue to some account of the pool. Everything else here is disguise, one knob
of `CampaignSpec` each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.simulation.maker import I64, Maker, Member, Request, person
from tiergate.simulation.paraphrase import capability_of, reworded
from tiergate.simulation.rhythm import steady
from tiergate.simulation.spec import CampaignSpec
from tiergate.simulation.surroundings import Client, Place

SHARERS = 8
LISTED: Final = 12
"""Messages of the list that pads a campaign's traffic."""
RESELLING_PLAN: Final = "team"
VOCABULARY: Final = 3
"""Words that a voice has for each that it puts into one message."""
_ONSETS: Final = ("b", "br", "d", "dr", "f", "fl", "g", "gr", "h", "k", "kl", "l", "m", "n", "p", "pr", "r", "s", "st")
_RHYMES: Final = ("a", "al", "an", "ar", "e", "el", "en", "er", "i", "il", "in", "is", "o", "ol", "on", "or", "u", "ur")


@dataclass
class _Pool:
    """Accounts that are up between ``start`` and ``end`` (microseconds), with a place each."""

    members: list[Member]
    places: list[Place]
    start: int
    end: int


@dataclass(frozen=True)
class _Voice:
    """How one account sounds: text that goes before all its messages, and whom it asks for, each with words of its
    own."""

    prefix: str
    end_users: list[str | None]
    words: list[list[str]]

    def say(self, rng: np.random.Generator, text: str, filler: int) -> tuple[str, str | None]:
        """The message ``text`` as this account sends it, and for whom."""
        who = int(rng.integers(len(self.end_users)))
        some = self.words[who]
        told = " ".join(some[at] for at in rng.integers(len(some), size=filler).tolist())
        return "\n\n".join(part for part in (self.prefix, told, text) if part), self.end_users[who]


def campaign(spec: CampaignSpec, maker: Maker) -> Iterator[Member]:
    """The accounts of one campaign with all their traffic, innocent traffic of a reseller included."""
    if not spec.accounts:
        return
    pools = _pools(spec, maker)
    total = round(spec.accounts * spec.exchanges_per_account)
    spans = np.array([pool.end - pool.start for pool in pools], float)
    sizes = np.maximum(np.round(total * spans / spans.sum()), 1).astype(int).tolist()
    queue = _queue(spec, maker, sum(sizes))
    common: list[str] | None = None
    for pool, size in zip(pools, sizes, strict=True):
        entries = [next(queue) for _ in range(size)]
        _deal(spec, maker, pool, entries)
        if spec.padding and common is None:
            fillings = maker.prompts.fillings(maker.rng, LISTED)
            common = [entries[0][0].replace("{filling}", one) for one in fillings]
        for member, place in zip(pool.members, pool.places, strict=True):
            _disguise(spec, maker, pool, member, place)
            if common is not None:
                _pad(spec, maker, pool, member, place, common)
            yield member


def _pools(spec: CampaignSpec, maker: Maker) -> list[_Pool]:
    """The first pool, cut short by the ban, and the one that replaces what was banned."""
    begin = int(spec.starts_on_day * DAY)
    finish = int((maker.spec.days if spec.days is None else spec.starts_on_day + spec.days) * DAY)
    finish = min(finish, int(maker.spec.days * DAY))
    first = _pool(spec, maker, spec.accounts, begin, finish)
    if spec.banned_on_day is None or spec.banned_on_day * DAY >= finish:
        return [first]
    ban = int(spec.banned_on_day * DAY)
    number = round(spec.ban_share * spec.accounts)
    gone = _Pool(first.members[:number], first.places[:number], begin, ban)
    for member in gone.members:
        member.account |= {"closed_at": ban + int(maker.rng.integers(0, 10 * MINUTE)), "status": "suspended"}
    pools = [gone] if number else []
    if number < spec.accounts:
        pools.append(_Pool(first.members[number:], first.places[number:], begin, finish))
    if spec.replaced_after_h is not None:
        back = ban + int(spec.replaced_after_h * HOUR)
        if back < finish:
            pools.append(_pool(spec, maker, number, back, finish))
    return pools


def _pool(spec: CampaignSpec, maker: Maker, count: int, start: int, end: int) -> _Pool:
    rng = maker.rng
    clients = [maker.surroundings.script(rng) for _ in range(spec.client_programs)]
    cards = [f"card_{rng.integers(1 << 60):015x}" for _ in range(max(1, count // SHARERS))]
    pool = [maker.surroundings.home(rng) for _ in range(max(1, count // SHARERS))]
    members, places = [], []
    for _ in range(count):
        place = pool[rng.integers(len(pool))] if rng.random() < spec.address_sharing else maker.surroundings.home(rng)
        created = start - int(rng.uniform(spec.aged_days, spec.oldest_days) * DAY)
        # Whoever names end users says at sign-up that it has some.
        plan = {"plan": RESELLING_PLAN} if spec.end_users else {}
        member = maker.member("campaign", created, place, _client(maker, clients), **plan)
        if rng.random() < spec.payment_sharing:
            member.account["payment_hash"] = cards[rng.integers(len(cards))]
        member.model, member.streams = int(rng.choice(3, p=(0.8, 0.2, 0.0))), bool(rng.random() < 0.5)
        if rng.random() < spec.pivot_share:
            member.pivots_at = int(maker.spec.release_day * DAY + rng.exponential(spec.pivot_spread_h) * HOUR)
        members.append(member)
        places.append(place)
    return _Pool(members, places, start, end)


def _client(maker: Maker, clients: list[Client]) -> Client:
    if clients:
        falling = 1 / np.arange(1, len(clients) + 1)
        return clients[maker.rng.choice(len(clients), p=falling / falling.sum())]
    return (maker.surroundings.script if maker.rng.random() < 0.55 else maker.surroundings.browser)(maker.rng)


def _queue(spec: CampaignSpec, maker: Maker, total: int) -> Iterator[tuple[str, str, int]]:
    """Entries of the queue, each once: instruction with a place for the filling, the filling, its subject."""
    rng, prompts = maker.rng, maker.prompts
    template = prompts.campaign_templates[rng.integers(len(prompts.campaign_templates))]
    if spec.relays_sessions:
        template = "{filling}\n\nBefore you answer, put your complete reasoning into <thinking> tags."
    fixed = spec.wordings == 1
    wordings = [template] if fixed else reworded(rng, capability_of(template), spec.wordings or total)
    said = rng.integers(0, len(wordings), total) if spec.wordings else np.arange(total)
    fillings = prompts.fillings(rng, total)
    subjects = max(4, 2 * spec.topics_per_account + spec.accounts // 8)
    for number in range(total):
        # What stands together in the campaign's list is about one subject.
        yield wordings[said[number]], fillings[number], number * subjects // total


def _deal(spec: CampaignSpec, maker: Maker, pool: _Pool, entries: list[tuple[str, str, int]]) -> None:
    """Hand the entries out: to whoever is up, in order of the queue."""
    rng, count, total = maker.rng, len(pool.members), len(entries)
    # The dispatcher takes one of the accounts that rested longest, so that none stands out.
    share = rng.dirichlet(np.full(count, 8.0))
    dealt = rng.choice(count, total, p=share)
    if spec.topics_per_account:
        subject = np.array([entry[2] for entry in entries])
        dealt = _by_subject(rng, dealt, subject, count, spec.topics_per_account)
    if spec.human_rhythm:
        times = _in_sittings(maker, pool, dealt)
    else:
        times = steady(rng, total, pool.start, pool.end, noise=0.25)
    order = rng.permutation(total) if not spec.topics_per_account and not spec.relays_sessions else np.arange(total)
    sessions = _sessions(rng, total) if spec.relays_sessions else None
    system = maker.prompts.agent_system if spec.relays_sessions else None
    voices = _voices(spec, maker, count)
    for at, who, entry in zip(times.tolist(), dealt.tolist(), order.tolist(), strict=True):
        wording, filling, _ = entries[entry]
        text, end_user = wording.replace("{filling}", filling), None
        if voices:
            text, end_user = voices[who].say(rng, text, spec.filler_words)
        pool.members[who].requests.append(
            Request(
                at,
                text,
                pool.places[who],
                system,
                campaign=spec.name,
                end_user=end_user,
                session=None if sessions is None else f"s{sessions[entry]:08x}",
            )
        )


def _voices(spec: CampaignSpec, maker: Maker, count: int) -> list[_Voice]:
    """A voice for each of ``count`` accounts; none where all sound as the queue does."""
    if not (spec.filler_words or spec.prefix_kib or spec.end_users):
        return []
    rng, voices = maker.rng, []
    for _ in range(count):
        prefix = ""
        if spec.prefix_kib:
            own = _invented(rng, 200)
            prefix = " ".join(own[at] for at in rng.integers(len(own), size=spec.prefix_kib * 256).tolist())
            prefix = prefix[: spec.prefix_kib * 1024]
        users: list[str | None] = [f"user_{rng.integers(1 << 40):010x}" for _ in range(spec.end_users)]
        words = [_invented(rng, VOCABULARY * spec.filler_words) or [""] for _ in users or [None]]
        voices.append(_Voice(prefix, users or [None], words))
    return voices


def _invented(rng: np.random.Generator, count: int) -> list[str]:
    """Words of three syllables that nobody else is likely to use: names of one's own things."""
    dice = rng.random((count, 6)).tolist()
    return ["".join((_ONSETS, _RHYMES)[at % 2][int(luck * 18)] for at, luck in enumerate(row)) for row in dice]


def _by_subject(rng: np.random.Generator, dealt: I64, subject: I64, count: int, topics: int) -> I64:
    """Who gets each entry when every account is given ``topics`` subjects: somebody who has its subject."""
    number = int(subject.max()) + 1
    has: list[list[int]] = [[] for _ in range(number)]
    for account in range(count):
        for one in rng.choice(number, min(topics, number), replace=False).tolist():
            has[one].append(account)
    luck = rng.random(len(dealt))
    return np.array(
        [
            has[one][int(chance * len(has[one]))] if has[one] else other
            for one, chance, other in zip(subject.tolist(), luck.tolist(), dealt.tolist(), strict=True)
        ],
        np.int64,
    )


def _in_sittings(maker: Maker, pool: _Pool, dealt: I64) -> I64:
    """Times by entry when each account keeps a person's hours."""
    days = (pool.end - pool.start) / DAY
    times = np.empty(len(dealt), np.int64)
    for account in np.unique(dealt).tolist():
        mine = np.flatnonzero(dealt == account)
        times[mine] = pool.start + person(maker.rng, len(mine), max(days, 1.0))
    return np.minimum(times, pool.end - 1)


def _sessions(rng: np.random.Generator, total: int) -> npt.NDArray[np.int64]:
    """Conversations of about six turns: entry to session."""
    return np.cumsum(rng.random(total) < 1 / 6)


def _disguise(spec: CampaignSpec, maker: Maker, pool: _Pool, member: Member, place: Place) -> None:
    """Ordinary talk as camouflage, and the innocent customers of a reseller."""
    rng, own = maker.rng, len(member.requests)
    days = (pool.end - pool.start) / DAY
    talk = int(rng.binomial(own, spec.camouflage)) if spec.camouflage < 0.1 else 0
    if spec.camouflage >= 0.1:
        talk = round(own * spec.camouflage / (1 - spec.camouflage))
    if talk:
        subjects = rng.choice(maker.prompts.subjects, size=min(3, maker.prompts.subjects), replace=False).tolist()
        for at in person(rng, talk, max(days, 1.0)).tolist():
            text = maker.prompts.asking(rng, subjects[rng.integers(len(subjects))])
            member.requests.append(Request(min(pool.start + at, pool.end - 1), text, place))
    if spec.innocent_share:
        others = round(own * spec.innocent_share / (1 - spec.innocent_share))
        users = max(1, min(others // 12, int(rng.integers(5, 60))))
        for volume in rng.multinomial(others, rng.dirichlet(np.full(users, 0.8))).tolist():
            _innocent(maker, pool, member, place, volume)


def _pad(spec: CampaignSpec, maker: Maker, pool: _Pool, member: Member, place: Place, common: list[str]) -> None:
    """Messages of one list, in sittings of the account's own, answered with a token each."""
    served = sum(one.campaign is not None for one in member.requests)
    days = (pool.end - pool.start) / DAY
    number = round(served * spec.padding / (1 - spec.padding))
    for turn, at in enumerate(person(maker.rng, number, max(days, 1.0)).tolist()):
        text = common[turn % len(common)]
        member.requests.append(Request(min(pool.start + at, pool.end - 1), text, place, max_tokens=1))


def _innocent(maker: Maker, pool: _Pool, member: Member, place: Place, volume: int) -> None:
    """A reseller's customer: own subjects, hours and client, through the reseller's account and address."""
    rng = maker.rng
    user = f"user_{rng.integers(1 << 40):010x}"
    client = maker.surroundings.script(rng) if rng.random() < 0.5 else maker.surroundings.browser(rng)
    subjects = rng.choice(maker.prompts.subjects, size=min(3, maker.prompts.subjects), replace=False).tolist()
    template = None
    if rng.random() < 0.2:
        template = maker.prompts.public_templates[rng.integers(len(maker.prompts.public_templates))]
    days = max((pool.end - pool.start) / DAY, 1.0)
    for at in person(rng, volume, days).tolist():
        text = maker.prompts.asking(rng, subjects[min(int(rng.geometric(0.6)) - 1, len(subjects) - 1)])
        if template is not None and rng.random() < 0.6:
            text = template.replace("{filling}", text)
        member.requests.append(Request(min(pool.start + at, pool.end - 1), text, place, client=client, end_user=user))
