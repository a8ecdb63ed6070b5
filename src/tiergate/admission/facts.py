"""Facts as the policies read them: entities and a context in Cedar's JSON, checked against the schema by the engine.

Cedar can neither search nor add up. What is looked up for it here is looked up by key, except the grant: of a holder's
grants the closest is proposed, and the policies judge every part of it, so that a wrong choice can only refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiergate.admission.known_facts import (
    FOREVER,
    RETENTION_RANK,
    GrantFact,
    ModelFact,
    RequestFact,
    Standing,
    Verdict3,
)

Json = dict[str, Any]


def as_cedar(standing: Standing, model: ModelFact, request: RequestFact) -> tuple[list[Json], Json]:
    """Entities and the authorisation request, both for `cedarpy`.

    Raises `KeyError` for a retention that is none, `ValueError` where ``model`` is not the one that is asked for.
    """
    if request.model != model.model:
        raise ValueError(f"the request is for `{request.model}`, not for `{model.model}`")
    credential, resource = _uid("Credential", standing.credential_id), _uid("Model", model.model)
    entities = [
        _entity(credential, _credential(standing)),
        _entity(
            resource,
            _known(
                tier=model.tier,
                programme=model.programme,
                organisation_packs=model.organisation_packs,
                person_packs=model.person_packs,
                retention_needed=RETENTION_RANK[model.retention_needed],
            ),
        ),
    ]
    if standing.organisation_id is not None:
        entities.append(_organisation(standing.organisation_id, standing.organisation_verdicts))
    if standing.employer_id not in (None, standing.organisation_id):
        entities.append(_organisation(standing.employer_id, standing.employer_verdicts))
    return entities, {
        "principal": credential,
        "action": _uid("Action", "call"),
        "resource": resource,
        "context": _context(standing, model, request),
    }


def closest_grant(standing: Standing, model: ModelFact, request: RequestFact) -> GrantFact | None:
    """Of the holder's grants from the model's programme the one that fails fewest conditions, the first id of equals.

    None where the holder has none. A condition whose own fact is missing from the request is not counted.
    """

    def failed(grant: GrantFact) -> tuple[int, str]:
        failures = (
            (request.project is not None and grant.project != request.project)
            + (model.model not in grant.models)
            + (request.surface not in grant.surfaces)
            + (request.purpose is not None and request.purpose not in grant.purposes)
            + (request.now_us < grant.starts_us)
            + (request.now_us >= grant.ends_us)
        )
        return failures, grant.grant_id

    holder = (standing.person_id, standing.workload_id)
    held = [
        grant
        for grant in standing.grants
        if grant.programme == model.programme
        and (grant.person_id, grant.workload_id) != (None, None)
        and all(named in (None, own) for named, own in zip((grant.person_id, grant.workload_id), holder, strict=True))
    ]
    return min(held, key=failed, default=None)


def unchanged_between(standing: Standing, now_us: int) -> tuple[int, int]:
    """The span around ``now_us`` in which no time of these facts passes: since (inclusive), until (exclusive)."""
    times = [0, FOREVER]
    times += [fact.expires_at_us for fact in standing.person_classes.values()]
    times += [purpose.ends_us for purpose in standing.purposes.values() if purpose.ends_us is not None]
    for grant in standing.grants:
        times += (grant.starts_us, grant.ends_us)
    return max((t for t in times if t <= now_us), default=now_us), min((t for t in times if t > now_us), default=now_us)


def _credential(standing: Standing) -> Json:
    eligible, ineligible = (
        {pack for pack, fact in standing.person_classes.items() if fact.value == value}
        for value in ("eligible", "ineligible")
    )
    return _known(
        live=standing.credential_live,
        bound=standing.credential_bound,
        second_proof=standing.second_proof,
        organisation=_reference(standing.organisation_id),
        employer=_reference(standing.employer_id),
        person=standing.person_id,
        workload=standing.workload_id,
        eligible=sorted(eligible),
        ineligible=sorted(ineligible),
        classed=sorted(eligible | ineligible),
        retention=RETENTION_RANK.get(standing.retention),
    )


def _organisation(name: str | None, verdicts: Mapping[str, Verdict3]) -> Json:
    barred, cleared = ({pack for pack, said in verdicts.items() if said == value} for value in ("yes", "no"))
    sets = {"barred": sorted(barred), "cleared": sorted(cleared), "known": sorted(barred | cleared)}
    return _entity(_uid("Organisation", name), sets)


def _context(standing: Standing, model: ModelFact, request: RequestFact) -> Json:
    purpose = None if request.purpose is None else standing.purposes.get(request.purpose)
    grant = closest_grant(standing, model, request)
    needed = [standing.person_classes[pack] for pack in model.person_packs if pack in standing.person_classes]
    return _known(
        now=request.now_us,
        current=request.current,
        account=request.account,
        model=model.model,
        surface=request.surface,
        project=request.project,
        purpose=request.purpose,
        asset=request.asset,
        membership=_membership(standing, model),
        authorisation=purpose
        and _known(assets=purpose.assets, asset_needed=purpose.asset_needed, ends=purpose.ends_us),
        classes_end=min((fact.expires_at_us for fact in needed), default=FOREVER),
        revoked=True if grant is None and model.programme in standing.revoked else None,
        grant=grant
        and _known(
            programme=grant.programme,
            person=grant.person_id,
            workload=grant.workload_id,
            project=grant.project,
            models=grant.models,
            surfaces=grant.surfaces,
            purposes=grant.purposes,
            starts=grant.starts_us,
            ends=grant.ends_us,
        ),
        credit=request.credit_available,
    )


def _membership(standing: Standing, model: ModelFact) -> Json | None:
    """The membership of the model's programme; where there are several, all must hold."""
    held = [membership for membership in standing.memberships if membership.programme == model.programme]
    if not held:
        return None
    return {
        "state": next((membership.state for membership in held if membership.state != "active"), "active"),
        "terms_accepted": all(membership.terms_accepted for membership in held),
    }


def _known(**attributes: object) -> Json:
    """Attributes without those that are not known: Cedar has no null."""
    return {name: value for name, value in attributes.items() if value is not None}


def _uid(kind: str, name: str | None) -> Json:
    return {"type": kind, "id": name}


def _entity(uid: Json, attributes: Json) -> Json:
    return {"uid": uid, "attrs": attributes, "parents": []}


def _reference(name: str | None) -> Json | None:
    return None if name is None else {"__entity": _uid("Organisation", name)}
