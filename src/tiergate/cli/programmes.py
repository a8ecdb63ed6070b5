"""`tiergate programme`: circles of members, their terms and their pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, Reason, deployment, digest, micro_usd, now, show, who
from tiergate.cli.terminal import counted, note
from tiergate.clock import DAY

if TYPE_CHECKING:
    from tiergate.admission.programmes import Programme

app = typer.Typer(help="Found programmes, publish their terms.", rich_markup_mode=None, add_completion=False)

Named = Annotated[str, typer.Argument(metavar="PROGRAMME", help="Id of the programme.")]


def _line(programme: Programme) -> str:
    from tiergate.admission.credit_rows import usd

    terms = programme.terms[-1].version if programme.terms else "none"
    pool = usd(programme.pool_micro_usd)
    return f"{programme.programme_id}  {programme.tier}  pool {pool}  terms {terms}  {programme.name}"


@app.command("create")
def create(
    where: Annotated[
        str, typer.Argument(metavar="FILE", help="TOML file, or consortium, cyber_verification, trusted_access.")
    ],
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Found a programme from a file; three bundled ones are there to start from.

    \b
    Example:
      tiergate programme create consortium --data data
    """
    from tiergate.admission.programmes import Programmes, read_programme

    programme = read_programme(where)
    with deployment(data, create=True) as opened:
        Programmes(opened.engine).create(programme, author=who(author), now_us=now())
    show(programme, as_json, _line)


@app.command("show")
def show_(programme: Named, data: Data = Path("data"), as_json: Json = False) -> None:
    """Show a programme: purposes, requirements, terms and pool.

    \b
    Example:
      tiergate programme show consortium --data data
    """
    from tiergate.admission.programmes import Programmes

    with deployment(data) as opened:
        found = Programmes(opened.engine).get(programme)

    def whole(one: Programme) -> str:
        lines = [_line(one), *(f"  model {model}" for model in one.models)]
        lines += [f"  purpose {rule.code}: {rule.title} ({', '.join(rule.assets) or 'any'})" for rule in one.purposes]
        lines += [f"  requirement {wanted.code}: {wanted.text}" for wanted in one.requirements]
        lines += [f"  terms {terms.version}  sha256 {terms.sha256}" for terms in one.terms]
        return "\n".join(lines)

    show(found, as_json, whole)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List programmes.

    \b
    Example:
      tiergate programme list --data data
    """
    from tiergate.admission.programmes import Programmes

    with deployment(data) as opened:
        held = Programmes(opened.engine).every()
    show(held, as_json, _line)
    note(counted(len(held), "programme"))


@app.command("terms")
def terms(
    programme: Named,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Name of the version.")],
    document: Annotated[str, typer.Option(metavar="FILE", help="The terms, or their SHA-256.")],
    days: Annotated[int, typer.Option(min=0, help="Days that members have to accept them.")] = 30,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Publish terms. Members who have not accepted them when the days are over pause until they do.

    \b
    Example:
      tiergate programme terms consortium 2026-12 --document terms.pdf --days 30
    """
    from tiergate.admission.programmes import Programmes

    now_us = now()
    with deployment(data) as opened:
        changed = Programmes(opened.engine).publish_terms(
            programme,
            version,
            digest(document),
            accept_by_us=now_us + days * DAY,
            author=who(author),
            now_us=now_us,
        )
    show(changed, as_json, _line)


@app.command("pool")
def pool(
    programme: Named,
    amount: Annotated[str, typer.Argument(metavar="USD", help="Size of the pool in dollars.")],
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Give a programme's pool of credits another size.

    \b
    Example:
      tiergate programme pool consortium 104,000,000 --reason "donations to maintainers"
    """
    from tiergate.admission.credits import Credits

    with deployment(data) as opened:
        changed = Credits(opened.engine).resize_pool(
            programme, micro_usd(amount), author=who(author), now_us=now(), reason=reason
        )
    show(changed, as_json, _line)
