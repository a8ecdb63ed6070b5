"""Honest customers who look guilty because they use one tool, template or list: strangers to each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.simulation.grammar import AGENT_TOOLS
from tiergate.simulation.maker import Maker, Member, Request, person
from tiergate.simulation.rhythm import sittings, steady, timetable
from tiergate.simulation.surroundings import Client

BATCH_TEMPLATE: Final = (
    "Nightly enrichment job of the Ledgerline connector. Classify the record between the dashes into one of the "
    "customer's categories and return a JSON object with category and certainty.\n---\n{filling}\n---"
)
TENANT_TEMPLATE: Final = (
    "You write on behalf of a shop that uses Storefront Helper. Draft a friendly reply in the shop's voice, at most "
    "120 words, without promising refunds. The customer wrote: {filling}"
)
BOT_SYSTEM: Final = (
    "You are the help desk assistant of {shop}. Answer from the knowledge base only, be brief, hand over to a person "
    "when the customer is angry or asks twice, never discuss other companies. Opening hours are in the footer."
)
AUDIT_TEMPLATE: Final = (
    "For the audit file, write out your reasoning step by step before the conclusion, and cite the paragraph you rely "
    "on at each step. Matter: {filling}"
)
HARNESS_TEMPLATE: Final = (
    "Answer the following question. Think step by step and give the final answer on a line of its own that begins "
    "with 'Answer:'. Question: {filling}"
)
RUBRIC_TEMPLATE: Final = (
    "Rate the assistant's reply below against the guideline: helpful, truthful, harmless, each from 1 to 7, with one "
    "sentence of justification per score. Item: {filling}"
)
COMPARISON_TEMPLATE: Final = "Old model against new, same prompt, temperature 0, answer in full: {filling}"
TRANSLATION_TEMPLATE: Final = "请把下面的文字翻译成通顺的中文, 保留术语和语气, 只输出译文: {filling}"
HARNESS_ITEMS: Final = 240


def agent_users(maker: Maker, count: int) -> Iterator[Member]:
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


def popular_template_users(maker: Maker, count: int) -> Iterator[Member]:
    """People who paste one well-known prompt of a public collection around their own questions."""
    template = maker.prompts.public_templates[0]
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account).tolist():
        place = maker.surroundings.home(maker.rng)
        member = maker.member("popular_template_users", maker.signed_up(), place, maker.surroundings.browser(maker.rng))
        yield maker.talk(member, person(maker.rng, volume, maker.spec.days), [place], template=template, use=0.9)


def nightly_batch(maker: Maker, count: int) -> Iterator[Member]:
    """Customers of one batch connector: its template and client, their own records, at their own hours of the night."""
    rng, client = maker.rng, Client("ledgerline-connector/3.2", "t13d1812h1_85036bcba153_375ca2c5e164")
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account * 3).tolist():
        place = maker.surroundings.hosting(rng)
        member = maker.member("nightly_batch", maker.signed_up(), place, client, plan="pay_as_you_go")
        member.temperature, member.max_tokens, member.model = 0.0, 512, 2
        times = timetable(rng, volume, maker.spec.days)
        yield maker.talk(member, times, [place], subjects=maker.subjects(2), template=BATCH_TEMPLATE)


def saas_tenants(maker: Maker, count: int) -> Iterator[Member]:
    """Tenants of one vendor that gives each its own account: one template, client, egress and card; own shops."""
    rng, client = maker.rng, Client("storefront-helper/7.0", "t13d1312h2_f57a46bbacb6_14788d8d241b")
    egress = [maker.surroundings.hosting(rng) for _ in range(2)]
    card = f"card_{rng.integers(1 << 60):015x}"
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account).tolist():
        account = {"payment_hash": card, "email_domain": "storefront-helper.example", "signup_path": "reseller"}
        member = maker.member("saas_tenants", maker.signed_up(), egress[0], client, **account)
        member.temperature, member.model = 0.7, 1
        times = person(rng, volume, maker.spec.days)
        yield maker.talk(member, times, egress, subjects=maker.subjects(2), template=TENANT_TEMPLATE)


def support_bots(maker: Maker, count: int) -> Iterator[Member]:
    """Chatbots of one framework: nearly one system prompt, day and night, each about its own shop."""
    rng = maker.rng
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account * 4).tolist():
        place = maker.surroundings.hosting(rng)
        client = Client(f"botkit/{rng.integers(4, 7)}", "t13d1812h1_85036bcba153_375ca2c5e164")
        member = maker.member("support_bots", maker.signed_up(), place, client)
        system = BOT_SYSTEM.replace("{shop}", f"Shop {rng.integers(1 << 24):x}")
        times = steady(rng, volume, 0, int(maker.spec.days * DAY), noise=0.6)
        yield maker.talk(member, times, [place], subjects=maker.subjects(2), system=system)


def evaluation_harness(maker: Maker, count: int) -> Iterator[Member]:
    """Laboratories that each run the same public benchmark: the same items, each once a run, at temperature 0."""
    rng = maker.rng
    items = [HARNESS_TEMPLATE.replace("{filling}", one) for one in maker.prompts.fillings(rng, HARNESS_ITEMS)]
    for _ in range(count):
        place = maker.surroundings.hosting(rng) if rng.random() < 0.5 else maker.surroundings.home(rng)
        client = Client("lm-eval-harness/0.4", "t13d1312h2_f57a46bbacb6_14788d8d241b")
        member = maker.member("evaluation_harness", maker.signed_up(), place, client)
        member.temperature, member.max_tokens = 0.0, 2048
        for _ in range(int(rng.integers(1, 4))):
            start = rng.integers(0, int(maker.spec.days * DAY) - 3 * HOUR)
            times = np.sort(start + rng.integers(0, 3 * HOUR, len(items)))
            shown = rng.permutation(len(items)).tolist()
            for at, item in zip(times.tolist(), shown, strict=True):
                member.requests.append(Request(at, items[item], place))
        yield member


def labelling_contractors(maker: Maker, count: int) -> Iterator[Member]:
    """Contractors who rate items by one guideline: at home, in sittings; every item goes to three of them."""
    rng = maker.rng
    card = f"card_{rng.integers(1 << 60):015x}"
    volumes = maker.volumes(count, count * maker.spec.exchanges_per_account * 1.5).tolist()
    items = maker.prompts.fillings(rng, max(3, sum(volumes) // 3))
    for volume in volumes:
        place = maker.surroundings.home(rng)
        paid = {"payment_hash": card, "organization_id": "org_labelling"} if rng.random() < 0.6 else {}
        client = maker.surroundings.browser(rng)
        member = maker.member("labelling_contractors", maker.signed_up(), place, client, **paid)
        given = rng.choice(len(items), min(volume, len(items)), replace=False).tolist()
        for at, item in zip(person(rng, len(given), maker.spec.days).tolist(), given, strict=True):
            member.requests.append(Request(at, RUBRIC_TEMPLATE.replace("{filling}", items[item]), place))
        yield member


def reasoning_audit(maker: Maker, count: int) -> Iterator[Member]:
    """Regulated firms that want the reasoning written out in a fixed form for their files, on their own matters."""
    rng = maker.rng
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account).tolist():
        place = maker.surroundings.home(rng)
        account = {"organization_id": f"org_{rng.integers(1 << 50):013x}", "plan": "enterprise"}
        member = maker.member("reasoning_audit", maker.signed_up(), place, maker.surroundings.script(rng), **account)
        times = sittings(
            rng, volume, maker.spec.days, hour=float(rng.uniform(0, 24)), spread_h=2.2, turns=5, weekend=0.05
        )
        yield maker.talk(member, times, [place], template=AUDIT_TEMPLATE)


def release_day_benchmarkers(maker: Maker, count: int) -> Iterator[Member]:
    """Reviewers who turn to a new model within hours and put their own comparison list to both."""
    rng, released = maker.rng, int(maker.spec.release_day * DAY)
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account).tolist():
        place, own = maker.surroundings.home(rng), maker.subjects()
        member = maker.member("release_day_benchmarkers", maker.signed_up(), place, maker.surroundings.script(rng))
        member.pivots_at = released + int(rng.exponential(3) * HOUR)
        maker.talk(member, person(rng, volume, maker.spec.days), [place], subjects=own)
        burst = np.sort(member.pivots_at + rng.integers(0, 5 * HOUR, max(8, volume // 2)))
        burst = np.minimum(burst, int(maker.spec.days * DAY) - 1)
        yield maker.talk(member, burst, [place], subjects=own, template=COMPARISON_TEMPLATE)


def failover_clients(maker: Maker, count: int) -> Iterator[Member]:
    """Customers whose gateway falls back to this provider whenever another is down: bursts at the same minutes."""
    rng, client = maker.rng, Client("open-gateway/2.9", "t13d5911h1_a33745022dd6_bd868743f55c")
    days = int(maker.spec.days * DAY)
    outages = np.sort(rng.integers(0, days - 2 * HOUR, max(2, int(maker.spec.days / 3))))
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account).tolist():
        place = maker.surroundings.hosting(rng)
        member = maker.member("failover_clients", maker.signed_up(), place, client)
        times = np.sort(rng.choice(outages, volume) + (rng.exponential(25, volume) * MINUTE).astype(np.int64))
        yield maker.talk(member, np.minimum(times, days - 1), [place])


def translators(maker: Maker, count: int) -> Iterator[Member]:
    """A community of one language around one tool: same client, same template, own texts, same side of the earth."""
    rng, client = maker.rng, Client("yima-desktop/1.8", "t13d1516h2_8daaf6152771_b1ff8ab2d16f")
    for volume in maker.volumes(count, count * maker.spec.exchanges_per_account).tolist():
        place = maker.surroundings.home(rng)
        member = maker.member("translators", maker.signed_up(), place, client)
        hour = float(rng.normal(6, 2) % 24)
        times = sittings(rng, volume, maker.spec.days, hour=hour, spread_h=3, turns=4, weekend=0.6)
        yield maker.talk(member, times, [place], template=TRANSLATION_TEMPLATE)
