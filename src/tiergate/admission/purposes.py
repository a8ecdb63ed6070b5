"""Purposes: what a member says a model is for, the assets it covers, and who authorised that.

Declaring is not being authorised: a purpose counts once somebody else accepted it, while it is not withdrawn, and,
where the programme asks for assets, only for assets of evidence that has not expired. An asset is one of

| kind | written | covers |
| --- | --- | --- |
| `domain` | `example.org`, `*.example.org` | that host alone; all hosts below it, not itself |
| `repository` | `github.com/o/r`, `github.com/o/*` | that repository; all of that owner |
| `cidr` | `192.0.2.0/24`, `2001:db8::/32` | every address and network inside it |
| `cve` | `CVE-2026-1234`, `CVE-2026-*` | that one; all of that year |

Names are lower-cased, hosts are compared in their IDNA form, and an asset that says nothing (`*.org`, `0.0.0.0/0`) is
refused. Codes of `check`:

| code | when |
| --- | --- |
| `purpose_not_accepted` | declared, and nobody else accepted it yet |
| `purpose_withdrawn` | withdrawn |
| `authorisation_expired` | assets are needed, and no evidence is valid now |
| `asset_not_covered` | the asset that was asked about is not within the purpose |
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes, Writing, new_id, same, sha256_of
from tiergate.admission.memberships import membership_in
from tiergate.admission.programmes import programme_in
from tiergate.admission.standing import State
from tiergate.errors import InputError, StateError


class AssetKind(enum.StrEnum):
    """Kinds of asset."""

    DOMAIN = "domain"
    REPOSITORY = "repository"
    CIDR = "cidr"
    CVE = "cve"


WIDEST_PREFIX: Final = {4: 8, 6: 16}
"""Bits of prefix that a network needs at least, by version of IP."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_SEGMENT: Final = re.compile(r"[a-z0-9._-]{1,100}")
_CVE: Final = re.compile(r"CVE-\d{4}-(\d{4,19}|\*)")


class Asset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One asset, normalised; make it with `asset`."""

    kind: AssetKind
    value: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence of authorisation. The document stays where it is: only its SHA-256 is kept."""

    sha256: str
    issuer: str
    expires_at_us: int


class Purpose(msgspec.Struct, frozen=True, kw_only=True, tag="purpose", forbid_unknown_fields=True):
    """A declared purpose of a membership."""

    purpose_id: str
    membership_id: str
    organisation_id: str
    code: str
    assets: tuple[Asset, ...]
    evidence: tuple[Evidence, ...]
    needs_evidence: bool
    declared_by: str
    declared_at_us: int
    accepted_by: str | None = None
    withdrawn_at_us: int | None = None


class Purposes:
    """Purposes in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def declare(
        self,
        membership_id: str,
        code: str,
        *,
        author: str,
        now_us: int,
        assets: Sequence[Asset] = (),
        evidence: Sequence[Evidence] = (),
    ) -> Purpose:
        """Declare a purpose that the programme allows. Raises `StateError` (`purpose_not_allowed`, `asset_needed`,
        `evidence_needed`) when it does not, or wants assets with evidence that are not given."""
        for one in evidence:
            sha256_of(one.sha256)
        with self._changes.writing(author, now_us) as writing:
            membership = membership_in(writing, membership_id)
            rule = programme_in(writing, membership.programme_id).purpose(code)
            if rule is None:
                raise StateError(
                    f"`{membership.programme_id}` allows no purpose `{code}`: see `tiergate programme show "
                    f"{membership.programme_id}`",
                    code="purpose_not_allowed",
                )
            if membership.state in (State.REFUSED, State.ENDED):
                raise StateError(f"`{membership_id}` is {membership.state.value}", code="membership_not_active")
            strange = [one.value for one in assets if one.kind not in rule.assets]
            if strange or (rule.assets and not assets):
                kinds = " or ".join(rule.assets) or "none"
                raise StateError(f"`{code}` is for assets of the kind {kinds}: name them", code="asset_needed")
            if rule.assets and not any(one.expires_at_us > now_us for one in evidence):
                raise StateError(f"`{code}` needs evidence of authorisation that is valid now", code="evidence_needed")
            purpose = Purpose(
                purpose_id=new_id("pur"),
                membership_id=membership_id,
                organisation_id=membership.organisation_id,
                code=code,
                assets=tuple(assets),
                evidence=tuple(evidence),
                needs_evidence=bool(rule.assets),
                declared_by=author,
                declared_at_us=now_us,
            )
            writing.put(purpose.purpose_id, purpose, "declare")
        return purpose

    def accept(self, purpose_id: str, *, author: str, now_us: int, reason: str = "") -> Purpose:
        """Accept a purpose, having looked at its evidence. Whoever declared it, applied or is the member cannot."""
        with self._changes.writing(author, now_us) as writing:
            purpose = purpose_in(writing, purpose_id)
            membership = membership_in(writing, purpose.membership_id)
            if same(author, purpose.declared_by, membership.applicant, membership.person_id):
                raise StateError(f"`{author}` cannot accept this purpose: somebody else must", code="not_independent")
            if purpose.withdrawn_at_us is not None or purpose.accepted_by is not None:
                raise StateError(f"`{purpose_id}` is accepted or withdrawn already", code="illegal_transition")
            purpose = msgspec.structs.replace(purpose, accepted_by=author)
            writing.put(purpose_id, purpose, "accept", reason)
        return purpose

    def withdraw(self, purpose_id: str, *, author: str, now_us: int, reason: str = "") -> Purpose:
        """Withdraw a purpose for good: grants for it stop."""
        with self._changes.writing(author, now_us) as writing:
            purpose = purpose_in(writing, purpose_id)
            if purpose.withdrawn_at_us is not None:
                raise StateError(f"`{purpose_id}` is withdrawn already", code="illegal_transition")
            purpose = msgspec.structs.replace(purpose, withdrawn_at_us=now_us)
            writing.put(purpose_id, purpose, "withdraw", reason)
        return purpose

    def get(self, purpose_id: str) -> Purpose:
        """A purpose. Raises `InputError` for an unknown one."""
        return _found(self._changes.current(Purpose, purpose_id), purpose_id)

    def every(self, membership_id: str | None = None) -> list[Purpose]:
        """All purposes, or those of a membership."""
        return [one for one in self._changes.every(Purpose) if membership_id in (None, one.membership_id)]

    def history(self, purpose_id: str) -> list[Change]:
        """Every change of a purpose, oldest first."""
        return self._changes.history(Purpose, purpose_id)


def check(purpose: Purpose, now_us: int, wanted: Sequence[Asset] = ()) -> list[str]:
    """Every code that speaks against using ``purpose`` at ``now_us`` for the assets ``wanted``."""
    codes = []
    if purpose.accepted_by is None:
        codes.append("purpose_not_accepted")
    if purpose.withdrawn_at_us is not None:
        codes.append("purpose_withdrawn")
    if purpose.needs_evidence and not any(one.expires_at_us > now_us for one in purpose.evidence):
        codes.append("authorisation_expired")
    if not all(any(covers(held, one) for held in purpose.assets) for one in wanted):
        codes.append("asset_not_covered")
    return codes


def covers(held: Asset, wanted: Asset) -> bool:
    """Whether all of ``wanted`` lies within ``held``."""
    if held.kind is not wanted.kind:
        return False
    if held.kind is AssetKind.CIDR:
        outer, inner = ipaddress.ip_network(held.value), ipaddress.ip_network(wanted.value)
        # Networks of different versions cannot be compared.
        return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
    if held.value == wanted.value:
        return True
    if held.kind is AssetKind.DOMAIN:
        return held.value.startswith("*.") and wanted.value.endswith(held.value[1:])
    return held.value.endswith("*") and wanted.value.startswith(held.value[:-1])


def asset(kind: AssetKind, written: str) -> Asset:
    """An asset as it was written, normalised. Raises `InputError` when it is none or says nothing."""
    text = written.strip()
    value = _NORMALISE[kind](text)
    if value is None:
        raise InputError(f"`{written}` is no {kind.value} that can be authorised: see docs/programmes.md")
    return Asset(kind=kind, value=value)


def purpose_in(writing: Writing, purpose_id: str) -> Purpose:
    """A purpose as it stands in an open change. Raises `InputError` for an unknown one."""
    return _found(writing.current(Purpose, purpose_id), purpose_id)


def _domain(text: str) -> str | None:
    star, rest = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        host = rest.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        return None
    labels = host.split(".")
    # A wildcard over a whole top-level domain would be an authorisation by nobody.
    whole = len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    return star + host if whole else None


def _repository(text: str) -> str | None:
    parts = text.lower().removeprefix("https://").removesuffix(".git").strip("/").split("/")
    host = _domain(parts[0])
    rest = parts[1:-1] if parts[-1] == "*" else parts[1:]
    fine = all(_SEGMENT.fullmatch(part) and part.strip(".") for part in rest)
    if host is None or host.startswith("*") or not rest or len(parts) < 3 or not fine:
        return None
    return "/".join((host, *parts[1:]))


def _cidr(text: str) -> str | None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return None
    return str(network) if network.prefixlen >= WIDEST_PREFIX[network.version] else None


def _cve(text: str) -> str | None:
    return text.upper() if _CVE.fullmatch(text.upper()) else None


_NORMALISE: Final = {
    AssetKind.DOMAIN: _domain,
    AssetKind.REPOSITORY: _repository,
    AssetKind.CIDR: _cidr,
    AssetKind.CVE: _cve,
}


def _found(purpose: Purpose | None, purpose_id: str) -> Purpose:
    if purpose is None:
        raise InputError(f"no purpose is called `{purpose_id}`: give its id, `pur_...`, of `tiergate purpose list`")
    return purpose
