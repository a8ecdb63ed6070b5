"""`tiergate decisions`: the log of decisions, its checkpoints and witnesses, receipts, and erasing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli import explain, finding, replay
from tiergate.cli.decision_options import Data, DecisionId, Json, Key, log_folder, own_key, public_key
from tiergate.cli.terminal import counted, note, progress, say, say_json
from tiergate.cli.verify import read_file, read_public_key
from tiergate.clock import SystemClock
from tiergate.errors import InputError, LedgerError, ProofError

app = typer.Typer(
    help="Find, explain and replay decisions; verify, prove and erase.", rich_markup_mode=None, add_completion=False
)
app.command("explain")(explain.explain)
app.command("replay")(replay.replay)
app.command("list")(finding.list_)


@app.command("log")
def log(
    data: Data = Path("data"),
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Verify the whole log: every record, every hash, every personal value. Exit code 0 if it holds, 1 if not.

    \b
    Example:
      tiergate decisions log --data data --json
    """
    from tiergate.ledger.decision_logs import logs_of
    from tiergate.ledger.decision_reader import DecisionReader, verify_log

    with closing(DecisionReader(log_folder(data))) as reader, progress("verifying decisions") as advance:
        public = public_key(data, key, reader.origin)
        size = max(reader.size, 1)
        try:
            found = verify_log(reader, key=public, progress=lambda done: advance("", min(done / size, 1.0)))
        except ProofError as error:
            if not as_json:
                raise
            say_json({"valid": False, "error": str(error), "record": error.index})
            raise typer.Exit(ProofError.exit_code) from error
    others = [str(place.folder) for place in logs_of(data)[1:]]
    if as_json:
        facts = found._asdict() | {"root": found.root.hex(), "not_verified": others}
        say_json({"valid": True, "log": reader.origin, "signature_checked": public is not None} | facts)
        return
    outcomes = ", ".join(f"{number:,} {name}" for name, number in found.outcomes.items())
    say(f"valid: {counted(found.records, 'decision')} of {reader.origin}, {found.signed:,} of them signed")
    say(f"{outcomes}; {counted(found.personal, 'personal value')} kept, {found.erased:,} erased")
    if public is None:
        note("the signature was not checked: give the log's public key with --key")
    for other in others:
        note(f"`{other}` is a log of its own: verify it too, with --data and --key")


@app.command("receipt")
def receipt(
    decision_id: DecisionId,
    disclose: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Personal field to open to the reader; may be repeated.")
    ] = None,
    data: Data = Path("data"),
) -> None:
    """Print the receipt of a decision, which `tiergate verify` checks anywhere.

    \b
    Example:
      tiergate decisions receipt 1042 --disclose organisation > receipt.json
    """
    from tiergate.ledger.decision_logs import find_decision
    from tiergate.ledger.decision_reader import DecisionReader
    from tiergate.ledger.receipts import make_receipt

    place, index = find_decision(data, decision_id)
    with closing(DecisionReader(place.folder)) as reader:
        say(make_receipt(reader, index, disclose or ()).decode().rstrip("\n"))


@app.command("checkpoint")
def checkpoint(
    data: Data = Path("data"),
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign what the log holds now; no gateway may be running.")
    ] = False,
    since: Annotated[
        int | None, typer.Option(metavar="SIZE", min=0, help="Print what a witness who last saw SIZE needs.")
    ] = None,
    add: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Cosignatures for the request that was sent: keep them.")
    ] = None,
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The request that --add answers; default the last checkpoint.")
    ] = None,
    show_key: Annotated[bool, typer.Option("--public-key", help="Print the log's public key instead.")] = False,
) -> None:
    """Print the last checkpoint: what the log says it holds, signed.

    \b
    Example:
      tiergate decisions checkpoint --since 0 > request.txt
      tiergate decisions checkpoint --request request.txt --add cosignature.txt
    """
    from tiergate.ledger.checkpoints import Request, parse_request
    from tiergate.ledger.decision_log import DecisionLog, add_cosignatures
    from tiergate.ledger.decision_reader import DecisionReader
    from tiergate.ledger.notes import parse_signature

    folder = log_folder(data)
    with closing(DecisionReader(folder)) as reader:
        if show_key:
            say(str(own_key(data, reader.origin).public))
            return
        if sign:
            with closing(DecisionLog.open(folder)) as writer:
                writer.sign(own_key(data, reader.origin), SystemClock().now_us())
        last = reader.checkpoint()
        if last is None:
            raise InputError(f"the log at `{folder}` has no checkpoint yet: sign one with --sign")
        if add is not None:
            sent = parse_request(_text(request)).checkpoint if request is not None else last
            lines = [parse_signature(line) for line in _text(add).splitlines()]
            last = add_cosignatures(folder, sent, lines, own_key(data, reader.origin).public)
        if since is None:
            say(str(last).rstrip("\n"))
            return
        if since > last.size:
            raise InputError(f"the last checkpoint is of {last.size} records, fewer than {since}")
        proof = reader.consistency_proof(since, last.size) if since else []
        say(str(Request(since, proof, last)).rstrip("\n"))


@app.command("witness")
def witness(
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="What `checkpoint --since` printed.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="This witness's name, such as member.example/witness.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="This witness's secret key; made if absent.")],
    log_key: Annotated[str, typer.Option(metavar="KEY", help="Public key of the log with its name, or a file.")],
    state: Annotated[Path, typer.Option(metavar="FILE", help="Remembers what was cosigned; never lose it.")],
) -> None:
    """As a witness, cosign a checkpoint if the log only grew since the last one. Prints the signature line.

    Needs nothing of the log but its request. Exit code 1 says that the log was rewritten or shows two histories.

    \b
    Example:
      tiergate decisions witness request.txt --name member.example/w --key w.key --log-key log.pub --state w.json
    """
    from tiergate.ledger.checkpoints import Witness, load_private_key, parse_request
    from tiergate.ledger.notes import COSIGNATURE_V1, ED25519

    private = load_private_key(key, name, COSIGNATURE_V1)
    known = read_public_key(log_key, kind=ED25519)
    line = Witness(private, [known], state).cosign(parse_request(_text(request)), SystemClock().now_us())
    say(str(line).rstrip("\n"))
    note(f"cosigned as {private.public}")


@app.command("erase")
def erase(
    record: Annotated[str | None, typer.Option(metavar="ID", help="Of this decision alone.")] = None,
    field: Annotated[str | None, typer.Option(metavar="FIELD", help="This personal field alone.")] = None,
    value: Annotated[str | None, typer.Option(metavar="TEXT", help="Where FIELD has this value.")] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Erase personal values and their salts, in every log. Records and proofs stay; what is erased is gone for good.

    The facts of a decision repeat its other values, and are erased with any of them: it can then not be replayed.

    \b
    Example:
      tiergate decisions erase --field person --value ann@example.com
    """
    from tiergate.ledger.decision_logs import find_decision, logs_of
    from tiergate.ledger.decision_reader import PERSONAL
    from tiergate.ledger.decision_records import canonical_value
    from tiergate.ledger.personal import PersonalValues

    if record is None and value is None:
        raise InputError("say whose values to erase: give --record, or --field and --value")
    if value is not None and field is None:
        raise InputError("say which field has that value: give --field")
    canonical = None if value is None else canonical_value(value)
    places, index = logs_of(data), None
    if record is not None:
        place, index = find_decision(data, record)
        places = [place]
    erased = 0
    for place in places:
        with closing(PersonalValues(place.folder / PERSONAL)) as values:
            erased += values.erase(SystemClock().now_us(), record=index, field=field, value=canonical)
    if as_json:
        say_json({"erased": erased})
    else:
        say(f"erased {counted(erased, 'personal value')}")
        note("copies of the data folder still hold them")


@app.command("recover")
def recover(data: Data = Path("data")) -> None:
    """Go on after records were lost that had been acknowledged, as by a power cut. Never below a checkpoint.

    \b
    Example:
      tiergate decisions recover --data data
    """
    from tiergate.ledger.decision_log import DecisionLog
    from tiergate.ledger.decision_reader import DecisionReader

    folder = log_folder(data)
    try:
        with closing(DecisionReader(folder)) as reader:
            before = reader.size
    except LedgerError:
        before = 0  # the hashes are gone, and with them the number
    with closing(DecisionLog.open(folder, accept_loss=True)) as log:
        say(f"{counted(log.size, 'decision')} whole, {max(0, before - log.size):,} lost")


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"`{path}` is not text") from error
