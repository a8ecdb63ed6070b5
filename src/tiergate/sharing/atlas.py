"""Techniques of MITRE ATLAS as attack-patterns with MITRE's own ids, so that whoever holds ATLAS has them already.

ATLAS 5.6.0, Apache-2.0. Ids are made as by MITRE (mitre-atlas/atlas-navigator-data, tools/generate_stix.py): UUID
version 5 of the technique's number. Ours carry the day on which MITRE made the technique as `modified`, too: a store
that has MITRE's own, with its text, keeps that, since it is newer.
"""

from __future__ import annotations

import uuid
from typing import Final

from tiergate.sharing.finding import Technique
from tiergate.sharing.objects import AttackPattern, Reference

_NAMESPACE: Final = uuid.UUID(bytes=b"atlas.mitre.org.")
_MADE: Final = {
    Technique.EXTRACT_AI_MODEL: ("Extract AI Model", "2021-05-13"),
    Technique.AI_SERVICE_PROXIES: ("AI Service Proxies", "2026-03-30"),
    Technique.AI_MODEL_INFERENCE_API_ACCESS: ("AI Model Inference API Access", "2021-05-13"),
    Technique.ESTABLISH_ACCOUNTS: ("Establish Accounts", "2022-01-24"),
    Technique.VALID_ACCOUNTS: ("Valid Accounts", "2022-01-24"),
}


def attack_pattern(technique: Technique) -> AttackPattern:
    """The technique as an object."""
    name, day = _MADE[technique]
    url = f"https://atlas.mitre.org/techniques/{technique}"
    return AttackPattern(
        spec_version="2.1",
        id=f"attack-pattern--{uuid.uuid5(_NAMESPACE, technique)}",
        created=f"{day}T00:00:00.000Z",
        modified=f"{day}T00:00:00.000Z",
        name=name,
        external_references=[Reference(source_name="mitre-atlas", url=url, external_id=technique)],
    )
