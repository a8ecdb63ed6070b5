"""Acting on a case and showing what its accounts and a bystander get from the running gateway."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tiergate.cli.cases import CasesFolder
from tiergate.cli.demo.traffic import Reply, send_one
from tiergate.cli.demo.worlds import DemoWorld
from tiergate.cli.report import Answer, Outcome
from tiergate.cli.terminal import say
from tiergate.clock import SystemClock
from tiergate.ledger.verdicts import Action

if TYPE_CHECKING:
    from tiergate.ledger.verdicts import VerdictStore

OBEYED_WITHIN_SECONDS = 10.0
SHORT = 120
AUTHOR = "the demo's analyst"
SECOND = "the demo's second analyst"
EXPECTED = {Action.VERIFY: 403, Action.LIMIT: 429, Action.SUSPEND: 403}


def act(
    found: CasesFolder, store: VerdictStore, world: DemoWorld, keys: Mapping[str, str], url: str
) -> tuple[Outcome, bool]:
    """Apply the first case's recommendation, or `verify` where that is only to watch, and see it obeyed.

    Returns what was done, and whether a member got what the verdict says and a bystander got an answer.
    """
    from tiergate.response.by_hand import respond

    case = found.cases[0]
    action = Action(case.facts["recommended_action"])
    if action is Action.WATCH:
        say("   the recommendation is to watch; the analyst chooses verify, to show something")
        action = Action.VERIFY
    verdicts = respond(
        found.path,
        store,
        case_id=case.case_id,
        action=action,
        author=AUTHOR,
        approved_by=SECOND if action is Action.SUSPEND else None,
        now_us=SystemClock().now_us(),
    )
    say(f"   {action.value} for the {len(verdicts)} accounts of {case.short_id}")
    member, bystander = case.accounts[0]["account_id"], _bystander(found, world)
    request = world.next_request(member)
    refused = _send_until(EXPECTED[action], lambda: send_one(url, request, keys[member]))
    served = send_one(url, world.next_request(bystander), keys[bystander])
    answers = [
        Answer(f"{member}, a member of the case,", refused.status, _readable(refused)),
        Answer(f"{bystander}, who is in no case,", served.status, _readable(served)),
    ]
    for answer in answers:
        say(f"   {answer.who} gets HTTP {answer.status}: {_short(answer.body)}")
    outcome = Outcome(case.case_id, action.value, AUTHOR, case.facts["summary"], answers)
    return outcome, refused.status == EXPECTED[action] and served.status == 200


def _bystander(found: CasesFolder, world: DemoWorld) -> str:
    """The busiest account that is in no case."""
    inside = set().union(*(case.account_ids for case in found.cases))
    outside = [row["account_id"] for row in world.exchanges if row["account_id"] not in inside]
    return str(Counter(outside).most_common(1)[0][0])


def _send_until(status: int, send: Callable[[], Reply]) -> Reply:
    """Send until the answer has ``status``: a gateway obeys within a second, and a limit has a budget to use up."""
    give_up = time.monotonic() + OBEYED_WITHIN_SECONDS
    while (reply := send()).status != status and time.monotonic() < give_up:
        time.sleep(0.1)
    return reply


def _readable(reply: Reply) -> str:
    try:
        return json.dumps(json.loads(reply.body), indent=2, ensure_ascii=False)
    except ValueError:
        return reply.body


def _short(body: str) -> str:
    """The sentence of an answer: the error's message, or what the model said."""
    try:
        answer = json.loads(body)
        said = answer["error"]["message"] if "error" in answer else answer["choices"][0]["message"]["content"]
        text = str(said)
    except (ValueError, LookupError, TypeError):
        text = body
    return text if len(text) <= SHORT else text[:SHORT] + "..."
