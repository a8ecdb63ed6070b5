"""Parts of a finding that come back after they were withdrawn: under new ids, for what is revoked stays so (STIX 2.1,
section 3.6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

import msgspec

from tiergate.sharing.objects import AnyObject, Relationship, Versioned


def renewed(objects: Iterable[AnyObject], withdrawn: Callable[[set[str]], set[str]]) -> list[AnyObject]:
    """The objects, those of them that were withdrawn under ids that were not; what names them follows.

    :param withdrawn: which of some ids were.
    """
    told = list(objects)
    ids = {one.id: one.id for one in told if isinstance(one, Versioned)}
    while gone := withdrawn(set(ids.values())):
        ids = {first: _again(last) if last in gone else last for first, last in ids.items()}
    return [_under(one, ids) for one in told]


def _again(stix_id: str) -> str:
    kind, _, was = stix_id.partition("--")
    return f"{kind}--{uuid.uuid5(uuid.UUID(was), 'again')}"


def _under(one: AnyObject, ids: dict[str, str]) -> AnyObject:
    changed = {"id": ids.get(one.id, one.id)}
    if isinstance(one, Relationship):
        changed |= {name: ids.get(was := getattr(one, name), was) for name in ("source_ref", "target_ref")}
    return msgspec.structs.replace(one, **changed)
