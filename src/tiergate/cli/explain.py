"""`tiergate decisions explain`: why one decision was made, what would change it, and whom to ask."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.decision_options import Data, DecisionId, Json, Key, public_key
from tiergate.cli.terminal import moment, note, say, say_json
from tiergate.clock import SystemClock

if TYPE_CHECKING:
    from tiergate.admission.engine import Reason
    from tiergate.ledger.decision_reader import Kept


def explain(
    decision_id: DecisionId,
    data: Data = Path("data"),
    key: Key = None,
    packs: Annotated[
        Path | None, typer.Option(metavar="DIR", envvar="TIERGATE_PACKS", help="Folder of rule packs of your own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain a decision: every gate that failed, what is missing, what would change it, who decides an appeal.

    Where an ownership was not known it says what would settle it by the facts of today, with the parties in the chain.

    \b
    Example:
      tiergate decisions explain worker-2/17 --data data
    """
    from tiergate.admission.engine import Engine
    from tiergate.admission.kept_policies import Engines
    from tiergate.admission.replay import reasons_of
    from tiergate.ledger.decision_logs import find_decision
    from tiergate.ledger.decision_reader import DecisionReader

    place, index = find_decision(data, decision_id)
    with closing(DecisionReader(place.folder)) as reader:
        kept = reader.checked(index, key=public_key(data, key, reader.origin))
        today = Engine()
        reasons = reasons_of(kept, Engines(place.folder, today))
        overturned = _overturned(data, decision_id)
        settling = _settling(data, packs, kept, {reason.code for reason in reasons})
        if as_json:
            settled = {"would_settle_today": settling}
            say_json(_as_json(decision_id, kept, reasons, today.digest, overturned) | settled)
        else:
            _say(decision_id, kept, reasons, today.digest, overturned, settling)


def _settling(data: Path, packs: Path | None, kept: Kept, codes: set[str]) -> dict[str, list[str]]:
    """By gate of an ownership that was not known: what to obtain, by the facts and packs of today."""
    from tiergate.admission.activations import ActivationStore, day_of
    from tiergate.admission.binding import Ownership, binding_on
    from tiergate.admission.models import Models
    from tiergate.admission.replay import facts_of_record
    from tiergate.admission.standings import PARTIES
    from tiergate.admission.wanted_facts import wanted_facts
    from tiergate.database import open_database

    facts = facts_of_record(kept) if codes & {"ownership_not_known", "employer_not_known"} else None
    if facts is None or not all((data / name).is_file() for name in ("control.sqlite", PARTIES)):
        return {}
    now_us = SystemClock().now_us()
    engine = open_database(data / "control.sqlite")
    try:
        binding = binding_on(ActivationStore(engine), packs, day_of(now_us))
    finally:
        engine.dispose()
    asked = binding.ownership_packs(Models({facts.model.model: facts.model}))
    with closing(Ownership(data / PARTIES)) as ownership:
        verdicts = ownership.judge(asked, binding.day, now_us)
    parties = {"ownership_not_known": facts.standing.organisation_id, "employer_not_known": facts.standing.employer_id}
    return {
        code: [f"{name}: {one.text}" for name in sorted(verdicts) for one in wanted_facts(verdicts[name], party)]
        for code, party in parties.items()
        if code in codes and party is not None
    }


def _overturned(data: Path, decision_id: str) -> bool | None:
    """Whether an appeal undid a decision; None where there is no control database to ask."""
    from tiergate.admission.appeals import Appeals
    from tiergate.database import open_database

    path = data / "control.sqlite"
    if not path.is_file():
        return None
    engine = open_database(path)
    try:
        return Appeals(engine).overturned(decision_id)
    finally:
        engine.dispose()


def _as_json(
    decision_id: str, kept: Kept, reasons: list[Reason], today: str, overturned: bool | None
) -> dict[str, object]:
    import msgspec

    from tiergate.ledger.decision_records import FACTS

    personal = {one.field: msgspec.json.decode(one.value) for one in kept.openings}
    facts = personal.pop(FACTS, None)
    return {
        "decision_id": decision_id,
        "record": msgspec.to_builtins(kept.record),
        "signed": kept.signed,
        "reasons": [
            msgspec.to_builtins(one.gate) | {"about": list(one.about), "would_settle": list(one.would_settle)}
            for one in reasons
        ],
        "personal": personal,
        "facts": None if facts is None else msgspec.json.decode(facts),
        "policy_today": today,
        "overturned": overturned,
    }


def _say(
    decision_id: str,
    kept: Kept,
    reasons: list[Reason],
    today: str,
    overturned: bool | None,
    settling: dict[str, list[str]],
) -> None:
    import msgspec

    from tiergate.ledger.decision_records import FACTS

    record = kept.record
    say(f"{record.outcome} at {moment(record.time_us)} UTC, decision {decision_id}")
    held = {one.field: msgspec.json.decode(one.value) for one in kept.openings if one.field != FACTS}
    if held:
        say(", ".join(f"{field} {value}" for field, value in held.items()))
    for reason in reasons:
        gate, of = reason.gate, f" ({', '.join(reason.about)})" if reason.about else ""
        say(f"- {gate.code}{of}: {gate.text}")
        if gate.missing:
            say(f"  missing: {gate.missing}")
        say(f"  would change it: {gate.change}")
        for text in reason.would_settle:
            say(f"  would settle it, as the caller was told: {text}")
        for text in settling.get(gate.code, ()):
            say(f"  would settle it today, {text}")
        say(f"  who decides an appeal: {gate.appeal}")
    known = {reason.code for reason in reasons}
    for code in record.reasons:
        if code not in known:
            say(f"- {code}: a gate of policies that are not kept")
    packs = ", ".join(f"{name}@{version}" for name, version in record.packs.items())
    whose = "today's" if record.policy == today else "which are not today's"
    say(f"policies {record.policy[:12]}, {whose}; rule packs {packs or 'none'}; change {record.epoch} of admission")
    if overturned:
        say("an appeal overturned it; what caused the refusal must still be changed")
    elif record.outcome != "ALLOW":
        say(f'to appeal: tiergate appeal file decision {decision_id} --grounds "..."')
    if not kept.signed:
        note("no checkpoint covers the record yet")
    if FACTS not in {one.field for one in kept.openings}:
        note(f"its facts {'are erased' if FACTS in record.commitments else 'were not kept'}, so it cannot be replayed")
