"""A person's class under a rule: a dated statement that a trusted issuer signed, and nothing about nationality.

A person's own employer, or whoever the operator trusts for that organisation, looks at the papers, applies the rule
and signs one word: eligible or ineligible. Tiergate keeps the statement. It has no place for a citizenship, a passport
or a birth date, and refuses a statement that brings one. The hash of the evidence lets the issuer be held to what it
saw; it has to be keyed or salted by the issuer, as a plain hash of a passport number could be tried out.

Signature: Ed25519 (RFC 8032) over `PREFIX` and the statement in canonical JSON (RFC 8785).
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tiergate.admission.rule_packs import RulePack
from tiergate.clock import DAY
from tiergate.errors import InputError

PREFIX: Final = b"tiergate person class 1\n"
"""Goes before what is signed, so that no signature made for another purpose fits."""

_SUBJECT: Final = r"^per_[0-9a-f]{32}$"
_ORGANISATION: Final = r"^[A-Za-z0-9_.:-]{1,128}$"
_HASH: Final = r"^[0-9a-f]{64}$"
Time = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Name = Annotated[str, msgspec.Meta(pattern=_ORGANISATION)]


class Statement(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What an issuer signs.

    ``subject`` is a random id without content, `per_` and 32 hexadecimal digits. ``value`` answers the pack's
    `person.attests`. ``employer``: the organisation that employs the person, a contractor's own. Times are
    microseconds since the epoch, UTC. ``evidence_hash``: SHA-256 in hexadecimal, keyed or salted by the issuer.
    """

    subject: Annotated[str, msgspec.Meta(pattern=_SUBJECT)]
    pack: str
    pack_version: Annotated[int, msgspec.Meta(ge=1)]
    value: Literal["eligible", "ineligible"]
    issuer: Name
    employer: Name
    issued_at: Time
    expires_at: Time
    evidence_hash: Annotated[str, msgspec.Meta(pattern=_HASH)]

    def to_sign(self) -> bytes:
        """The bytes that are signed."""
        return PREFIX + rfc8785.dumps(msgspec.to_builtins(self))


class SignedStatement(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A statement with its Ed25519 signature, 64 bytes in base64url."""

    statement: Statement
    signature: str


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose signature counts, and for whose employees. ``public_key``: 32 bytes in base64url."""

    issuer: Name
    public_key: str
    organisations: tuple[Name, ...]


class StatementError(InputError):
    """A statement that does not count. ``code`` is for machines:

    `malformed`, `unknown_issuer`, `wrong_signature`, `not_entitled`, `wrong_subject`, `wrong_employer`, `wrong_pack`,
    `wrong_pack_version`, `wrong_period`, `not_yet_valid`, `expired`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def sign(statement: Statement, key: Ed25519PrivateKey) -> SignedStatement:
    """The statement, signed. For issuers; a gateway holds no issuer's key."""
    return SignedStatement(statement=statement, signature=_base64(key.sign(statement.to_sign())))


def read_statement(data: bytes | str | Mapping[str, Any]) -> SignedStatement:
    """Statement from JSON. Raises StatementError `malformed`, also for a field that statements do not have."""
    try:
        if isinstance(data, Mapping):
            return msgspec.convert(data, SignedStatement)
        return msgspec.json.decode(data, type=SignedStatement)
    except msgspec.DecodeError as error:
        said = f"a person's statement is wrong: {str(error)[:1].lower()}{str(error)[1:]}"
        raise StatementError("malformed", f"{said}; nothing about nationality or papers belongs in it") from error


def read_issuers(path: Path) -> dict[str, TrustedIssuer]:
    """Trusted issuers from TOML: tables `[[issuers]]` with the fields of `TrustedIssuer`. Raises InputError with the
    file and the key that is wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        issuers = msgspec.convert(tables.get("issuers", []), list[TrustedIssuer])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"issuers in `{path}`: {str(error)[:1].lower()}{str(error)[1:]}") from error
    for one in issuers:
        check_issuer(one)
    if len({one.issuer for one in issuers}) < len(issuers):
        raise InputError(f"issuers in `{path}`: a name comes twice; one issuer has one key")
    return {one.issuer: one for one in issuers}


def verify(
    signed: SignedStatement,
    *,
    pack: RulePack,
    subject: str,
    employer: str,
    issuers: Mapping[str, TrustedIssuer],
    now_us: int,
    signature_checked: bool = False,
) -> Statement:
    """The statement, once it holds for ``subject``, employed by ``employer``, under ``pack`` at ``now_us``.

    :param signature_checked: it fitted the key that the issuer has now when the statement was taken on file.
    Raises StatementError otherwise, with the first reason: the signature before anything that it covers.
    """
    told = signed.statement
    issuer = issuers.get(told.issuer)
    if issuer is None:
        raise StatementError("unknown_issuer", f"no trusted issuer is called `{told.issuer}`")
    try:
        if not signature_checked:
            _public_key(issuer).verify(_bytes(signed.signature), told.to_sign())
    except (InvalidSignature, ValueError) as error:
        message = f"the signature is not `{told.issuer}`'s, or the statement was changed after it"
        raise StatementError("wrong_signature", message) from error
    longest = pack.person.longest_days if pack.person is not None else 0
    checks = (
        ("not_entitled", told.employer not in issuer.organisations,
         f"`{told.issuer}` may not attest for employees of `{told.employer}`"),
        ("wrong_subject", told.subject != subject, f"the statement is about `{told.subject}`, not `{subject}`"),
        ("wrong_employer", told.employer != employer,
         f"the statement is for an employee of `{told.employer}`; the employer of record is `{employer}`"),
        ("wrong_pack", told.pack != pack.id, f"the statement is about `{told.pack}`, not `{pack.id}`"),
        ("wrong_pack_version", told.pack_version != pack.version,
         f"the statement is about version {told.pack_version} of `{pack.id}`, and version {pack.version} applies"),
        ("wrong_period", not 0 < told.expires_at - told.issued_at <= longest * DAY,
         f"the statement must hold for more than nothing and at most {longest} days"),
        ("not_yet_valid", told.issued_at > now_us, "the statement was issued later than now"),
        ("expired", told.expires_at <= now_us, "the statement has expired; ask the issuer for a new one"),
    )  # fmt: skip
    for code, wrong, message in checks:
        if wrong:
            raise StatementError(code, message)
    return told


class PersonClass(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What statements say of a person under a pack. ``value`` None: nothing that counts. ``refused``: codes of
    statements that did not count, sorted. ``expires_at``: until when ``value`` holds, by whom: ``issuer``."""

    value: Literal["eligible", "ineligible"] | None
    expires_at: int | None = None
    refused: tuple[str, ...] = ()
    issuer: str | None = None


def person_class(
    statements: Iterable[SignedStatement],
    *,
    pack: RulePack,
    subject: str,
    employer: str,
    issuers: Mapping[str, TrustedIssuer],
    now_us: int,
    signature_checked: bool = False,
) -> PersonClass:
    """The class under ``pack`` from all that is on file. Statements of other packs are passed over.

        Of one issuer the newest counts, and nothing once it has expired. Where issuers differ, ineligible counts:
    none of them can overrule another.
    """
    newest: dict[str, Statement] = {}
    refused = set()
    for signed in statements:
        if signed.statement.pack != pack.id:
            continue
        told = signed.statement
        try:
            verify(
                signed,
                pack=pack,
                subject=subject,
                employer=employer,
                issuers=issuers,
                now_us=now_us,
                signature_checked=signature_checked,
            )
        except StatementError as error:
            refused.add(error.code)
            # What has expired, and has no other fault, still supersedes what its issuer said before: an ineligible
            # that runs out must not bring an older eligible back.
            if error.code != "expired":
                continue
        held = newest.get(told.issuer)
        if held is None or (told.issued_at, told.value) > (held.issued_at, held.value):
            newest[told.issuer] = told
    counting = [one for one in newest.values() if one.expires_at > now_us]
    barring = [one for one in counting if one.value == "ineligible"]
    codes = tuple(sorted(refused))
    if not counting:
        return PersonClass(value=None, refused=codes)
    deciding: Sequence[Statement] = barring or counting
    longest = max(deciding, key=lambda one: one.expires_at)
    return PersonClass(value=longest.value, expires_at=longest.expires_at, refused=codes, issuer=longest.issuer)


def public_key_text(key: Ed25519PrivateKey) -> str:
    """The public key of ``key`` as issuers' files have it."""
    return _base64(key.public_key().public_bytes_raw())


def check_issuer(issuer: TrustedIssuer) -> None:
    """Raises `InputError` where the issuer's key is none."""
    _public_key(issuer)


def _public_key(issuer: TrustedIssuer) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(_bytes(issuer.public_key))
    except ValueError as error:
        raise InputError(f"the public key of `{issuer.issuer}` is not 32 bytes in base64url") from error


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Bytes of base64url, strictly: letters outside the alphabet are refused, not skipped."""
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from error
