"""The tiers at the door: what a request claims for itself, what the policies say, how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tiergate.admission.cache import DecisionCache
from tiergate.admission.engine import NOT_PERMITTED, POLICY_ERROR, Engine, Gate, Outcome, Reason, TierDecision
from tiergate.admission.epochs import EpochFeed
from tiergate.admission.known_facts import ModelFact, RequestFact, Standing
from tiergate.gateway.snapshot import Snapshot
from tiergate.parties.registry import Credential

SURFACE: Final = "chat"
"""What grants call this gateway's one surface, chat completions."""

LONGEST_CLAIM: Final = 256

NOT_LISTED: Final = Gate(
    code="model_not_listed",
    text="this gateway knows no model of this name",
    missing=None,
    change="ask a model that is listed under the very name that is listed",
    appeal="the provider",
)
_NOT_LISTED: Final = TierDecision(outcome=Outcome.DENY, reasons=(Reason(gate=NOT_LISTED, about=()),))

Credit = Callable[[Standing, ModelFact, str | None], bool | None]
"""Whether the credit of a standing covers a request to a model in a project; None where that is not known."""


def credit_not_known(_standing: Standing, _model: ModelFact, _project: str | None) -> None:
    """No credit line can be asked."""


class TierGate:
    """Judges requests by the snapshot's models and standings, each decision once as long as it holds."""

    def __init__(self, feed: EpochFeed, credit: Credit = credit_not_known) -> None:
        engine = Engine()
        self._cache = DecisionCache(engine)
        self._feed = feed
        self._credit = credit
        self._gates = engine.gates | {gate.code: gate for gate in (NOT_LISTED, NOT_PERMITTED, POLICY_ERROR)}

    def decide(
        self,
        snapshot: Snapshot,
        credential: Credential,
        model_name: str,
        headers: dict[bytes, bytes],
        account: str,
        now_us: int,
    ) -> TierDecision | None:
        """The decision, or None where this deployment tells no tiers apart. ``account``: the code of `admit`."""
        if not snapshot.models.tiers_in_force:
            return None
        model = snapshot.models.by_name.get(model_name)
        if model is None:
            return _NOT_LISTED
        standing = snapshot.standings.get(credential.credential_id) or _nothing_known(credential)
        epoch = snapshot.epochs.get(credential.credential_id, 0)
        project = _claim(headers, b"x-tiergate-project")
        request = RequestFact(
            model=model_name,
            surface=SURFACE,
            now_us=now_us,
            account=account,
            current=self._feed.is_current(),
            project=project,
            purpose=_claim(headers, b"x-tiergate-purpose"),
            asset=_claim(headers, b"x-tiergate-asset"),
            credit_available=self._credit(standing, model, project),
        )
        return self._cache.decide(standing, model, request, epoch, snapshot.models.offers)

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


def _claim(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """What the request says of itself; it selects among what was granted and grants nothing."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")[:LONGEST_CLAIM]
