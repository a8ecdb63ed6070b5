"""An object among the versions of it that are held: which is the newest, and why one is not taken."""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.sharing.check import Taken
from tiergate.sharing.marking import Tlp
from tiergate.sharing.objects import ExtensionDefinition, MarkingDefinition, Versioned
from tiergate.sharing.stix import us_of

OURS: Final = ""
"""Origin of what we tell; that of what a peer told is the peer's id."""


class Row(msgspec.Struct, kw_only=True):
    """A row, as it should be. ``was``: its key in the database, None where it is not there yet."""

    added_us: int
    origin: str
    stix_id: str
    kind: str
    version_us: int
    oldest: bool
    newest: bool
    revoked: bool
    tlp: int
    subject: str | None
    raw: bytes
    was: int | None = None
    touched: bool = False


def is_own(one: Taken) -> bool:
    """Whether it is its maker's alone, and not the same for everybody."""
    return one.made_by is not None and not isinstance(one.object, ExtensionDefinition)


def placed(versions: list[Row], one: Taken, origin: str, subject: str | None, anew: bool) -> tuple[str, str] | None:
    """Put an object among the versions of it that are held. Returns why not, as code and reason."""
    version_us = us_of(one.object.created) if isinstance(one.object, MarkingDefinition) else one.version_us
    newest = next((row for row in versions if row.newest), None)
    same = next((row for row in versions if row.version_us == version_us), None)
    if same is not None:
        wider = version_us == 0 and one.tlp.strictness < same.tlp
        if same.raw != one.raw and version_us:
            return "conflict", "another object has the same id and time, and says something else"
        if wider:
            same.raw, same.tlp = one.raw, one.tlp.strictness
        if wider or (anew and same.tlp == Tlp.RED.strictness):
            # Told as if it were new: whoever may have it now can be past the time at which it was.
            same.added_us, same.touched = 0, True
        return None
    if newest is not None and version_us > newest.version_us:
        if newest.revoked:
            return "withdrawn", "it was withdrawn, and that is for good: tell it anew under another id"
        if origin == OURS and one.tlp.strictness > newest.tlp:
            wide = tuple(Tlp)[newest.tlp].label
            return "narrowed", f"peers have it as {wide}, and no newer version goes less far: withdraw it first"
    ahead = newest is None or version_us > newest.version_us
    behind = all(version_us < row.version_us for row in versions)
    for row in versions:
        if (ahead and row.newest) or (behind and row.oldest):
            row.newest, row.oldest, row.touched = row.newest and not ahead, row.oldest and not behind, True
    versions.append(
        Row(
            added_us=0,
            origin=origin,
            stix_id=one.object.id,
            kind=one.object.id.partition("--")[0],
            version_us=version_us,
            oldest=behind,
            newest=ahead,
            revoked=isinstance(one.object, Versioned) and one.object.revoked is True,
            tlp=one.tlp.strictness,
            subject=subject if is_own(one) else None,
            raw=one.raw,
        )
    )
    return None
