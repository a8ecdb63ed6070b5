"""`tiergate classes key`, `person` and `sign`: being an issuer of people's classes in a small deployment.

Whoever holds an issuer's key says who is eligible. Keep it with those who look at the papers, not on the gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Json, end_of, now
from tiergate.cli.terminal import note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_EVIDENCE = b"tiergate evidence 1\n"
KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The issuer's secret key.")]
Issuer = Annotated[str, typer.Option(metavar="NAME", help="What the issuer is called, such as acme-hr.")]


def person(as_json: Json = False) -> None:
    """Print a new id for a person, without content. Note down whose it is where you keep the papers.

    \b
    Example:
      tiergate classes person
    """
    made = f"per_{secrets.token_hex(16)}"
    if as_json:
        say_json({"subject": made})
    else:
        say(made)


def key(
    file: KeyFile,
    issuer: Issuer,
    organisation: Annotated[list[str], typer.Option(metavar="ID", help="Whose employees it attests; may be repeated.")],
    as_json: Json = False,
) -> None:
    """Make an issuer's key, or read it, and print what a deployment needs to trust it. The key is its owner's alone.

    \b
    Example:
      tiergate classes key hr.key --issuer acme-hr --organisation pty_0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b > issuers.toml
      tiergate classes issuers --trust issuers.toml --data data
    """
    import msgspec

    from tiergate.admission.person_classes import TrustedIssuer, public_key_text

    fields = {"issuer": issuer, "public_key": "", "organisations": organisation}
    try:
        trusted = msgspec.convert(fields, TrustedIssuer)
    except msgspec.ValidationError as error:
        raise InputError(f"there can be no such issuer: {str(error)[:1].lower()}{str(error)[1:]}") from error
    made = not file.exists()
    trusted = msgspec.structs.replace(trusted, public_key=public_key_text(_key(file, make=True)))
    if as_json:
        say_json(msgspec.to_builtins(trusted) | {"made": made})
    else:
        # Names have letters, digits and `_.:-` alone, so they need no escapes.
        quoted = ", ".join(f'"{one}"' for one in organisation)
        say(f'[[issuers]]\nissuer = "{issuer}"\npublic_key = "{trusted.public_key}"\norganisations = [{quoted}]')
    if made:
        note(f"made the key `{file}`: keep it where the papers are, and a copy apart from it")


def sign(
    file: KeyFile,
    issuer: Issuer,
    subject: Annotated[str, typer.Option(metavar="ID", help="The person, from `tiergate classes person`.")],
    employer: Annotated[str, typer.Option(metavar="ID", help="The organisation that employs the person.")],
    pack: Annotated[str, typer.Option(metavar="PACK", help="The rule, such as ear_person; the latest version.")],
    eligible: Annotated[bool, typer.Option("--eligible/--ineligible", help="What the papers say under the rule.")],
    evidence: Annotated[Path, typer.Option(metavar="FILE", help="What was looked at; only a keyed hash is kept.")],
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Day on which the statement ends, UTC.")
    ],
    packs: Annotated[
        Path | None, typer.Option(metavar="DIR", envvar="TIERGATE_PACKS", help="Folder of rule packs of your own.")
    ] = None,
) -> None:
    """Sign that a person is eligible, or not, under a rule. Prints one line of JSON, for `tiergate classes submit`.

    The sentence that is attested to is `person.attests` of `tiergate packs show PACK`. Nothing of the papers goes into
    the statement but a hash that nobody can try out without the key.

    \b
    Example:
      tiergate classes sign hr.key --issuer acme-hr --subject per_0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a \\
          --employer pty_0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b --pack ear_person --eligible --evidence scan.pdf \\
          --until 2027-06-01 > statements.jsonl
    """
    import msgspec

    from tiergate.admission.person_classes import Statement, TrustedIssuer, public_key_text, verify
    from tiergate.admission.person_classes import sign as signed
    from tiergate.admission.rule_packs import find_pack, load_packs

    rule = find_pack(load_packs(packs), pack)
    if rule.person is None:
        raise InputError(f"rule pack `{rule.name}` is about organisations: nobody attests to a person under it")
    if not evidence.is_file():
        raise InputError(f"`{evidence}` is not there, or is no file")
    private, now_us = _key(file, make=False), now()
    told = {
        "subject": subject,
        "pack": rule.id,
        "pack_version": rule.version,
        "value": "eligible" if eligible else "ineligible",
        "issuer": issuer,
        "employer": employer,
        "issued_at": now_us,
        "expires_at": end_of(until, now_us),
        "evidence_hash": _keyed_hash(private, evidence.read_bytes()),
    }
    try:
        made = signed(msgspec.convert(told, Statement), private)
    except msgspec.ValidationError as error:
        raise InputError(f"the statement cannot be signed: {str(error)[:1].lower()}{str(error)[1:]}") from error
    trusted = TrustedIssuer(issuer=issuer, public_key=public_key_text(private), organisations=(employer,))
    # What would be refused where it is submitted is not handed out.
    verify(made, pack=rule, subject=subject, employer=employer, issuers={issuer: trusted}, now_us=now_us)
    say(msgspec.json.encode(made).decode())


def _key(path: Path, *, make: bool) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tiergate.ledger.sketches import load_or_create_key

    if not make and not path.is_file():
        raise InputError(f"`{path}` is not there: make a key with `tiergate classes key`")
    seed = load_or_create_key(path, "issuer's key")
    if path.stat().st_mode & 0o077:
        raise InputError(f"others than its owner may read the issuer's key `{path}`: run `chmod 600 {path}`")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _keyed_hash(private: Ed25519PrivateKey, evidence: bytes) -> str:
    """The issuer can show that a paper is the one; without its key nobody can try papers out."""
    return hmac.new(hashlib.sha256(_EVIDENCE + private.private_bytes_raw()).digest(), evidence, "sha256").hexdigest()
