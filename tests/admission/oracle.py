"""The gates once more, in plain Python, written from their description and not from the policies.

It shares no code with `tiergate.admission`: only the facts' shapes. For tests and benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tiergate.admission.known_facts import GrantFact, ModelFact, RequestFact, Standing

WAITING = {
    "second_proof_missing",
    "state_not_current",
    "organisation_not_known",
    "caller_not_known",
    "ownership_not_known",
    "employer_not_known",
    "person_class_missing",
    "person_class_expired",
    "purpose_missing",
    "asset_missing",
    "project_missing",
    "credit_not_known",
    "retention_not_known",
}
"""Gates that wait for a fact."""

KEPT = ["zero", "sketches", "text"]


def failed(s: Standing, m: ModelFact, r: RequestFact) -> list[str]:
    """Codes of all gates that fail, in the order of the documentation."""
    if m.tier not in ("classified", "commodity", "open"):
        everywhere = {"credential_not_live", "account_refused", *_LISTED}
        return [code for code in _codes(s, m, r) if code in everywhere] or ["not_permitted"]
    return list(_codes(s, m, r))


_LISTED = {
    "organisation_not_known",
    "organisation_barred",
    "ownership_not_known",
    "employer_barred",
    "employer_not_known",
    "person_ineligible",
    "person_class_missing",
    "person_class_expired",
    "retention_not_known",
    "retention_incompatible",
}


def outcome(codes: Sequence[str]) -> str:
    if not codes:
        return "allow"
    return "review" if all(code in WAITING for code in codes) else "deny"


def fallback(s: Standing, m: ModelFact, r: RequestFact, offers: Sequence[ModelFact]) -> str | None:
    rank = ["open", "commodity", "classified"]
    for offer in offers:
        if rank.index(offer.tier) < rank.index(m.tier) and not failed(s, offer, r):
            return offer.model
    return None


def _codes(s: Standing, m: ModelFact, r: RequestFact) -> Iterator[str]:
    closed = m.tier == "classified"
    if not s.credential_live:
        yield "credential_not_live"
    if closed and not s.credential_bound:
        yield {"missing": "second_proof_missing", "other": "second_proof_other"}.get(
            s.second_proof or "", "credential_not_bound"
        )
    if r.account != "allowed":
        yield "account_refused"
    if closed and not r.current:
        yield "state_not_current"
    if s.organisation_id is None and (closed or m.organisation_packs):
        yield "organisation_not_known"
    if closed and s.person_id is None and s.workload_id is None:
        yield "caller_not_known"
    if closed:
        yield from _membership(s, m)
    if s.organisation_id is not None:
        said = [s.organisation_verdicts.get(pack, "not_known") for pack in m.organisation_packs]
        if "yes" in said:
            yield "organisation_barred"
        if any(verdict not in ("yes", "no") for verdict in said):
            yield "ownership_not_known"
    yield from _employer(s, m)
    yield from _person(s, m, r)
    if closed:
        yield from _use(s, r)
        yield from _granted(s, m, r)
        if r.credit_available is None:
            if _own(s, m):
                yield "credit_not_known"
        elif not r.credit_available:
            yield "credit_exhausted"
    if s.retention is None:
        if m.retention_needed != "zero":
            yield "retention_not_known"
    elif KEPT.index(s.retention) < KEPT.index(m.retention_needed):
        yield "retention_incompatible"


def _membership(s: Standing, m: ModelFact) -> Iterator[str]:
    held = [one for one in s.memberships if one.programme == m.programme]
    if m.programme is None or not held or any(one.state != "active" for one in held):
        yield "membership_not_active"
    if any(not one.terms_accepted for one in held):
        yield "terms_not_accepted"


def _employer(s: Standing, m: ModelFact) -> Iterator[str]:
    if not m.organisation_packs or (s.employer_id is not None and s.employer_id == s.organisation_id):
        return
    if s.employer_id is None:
        if s.person_id is not None:
            yield "employer_not_known"
        return
    said = [s.employer_verdicts.get(pack, "not_known") for pack in m.organisation_packs]
    if "yes" in said:
        yield "employer_barred"
    if any(verdict not in ("yes", "no") for verdict in said):
        yield "employer_not_known"


def _person(s: Standing, m: ModelFact, r: RequestFact) -> Iterator[str]:
    classes = [s.person_classes.get(pack) for pack in m.person_packs]
    if any(fact is not None and fact.value == "ineligible" for fact in classes):
        yield "person_ineligible"
    if None in classes:
        yield "person_class_missing"
    if any(fact is not None and fact.expires_at_us <= r.now_us for fact in classes):
        yield "person_class_expired"


def _use(s: Standing, r: RequestFact) -> Iterator[str]:
    if r.purpose is None:
        yield "purpose_missing"
    elif r.purpose not in s.purposes:
        yield "purpose_not_allowed"
    else:
        purpose = s.purposes[r.purpose]
        if purpose.ends_us is not None and purpose.ends_us <= r.now_us:
            yield "purpose_ended"
        if r.asset is None:
            if purpose.asset_needed:
                yield "asset_missing"
        elif r.asset not in purpose.assets:
            yield "asset_not_authorised"
    if r.project is None:
        yield "project_missing"


def _granted(s: Standing, m: ModelFact, r: RequestFact) -> Iterator[str]:
    if not _own(s, m) and m.programme in s.revoked:
        yield "grant_revoked"
    if s.person_id is None and s.workload_id is None:
        return
    own = _own(s, m)
    if not own:
        if m.programme not in s.revoked:
            yield "no_grant"
        return
    by_id = sorted(own, key=lambda grant: grant.grant_id)
    yield from min((list(_mismatches(grant, m, r)) for grant in by_id), key=len)


def _own(s: Standing, m: ModelFact) -> list[GrantFact]:
    """The caller's grants from the model's programme."""
    return [one for one in s.grants if m.programme is not None and one.programme == m.programme and _holds(s, one)]


def _holds(s: Standing, grant: GrantFact) -> bool:
    if grant.person_id is None and grant.workload_id is None:
        return False
    person = grant.person_id is None or grant.person_id == s.person_id
    return person and (grant.workload_id is None or grant.workload_id == s.workload_id)


def _mismatches(grant: GrantFact, m: ModelFact, r: RequestFact) -> Iterator[str]:
    if r.project is not None and grant.project != r.project:
        yield "grant_other_project"
    if m.model not in grant.models:
        yield "grant_other_model"
    if r.surface not in grant.surfaces:
        yield "grant_other_surface"
    if r.purpose is not None and r.purpose not in grant.purposes:
        yield "grant_other_purpose"
    if r.now_us < grant.starts_us:
        yield "grant_not_begun"
    if r.now_us >= grant.ends_us:
        yield "grant_not_in_force"
