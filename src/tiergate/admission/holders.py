"""Who holds a key, what second proof belongs to it, and what issuers attested of people: as appended changes.

A holder is set for an account, or for one credential, which then counts alone. It names the organisation, the person or
workload, the employer of record, and the digest of a second proof. A key stays with its organisation: who changes
organisations gets another key. Statements are verified once, as they are taken on file, and count for as long as their
issuer is trusted under the key that signed them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes, Writing, sha256_of
from tiergate.admission.known_facts import Retention
from tiergate.admission.person_classes import SignedStatement, TrustedIssuer, check_issuer, verify
from tiergate.admission.rule_packs import RulePack
from tiergate.errors import InputError, StateError

Subject = Literal["account", "credential"]
ProofKind = Literal["client_certificate", "sign_in"]
MANY: Final = 50
"""From so many subjects on, all states are read at once instead of one by one."""


class Proof(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A second proof. ``digest``: SHA-256 in hexadecimal, of the certificate in DER, or of the sign-in's subject."""

    kind: ProofKind
    digest: str


class Holder(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="holder", forbid_unknown_fields=True):
    """Who holds the account or credential ``subject_id``.

    ``person_id`` beside ``workload_id`` is who answers for the workload. ``employer_id`` is the organisation's own id
    for its own staff, None where nobody has said. ``retention``: the most that may be kept of the exchanges.
    """

    subject: Subject
    subject_id: str
    organisation_id: str
    person_id: str | None = None
    workload_id: str | None = None
    employer_id: str | None = None
    proof: Proof | None = None
    retention: Retention | None = None


class HeldStatement(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="person_class", forbid_unknown_fields=True
):
    """A statement on file. ``public_key``: the issuer's key that its signature was found to fit."""

    signed: SignedStatement
    public_key: str


class HeldIssuer(msgspec.Struct, frozen=True, kw_only=True, tag="issuer", forbid_unknown_fields=True):
    """An issuer, trusted until it is removed."""

    issuer: TrustedIssuer
    removed_at_us: int | None = None


class Holders:
    """Holders in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def set(self, holder: Holder, *, author: str, now_us: int, reason: str = "") -> Holder:
        """Say who holds an account or credential; see `set_all`."""
        return self.set_all([holder], author=author, now_us=now_us, reason=reason)[0]

    def set_all(self, holders: Sequence[Holder], *, author: str, now_us: int, reason: str = "") -> list[Holder]:
        """Say who holds each of many.

        Raises `InputError` for a holder without organisation, person or workload, or with a digest that is none;
        `StateError` `other_organisation` for a key that would move to another organisation.
        """
        checked = [_checked(holder) for holder in holders]
        keys = [_key(one.subject, one.subject_id) for one in checked]
        if len(set(keys)) < len(keys):
            raise InputError("an account or credential has one holder, and one comes twice")
        with self._changes.writing(author, now_us) as writing:
            before = _before(writing, keys)
            for key, one in zip(keys, checked, strict=True):
                if key in before and before[key].organisation_id != one.organisation_id:
                    raise StateError(
                        f"`{one.subject_id}` belongs to another organisation: issue a new key for who changes",
                        code="other_organisation",
                    )
            writing.put_all(list(zip(keys, checked, strict=True)), "hold", reason)
        return checked

    def get(self, subject: Subject, subject_id: str) -> Holder:
        """The holder of an account or credential. Raises `InputError` when nobody was named."""
        held = self._changes.current(Holder, _key(subject, subject_id))
        if held is None:
            raise InputError(f"nobody was named as the holder of the {subject} `{subject_id}`")
        return held

    def every(self) -> list[Holder]:
        """All holders."""
        return self._changes.every(Holder)

    def history(self, subject: Subject, subject_id: str) -> list[Change]:
        """Every change of a holder, oldest first."""
        return self._changes.history(Holder, _key(subject, subject_id))


class PersonClasses:
    """Statements and issuers in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def trust(self, issuer: TrustedIssuer, *, author: str, now_us: int, reason: str = "") -> HeldIssuer:
        """Trust an issuer, in place of what was known under its name. What another key signed counts no more."""
        check_issuer(issuer)
        held = HeldIssuer(issuer=issuer)
        with self._changes.writing(author, now_us) as writing:
            writing.put(_hash(issuer.issuer), held, "trust", reason)
        return held

    def distrust(self, issuer: str, *, author: str, now_us: int, reason: str = "") -> HeldIssuer:
        """Remove an issuer: nothing that it signed counts any more. Raises `InputError` for one that is not trusted."""
        with self._changes.writing(author, now_us) as writing:
            held = writing.current(HeldIssuer, _hash(issuer))
            if held is None or held.removed_at_us is not None:
                raise InputError(f"no trusted issuer is called `{issuer}`: see `tiergate classes issuers`")
            held = msgspec.structs.replace(held, removed_at_us=now_us)
            writing.put(_hash(issuer), held, "distrust", reason)
        return held

    def issuers(self) -> dict[str, TrustedIssuer]:
        """Issuers that are trusted now, by name."""
        return trusted(self._changes.every(HeldIssuer))

    def submit(
        self,
        statements: Sequence[SignedStatement],
        packs: Mapping[tuple[str, int], RulePack],
        *,
        author: str,
        now_us: int,
    ) -> int:
        """Take statements on file, all or none; returns how many were new.

        Raises `StatementError` for the first that does not hold now, `InputError` for a pack that is not known and
        for a statement that is older than one on file, which it cannot replace.
        """
        issuers = self.issuers()
        held = {statement_key(one): _verified(one, packs, issuers, now_us) for one in statements}
        with self._changes.writing(author, now_us) as writing:
            fresh = trusted(writing.every(HeldIssuer))
            fresh_rows = []
            before = _statements_before(writing, list(held))
            for key, one in held.items():
                told = one.signed.statement
                if fresh.get(told.issuer) != issuers[told.issuer]:
                    raise StateError(f"`{told.issuer}` changed meanwhile: submit again", code="issuer_changed")
                known = before.get(key)
                if known == one:
                    continue
                if known is not None and known.signed.statement.issued_at > told.issued_at:
                    raise InputError(f"`{told.issuer}` said something newer of `{told.subject}` under `{told.pack}`")
                fresh_rows.append((key, one))
            writing.put_all(fresh_rows, "attest")
        return len(fresh_rows)

    def every(self) -> list[HeldStatement]:
        """All statements on file, the newest of each issuer, person, employer and version of a pack."""
        return self._changes.every(HeldStatement)


def trusted(held: Sequence[HeldIssuer]) -> dict[str, TrustedIssuer]:
    """Those that were not removed, by name."""
    return {one.issuer.issuer: one.issuer for one in held if one.removed_at_us is None}


def statement_key(signed: SignedStatement) -> str:
    """Statements with the same key replace each other."""
    told = signed.statement
    return _hash("\n".join((told.subject, told.employer, told.issuer, told.pack, str(told.pack_version))))


def fingerprint_of(text: str) -> str | None:
    """A certificate's SHA-256 as proxies write it, with or without colons, as 64 small digits; None when it is none."""
    try:
        return sha256_of(text.replace(":", ""))
    except InputError:
        return None


def _verified(
    signed: SignedStatement,
    packs: Mapping[tuple[str, int], RulePack],
    issuers: Mapping[str, TrustedIssuer],
    now_us: int,
) -> HeldStatement:
    told = signed.statement
    pack = packs.get((told.pack, told.pack_version))
    if pack is None:
        raise InputError(f"no rule pack is called `{told.pack}@{told.pack_version}`: see `tiergate packs list`")
    # Who employs the person is compared with the employer of record when a request is judged.
    verify(signed, pack=pack, subject=told.subject, employer=told.employer, issuers=issuers, now_us=now_us)
    return HeldStatement(signed=signed, public_key=issuers[told.issuer].public_key)


def _checked(holder: Holder) -> Holder:
    if not holder.organisation_id.strip() or not (holder.person_id or holder.workload_id):
        raise InputError(
            f"the holder of `{holder.subject_id}` needs an organisation, and a person or workload: "
            "`--organisation` with `--person` or `--workload`"
        )
    if holder.proof is None:
        return holder
    digest = sha256_of(holder.proof.digest.replace(":", ""))
    return msgspec.structs.replace(holder, proof=Proof(kind=holder.proof.kind, digest=digest))


def _before(writing: Writing, keys: Sequence[str]) -> dict[str, Holder]:
    if len(keys) < MANY:
        return {key: held for key in keys if (held := writing.current(Holder, key)) is not None}
    return {_key(one.subject, one.subject_id): one for one in writing.every(Holder)}


def _statements_before(writing: Writing, keys: Sequence[str]) -> dict[str, HeldStatement]:
    if len(keys) < MANY:
        return {key: held for key in keys if (held := writing.current(HeldStatement, key)) is not None}
    return {statement_key(one.signed): one for one in writing.every(HeldStatement)}


def _key(subject: Subject, subject_id: str) -> str:
    return _hash(f"{subject}:{subject_id}")


def _hash(text: str) -> str:
    # Ids of accounts can be longer than an id of ours.
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
