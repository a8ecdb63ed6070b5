"""What peers told, what labs make of it, and what we say of it ourselves."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.sharing.corroboration import Corroboration, corroboration
from tiergate.sharing.finding import Finding, Lab, Opinion, Sighting, Told, View, bucket
from tiergate.sharing.marking import Tlp
from tiergate.sharing.peers import Peer, Peers
from tiergate.sharing.reading import from_objects
from tiergate.sharing.store import Added, SharedStore
from tiergate.sharing.versions import OURS

FRESH_US: Final = 30 * DAY
"""For how long after its newest version a finding is acted upon."""
AGAINST: Final = frozenset({View.DISAGREE, View.STRONGLY_DISAGREE})
WITHDRAWN: Final = "its maker withdrew it"
_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A finding that ``peer`` told, what labs make of it, and what we said of it, None where we did not."""

    finding: Finding
    peer: Peer
    corroboration: Corroboration
    opinion: Opinion | None
    sighting: Sighting | None

    def gone(self) -> str | None:
        """Why nothing may rest on it any more, None where something may."""
        if self.finding.revoked:
            return WITHDRAWN
        if self.peer.ended_at_us is not None:
            return f"{self.peer.name} is no peer any more"
        if self.opinion is not None and self.opinion.view in AGAINST:
            return "we disagree with it"
        return None

    def fresh(self, now_us: int) -> bool:
        """Whether it is new enough to act upon."""
        return now_us - self.finding.modified_us < FRESH_US


def heard(store: SharedStore, peers: Peers) -> list[Heard]:
    """Findings of peers, in the order in which they came."""
    told, ours = told_by(store, peers), said_of(store)
    said = [*ours, *_said(told)]
    opinions = {one.about: one for one in ours if isinstance(one, Opinion)}
    sightings = {one.about: one for one in ours if isinstance(one, Sighting)}
    return [
        Heard(one, peer, corroboration(one, said), opinions.get(one.finding_id), sightings.get(one.finding_id))
        for peer, some in told
        for one in some
        if isinstance(one, Finding)
    ]


def told_by(store: SharedStore, peers: Peers) -> list[tuple[Peer, list[Told]]]:
    """What each lab told, with the peer that it is now: one that was ended and added anew is one lab, and what it
    withdrew since is withdrawn."""
    labs: dict[str, list[Peer]] = {}
    for peer in peers.every():
        labs.setdefault(peer.name, []).append(peer)
    return [
        (some[-1], from_objects(one for peer in some for one in store.objects(peer.peer_id))) for some in labs.values()
    ]


def said_of(store: SharedStore) -> list[Sighting | Opinion]:
    """What we said of findings."""
    return [one for one in from_objects(store.objects(OURS)) if not isinstance(one, Finding)]


def said_by_peers(store: SharedStore, peers: Peers) -> list[Sighting | Opinion]:
    """What peers said of findings, ours among those too. Who is no peer any more does not count."""
    return _said(told_by(store, peers))


def _said(told: Iterable[tuple[Peer, list[Told]]]) -> list[Sighting | Opinion]:
    live = [some for peer, some in told if peer.ended_at_us is None]
    return [one for some in live for one in some if not isinstance(one, Finding)]


def tell_opinion(store: SharedStore, one: Heard, lab: Lab, view: View, now_us: int) -> Added:
    """Say whether we agree; the newest counts. It says nothing of the finding but its id and a hash, goes as
    far as that goes, and to its maker alone where that is nobody else. Raises `InputError` for our own lab as maker."""
    fields, named = _common(one, one.opinion, lab, now_us)
    opinion_id = _id(lab, one, "opinion")
    told = Opinion(opinion_id=opinion_id, view=view, **fields)
    return store.tell(told, now_us, named=named)


def tell_sighting(store: SharedStore, one: Heard, lab: Lab, accounts: int, now_us: int) -> Added:
    """Say that we met it, with so many accounts; peers are told a power of two. As `tell_opinion`."""
    if accounts < 1:
        raise InputError("a sighting is of one account at least")
    fields, named = _common(one, one.sighting, lab, now_us)
    first_us = now_us if one.sighting is None else one.sighting.first_seen_us
    told = Sighting(
        sighting_id=_id(lab, one, "sighting"),
        first_seen_us=first_us // HOUR * HOUR,
        last_seen_us=now_us // HOUR * HOUR,
        accounts=bucket(accounts),
        **fields,
    )
    return store.tell(told, now_us, named=named)


def _common(one: Heard, before: Opinion | Sighting | None, lab: Lab, now_us: int) -> tuple[dict[str, Any], list[str]]:
    if lab == one.peer.lab:
        raise InputError(f"`{lab.name}` told that finding itself: --lab is whom it is from")
    tlp = one.finding.tlp if one.finding.tlp.strictness <= one.peer.clearance.strictness else Tlp.RED
    at_us = now_us // _MS * _MS
    created_us, modified_us = at_us, at_us
    if before is not None:
        # No newer version goes less far than the one before.
        tlp = min(tlp, before.tlp, key=lambda each: each.strictness)
        created_us, modified_us = before.created_us, max(at_us, before.modified_us + _MS)
    fields = {
        "about": one.finding.finding_id,
        "content": one.finding.content,
        "lab": lab,
        "created_us": created_us,
        "modified_us": modified_us,
        "tlp": tlp,
    }
    return fields, [one.peer.peer_id] if tlp is Tlp.RED else []


def _id(lab: Lab, one: Heard, what: str) -> str:
    return str(uuid.uuid5(uuid.UUID(lab.lab_id), f"{what} {one.finding.finding_id}"))
