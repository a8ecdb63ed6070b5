"""The AI bill of materials of advice: a CycloneDX 1.6 ML-BOM (ECMA-424), a component for each short-listed model.

A model card says the points of Epoch's index and the enterprise's own evaluations, with what the model is for and the
risks on file. Providers are services. What is not on file is left out: the schema takes no unknowns.
"""

from __future__ import annotations

import uuid
from hashlib import sha256
from typing import Any, Final

import tiergate
from tiergate.advice.advising import Advice
from tiergate.advice.candidates import OWN, Candidate
from tiergate.catalog.cited import LICENCES
from tiergate.catalog.models import Mode

FILE: Final = "aibom.json"
SPEC: Final = "1.6"


def bill_of(advice: Advice, record: bytes) -> dict[str, Any]:
    """The bill, bound to the bytes of the decision record: the same advice has the same bill."""
    digest = sha256(record).digest()
    told = advice.asked.requirements
    models = [one.name for one in advice.ranking]
    ways = sorted({one.way for one in advice.found.short if one.way != OWN})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": f"{advice.market.day}T00:00:00Z",
            "tools": {
                "components": [{"type": "application", "name": "tiergate", "version": tiergate.__version__}],
            },
            "component": {
                "type": "application",
                "bom-ref": "use",
                "name": f"models of {told.organisation.name}",
                "description": ", ".join(told.tasks),
            },
            "properties": [_property("advice.sha256", digest.hex())],
        },
        "components": [_component(advice, model) for model in models],
        "services": [_service(advice, way) for way in ways],
        "dependencies": [
            {"ref": "use", "dependsOn": [f"model:{model}" for model in models]},
            *({"ref": f"model:{model}", "dependsOn": _services(advice, model)} for model in models),
        ],
    }


def _component(advice: Advice, model: str) -> dict[str, Any]:
    best = advice.best[model]
    told, one = advice.asked.requirements, best.model
    risks = dict.fromkeys(risk.text for each in _ways(advice, model) for risk in advice.risks[each.id])
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model}",
        "name": one.name,
        "supplier": {"name": one.developer, "address": {"country": one.country}},
        "modelCard": {
            "quantitativeAnalysis": {"performanceMetrics": _metrics(advice, best)},
            "considerations": {"useCases": list(told.tasks), "technicalLimitations": list(risks)},
        },
        "externalReferences": [{"type": "other", "url": url, "comment": "source"} for url in _addresses(best)],
        "properties": [
            _property("tier", best.standing.tier),
            _property("released", str(one.released)),
            *(_property("way", each.id) for each in _ways(advice, model)),
        ],
    }
    licences = [fact.weights for fact in one.access if fact.mode is Mode.OPEN_WEIGHTS and fact.weights]
    if licences:
        kinds = ["id" if name in LICENCES else "name" for name in licences]
        component["licenses"] = [{"license": {kind: name}} for kind, name in zip(kinds, licences, strict=True)]
    return component


def _metrics(advice: Advice, one: Candidate) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    score = advice.market.scores.get(one.model.id)
    if score is not None:
        metric: dict[str, Any] = {"type": "Epoch Capabilities Index", "value": f"{score.eci:.2f}"}
        if score.low is not None and score.high is not None:
            metric["confidenceInterval"] = {"lowerBound": f"{score.low:.2f}", "upperBound": f"{score.high:.2f}"}
        found.append(metric)
    return found + [
        {"type": "own evaluation", "slice": each.name, "value": f"{each.scores[one.model.id]:g}"}
        for each in advice.asked.requirements.capability.evals
        if one.model.id in each.scores
    ]


def _service(advice: Advice, way: str) -> dict[str, Any]:
    one = next(each for each in advice.found.short if each.way == way)
    assert one.provider is not None
    facts = [_property(f"{fact.attribute}", fact.value) for fact in one.facts.values()]
    return {
        "bom-ref": f"provider:{way}",
        "name": one.provider.name,
        "provider": {"name": one.provider.name, "address": {"country": one.provider.country}},
        "authenticated": True,
        "x-trust-boundary": True,
        "data": [{"flow": "bi-directional", "classification": "prompts and answers"}],
        "properties": facts,
    }


def _ways(advice: Advice, model: str) -> list[Candidate]:
    return [one for one in advice.found.short if one.model.id == model]


def _services(advice: Advice, model: str) -> list[str]:
    return sorted({f"provider:{one.way}" for one in _ways(advice, model) if one.way != OWN})


def _addresses(one: Candidate) -> list[str]:
    """Addresses in the sources of the model and of how it can be had."""
    told = [fact.source for fact in (one.model, *one.standing.facts)]
    words = [word.rstrip(",;:)") for source in told for word in source.split()]
    return list(dict.fromkeys(word for word in words if word.startswith("https://")))


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"tiergate:{name}", "value": str(value)}
