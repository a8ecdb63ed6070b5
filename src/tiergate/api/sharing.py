"""Operations on what peers told and what we tell them. What each does, and refuses: `sharing.feedback`, `store`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.api.members import Given, Text
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import not_found
from tiergate.api.shared_leads import lead_of, source_of
from tiergate.errors import StateError, TiergateError
from tiergate.response.leads import Lead, Leads
from tiergate.sharing.corroboration import Corroboration
from tiergate.sharing.exchange import Exchange, Round
from tiergate.sharing.feedback import AGAINST, Heard, heard, tell_opinion, tell_sighting
from tiergate.sharing.finding import Finding, Lab, Opinion, Sighting, View
from tiergate.sharing.listing import ToldRow, last_heard, told
from tiergate.sharing.marking import Tlp
from tiergate.sharing.peers import Peer


class PeerView(msgspec.Struct, frozen=True, kw_only=True):
    """A peer, without its token. ``heard_us``: when it told something new the last time, None before the first;
    ``refused``: how often what it sent was refused, by reason. Times: microseconds since the epoch, UTC."""

    peer_id: str
    name: str
    clearance: Tlp
    url: str | None
    added_at_us: int
    ended_at_us: int | None
    token_until_us: int
    sent_us: int
    heard_us: int | None
    refused: dict[str, int]


class PeerList(msgspec.Struct, frozen=True, kw_only=True):
    """``lab``: whom peers know us as; None where `response.toml` does not say."""

    lab: str | None
    peers: list[PeerView]


class HeardView(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that a peer told. ``gone``: why nothing may rest on it any more; ``lead``: what it did here."""

    finding: Finding
    peer: str
    corroboration: Corroboration
    opinion: Opinion | None
    sighting: Sighting | None
    gone: str | None
    lead: Lead | None = None


class ToldQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``before_us``: only what was told earlier."""

    before_us: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ToldView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that we told; see `sharing.listing.ToldRow`."""

    subject: str
    added_us: int
    tlp: Tlp
    revoked: bool
    sent: tuple[str, ...]
    may_read: tuple[str, ...]
    finding: Finding | None = None
    sighting: Sighting | None = None
    opinion: Opinion | None = None


class ToldPage(msgspec.Struct, frozen=True, kw_only=True):
    """What we told, the newest first."""

    items: list[ToldView]


class NewOpinion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``view``: what peers are told; ``reason``: stays here."""

    view: View
    reason: Given


class NewSighting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``accounts``: own accounts that it was met with; peers are told a power of two."""

    accounts: Annotated[int, msgspec.Meta(ge=1, lt=2**29)]
    reason: Text = ""


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reason."""

    reason: Given


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With which peer, by its name; with all where it is null."""

    peer: Annotated[str, msgspec.Meta(min_length=1, max_length=253)] | None = None


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """What went over, by peer, and with whom it could not be done and why."""

    pulled: dict[str, Round]
    pushed: dict[str, Round]
    faults: dict[str, str]


def list_peers(call: Call) -> PeerList:
    services = call.services
    known = services.peers.every()
    newest = last_heard(services.shared.engine, [one.peer_id for one in known])
    return PeerList(lab=services.cases.desk.policy.sharing.lab, peers=[_peer(call, one, newest) for one in known])


def list_findings(call: Call) -> Page[HeardView]:
    views = (_view(one) for one in heard(call.services.shared, call.services.peers))
    return page(views, lambda one: f"{one.peer} {one.finding.finding_id}", call.query)


def get_finding(call: Call) -> HeardView:
    one = _asked_for(call)
    lead = call.services.cases.desk.changes.current(Lead, lead_of(call.services.settings.data, one))
    return msgspec.structs.replace(_view(one), lead=lead)


def give_opinion(call: Call) -> HeardView:
    one, asked = _asked_for(call), call.body
    tell_opinion(call.services.shared, one, our_lab(call), asked.view, call.now_us)
    said = f"told peers: {asked.view.value}; {asked.reason}"
    leads, name, author = Leads(call.services.cases.desk), lead_of(call.services.settings.data, one), call.operator.name
    leads.note(name, source_of(one), said, author=author, now_us=call.now_us)
    if asked.view in AGAINST:
        # Who disagrees does nothing about it any more: what it did here is taken back at once.
        leads.lift(name, author=author, now_us=call.now_us, reason=asked.reason)
    return get_finding(call)


def give_sighting(call: Call) -> HeardView:
    one, asked = _asked_for(call), call.body
    tell_sighting(call.services.shared, one, our_lab(call), asked.accounts, call.now_us)
    said = f"told peers: met it, {asked.accounts:,} accounts; {asked.reason}"
    Leads(call.services.cases.desk).note(
        lead_of(call.services.settings.data, one), source_of(one), said, author=call.operator.name, now_us=call.now_us
    )
    return get_finding(call)


def list_told(call: Call) -> ToldPage:
    services, asked = call.services, call.query
    rows = told(services.shared.engine, services.peers.every(), before_us=asked.before_us, limit=asked.limit)
    return ToldPage(items=[_told(one) for one in rows])


def withdraw_told(call: Call) -> None:
    call.services.shared.withdraw(call.path("subject"), call.now_us)


def exchange(call: Call) -> Rounds:
    services, wanted = call.services, call.body.peer
    known = services.peers.every()
    if wanted is not None and services.peers.named(wanted) is None:
        raise not_found("peer", wanted)
    with_whom = [one for one in known if one.url is not None and wanted in (None, one.name)]
    rounds = Exchange(services.shared, services.peers, services.receiving, services.settings.data)
    done = Rounds(pulled={}, pushed={}, faults={})
    for one in with_whom:
        try:
            # One that was ended is still told what is withdrawn.
            done.pushed[one.name] = rounds.push(one)
            if one.ended_at_us is None:
                done.pulled[one.name] = rounds.pull(one, call.now_us)
        except TiergateError as error:
            done.faults[one.name] = str(error)
    return done


def our_lab(call: Call) -> Lab:
    """Whom what we say is from. Raises `StateError` where nobody said."""
    name = call.services.cases.desk.policy.sharing.lab
    if name is None:
        raise StateError(
            'peers must know whom it is from: write `lab = "your.domain"` under `[sharing]` in response.toml',
            code="lab_unknown",
        )
    return Lab.named(name)


def _asked_for(call: Call) -> Heard:
    finding_id = call.path("finding_id").removeprefix("campaign--")
    for one in heard(call.services.shared, call.services.peers):
        if one.finding.finding_id == finding_id:
            return one
    raise not_found("finding", finding_id)


def _view(one: Heard) -> HeardView:
    return HeardView(
        finding=one.finding, peer=one.peer.name, corroboration=one.corroboration, opinion=one.opinion,
        sighting=one.sighting, gone=one.gone(),
    )  # fmt: skip


def _told(one: ToldRow) -> ToldView:
    fields: dict[str, Any] = {
        name: getattr(one, name) for name in ("subject", "added_us", "tlp", "revoked", "sent", "may_read")
    }
    fields[type(one.told).__name__.lower()] = one.told
    return ToldView(**fields)


def _peer(call: Call, one: Peer, newest: dict[str, int]) -> PeerView:
    fields = {name: getattr(one, name) for name in PeerView.__struct_fields__ if hasattr(one, name)}
    return PeerView(**fields, heard_us=newest.get(one.peer_id), refused=call.services.receiving.refused(one))


def _operation(method: str, path: str, name: str, summary: str, **more: Any) -> Operation:
    permission = Permission.SEE_SHARING if method == "GET" else Permission.SHARE
    return Operation(
        method=method, path=path, name=name, summary=summary, permission=permission, subject="sharing", **more
    )


_FINDING: Final = "/v1/sharing/findings/{finding_id}"
OPERATIONS: Final = (
    _operation("GET", "/v1/sharing/peers", "list_peers", "Peers, and when each was last heard", handler=list_peers,
               gives=PeerList),
    _operation("GET", "/v1/sharing/findings", "list_findings", "Findings that peers told", handler=list_findings,
               query=PageQuery, gives=Page[HeardView]),
    _operation("GET", _FINDING, "get_finding", "A finding, what labs make of it and what it did here",
               handler=get_finding, gives=HeardView),
    _operation("POST", f"{_FINDING}/opinion", "give_opinion", "Tell peers whether we agree with a finding",
               handler=give_opinion, takes=NewOpinion, gives=HeardView),
    _operation("POST", f"{_FINDING}/sighting", "give_sighting", "Tell peers that we met a finding",
               handler=give_sighting, takes=NewSighting, gives=HeardView),
    _operation("GET", "/v1/sharing/told", "list_told", "What we told peers", handler=list_told, query=ToldQuery,
               gives=ToldPage),
    _operation("POST", "/v1/sharing/told/{subject}/withdrawal", "withdraw_told", "Withdraw what we told, for good",
               handler=withdraw_told, takes=Why, gives=None, status=204),
    _operation("POST", "/v1/sharing/exchange", "exchange", "Send to peers and read from them now", handler=exchange,
               takes=Which, gives=Rounds),
)  # fmt: skip
