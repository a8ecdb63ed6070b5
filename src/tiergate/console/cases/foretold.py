"""What would come of a decision about a case, said before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.api.problems import not_found
from tiergate.api.services import Services
from tiergate.console.acting import Consequence, Deed, Foretold
from tiergate.console.cases.evidence import effects_table
from tiergate.console.cases.words import WORDS
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Outcome
from tiergate.response.desk import lapsed
from tiergate.response.effects import Effect, case_effects
from tiergate.response.people import needed_for


def stepping(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Of `propose_step`, `approve_step` and `take_step`."""
    file, asked = _file(services, deed, now_us), str(deed.values.get("action", ""))
    words, policy = WORDS.foretold, services.cases.desk.policy
    said = [words.now.format(step=file.step, count=_standing(services, file, now_us))]
    if asked == Action.WATCH:
        return Consequence(sentences=[*said, words.lifted, words.ceiling.format(step=asked, hours=_hours(services))])
    effect = _effect(services, file, asked, now_us)
    if effect is None:
        return Consequence(sentences=said)
    needed, have = needed_for(policy, effect.action), 1
    if deed.operation.name == "approve_step" and file.proposal is not None:
        have += len(file.proposal.approved_by)
    proposed = deed.operation.name != "take_step"
    if proposed and have < needed:
        said.append(words.waits.format(have=have, need=needed))
    else:
        said.append(words.taken.format(step=asked, hours=_hours(services)))
        if deed.operation.name == "take_step":
            said.append(words.ceiling.format(step=asked, hours=_hours(services)))
    said += _touches(effect)
    return Consequence(sentences=said, tables=[effects_table([effect])], consent=proposed and needed > 1)


def closing(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Of `close_case`."""
    file, words = _file(services, deed, now_us), WORDS.foretold
    standing = _standing(services, file, now_us)
    if deed.values.get("outcome") == Outcome.CONFIRMED:
        said = words.stands.format(step=file.step, count=standing)
    else:
        said = words.freed.format(count=standing)
    return Consequence(sentences=[said, words.judged])


def merging(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Of `merge_case`."""
    file, words, into = _file(services, deed, now_us), WORDS.foretold, str(deed.values.get("into", ""))
    other = services.cases.index.files().get(into)
    if other is None:
        raise not_found("case", into)
    other = lapsed(other, now_us)
    said = [
        words.merged.format(count=_members(services, file), into=into, have=_members(services, other)),
        words.merged_step.format(count=_standing(services, file, now_us), step=other.step),
    ]
    if other.proposal is not None:
        said.append(words.asked_again.format(step=other.proposal.action))
    return Consequence(sentences=said)


def splitting(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Of `split_case`."""
    file, words = _file(services, deed, now_us), WORDS.foretold
    chosen = set(deed.values.get("accounts", ()))
    under = chosen & set(services.cases.desk.verdicts.of_case(file.case_id, now_us))
    return Consequence(
        sentences=[
            words.split.format(count=len(chosen), have=_members(services, file)),
            words.split_free.format(count=len(under)),
        ]
    )  # fmt: skip


def clearing(services: Services, deed: Deed, now_us: int) -> Consequence:
    """Of `clear_account`."""
    file, words = _file(services, deed, now_us), WORDS.foretold
    account, up_to = str(deed.values.get("account_id", "")), str(deed.values.get("up_to", Action.SUSPEND))
    verdict = services.cases.desk.verdicts.of_case(file.case_id, now_us).get(account)
    said = [words.cleared.format(account=account, step=up_to)]
    said.append(words.not_touched if verdict is None else words.under.format(action=verdict.action))
    said.append(words.until if deed.values.get("until_us") else words.for_ever)
    return Consequence(sentences=said)


def _file(services: Services, deed: Deed, now_us: int) -> CaseFile:
    case_id = deed.path["case_id"]
    file = services.cases.index.files().get(case_id)
    if file is None:
        raise not_found("case", case_id)
    return lapsed(file, now_us)


def _effect(services: Services, file: CaseFile, action: str, now_us: int) -> Effect | None:
    return next((one for one in case_effects(services.cases, file.case_id, now_us) if one.action == action), None)


def _touches(effect: Effect) -> list[str]:
    words = WORDS.foretold
    said = [words.touches.format(whole=effect.whole, part=effect.part, left=effect.left)]
    if effect.a_day is not None and effect.innocent_a_day is not None:
        said.append(words.a_day.format(touched=effect.a_day, innocent=effect.innocent_a_day))
    if effect.let_through_a_day is not None:
        said.append(words.budget.format(budget=effect.let_through_a_day))
    return said


def _standing(services: Services, file: CaseFile, now_us: int) -> int:
    return len(services.cases.desk.verdicts.of_case(file.case_id, now_us))


def _members(services: Services, file: CaseFile) -> int:
    return len(services.cases.members(file.case_id))


def _hours(services: Services) -> str:
    return f"{services.cases.desk.policy.expires_after_hours:g}"


FORETOLD: Final[Mapping[str, Foretold]] = {
    "propose_step": stepping,
    "approve_step": stepping,
    "take_step": stepping,
    "close_case": closing,
    "merge_case": merging,
    "split_case": splitting,
    "clear_account": clearing,
}
