"""Controls by people and on people: owners, what was stated, admission to the classified tier, review and response."""

from __future__ import annotations

import datetime as dt

from tiergate.admission.changes import same
from tiergate.admission.holders import Holder
from tiergate.admission.purposes import check as objections
from tiergate.admission.rule_packs import Standing
from tiergate.admission.standing import Membership, standing_of
from tiergate.advice.playbooks.adoption import FILE
from tiergate.advice.playbooks.findings import Fault, Found, Situation


def owners(at: Situation) -> Found:
    """Somebody is named for each role, the risk's owner is not who is accountable, and a review is due in time."""
    said, faults = at.adoption.owners, []
    for role, answers_for in at.playbook.owners.items():
        if not said.get(role, "").strip():
            faults.append(Fault(f"nobody is named as `{role}`: {answers_for}", f"name somebody in {FILE}: `owners`"))
    accountable, risk = said.get("accountable", ""), said.get("risk", "")
    if "risk" in at.playbook.owners and accountable and same(accountable, risk):
        faults.append(
            Fault(f"`{accountable}` would judge the risk of what is their own", f"name another `risk` in {FILE}")
        )
    last = at.day + dt.timedelta(days=31 * at.playbook.review_months)
    if not at.day <= at.adoption.review_by <= last:
        when = "has passed" if at.adoption.review_by < at.day else "is too far away"
        faults.append(
            Fault(
                f"the day of review, {at.adoption.review_by}, {when}",
                f"review the use case, and set `review_by` in {FILE}, until {last} at the latest",
            )
        )
    names = ", ".join(f"{role}: {name}" for role, name in said.items())
    return Found(f"{names}; review by {at.adoption.review_by}", (*faults,), stated=True)


def applicability(at: Situation) -> Found:
    """The tasks are those that the playbook is for, and each use that it is not for was ruled out."""
    gates, faults = at.playbook.gates, []
    strange = [task for task in at.adoption.tasks if task not in gates.tasks]
    if strange or not at.adoption.tasks:
        said = f"{', '.join(strange)} is no task of this playbook" if strange else "no task is named"
        faults.append(Fault(said, f"`tasks` in {FILE}: {', '.join(gates.tasks)}; for others take another playbook"))
    open_ = [code for code in gates.not_for if code not in at.adoption.not_for]
    do = f"add it to `not_for` in {FILE} if that is so; if it is not, this playbook does not apply"
    faults += [Fault(f"nobody stated that this is not `{code}`: {gates.not_for[code]}", do) for code in open_]
    shown = f"for {', '.join(at.adoption.tasks)}; stated not for {', '.join(gates.not_for)}"
    return Found(shown, (*faults,), stated=True)


def rule_packs(at: Situation, wanted: list[str]) -> Found:
    """The packs are active and in force, the models' rows name them, and there are facts to judge ownership by."""
    faults = []
    for pack in wanted:
        standing = at.here.packs.get(pack)
        if standing is None:
            do = f'`tiergate packs preview {pack}`, then `tiergate packs activate {pack} --by A --by B --why "..."`'
            faults.append(Fault(f"the rule pack `{pack}` is not active", do))
        elif standing is not Standing.IN_FORCE:
            do = f"`tiergate packs activate {pack} --by A --by B --why ... --confirm SOURCE`"
            faults.append(Fault(f"`{pack}` is active, and by its own text {standing.value} today", do))
        for row in at.listed():
            if pack not in (*row.organisation_packs, *row.person_packs):
                field = "organisation_packs" if pack in at.here.ownership_packs else "person_packs"
                faults.append(
                    Fault(
                        f"`{row.model}` does not ask for `{pack}`", f"add it to `{field}` of the model in models.toml"
                    )
                )
    if not at.listed():
        faults.append(Fault("no model of the use case is in models.toml", "add its rows: docs/decisions.md"))
    if not at.here.parties and any(pack in at.here.ownership_packs for pack in wanted):
        do = "`tiergate parties import`: docs/parties.md"
        faults.append(Fault("there are no facts of parties to judge ownership by", do))
    return Found(f"{', '.join(wanted)} bind {', '.join(row.model for row in at.listed())}", (*faults,))


def membership(at: Situation) -> Found:
    """The organisation is an active member of each programme that the models are of, with its terms accepted."""
    faults = _no_programme(at)
    for programme_id in _programmes(at):
        programme = at.here.programmes.get(programme_id)
        if programme is None:
            do = "`tiergate programme create NAME`"
            faults.append(Fault(f"there is no programme `{programme_id}`", do))
            continue
        standing = standing_of(_membership(at, programme_id), programme, at.now_us)
        if not standing.may_use:
            do = f"`tiergate member apply {programme_id} {at.named}`: docs/programmes.md"
            faults.append(Fault(f"{programme_id}: {standing.text}", do))
    return Found(f"{at.adoption.organisation} is an active member of {', '.join(_programmes(at))}", (*faults,))


def grants(at: Situation) -> Found:
    """Two people give a grant in each programme that the models are of."""
    faults = _no_programme(at)
    for programme_id in _programmes(at):
        programme = at.here.programmes.get(programme_id)
        if programme is None or not programme.two_give_a_grant:
            said = "there is no such programme" if programme is None else "one person alone gives a grant"
            do = "`tiergate programme create FILE` with `grant_approvals = 2`"
            faults.append(Fault(f"{programme_id}: {said}", do))
    return Found("a grant is given by two people", (*faults,))


def purposes(at: Situation) -> Found:
    """The organisation has a purpose that somebody else accepted, with evidence that is valid."""
    faults = _no_programme(at)
    accepted: list[str] = []
    for programme_id in _programmes(at):
        member = _membership(at, programme_id)
        declared = [one for one in at.here.purposes if member is not None and one.membership_id == member.membership_id]
        good = [one for one in declared if not objections(one, at.now_us)]
        accepted += [one.code for one in good]
        if not good:
            codes = sorted({code for one in declared for code in objections(one, at.now_us)})
            said = f"no purpose counts: {', '.join(codes)}" if codes else "no purpose is declared"
            do = "`tiergate purpose declare`, and somebody else `tiergate purpose accept`: docs/programmes.md"
            faults.append(Fault(f"{programme_id}: {said}", do))
    return Found(f"accepted: {', '.join(dict.fromkeys(accepted))}", (*faults,))


def second_proof(at: Situation) -> Found:
    """Every key in force whose holder is of the organisation is bound to a second proof."""
    by_key = {(one.subject, one.subject_id): one for one in at.here.holders}
    of_ours, bare = 0, []
    for key in at.here.credentials:
        holder: Holder | None = by_key.get(("credential", key.credential_id)) or by_key.get(("account", key.account_id))
        if key.revoked_at is not None or holder is None or holder.organisation_id != at.adoption.organisation:
            continue
        of_ours += 1
        if holder.proof is None:
            bare.append(key.account_id)
    do = "`tiergate holders set ACCOUNT --organisation ... --certificate SHA256`"
    if not of_ours:
        return Found("", (Fault("no key in force has a holder of the organisation", do),))
    named = ", ".join(f"`{name}`" for name in sorted(set(bare))[:3])
    faults = [Fault(f"{len(bare)} of {of_ours} keys open by themselves, as those of {named}", do)] if bare else []
    return Found(f"all {of_ours} keys are bound to a second proof", (*faults,))


def approvals(at: Situation, wanted: dict[str, int]) -> Found:
    """So many people must agree before a step of response is taken."""
    held = at.here.response.approvals
    faults = at.unreadable("response.toml")
    for step, people in wanted.items():
        if step not in held:
            do = f"add it to response.toml with `approvals = {people}`"
            faults.append(Fault(f"the policy has no step `{step}`", do))
        elif held[step] < people:
            faults.append(
                Fault(
                    f"`{step}` waits for {held[step]} people, {people} are asked",
                    f"set `approvals = {people}` of `{step}` in response.toml",
                )
            )
    return Found("; ".join(f"{step} waits for {held[step]}" for step in wanted if step in held), (*faults,))


def appeals(at: Situation, days: int) -> Found:
    """Appeals are answered within so many days, by the policy and by each programme, and none is past its date."""
    faults = at.unreadable("response.toml")
    if at.here.response.appeal_days > days:
        said = f"an appeal against a verdict has {at.here.response.appeal_days} days, {days} are allowed"
        faults.append(Fault(said, f"set `appeal_days = {days}` in response.toml"))
    for programme_id in _programmes(at):
        programme = at.here.programmes.get(programme_id)
        if programme is not None and programme.appeal_days > days:
            do = f"`tiergate programme create FILE` with `appeal_days = {days}`"
            faults.append(Fault(f"{programme_id}: an appeal has {programme.appeal_days} days, {days} are allowed", do))
    if at.here.response.overdue:
        faults.append(Fault(f"{at.here.response.overdue} appeals are past their date", "`tiergate appeal list`"))
    return Found(f"answered within {days} days, none is overdue", (*faults,))


def reasoning(at: Situation, most: int) -> Found:
    """The step that withholds reasoning can be taken with so many people's consent at the most."""
    people = at.here.response.approvals.get("summarise")
    faults = at.unreadable("response.toml")
    if people is None or people > most:
        said = "the policy has no step `summarise`" if people is None else f"`summarise` waits for {people} people"
        do = f'give response.toml the step `action = "summarise"` with `approvals = {most}` or fewer: docs/response.md'
        faults.append(Fault(said, do))
    return Found("a suspected account's answers come without reasoning", (*faults,))


def watch(at: Situation) -> Found:
    """A watch runs on the data folder at this moment."""
    do = "`tiergate serve --watch`, or `tiergate watch --data data` beside the gateway"
    faults = () if at.here.response.watched else (Fault("no watch looks at this deployment's log", do),)
    return Found("a watch looks at this deployment's log", faults)


def alerts(at: Situation, wanted: list[str]) -> Found:
    """Somebody is told of each type."""
    faults = at.unreadable("alerts.toml")
    untold = [one for one in wanted if one not in at.here.response.alerts]
    if untold:
        do = "add a sink to alerts.toml, then `tiergate alerts test`: docs/alerts.md"
        faults.append(Fault(f"nobody is told of {', '.join(untold)}", do))
    return Found(f"sinks are sent {', '.join(wanted)}", (*faults,))


def decision_log(at: Situation) -> Found:
    """Decisions on the classified tier are on record, and the newest holds against the signed tree."""
    here = at.here
    if here.decisions_fault is not None:
        return Found("", (Fault(here.decisions_fault, "`tiergate decisions log` says where; restore it from a copy"),))
    if not here.decisions:
        do = "ask a classified model once: each decision is on record before it is acted upon"
        return Found("", (Fault("no decision is on record yet", do, known=False),))
    return Found(f"{here.decisions:,} decisions on record, the newest holds; `tiergate decisions log` checks all")


def _programmes(at: Situation) -> list[str]:
    return list(dict.fromkeys(one.programme for one in at.listed() if one.programme))


def _no_programme(at: Situation) -> list[Fault]:
    if _programmes(at):
        return []
    do = "give the models in models.toml `tier` and `programme`: docs/decisions.md"
    return [Fault("no model of the use case is of a programme", do)]


def _membership(at: Situation, programme_id: str) -> Membership | None:
    """The organisation's membership, the one that admits where it has several."""
    ours = [
        one
        for one in at.here.memberships
        if (one.programme_id, one.organisation_id) == (programme_id, at.adoption.organisation)
    ]
    ours.sort(key=lambda one: (one.state.value == "active", one.since_us))
    return ours[-1] if ours else None
