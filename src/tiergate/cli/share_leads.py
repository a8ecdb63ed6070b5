"""From findings of peers to what they do here: which own accounts they touch, and verdicts of `verify`.

`sharing` and `response` do not know each other; what one hears becomes a signal to the other here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiergate.api.shared_leads import lead_id, lead_of, source_of
from tiergate.errors import InputError, TiergateError
from tiergate.ledger.log import is_log
from tiergate.response.desk import CaseDesk
from tiergate.response.leads import Leads, Signal
from tiergate.response.people import WATCH
from tiergate.sharing.clients import clients
from tiergate.sharing.epochs import epoch_keys
from tiergate.sharing.exchange import with_each
from tiergate.sharing.feedback import WITHDRAWN, Heard, heard, tell_opinion
from tiergate.sharing.finding import Lab, View
from tiergate.sharing.marking import Tlp
from tiergate.sharing.matching import Match, Own

if TYPE_CHECKING:
    from tiergate.cli.share_peers import Sharing


@dataclass(frozen=True, slots=True)
class Met:
    """A finding, and own accounts that have something of it."""

    heard: Heard
    matches: list[Match]
    lead_id: str

    @property
    def touched(self) -> list[Match]:
        """Those that agree enough to act upon."""
        return [one for one in self.matches if one.touches]

    def signal(self) -> Signal:
        """As response takes it."""
        told, peer = self.heard.finding, self.heard.peer
        return Signal(
            lead_id=self.lead_id,
            source=source_of(self.heard),
            maker=peer.name,
            # Whoever is verified may tell anybody: a lab is named where anybody may know.
            named=peer.name if told.tlp is Tlp.CLEAR else None,
            accounts={one.account_id: " and ".join(one.by) for one in self.touched},
        )


def met(data: Path, findings: Iterable[Heard], keys: dict[str, bytes], lab: Lab) -> list[Met]:
    """What own accounts have of findings, by all of the log."""
    if not is_log(data / "log"):
        raise InputError(f"`{data}` has no exchange log to match with")
    own = Own(clients(data))
    return [Met(one, own.matches(one.finding, keys, lab), lead_of(data, one)) for one in findings]


def settle(data: Path, sharing: Sharing, desk: CaseDesk, now_us: int) -> list[str]:
    """After a look: take back what rests on nothing any more, and raise what the policy permits. Returns in words what
    changed. Raises `InputError` for a key that is none."""
    policy, leads = desk.policy.sharing, Leads(desk)
    said: list[str] = []
    if not policy.verify and all(one.lifted and not one.cleared for one in leads.every()):
        # Nothing rests on a finding, and nothing may: what peers told need not be read at every look.
        return said
    known = heard(sharing.store, sharing.peers)
    if policy.lab is not None:
        said += _appealed(data, sharing, leads, known, Lab.named(policy.lab), now_us)
        if said:
            known = heard(sharing.store, sharing.peers)
            said += _pushed(sharing)
    for one in known:
        gone = one.gone()
        if gone and leads.lift(lead_of(data, one), author=WATCH, now_us=now_us, reason=gone):
            said.append(f"{source_of(one)}: taken back, {gone}")
    if leads.recheck(now_us, author=WATCH):
        said.append("accounts that were cleared are touched by no shared finding any more")
    standing = [
        one for one in known if one.gone() is None and one.fresh(now_us) and one.corroboration.score >= policy.labs
    ]
    if not policy.verify or policy.lab is None or not standing or not is_log(data / "log"):
        return said
    for each in met(data, standing, epoch_keys(data / policy.epoch_keys), Lab.named(policy.lab)):
        signal = each.signal()
        if len(signal.accounts) > policy.most_accounts:
            continue
        if rows := leads.raised(signal, author=WATCH, now_us=now_us, reason=str(each.heard.corroboration)):
            said.append(f"{signal.source}: {rows} verdicts changed, {len(signal.accounts)} accounts to verify")
    return said


def lift_withdrawn(data: Path, sharing: Sharing, desk: CaseDesk, after_us: int, now_us: int) -> list[str]:
    """Take back what rests on findings that peers withdrew since. Returns in words what that changed."""
    leads, labs = Leads(desk), {one.peer_id: one.lab for one in sharing.peers.every()}
    standing = {one.lead_id for one in leads.every() if not one.lifted}
    said = []
    for peer_id, finding_id in sharing.store.withdrawn(after_us):
        lead = lead_id(data, finding_id)
        if lead in standing and leads.lift(lead, author=WATCH, now_us=now_us, reason=WITHDRAWN):
            said.append(f"campaign--{finding_id} of {labs[peer_id].name}: taken back, {WITHDRAWN}")
    return said


def _pushed(sharing: Sharing) -> list[str]:
    """Send what was said. Who cannot be reached reads it, or is sent it the next time."""
    live = [one for one in sharing.peers.every() if one.ended_at_us is None]
    done = with_each(live, sharing.exchange.push)
    return [f"{peer.name}: {came}" for peer, came in done if isinstance(came, TiergateError)]


def _appealed(data: Path, sharing: Sharing, leads: Leads, known: list[Heard], lab: Lab, now_us: int) -> list[str]:
    """Tell peers that we disagree with a finding against which an appeal succeeded here, unless people said since what
    we think of it."""
    said = []
    held = {one.lead_id: one for one in leads.every()}
    for one in known:
        lead = held.get(lead_of(data, one))
        if lead is None or one.finding.revoked or not any(each.appeal_id for each in lead.cleared):
            continue
        at_us = max(change.at_us for change in leads.history(lead.lead_id) if change.action == "appeal")
        if one.opinion is None or one.opinion.modified_us < at_us // 1_000 * 1_000:
            tell_opinion(sharing.store, one, lab, View.DISAGREE, now_us)
            leads.note(
                lead.lead_id,
                source_of(one),
                "told peers: disagree, as an appeal succeeded here",
                author=WATCH,
                now_us=now_us,
            )
            said.append(f"{source_of(one)}: told peers that we disagree, as an appeal succeeded here")
    return said
