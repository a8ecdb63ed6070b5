"""The tiers at the door: what a request claims for itself, what the policies say, how a refusal is told."""

from __future__ import annotations

import hmac
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tiergate.admission.cache import CAPACITY, DecisionCache
from tiergate.admission.engine import Engine, Gate, Outcome, Reason, TierDecision
from tiergate.admission.epochs import EpochFeed
from tiergate.admission.holders import Proof
from tiergate.admission.known_facts import ModelFact, PurposeFact, RequestFact, Standing
from tiergate.admission.purposes import AssetKind, asset, covers
from tiergate.errors import InputError
from tiergate.gateway.snapshot import Snapshot
from tiergate.parties.registry import Credential

SURFACE: Final = "chat"
"""What grants call this gateway, whichever API is spoken."""

LONGEST_CLAIM: Final = 256

NOT_LISTED: Final = Gate(
    code="model_not_listed",
    text="this gateway knows no model of this name",
    missing=None,
    change="ask a model that is listed under the very name that is listed",
    appeal="the provider",
)
NOT_LISTED_DECISION: Final = TierDecision(outcome=Outcome.DENY, reasons=(Reason(gate=NOT_LISTED, about=()),))


class JudgedRequest(NamedTuple):
    """A request as it was judged, and what it said of itself."""

    fact: RequestFact
    claims: dict[str, str]


class Ruling(NamedTuple):
    """A decision with all that it was made from."""

    decision: TierDecision
    standing: Standing
    model: ModelFact
    request: JudgedRequest
    epoch: int


class TierGate:
    """Judges requests by the snapshot's models and standings, each decision once as long as it holds."""

    def __init__(self, feed: EpochFeed) -> None:
        engine = Engine()
        self._cache = DecisionCache(engine)
        self._feed = feed
        self._bound: dict[tuple[str, str], tuple[Standing, Standing]] = {}
        self._gates = engine.by_code | {NOT_LISTED.code: NOT_LISTED}

    def decide(
        self,
        snapshot: Snapshot,
        credential: Credential,
        model_name: str,
        headers: dict[bytes, bytes],
        account: str,
        now_us: int,
        *,
        certificate: str | None = None,
        credit: bool | None = None,
    ) -> TierDecision | None:
        """The decision, or None where this deployment tells no tiers apart. ``account``: the code of `admit`."""
        if not snapshot.models.tiers_in_force:
            return None
        model = snapshot.models.by_name.get(model_name)
        if model is None:
            return NOT_LISTED_DECISION
        made = self.rule(snapshot, credential, model, headers, account, now_us, certificate=certificate, credit=credit)
        return made.decision

    def rule(
        self,
        snapshot: Snapshot,
        credential: Credential,
        model: ModelFact,
        headers: dict[bytes, bytes],
        account: str,
        now_us: int,
        *,
        certificate: str | None = None,
        credit: bool | None = None,
    ) -> Ruling:
        """The decision on a listed model, with what it rests on.

        :param certificate: fingerprint of the client's certificate, from a trusted proxy.
        :param credit: whether the grant's credit line covers the request, None where that is not known.
        """
        name = credential.credential_id
        standing = snapshot.standings.get(name) or _nothing_known(credential)
        proof = snapshot.proofs.get(name)
        if proof is not None:
            belongs = _belongs(certificate, proof)
            standing = self._with_proof(standing, "bound" if belongs else "missing" if certificate is None else "other")
        epoch = snapshot.epochs.get(name, 0)
        claims = {kind: value for kind in _CLAIMS if (value := _claim(headers, kind)) is not None}
        purpose = claims.get("purpose")
        request = RequestFact(
            model=model.model,
            surface=SURFACE,
            now_us=now_us,
            account=account,
            current=self._feed.is_current(),
            project=claims.get("project"),
            purpose=purpose,
            asset=_authorised(standing.purposes.get(purpose or ""), claims.get("asset")),
            credit_available=credit,
        )
        decision = self._cache.decide(standing, model, request, epoch, snapshot.models.offers)
        return Ruling(decision, standing, model, JudgedRequest(request, claims), snapshot.facts_epoch)

    def _with_proof(self, standing: Standing, came: Literal["bound", "missing", "other"]) -> Standing:
        """The standing with what came for a second proof: the same object each time, for the cache."""
        key = standing.credential_id, came
        held = self._bound.get(key)
        if held is None or held[0] is not standing:
            if len(self._bound) >= CAPACITY:
                self._bound.clear()
            changed = {"credential_bound": True} if came == "bound" else {"second_proof": came}
            held = self._bound[key] = standing, msgspec.structs.replace(standing, **changed)
        return held[1]

    def gate(self, code: str) -> Gate | None:
        """The gate that a link in a refusal names."""
        return self._gates.get(code)


def _nothing_known(credential: Credential) -> Standing:
    return Standing(credential_id=credential.credential_id, credential_bound=False, credential_live=False)


def status_of(decision: TierDecision) -> int:
    """HTTP status of a refusal: 404 for a name that is not listed, 503 where only the gateway's state is missing."""
    codes = {reason.code for reason in decision.reasons}
    return {"model_not_listed": 404, "state_not_current": 503}.get(min(codes), 403) if len(codes) == 1 else 403


def details_of(decision: TierDecision, public_url: str) -> dict[str, Any]:
    """What stands under `tiergate` in a refusal: outcome, every reason, the lower tier that is offered."""
    return {
        "outcome": decision.outcome.value,
        "reasons": [
            {
                "code": reason.code,
                "text": reason.gate.text,
                "about": reason.about,
                "missing": reason.gate.missing,
                "change": reason.gate.change,
                "would_settle": reason.would_settle,
                "appeal": reason.gate.appeal,
                "link": f"{public_url}/decisions/{reason.code}",
            }
            for reason in decision.reasons
        ],
        "fallback": decision.fallback,
    }


def message_of(decision: TierDecision) -> str:
    first, *more = decision.reasons
    return first.gate.text + (f"; and {len(more)} more, see `tiergate.reasons`" if more else "")


_CLAIMS: Final = ("project", "purpose", "asset")


def _claim(headers: dict[bytes, bytes], kind: str) -> str | None:
    """What the request says of itself; it selects among what was granted and grants nothing."""
    value = headers.get(b"x-tiergate-" + kind.encode())
    return None if value is None else value.decode("latin-1")[:LONGEST_CLAIM]


def _belongs(certificate: str | None, proof: Proof | None) -> bool:
    """Whether a certificate is the one that is bound to the key. No two digests are told apart by the time it takes."""
    if certificate is None or proof is None or proof.kind != "client_certificate":
        return False
    return hmac.compare_digest(certificate.encode(), proof.digest.encode())


def _authorised(purpose: PurposeFact | None, named: str | None) -> str | None:
    """The asset of the purpose that covers the one that was named, such as `*.example.org`; else the name itself."""
    if purpose is None or named is None or named in purpose.assets:
        return named
    for kind in AssetKind:
        with suppress(InputError):
            wanted = asset(kind, named)
            for held in purpose.assets:
                with suppress(InputError):
                    if covers(asset(kind, held), wanted):
                        return held
    return named
