"""A case as a finding: what of it peers are told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tiergate.admission.changes import Change
from tiergate.clock import HOUR
from tiergate.errors import InputError
from tiergate.response.case_files import CaseFile, Outcome, Status
from tiergate.response.kept import kept_look
from tiergate.response.looks import Member
from tiergate.response.worklist import Worklist
from tiergate.sharing.epochs import Epoch
from tiergate.sharing.finding import (
    ACCOUNT,
    Capability,
    Finding,
    Lab,
    Technique,
    Token,
    bucket,
    finding_id,
    keyed_token,
    least,
)
from tiergate.sharing.marking import Tlp
from tiergate.sharing.telling import COLUMNS, telling

MOST_ACCOUNTS: Final = 512
_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class FromCase:
    """A finding, and what could not be put into it."""

    finding: Finding
    lacking: tuple[str, ...]


def id_of_case(lab: Lab, case_id: str) -> str:
    """What a lab calls a case towards peers."""
    return finding_id(lab, f"case {case_id}")


def finding_of(
    worklist: Worklist,
    data: Path,
    case_id: str,
    *,
    lab: Lab,
    tlp: Tlp,
    epoch: Epoch | None = None,
    techniques: Iterable[Technique] = (),
) -> FromCase:
    """The finding of a case: the same as long as nobody looked at it again or closed it, with the same key.

    ``techniques``: those that people saw, beside those that every case shows. Raises `InputError` when the answer that
    the case rests on is gone.
    """
    file = worklist.get(case_id)
    cleared = {one.account_id for one in file.cleared}
    held = [one for one in worklist.members(case_id) if one.account_id not in cleared and one.inherits is None]
    members = sorted(held, key=lambda one: (-one.membership, -one.charged, one.account_id))
    lacking: list[str] = []
    shared: dict[str, list[str | int]] = {}
    try:
        read = kept_look(data, file).read()
        shared = telling(read.batches(["account_id", *COLUMNS]), [one.account_id for one in members])
    except InputError as error:
        lacking.append(f"networks and clients: {error}")
    if epoch is None:
        lacking.append("accounts and clients: there is no epoch key to hash them under; give --epoch-key")
    networks = tuple(int(one) for one in shared.get("client_asn", ()))
    shown = {Technique.EXTRACT_AI_MODEL, Technique.AI_MODEL_INFERENCE_API_ACCESS, *techniques}
    shown |= {Technique.ESTABLISH_ACCOUNTS} if len(members) > 1 else set()
    shown |= {Technique.AI_SERVICE_PROXIES} if networks else set()
    since_us = _told_since(worklist.history(case_id), file)
    found = file.found
    finding = Finding(
        finding_id=id_of_case(lab, file.case_id),
        lab=lab,
        created_us=file.opened_at_us // _MS * _MS,
        modified_us=max(since_us, file.opened_at_us) // _MS * _MS,
        # By the hour: enough to compare, too coarse to find one request by.
        first_seen_us=found.first_seen_us // HOUR * HOUR,
        last_seen_us=found.last_seen_us // HOUR * HOUR,
        confidence=int(100 * found.confidence),
        accounts=bucket(len(members)),
        exchanges=bucket(found.exchanges),
        capabilities=tuple(one for one in Capability if one == found.capability),
        techniques=tuple(one for one in Technique if one in shown),
        networks=networks,
        tokens=() if epoch is None else tuple(sorted(_tokens(epoch, lab, members, shared))),
        revoked=file.outcome is Outcome.MISTAKEN or file.status is Status.MERGED,
        tlp=tlp,
    )
    return FromCase(finding, tuple(lacking))


def _tokens(epoch: Epoch, lab: Lab, members: list[Member], shared: dict[str, list[str | int]]) -> set[Token]:
    # No more accounts than the bucket says there are at least: their number tells nothing beyond it.
    most = min(least(bucket(len(members))), MOST_ACCOUNTS)
    accounts = {keyed_token(epoch.key, epoch.name, ACCOUNT, one.account_id, lab=lab) for one in members[:most]}
    clients = {
        keyed_token(epoch.key, epoch.name, kind, str(value))
        for kind in ("tls_fingerprint", "user_agent")
        for value in shared.get(kind, ())
    }
    return accounts | clients


def _told_since(history: list[Change], file: CaseFile) -> int:
    """Since when the case's file says what a finding is made of."""
    since_us = file.opened_at_us
    for change in reversed(history):
        state = msgspec.json.decode(change.state, type=CaseFile)
        if (state.found, state.status, state.outcome, state.cleared) != (
            file.found,
            file.status,
            file.outcome,
            file.cleared,
        ):
            break
        since_us = change.at_us
    return since_us
