"""`tiergate case dossier`: a case as a lawyer can read it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.outputs import writable_file
from tiergate.cli.terminal import progress, say, say_json
from tiergate.clock import SystemClock
from tiergate.errors import InputError, SettingsError

if TYPE_CHECKING:
    from tiergate.response.dossier.facts import Facts
    from tiergate.response.kept import Kept

ENDINGS = (".html", ".pdf")


def dossier(
    case: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case, or its beginning.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="What to write: FILE.html or FILE.pdf.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")] = Path("data"),
    author: Annotated[str | None, typer.Option(metavar="NAME", help="Who has it written; your login name.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Picks the sample of exchanges.")] = 1,
    sample: Annotated[int, typer.Option(metavar="N", min=0, max=1000, help="Exchanges in the sample.")] = 25,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write a dossier, as HTML or PDF.

    It is for people who have to judge a case. What was observed stands apart from what is inferred, and what speaks
    against the case is shown as large as what speaks for it. No account outside the case is named.

    \b
    Example:
      tiergate case dossier case_9f86d081 --data data --out case.pdf
    """
    from tiergate.cli.deployment import open_deployment
    from tiergate.cli.dossier.html import write_html
    from tiergate.cli.dossier.pdf import write_pdf
    from tiergate.response.dossier.compose import compose
    from tiergate.response.dossier.facts import gather
    from tiergate.response.kept import kept_look
    from tiergate.response.record import record_of

    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"`{out}` is neither a page nor a PDF: end its name in .html or .pdf")
    writable_file(out)
    now_us = SystemClock().now_us()
    with open_deployment(data) as deployment:
        record = record_of(deployment.engine, case)
    kept = kept_look(data, record.file)
    with progress("dossier") as advance:
        advance("counting", 0.1)
        facts = gather(data, record, kept, seed=seed, sample=sample, now_us=now_us)
        advance("drawing", 0.6)
        drawn = _drawn(facts, kept)
        document = compose(facts, author or getpass.getuser())
        advance("writing", 0.9)
        if ending == ".pdf":
            write_pdf(document, drawn, out, now_us)
        else:
            write_html(document, drawn, out)
        advance("done", 1.0)
    if as_json:
        say_json({"case_id": record.file.case_id, "dossier": str(out), "digest": record.file.found.digest})
    else:
        say(str(out))


def _drawn(facts: Facts, kept: Kept) -> dict[str, str]:
    """The pictures. Raises `SettingsError` when the extra `dossier` is not installed."""
    try:
        from tiergate.cli.dossier.pictures import pictures
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"a dossier needs `{error.name}`, which is not installed: run `pip install 'tiergate[dossier]'`"
        ) from error
    return pictures(facts, kept.read().batches(["account_id", "started_at"]))
