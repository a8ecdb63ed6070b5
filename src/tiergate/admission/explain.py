"""What a failed gate failed for: rule packs, a programme, a grant. It explains a decision and never makes one."""

from __future__ import annotations

from collections.abc import Mapping

from tiergate.admission.known_facts import GrantFact, ModelFact, RequestFact, Standing, Verdict3


def about(
    code: str, standing: Standing, model: ModelFact, request: RequestFact, grant: GrantFact | None
) -> tuple[str, ...]:
    """Ids that the gate ``code`` failed for, sorted; ``grant`` is the closest one. Empty where there is none to name.

    It names nothing but what the caller's own organisation was told already: no list, no other party.
    """
    classes = standing.person_classes
    match code:
        case "account_refused":
            named = [request.account]
        case "membership_not_active" | "terms_not_accepted" | "no_grant":
            named = [model.programme] if model.programme is not None else []
        case "organisation_barred":
            named = _barring(model, standing.organisation_verdicts)
        case "ownership_not_known":
            named = _undecided(model, standing.organisation_verdicts)
        case "employer_barred":
            named = _barring(model, standing.employer_verdicts)
        case "employer_not_known":
            named = _undecided(model, {} if standing.employer_id is None else standing.employer_verdicts)
        case "person_ineligible":
            named = [pack for pack in model.person_packs if pack in classes and classes[pack].value == "ineligible"]
        case "person_class_missing":
            named = [pack for pack in model.person_packs if pack not in classes]
        case "person_class_expired":
            held = [pack for pack in model.person_packs if pack in classes]
            named = [pack for pack in held if classes[pack].expires_at_us <= request.now_us]
        case "grant_revoked":
            named = [standing.revoked.get(model.programme or "", "")]
        case "purpose_not_allowed" | "purpose_ended":
            named = [request.purpose or ""]
        case "asset_not_authorised":
            named = [request.asset or ""]
        case "grant_other_surface" if grant is not None:
            named = [grant.grant_id, f"asked {request.surface}", *(f"granted {one}" for one in grant.surfaces)]
        case "retention_not_known" | "retention_incompatible":
            named = [model.retention_needed]
        case _:
            named = [grant.grant_id] if grant is not None and code.startswith("grant_") else []
    return tuple(sorted(named))


def would_settle(code: str, standing: Standing, model: ModelFact) -> tuple[str, ...]:
    """What the organisation can obtain so that the gate ``code`` knows, cheapest first; it names no other party."""
    if code != "ownership_not_known":
        return ()
    packs = sorted(_undecided(model, standing.organisation_verdicts))
    return tuple(dict.fromkeys(text for pack in packs for text in standing.ownership_wanted.get(pack, ())))


def _barring(model: ModelFact, verdicts: Mapping[str, Verdict3]) -> list[str]:
    return [pack for pack in model.organisation_packs if verdicts.get(pack) == "yes"]


def _undecided(model: ModelFact, verdicts: Mapping[str, Verdict3]) -> list[str]:
    return [pack for pack in model.organisation_packs if verdicts.get(pack) not in ("yes", "no")]
