"""What comes in from a peer: taken, or refused with the reason. Nothing in it is believed.

| code | refused because |
| --- | --- |
| `oversized` | it has more bytes or objects than anything that is shared here needs |
| `malformed` | it is no JSON, or no bundle |
| `not_shared` | it is not what `objects` has, STIX or not: a type, property or value that labs do not tell each other |
| `marking` | it does not say by one marking of TLP 2.0 how far it may go, or marks parts of itself |
| `hostile` | it has control characters, letters beyond ASCII, another's id, two contents for one id, a time to come |

What is taken is written anew from what was understood. So what is stored has no key twice and no escape that another
reader might understand in another way; peers get those bytes and never the sender's.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET

from tiergate.clock import MINUTE
from tiergate.errors import InputError
from tiergate.sharing import stix
from tiergate.sharing.atlas import attack_pattern
from tiergate.sharing.finding import ACCOUNT, MOST_TOKENS, Lab, Technique, Token, is_finding_of
from tiergate.sharing.marking import BY_ID, Tlp
from tiergate.sharing.objects import (
    ENCODER,
    AnyObject,
    AttackPattern,
    AutonomousSystem,
    Campaign,
    ExtensionDefinition,
    Identity,
    Indicator,
    MarkingDefinition,
    UserAccount,
    Versioned,
)
from tiergate.sharing.stix import us_of

MOST_BYTES: Final = 16 << 20
MOST_OBJECTS: Final = 10_000
MOST_OBJECT_BYTES: Final = 256 << 10
MOST_COMMAS: Final = 100 * MOST_OBJECTS
"""Bounds what a short text can unfold to in memory; ours have 20 an object."""
AHEAD_US: Final = 10 * MINUTE
"""How far a peer's clock may be before ours."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is refused. ``code``: see above; ``index``: of the object, None for the whole; ``stix_id``: its id
    where it has one that can be read."""

    code: str
    reason: str
    index: int | None = None
    stix_id: str | None = None

    def __str__(self) -> str:
        where = "" if self.index is None else f"object {self.index + 1}{f' ({self.stix_id})' if self.stix_id else ''}: "
        return f"{where}{self.reason} [{self.code}]"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """An object that may be stored. ``raw``: its JSON, written by us; ``version_us``: when this version was made,
    microseconds, 0 where the type has no versions; ``made_by``: id of the identity, None where it has none; ``tlp``:
    how far it may go, CLEAR for what everybody knows."""

    object: AnyObject
    raw: bytes
    version_us: int
    made_by: str | None
    tlp: Tlp


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``taken``: objects that may be stored, in order; ``faults``: why others may not. With a fault of the whole there
    is no object."""

    taken: list[Taken]
    faults: list[Fault]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """A bundle of STIX, or an envelope of TAXII, which has neither type nor id."""

    objects: list[msgspec.Raw]
    type: Literal["", "bundle"] = ""
    id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    more: bool = False
    next: Annotated[str, msgspec.Meta(max_length=1_024)] = ""


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_OBJECT: Final = msgspec.json.Decoder(AnyObject)
_ID: Final = re.compile(r"^[a-z-]{3,32}--[0-9a-f-]{36}$")
_ORDERED: Final = (("created", "modified"), ("first_seen", "last_seen"), ("first_observed", "last_observed"))


def check(body: bytes, now_us: int) -> Verdict:
    """What of a bundle, or of an envelope of TAXII, may be stored. Never raises for anything that a peer can send.

    :param now_us: microseconds since the epoch, UTC.
    """
    if len(body) > MOST_BYTES:
        return _refused("oversized", f"it has {len(body):,} bytes, and {MOST_BYTES:,} are the most")
    if body.count(b",") > MOST_COMMAS:
        return _refused("oversized", f"it has more values than {MOST_OBJECTS:,} objects need")
    try:
        envelope = _ENVELOPE.decode(body)
    except RecursionError:
        return _refused("hostile", "it is nested too deep")
    except msgspec.ValidationError as error:
        return _refused("malformed", f"it is no bundle of STIX 2.1: {_plain(error)}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _refused("malformed", f"it is no JSON: {_plain(error)}")
    if envelope.type == "bundle" and not _ID.fullmatch(envelope.id):
        return _refused("malformed", "its id is none of a bundle")
    if not envelope.objects:
        return _refused("malformed", "it has no objects")
    if len(envelope.objects) > MOST_OBJECTS:
        return _refused("oversized", f"it has {len(envelope.objects):,} objects, and {MOST_OBJECTS:,} are the most")
    taken: dict[tuple[str, int], Taken] = {}
    faults: list[Fault] = []
    for index, raw in enumerate(envelope.objects):
        try:
            one = _take(bytes(raw), now_us)
            same = taken.setdefault((one.object.id, one.version_us), one)
            if same.raw != one.raw:
                raise _Refused("hostile", "another object has the same id and time, and says something else")
        except _Refused as fault:
            faults.append(Fault(code=fault.code, reason=str(fault), index=index, stix_id=_id_of(raw)))
    return Verdict(taken=list(taken.values()), faults=faults)


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _take(raw: bytes, now_us: int) -> Taken:
    if len(raw) > MOST_OBJECT_BYTES:
        raise _Refused("oversized", f"it has {len(raw):,} bytes, and {MOST_OBJECT_BYTES:,} are the most")
    try:
        one = _OBJECT.decode(raw)
    except RecursionError:
        raise _Refused("hostile", "it is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        told = _plain(error)
        code = "marking" if "granular_markings" in told or "$.object_marking_refs" in told else "not_shared"
        raise _Refused(code, told) from None
    written = ENCODER.encode(one)
    # JSON writes control characters as escapes. Nothing that is shared has one, or a letter beyond ASCII.
    if not written.isascii() or b"\\" in written or b"\x7f" in written:
        raise _Refused("hostile", "it has control characters, or letters that may not be what they seem")
    if isinstance(one, Identity | ExtensionDefinition | MarkingDefinition | AttackPattern):
        _published(one)
        made_us = us_of(one.modified) if isinstance(one, Versioned) else 0
        return Taken(object=one, raw=written, version_us=made_us, made_by=_maker(one), tlp=Tlp.CLEAR)
    version_us, made_by = _times(one, now_us), _maker(one)
    if isinstance(one, Versioned) and made_by is None:
        raise _Refused("not_shared", "it does not say who made it: give it `created_by_ref`")
    if isinstance(one, Campaign) and not is_finding_of(*(part.partition("--")[2] for part in (made_by or "", one.id))):
        raise _Refused("hostile", "its id is none that the lab which made it gives: docs/sharing-schema.md")
    _tokens(one)
    return Taken(object=one, raw=written, version_us=version_us, made_by=made_by, tlp=_marked(one))


def _maker(one: AnyObject) -> str | None:
    return one.created_by_ref if isinstance(one, Versioned) and one.created_by_ref is not UNSET else None


def _times(one: AnyObject, now_us: int) -> int:
    """When this version was made."""
    try:
        for earlier, later in _ORDERED:
            first, last = getattr(one, earlier, UNSET), getattr(one, later, UNSET)
            times = [us_of(time) for time in (first, last) if time is not UNSET]
            if times != sorted(times):
                raise _Refused("not_shared", f"`{later}` is before `{earlier}`")
        if isinstance(one, Indicator):
            until = UNSET if one.valid_until is UNSET else us_of(one.valid_until)
            if us_of(one.valid_from) >= (until if until is not UNSET else 1 << 62):
                raise _Refused("not_shared", "`valid_until` is not after `valid_from`")
        if not isinstance(one, Versioned):
            return 0
        version_us = us_of(one.modified)
    except ValueError as error:
        raise _Refused("not_shared", f"a time in it is none: {error}") from None
    if version_us > now_us + AHEAD_US:
        raise _Refused("hostile", f"it was `modified` in a time to come, {one.modified}")
    return version_us


def _published(one: Identity | ExtensionDefinition | MarkingDefinition | AttackPattern) -> None:
    """What everybody has alike, so that nobody can give it another meaning."""
    if isinstance(one, MarkingDefinition):
        if one.id not in BY_ID or one != stix.marking(BY_ID[one.id]):
            raise _Refused("marking", "it is none of the five markings of TLP 2.0 as OASIS published them")
    elif isinstance(one, ExtensionDefinition):
        if one != stix.EXTENSION:
            raise _Refused("hostile", "our extension is another than this")
    elif isinstance(one, AttackPattern):
        known = {technique.value: technique for technique in Technique}
        technique = known.get(one.external_references[0].external_id)
        if technique is None or one != attack_pattern(technique):
            raise _Refused("not_shared", "it is none of the techniques of docs/sharing-schema.md as they stand there")
    elif one != stix.AUTHOR:
        try:
            lab = Lab.named(one.name)
        except InputError as error:
            raise _Refused("not_shared", str(error)) from None
        if one != stix.identity(lab):
            raise _Refused("hostile", f"`{one.name}` is told in another way, or has another id: docs/sharing-schema.md")


def _tokens(one: AnyObject) -> None:
    try:
        if isinstance(one, UserAccount):
            if Token.parse(one.user_id).kind != ACCOUNT:
                raise _Refused("not_shared", f"its token is none of an `{ACCOUNT}`")
            if one.id != stix.account_id(one.user_id):
                raise _Refused("hostile", "its id does not follow from its token")
        elif isinstance(one, Indicator):
            tokens = [Token.parse(text) for text in one.pattern.split(" ")]
            if len(tokens) > MOST_TOKENS:
                raise _Refused("oversized", f"it has {len(tokens):,} tokens, and {MOST_TOKENS:,} are the most")
            if any(token.kind == ACCOUNT for token in tokens):
                raise _Refused("not_shared", "accounts are told as `user-account` and not as tokens of an indicator")
        elif isinstance(one, AutonomousSystem) and one.id != stix.network_id(one.number):
            raise _Refused("hostile", "its id does not follow from its number")
    except InputError as error:
        raise _Refused("not_shared", str(error)) from None


def _marked(one: AnyObject) -> Tlp:
    marks = getattr(one, "object_marking_refs", UNSET)
    if marks is UNSET:
        raise _Refused("marking", "it does not say how far it may go: mark it with TLP 2.0")
    if marks[0] not in BY_ID:
        raise _Refused("marking", f"`{marks[0]}` is none of TLP 2.0; those that STIX 2.1 names are of TLP 1.0")
    return BY_ID[marks[0]]


def _refused(code: str, reason: str) -> Verdict:
    return Verdict(taken=[], faults=[Fault(code=code, reason=reason)])


def _plain(error: Exception) -> str:
    """What is wrong, in letters that can be shown: parts of it are the sender's."""
    said = str(error)
    return "".join(letter if letter.isprintable() else "?" for letter in said)[:300]


class _Named(msgspec.Struct):
    id: str = ""


def _id_of(raw: msgspec.Raw) -> str | None:
    try:
        named = msgspec.json.decode(raw, type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return named if _ID.fullmatch(named) else None
