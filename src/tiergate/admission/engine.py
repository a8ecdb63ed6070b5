"""May this caller use this model? The policies of `policies/` judge the facts; every gate that failed is given back.

A broad permit for each tier stands against one annotated `forbid` per gate, so Cedar itself returns all gates that
failed: forbid overrides permit, and what nothing permits is denied (Cutler et al., "Cedar", OOPSLA 2024). Cedar skips a
policy that errors, and a gate that is skipped does not forbid: so any error, also of facts against the schema, denies.

Codes, texts and what would change a decision are the policies' annotations; docs/decisions.md has them as a table.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cedarpy
import msgspec

from tiergate.admission.explain import about, would_settle
from tiergate.admission.facts import as_cedar, closest_grant
from tiergate.admission.known_facts import TIER_RANK, ModelFact, RequestFact, Standing

POLICIES: Final = Path(__file__).with_name("policies")
FILES: Final = ("tiers.cedar", "parties.cedar", "use.cedar")
"""In the order in which reasons are given."""


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gates as Cedar text, and the schema of the facts that they judge."""

    text: str
    schema: str

    @property
    def digest(self) -> str:
        """SHA-256, 64 hex digits."""
        return hashlib.sha256(f"{self.text}\n{self.schema}".encode()).hexdigest()


def policies_of_today() -> Policies:
    """The policies of this version."""
    text = "\n".join((POLICIES / name).read_text(encoding="utf-8") for name in FILES)
    return Policies(text, (POLICIES / "schema.cedarschema").read_text(encoding="utf-8"))


class Outcome(enum.StrEnum):
    """`REVIEW`: nothing known stands against it, but facts are missing. It is served as a refusal."""

    ALLOW = "allow"
    DENY = "deny"
    REVIEW = "review"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One gate, as its policy is annotated. ``missing`` is None where the gate refuses what is known."""

    code: str
    text: str
    missing: str | None
    change: str
    appeal: str


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that failed. ``about``: the rule packs, grant, programme or model that it failed for. ``would_settle``:
    facts of which one, or several as they say, would settle an ownership that is not known."""

    gate: Gate
    about: tuple[str, ...]
    would_settle: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        return self.gate.code


class TierDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies say of one request.

    ``reasons`` holds every gate that failed, in the order of the policies; it is empty for `ALLOW` alone. ``fallback``
    is a model of a lower tier that this caller may use, or None; it is offered, never taken. ``grant_id`` is the grant
    that an allowed request of the classified tier rests on.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    fallback: str | None = None
    grant_id: str | None = None

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOW

    @property
    def failed_to_evaluate(self) -> bool:
        return any(reason.gate is POLICY_ERROR for reason in self.reasons)


NOT_PERMITTED: Final = Gate(
    code="not_permitted",
    text="no policy permits this model's tier",
    missing=None,
    change="a tier that the policies name",
    appeal="the provider",
)
POLICY_ERROR: Final = Gate(
    code="policy_error",
    text="the policies could not be evaluated on these facts",
    missing=None,
    change="the provider must mend the facts or the policies",
    appeal="the provider",
)


class Engine:
    """Policies, those of today if not given, parsed once. Evaluation does no I/O and keeps nothing.

    Raises `ValueError` when the policies do not parse, do not fit the schema, or a gate lacks an annotation.
    """

    def __init__(self, policies: Policies | None = None) -> None:
        self.policies = policies or policies_of_today()
        self.digest = self.policies.digest
        validated = cedarpy.validate_policies(self.policies.text, self.policies.schema)
        if not validated:
            raise ValueError("; ".join(error.error for error in validated.errors))
        self._schema = cedarpy.Schema.from_str(self.policies.schema)
        written = json.loads(cedarpy.policies_to_json_str(self.policies.text))
        if written["templates"]:
            raise ValueError("policies are written out, templates are not read")
        self.gates: dict[str, Gate] = {}
        by_code: dict[str, Any] = {}
        parsed = written["staticPolicies"]
        # Cedar numbers policies as they stand in the text.
        for policy in (parsed[f"policy{number}"] for number in range(len(parsed))):
            notes = policy.get("annotations", {})
            code = notes.get("code")
            if not code or code in by_code:
                raise ValueError(f"a policy has no `@code` of its own: {code}")
            by_code[code] = policy
            if policy["effect"] == "forbid":
                self.gates[code] = _gate(code, notes)
        # Named by their codes, so that Cedar's own answer names the gates.
        named = {"templates": {}, "staticPolicies": by_code, "templateLinks": []}
        self._policies = cedarpy.PolicySet.from_json_str(json.dumps(named))
        self.by_code = self.gates | {gate.code: gate for gate in (NOT_PERMITTED, POLICY_ERROR)}
        """Every gate that a reason may name."""
        self._order = {code: place for place, code in enumerate(self.gates)}

    def decide(
        self, standing: Standing, model: ModelFact, request: RequestFact, offers: Sequence[ModelFact] = ()
    ) -> TierDecision:
        """Judge one request; ``offers`` are models that a refusal may point to, preferred ones first.

        It never raises: what cannot be evaluated is denied with `policy_error`.
        """
        gates = self._failed(standing, model, request)
        fallback = self._fallback(standing, model, request, offers) if gates else None
        if gates == [POLICY_ERROR]:
            return TierDecision(outcome=Outcome.DENY, reasons=(Reason(gate=POLICY_ERROR, about=()),), fallback=fallback)
        grant = closest_grant(standing, model, request) if model.tier == "classified" else None
        if not gates:
            return TierDecision(outcome=Outcome.ALLOW, grant_id=grant.grant_id if grant else None)
        reasons = tuple(
            Reason(
                gate=gate,
                about=about(gate.code, standing, model, request, grant),
                would_settle=would_settle(gate.code, standing, model),
            )
            for gate in gates
        )
        known_against = any(gate.missing is None for gate in gates)
        return TierDecision(
            outcome=Outcome.DENY if known_against else Outcome.REVIEW,
            reasons=reasons,
            fallback=fallback,
        )

    def _failed(self, standing: Standing, model: ModelFact, request: RequestFact) -> list[Gate]:
        try:
            entities, asked = as_cedar(standing, model, request)
            checked = cedarpy.Entities.from_json_str(json.dumps(entities), self._schema)
            said = cedarpy.is_authorized(asked, self._policies, checked, self._schema)
        except Exception:
            # Whatever is wrong with the facts, they prove nothing.
            return [POLICY_ERROR]
        if said.diagnostics.errors:
            return [POLICY_ERROR]
        if said.decision is cedarpy.Decision.Allow:
            return []
        failed = [self.gates[code] for code in sorted(said.diagnostics.reasons, key=self._order.__getitem__)]
        return failed or [NOT_PERMITTED]

    def _fallback(
        self, standing: Standing, model: ModelFact, request: RequestFact, offers: Sequence[ModelFact]
    ) -> str | None:
        for offer in offers:
            if TIER_RANK.get(offer.tier, 9) < TIER_RANK.get(model.tier, 0):
                asked = msgspec.structs.replace(request, model=offer.model)
                if not self._failed(standing, offer, asked):
                    return offer.model
        return None


def _gate(code: str, notes: dict[str, str]) -> Gate:
    absent = [name for name in ("text", "change", "appeal") if not notes.get(name)]
    if absent:
        raise ValueError(f"the gate `{code}` has no `@{absent[0]}`")
    return Gate(
        code=code, text=notes["text"], missing=notes.get("missing"), change=notes["change"], appeal=notes["appeal"]
    )
