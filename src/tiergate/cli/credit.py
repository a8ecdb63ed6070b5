"""`tiergate credit`: lines carved out of a programme's pool, and what was spent of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, Reason, deployment, end_of, micro_usd, now, show, who
from tiergate.cli.terminal import counted, note, say, say_json

if TYPE_CHECKING:
    from tiergate.admission.credit_rows import CreditLine
    from tiergate.admission.credits import Credits

app = typer.Typer(help="Carve credit lines, state what was spent.", rich_markup_mode=None, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="LINE", help="Id of the line.")]
Amount = Annotated[str, typer.Argument(metavar="USD", help="Size of the line in dollars.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="A day, UTC.")]


def _show(store: Credits, lines: list[CreditLine], as_json: bool, *, several: bool = False) -> None:
    import msgspec

    from tiergate.admission.credit_rows import usd

    both = [(line, store.balance(line.line_id)) for line in lines]
    if as_json:
        shown = [
            msgspec.to_builtins(line) | {"balance": msgspec.to_builtins(held) | {"available": held.available}}
            for line, held in both
        ]
        say_json(shown if several else shown[0])
        return
    for line, held in both:
        used = f"{usd(held.spent)} spent  {usd(held.reserved)} reserved  {usd(held.available)} left"
        say(f"{line.line_id}  {line.organisation_id}  {usd(held.committed)}  {used}{'  closed' * held.closed}")


@app.command("line")
def line(
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="Id of the programme.")],
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION", help="Id of the organisation.")],
    amount: Amount,
    purpose: Annotated[str | None, typer.Option(metavar="CODE", help="The only purpose it pays for.")] = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Carve a line for an organisation out of a programme's pool.

    \b
    Example:
      tiergate credit line consortium acme 2,500,000 --purpose find_and_fix
    """
    from tiergate.admission.credits import Credits

    with deployment(data) as opened:
        store = Credits(opened.engine)
        made = store.open_line(
            programme, organisation, micro_usd(amount), purpose_code=purpose, author=who(author), now_us=now()
        )
        _show(store, [made], as_json)


@app.command("resize")
def resize(
    line_id: Id,
    amount: Amount,
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Give a line another size, not below what is reserved and spent.

    \b
    Example:
      tiergate credit resize line_3f9a51c0de7b2846 3,000,000
    """
    from tiergate.admission.credits import Credits

    with deployment(data) as opened:
        store = Credits(opened.engine)
        changed = store.resize_line(line_id, micro_usd(amount), author=who(author), now_us=now(), reason=reason)
        _show(store, [changed], as_json)


@app.command("close")
def close(
    line_id: Id, reason: Reason = "", data: Data = Path("data"), author: Author = None, as_json: Json = False
) -> None:
    """Close a line to new requests; what is under way is still charged to it.

    \b
    Example:
      tiergate credit close line_3f9a51c0de7b2846
    """
    from tiergate.admission.credits import Credits

    with deployment(data) as opened:
        store = Credits(opened.engine)
        _show(store, [store.close_line(line_id, author=who(author), now_us=now(), reason=reason)], as_json)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List lines with their balances.

    \b
    Example:
      tiergate credit list --data data
    """
    from tiergate.admission.credits import Credits

    with deployment(data) as opened:
        store = Credits(opened.engine)
        held = store.lines()
        _show(store, held, as_json, several=True)
    note(counted(len(held), "line"))


@app.command("statement")
def statement(
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="Id of the programme.")],
    organisation: Annotated[str | None, typer.Option(metavar="ID", help="Of this organisation alone.")] = None,
    since: Day = None,
    until: Day = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """State what was committed, reserved and spent, by line, member and purpose. Days count from their beginning.

    Without days, the rows of a line add up to its balance, to the micro-dollar.

    \b
    Example:
      tiergate credit statement consortium --organisation acme --since 2026-11-01 --until 2026-12-01
    """
    from tiergate.admission.credit_rows import StatementRow, usd
    from tiergate.admission.credits import Credits

    with deployment(data) as opened:
        store = Credits(opened.engine)
        lines = [one for one in store.lines(programme) if organisation in (None, one.organisation_id)]
        rows = store.statement(
            [one.line_id for one in lines],
            from_us=0 if since is None else end_of(since, 0),
            to_us=None if until is None else end_of(until, 0),
        )

    def said(row: StatementRow) -> str:
        if row.member_id is None:
            return f"{row.line_id}  committed {usd(row.committed)}"
        over = f"  {usd(row.overrun)} beyond the line" if row.overrun else ""
        spent = f"{usd(row.spent)} spent  {usd(row.reserved)} reserved{over}"
        return f"{row.line_id}  {row.member_id}  {row.purpose_id}  {counted(row.answers, 'answer')}  {spent}"

    show(rows, as_json, said)
