"""`tiergate case export` and `tiergate case verify`: frozen evidence, and whether it comes out the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.outputs import writable_file
from tiergate.cli.terminal import counted, moment, note, progress, say, say_json
from tiergate.clock import SystemClock
from tiergate.errors import InputError

CaseId = Annotated[str, typer.Argument(metavar="CASE", help="Id of the case, or its beginning.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def export(
    case: CaseId,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The bundle to write, a .tar file.")],
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Write a case's evidence into one file.

    Anybody can run it again with `tiergate case verify`. It holds all that detection read, without text and with
    every other customer's names replaced, and the case's file, history and verdicts. It takes up to 100 bytes an
    exchange of the whole log.

    \b
    Example:
      tiergate case export case_9f86d081 --data data --out case.tar
    """
    import hashlib

    from tiergate.cli.deployment import open_deployment
    from tiergate.response.bundle.writing import export as write
    from tiergate.response.kept import kept_look
    from tiergate.response.record import record_of

    writable_file(out)
    if out.exists():
        raise InputError(f"`{out}` is there already: evidence is never written over; give `--out` another name")
    with open_deployment(data) as deployment:
        record = record_of(deployment.engine, case)
    look = kept_look(data, record.file)
    with progress("exporting") as advance:
        about = write(
            record, look.cases, look.answer, look.read(), out, now_us=SystemClock().now_us(), progress=advance
        )
    with out.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if as_json:
        say_json({"case_id": about.case_id, "bundle": str(out), "sha256": sha256, "digest": about.digest})
        return
    say(f"{out}: {out.stat().st_size:,} bytes, sha256 {sha256}")
    say(f"{counted(about.exchanges, 'exchange')} of {counted(about.accounts, 'account')}, {about.others:,} renamed")
    note(f"check it with `tiergate case verify {out}`; what it shows of others: docs/dossier.md")


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="File that `tiergate case export` wrote.")],
    as_json: Json = False,
) -> None:
    """Check a bundle, look again at what was read, and compare.

    Exit code 0 if it holds, 1 if not. Needs no deployment and no network, the memory that the look itself needed,
    and room for a copy of the bundle in the folder for temporary files.

    \b
    Example:
      tiergate case verify case.tar
    """
    import tiergate
    from tiergate.response.bundle.verifying import verify as check

    with progress("verifying") as advance:
        found = check(bundle, advance)
    about = found.about
    if as_json:
        say_json(
            {
                "holds": found.holds,
                "wrong": found.wrong,
                "case_id": about.case_id,
                "digest": about.digest,
                "made_by": about.asked.tiergate,
                "verified_by": tiergate.__version__,
            }
        )
    elif found.holds:
        say(f"holds: {about.case_id} came out again, byte for byte")
        say(f"answer {about.digest}; compare it with the one that the notice of a verdict names")
        looked = f"{counted(about.exchanges, 'exchange')} of {counted(about.accounts, 'account')}"
        say(f"{looked}, exported {moment(about.exported_at_us)} UTC")
    else:
        for one in found.wrong:
            say(f"does not hold: {one}")
    if about.asked.tiergate != tiergate.__version__:
        note(
            f"made by tiergate {about.asked.tiergate} and run by {tiergate.__version__}: "
            "another version may answer differently; install the one that made it to be sure"
        )
    if not found.holds:
        raise typer.Exit(1)
