"""Controls that the gateway applies to each request: tiers, places, retention, limits, and what its log keeps.

A policy counts only where `gateway.yaml` has it for everyone or for the organisation: what callers ask for by header
they can also leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tiergate.advice.playbooks.findings import Fault, Found, Situation
from tiergate.advice.playbooks.playbook import LimitWanted
from tiergate.gateway.metering.limits import Limits, Payer
from tiergate.gateway.routing.requirements import exclusions

ANYBODY: Final = " "
"""An account, key or end user that nobody is: it meets the limits that each of them meets."""


def tiers(at: Situation) -> Found:
    """Models of the use case are there, each with a row that says an allowed tier; no other name is served."""
    allowed, here = at.playbook.gates.tiers, at.here
    faults = at.unreadable("gateway.yaml", "models.toml")
    for name in at.adoption.models:
        if here.routes is not None and here.routes.group(name) is None:
            faults.append(
                Fault(
                    f"`gateway.yaml` has no group or model `{name}`",
                    f"add the group `{name}` to gateway.yaml, or name another in playbooks.toml; then "
                    "`tiergate routes check data/gateway.yaml`",
                )
            )
    if not at.adoption.models:
        faults.append(Fault("no model is named", "name groups or models in playbooks.toml: `models = [...]`"))
    rows = {one.model: one.tier for one in at.listed()}
    for name in at.model_names():
        if name not in rows:
            faults.append(
                Fault(
                    f"nobody says which tier `{name}` is of",
                    f'add `[models."{name}"]` with `tier = "{allowed[-1]}"` to models.toml',
                )
            )
        elif rows[name] not in allowed:
            faults.append(
                Fault(
                    f"`{name}` is {rows[name]}, and this use case may use {', '.join(allowed)} alone",
                    f"take `{name}` out of the use case's group in gateway.yaml",
                )
            )
    if here.routes is None and not here.models.tiers_in_force:
        faults.append(
            Fault(
                "any name that a caller asks for goes to the upstream: no tiers are in force and no file has routes",
                "name the models in gateway.yaml (docs/routing.md): other names are then refused",
            )
        )
    return Found(f"{', '.join(f'{name} ({tier})' for name, tier in rows.items())}; no other name is served", (*faults,))


def regions(at: Situation, wanted: list[str]) -> Found:
    """The policy of the organisation lets requests go to the regions asked for and nowhere else."""
    wanted = list(at.adoption.regions or wanted)
    required = at.policy().regions
    line = f"policies: {{organisations: {{{at.named}: {{regions: [{', '.join(wanted)}]}}}}}}"
    do = f"write into gateway.yaml `{line}`, then `tiergate routes check data/gateway.yaml`"
    faults = at.unreadable("gateway.yaml")
    if required is None:
        faults.append(Fault("no policy says where requests may go", do))
    outside = sorted(one for one in required or () if not any(_within(one, place) for place in wanted))
    if outside:
        faults.append(Fault(f"requests may go to {', '.join(outside)}", do))
    return Found(f"requests go to {', '.join(sorted(required or ()))} alone", (*faults, *_left(at)))


def retention_days(at: Situation, most: int) -> Found:
    """No provider of the use case keeps a request for longer."""
    held = at.policy().retention_days
    line = f"policies: {{organisations: {{{at.named}: {{retention_days: {most}}}}}}}"
    do = f"write into gateway.yaml `{line}`, then `tiergate routes check data/gateway.yaml`"
    faults = at.unreadable("gateway.yaml")
    if held is None:
        faults.append(Fault("no policy says how long a provider may keep a request", do))
    elif held > most:
        faults.append(Fault(f"providers may keep a request for {held} days, {most} are allowed", do))
    return Found(f"providers keep a request for {held} days at the most, as gateway.yaml states", (*faults, *_left(at)))


def capabilities(at: Situation, wanted: list[str]) -> Found:
    """Each model that may answer can do what the use case needs."""
    faults = at.unreadable("gateway.yaml")
    for one in at.candidates():
        lacking = [name for name in wanted if name not in one.capabilities]
        if lacking:
            faults.append(
                Fault(
                    f"`{one.name}` is not said to have {', '.join(lacking)}",
                    f"add it to `models.{one.name}.capabilities` in gateway.yaml if it has, else leave the model out",
                )
            )
    if not at.candidates():
        faults.append(_no_candidate(at))
    return Found(f"every model has {', '.join(wanted)}", (*faults,))


def upstreams(at: Situation, least: int) -> Found:
    """So many different upstreams may answer each group's requests, and another is tried where one fails."""
    faults, policy, groups = at.unreadable("gateway.yaml"), at.policy(), at.groups()
    for group in groups:
        behind = {one.upstream.name for one in group.candidates if not exclusions(one, policy)}
        if len(behind) < least or not group.fallback:
            said = f"`{group.name}` has {', '.join(sorted(behind)) or 'no upstream'}"
            said += "" if group.fallback else " and `fallback: false`"
            faults.append(Fault(said, f"give `groups.{group.name}` models of {least} upstreams in gateway.yaml"))
    if not groups:
        faults.append(_no_candidate(at))
    return Found(f"{least} upstreams or more stand in for each other", (*faults,))


def limits(at: Situation, wanted: Sequence[LimitWanted]) -> Found:
    """Each request of the use case meets the limits that are asked for, or lower ones."""
    organisation = at.adoption.organisation or None
    payer = Payer(ANYBODY, ANYBODY, organisation, at.adoption.project or ANYBODY, ANYBODY)
    held = {(one.scope, one.measure): one.amount or 0 for one in Limits(at.here.limits).of(payer)}
    faults, shown = [], []
    for one in wanted:
        unit = 1_000_000 if one.measure.startswith("usd/") else 1
        amount = held.get((one.scope, one.measure))
        if amount is None or amount > one.most * unit:
            has = "none" if amount is None else f"{amount / unit:,.12g}"
            faults.append(
                Fault(f"{one.measure} of each {_words(one)}: {has}, asked is {one.most:,.12g} at most", _set(at, one))
            )
        else:
            shown.append(f"{one.measure} of each {_words(one)}: {amount / unit:,.12g}")
    return Found("; ".join(shown), (*faults,))


def log(at: Situation, _wanted: str) -> Found:
    """Our own log keeps sketches and no text: seen in the exchanges that are there, not taken from a setting alone."""
    kept = at.here.kept
    if kept.with_text:
        said = f"{kept.with_text:,} of the newest {kept.exchanges:,} exchanges are kept with text"
        return Found("", (Fault(said, "start the gateway without TIERGATE_RETENTION=text; old segments keep theirs"),))
    if kept.setting != "sketches":
        do = "unset TIERGATE_RETENTION, or set it to sketches, where the gateway is started"
        return Found("", (Fault("the environment of this command has TIERGATE_RETENTION=text", do),))
    if not kept.exchanges:
        do = "send a request through the gateway, and check again"
        return Found("", (Fault("no exchange shows yet what the running gateway keeps", do, known=False),))
    return Found(f"none of the newest {kept.exchanges:,} exchanges has text")


def _set(at: Situation, one: LimitWanted) -> str:
    organisation = at.named
    subject = {"organisation": organisation, "project": at.adoption.project}.get(one.scope) or "'*'"
    of = f" --of {organisation}" if one.scope in ("project", "end_user") else ""
    return f"`tiergate budgets set {_words(one)} {subject} {one.measure} {one.most:.12g}{of}`"


def _words(one: LimitWanted) -> str:
    """A scope as the command line has it."""
    return one.scope.replace("_", "-")


def _left(at: Situation) -> list[Fault]:
    """Groups none of whose models meets the policy: nothing leaks, and nothing runs either."""
    policy = at.policy()
    faults = []
    for group in at.groups():
        reasons = [exclusions(one, policy) for one in group.candidates]
        if all(reasons):
            first = zip(group.candidates, reasons, strict=True)
            said = "; ".join(f"`{one.name}`: {found[0].text}" for one, found in first)
            faults.append(
                Fault(
                    f"no model of `{group.name}` meets the policy: {said}",
                    "state `region` and `retention_days` of the upstreams in gateway.yaml, as their contracts say",
                )
            )
    return faults


def _no_candidate(at: Situation) -> Fault:
    names = ", ".join(f"`{name}`" for name in at.adoption.models) or "the use case"
    return Fault(f"`gateway.yaml` has no model for {names}", "write its group into gateway.yaml: docs/routing.md")


def _within(region: str, wider: str) -> bool:
    return region == wider or region.startswith(f"{wider}-")
