"""Honest customers who look guilty because they share a place, a payer or a moment: people who know each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from tiergate.clock import DAY, HOUR
from tiergate.simulation.grammar import AGENT_TOOLS
from tiergate.simulation.maker import Maker, Member, Request, person
from tiergate.simulation.rhythm import sittings, steady
from tiergate.simulation.surroundings import Client

OFFICE_SIZE: Final = 30
CLASS_SIZE: Final = 25
FLEET_SIZE: Final = 12
AGENCY_USERS: Final = 60
ASSIGNMENT_TEMPLATE: Final = (
    "My homework for the course: discuss the question below in your own words, give two arguments on either side and "
    "a source for each. Question {number}: {filling}"
)
CI_SYSTEM: Final = (
    "You review pull requests for the platform team. Comment on correctness, tests and naming, quote the line, and "
    "finish with approve or request changes."
)


def office(maker: Maker, count: int) -> Iterator[Member]:
    """Colleagues behind their company's two addresses; half were signed up by the company, half by themselves."""
    rng, spec = maker.rng, maker.spec
    for size in _groups(count, OFFICE_SIZE):
        egress = [maker.surroundings.home(rng), maker.surroundings.home(rng)]
        images = [maker.surroundings.browser(rng) for _ in range(3)]
        company, card = f"org_{rng.integers(1 << 50):013x}", f"card_{rng.integers(1 << 60):015x}"
        domain, hour = f"office{rng.integers(1 << 30)}.com", float(rng.uniform(0, 24))
        rollout = maker.signed_up()
        for volume in maker.volumes(size, size * spec.exchanges_per_account).tolist():
            by_company = rng.random() < 0.5
            created = min(rollout + int(rng.exponential(20) * DAY), -DAY) if by_company else maker.signed_up()
            client = images[rng.integers(3)] if rng.random() < 0.6 else maker.surroundings.script(rng)
            account: dict[str, Any] = {"email_domain": domain}
            if by_company:
                account |= {"organization_id": company, "payment_hash": card, "plan": "team"}
            member = maker.member("office", created, egress[0], client, **account)
            times = sittings(rng, volume, spec.days, hour=hour + rng.normal(0, 1), spread_h=2.2, turns=4, weekend=0.05)
            yield maker.talk(member, times, [*egress, egress[1]])


def company_egress(maker: Maker, count: int) -> Iterator[Member]:
    """One firm's accounts behind one address, each with a client and a card of its own."""
    rng = maker.rng
    for size in _groups(count, OFFICE_SIZE):
        egress, hour = maker.surroundings.home(rng), float(rng.uniform(0, 24))
        for volume in maker.volumes(size, size * maker.spec.exchanges_per_account).tolist():
            client = maker.surroundings.script(rng) if rng.random() < 0.5 else maker.surroundings.browser(rng)
            member = maker.member("company_egress", maker.signed_up(), egress, client)
            times = sittings(
                rng, volume, maker.spec.days, hour=hour + rng.normal(0, 1.5), spread_h=3, turns=4, weekend=0.1
            )
            yield maker.talk(member, times, [egress])


def corporate_vpn(maker: Maker, count: int) -> Iterator[Member]:
    """Employees all over the world on one VPN's few addresses: together they never sleep."""
    rng = maker.rng
    for size in _groups(count, 2 * OFFICE_SIZE):
        exits = [maker.surroundings.hosting(rng) for _ in range(3)]
        domain = f"global{rng.integers(1 << 30)}.com"
        image = maker.surroundings.browser(rng)
        for volume in maker.volumes(size, size * maker.spec.exchanges_per_account).tolist():
            member = maker.member("corporate_vpn", maker.signed_up(), exits[0], image, email_domain=domain, plan="team")
            yield maker.talk(member, person(rng, volume, maker.spec.days), [exits[int(rng.integers(3))], *exits])


def class_assignment(maker: Maker, count: int) -> Iterator[Member]:
    """A class: accounts of one week, one campus address, one assignment, the same evenings."""
    rng = maker.rng
    for size in _groups(count, CLASS_SIZE):
        campus, week = maker.surroundings.home(rng), -int(rng.uniform(2, 40) * DAY)
        hour, topic = float(rng.uniform(0, 24)), maker.subjects(1)
        questions = [
            ASSIGNMENT_TEMPLATE.replace("{number}", str(n + 1)).replace(
                "{filling}", maker.prompts.asking(rng, topic[0])
            )
            for n in range(6)
        ]
        for volume in maker.volumes(size, size * maker.spec.exchanges_per_account * 0.6).tolist():
            place = campus if rng.random() < 0.7 else maker.surroundings.home(rng)
            account = {"plan": "free", "signup_path": "education", "signup_address": campus.address}
            member = maker.member(
                "class_assignment",
                week + int(rng.uniform(0, 4) * DAY),
                place,
                maker.surroundings.browser(rng),
                **account,
            )
            times = sittings(
                rng, volume, maker.spec.days, hour=hour + rng.normal(0, 1), spread_h=1.5, turns=6, weekend=0.8
            )
            own = maker.subjects(2)
            for at in times.tolist():
                # The question, then talk about one's own answer and about other things.
                text = questions[rng.integers(6)] if rng.random() < 0.5 else maker.prompts.asking(rng, own[0])
                member.requests.append(Request(at, text, place))
            yield member


def student_programme(maker: Maker, count: int) -> Iterator[Member]:
    """Students who all joined by an education programme in its first week, on one campus network."""
    rng = maker.rng
    for size in _groups(count, 3 * CLASS_SIZE):
        campus = [maker.surroundings.home(rng) for _ in range(4)]
        opened = -int(rng.uniform(3, 60) * DAY)
        for volume in maker.volumes(size, size * maker.spec.exchanges_per_account).tolist():
            place = campus[rng.integers(4)]
            created = opened + int(rng.exponential(2) * DAY)
            account = {"plan": "free", "signup_path": "education", "email_domain": "campus.example.edu"}
            member = maker.member(
                "student_programme", min(created, -HOUR), place, maker.surroundings.browser(rng), **account
            )
            yield maker.talk(member, person(rng, volume, maker.spec.days), [place, maker.surroundings.home(rng)])


def hackathon(maker: Maker, count: int) -> Iterator[Member]:
    """One weekend, one venue, fresh accounts on the event's coupon, all sorts of projects."""
    rng = maker.rng
    day = min(5.0, max(maker.spec.days - 2, 0))
    venue, card = maker.surroundings.home(rng), f"card_{rng.integers(1 << 60):015x}"
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account * 2).tolist():
        created = int((day - rng.uniform(0, 2)) * DAY)
        account = {"payment_hash": card} if rng.random() < 0.7 else {}
        member = maker.member("hackathon", created, venue, maker.surroundings.script(rng), **account)
        project = int(rng.integers(1 << 20))
        awake = np.sort(day * DAY + rng.uniform(0, 34 * HOUR, max(1, volume // 6)))
        times = np.sort(rng.choice(awake, volume) + rng.exponential(8 * 60e6, volume)).astype(np.int64)
        for at in np.minimum(times, int(maker.spec.days * DAY) - 1).tolist():
            member.requests.append(Request(at, maker.prompts.code_task(rng, project), venue))
        yield member


def agency(maker: Maker, count: int) -> Iterator[Member]:
    """Routers that resell: a few accounts, each with dozens of customers of all sorts, around the clock."""
    rng = maker.rng
    for _ in range(count):
        places = [maker.surroundings.hosting(rng) for _ in range(2)]
        account = {"plan": "enterprise", "signup_path": "reseller", "email_domain": "router.example"}
        member = maker.member("agency", maker.signed_up(), places[0], maker.surroundings.script(rng), **account)
        for volume in maker.volumes(AGENCY_USERS, AGENCY_USERS * maker.spec.exchanges_per_account * 0.5).tolist():
            user = f"user_{rng.integers(1 << 40):010x}"
            client = maker.surroundings.script(rng)
            template = None
            if rng.random() < 0.2:
                template = maker.prompts.public_templates[rng.integers(len(maker.prompts.public_templates))]
            begin = len(member.requests)
            maker.talk(member, person(rng, volume, maker.spec.days), places, template=template, use=0.6)
            member.requests[begin:] = [one._replace(end_user=user, client=client) for one in member.requests[begin:]]
        yield member


def key_migration(maker: Maker, count: int) -> Iterator[Member]:
    """Customers who moved to a new account: the old one falls silent, the new one has no ramp."""
    rng, days = maker.rng, maker.spec.days
    for volume in maker.volumes(count // 2, count * maker.spec.exchanges_per_account).tolist():
        place, client = maker.surroundings.home(rng), maker.surroundings.script(rng)
        shared = {name: f"{name[:4]}_{rng.integers(1 << 60):015x}" for name in ("payment_hash", "email_hash")}
        moved = int(rng.uniform(0.3, 0.7) * days * DAY)
        times, own = person(rng, volume, days), maker.subjects()
        template = f"Ticket triage {rng.integers(1 << 30):x}: give queue and urgency. {{filling}}"
        again = moved - int(rng.uniform(1, 20) * HOUR)
        for mine, created in ((times < moved, maker.signed_up()), (times >= moved, again)):
            member = maker.member("key_migration", created, place, client, **shared)
            yield maker.talk(member, times[mine], [place], subjects=own, template=template, use=0.7)
    if count % 2:
        place = maker.surroundings.home(rng)
        member = maker.member("key_migration", maker.signed_up(), place, maker.surroundings.script(rng))
        yield maker.talk(member, person(rng, 5, days), [place])


def ci_fleet(maker: Maker, count: int) -> Iterator[Member]:
    """Service accounts of one firm's build runners: short-lived addresses, one prompt, own repositories, no night."""
    rng = maker.rng
    for size in _groups(count, FLEET_SIZE):
        client = Client(f"ci-review/{rng.integers(1, 9)}", "t13d1812h1_85036bcba153_375ca2c5e164")
        runners = [maker.surroundings.hosting(rng) for _ in range(40)]
        account = {"payment_hash": f"card_{rng.integers(1 << 60):015x}", "plan": "team"}
        created = maker.signed_up()
        for volume in maker.volumes(size, size * maker.spec.exchanges_per_account * 2).tolist():
            member = maker.member("ci_fleet", created, runners[0], client, **account)
            member.temperature = 0.0
            project = int(rng.integers(1 << 20))
            for at in steady(rng, volume, 0, int(maker.spec.days * DAY), noise=0.8).tolist():
                text = maker.prompts.code_task(rng, project)
                member.requests.append(Request(at, text, runners[rng.integers(40)], CI_SYSTEM, AGENT_TOOLS[:1]))
            yield member


def _groups(count: int, size: int) -> list[int]:
    """``count`` accounts in firms, classes or fleets of ``size``; the last may be smaller."""
    return [min(size, count - at) for at in range(0, count, size)]
