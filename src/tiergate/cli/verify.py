"""`tiergate verify`: does a receipt of a decision hold? Needs the receipt and a public key, no deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import moment, note, say, say_json
from tiergate.clock import SECOND
from tiergate.errors import InputError, ProofError

if TYPE_CHECKING:
    from tiergate.ledger.notes import PublicKey


def verify(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="File that `tiergate decisions receipt` wrote.")],
    key: Annotated[str, typer.Option(metavar="KEY", help="The log's public key, or a file that holds it.")],
    witness: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A witness's public key, or a file; may be repeated.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="How many of the witnesses must have cosigned; default all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check that a decision is in a log as the log signed it. Exit code 0 if so, 1 if not.

    A KEY is NAME+ID+BASE64 as `tiergate decisions checkpoint --public-key` prints it; the log's may be the
    BASE64 of its 32 bytes alone.

    \b
    Example:
      tiergate verify receipt.json --key log.pub --witness member.pub
    """
    from tiergate.ledger.notes import COSIGNATURE_V1
    from tiergate.ledger.receipts import verify_receipt

    text = read_file(receipt)
    witnesses = [read_public_key(one, kind=COSIGNATURE_V1) for one in witness or ()]
    if quorum is not None and quorum > len(witnesses):
        raise InputError(f"{quorum} cosignatures are asked for, and {len(witnesses)} witnesses are given")
    try:
        found = verify_receipt(text, _log_key(key, text), witnesses, quorum=quorum)
    except ProofError as error:
        if not as_json:
            raise
        say_json({"valid": False, "error": str(error)})
        raise typer.Exit(ProofError.exit_code) from error
    record, checkpoint = found.record, found.checkpoint
    if as_json:
        say_json(
            {
                "valid": True,
                "log": checkpoint.origin,
                "index": found.index,
                "size": checkpoint.size,
                "record": {name: getattr(record, name) for name in record.__struct_fields__},
                "personal": found.personal,
                "cosigned": [one._asdict() for one in found.cosigned],
            }
        )
        return
    say(f"valid: record {found.index} of the first {checkpoint.size:,} of {checkpoint.origin}")
    say(
        f"{record.outcome} at {moment(record.time_us)} UTC under {record.policy}: {', '.join(record.reasons) or 'none'}"
    )
    for field, value in found.personal.items():
        say(f"{field}: {value}")
    for one in found.cosigned:
        say(f"cosigned by {one.witness} at {moment(one.time_s * SECOND)} UTC")
    if not found.cosigned:
        note("no witness is asked for: the log may show others another history")


def _log_key(key: str, receipt: bytes) -> PublicKey:
    """The log's key; one without a name is taken as that of the log that the receipt names."""
    from tiergate.ledger.notes import ED25519
    from tiergate.ledger.receipts import receipt_origin

    return read_public_key(key, kind=ED25519, name=receipt_origin(receipt))


def read_public_key(text: str, *, kind: int, name: str | None = None) -> PublicKey:
    """A key from the command line: itself, or a file that holds it. Raises `InputError` when it is none."""
    from tiergate.ledger.notes import parse_public_key

    try:
        if Path(text).is_file():
            text = Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read a key from `{text[:80]}`: {error}") from error
    return parse_public_key(text, kind=kind, name=name)


def read_file(path: Path) -> bytes:
    """Raises `InputError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
