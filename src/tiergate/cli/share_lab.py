"""`tiergate share lab`: a lab's part in joint detection, from its log to its customers and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Json
from tiergate.cli.terminal import counted, note, progress, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.sharing.tokens.lab import JointCluster

app = typer.Typer(
    help="Nominate customers, hand them in blinded, read what was found.", rich_markup_mode=None, add_completion=False
)

LabFile = Annotated[Path, typer.Option("--lab", metavar="FILE", help="Whom this lab talks to.")]
State = Annotated[Path, typer.Option(metavar="DIR", help="What was handed in; it names customers.")]


@app.command("nominate")
def nominate(
    inputs: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Exchanges and accounts, as for `detect`.")],
    sketch_key: Annotated[Path, typer.Option(metavar="FILE", help="The group's sketch key, 32 bytes.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File of nominations to write.")],
    common: Annotated[
        int, typer.Option(metavar="N", min=2, help="Customers that may have something before it is common.")
    ] = 16,
) -> None:
    """Choose customers that are suspected a little, for people to look at. Nothing is sent.

    \b
    Example:
      tiergate share lab nominate data --sketch-key group.key -o nominations.jsonl
    """
    from tiergate.cli.inputs import find_inputs
    from tiergate.ledger.sketches import KEY_BYTES, Sketcher
    from tiergate.records.refused import RefusedRows
    from tiergate.sharing.tokens.files import write_nominations
    from tiergate.sharing.tokens.nominating import COLUMNS, TEXT_AND_SKETCHES
    from tiergate.sharing.tokens.nominating import nominate as choose

    try:
        key = sketch_key.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read `{sketch_key}`: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        raise InputError(f"`{sketch_key}` is no sketch key: it has {len(key)} bytes, not {KEY_BYTES}")
    found = find_inputs(inputs)
    refused = RefusedRows(None)
    batches = found.batches(refused, [*COLUMNS, *TEXT_AND_SKETCHES])
    chosen = choose(batches, found.account_table(refused), Sketcher(key), common)
    write_nominations(output, chosen)
    items = sum(len(one.items) for one in chosen)
    note(
        f"{counted(len(chosen), 'customer')} with {counted(items, 'item')} in `{output}`; look at them before you send"
    )


@app.command("send")
def send(
    nominations: Annotated[Path, typer.Argument(metavar="FILE", help="Nominations, as `nominate` writes them.")],
    lab: LabFile = Path("lab.toml"),
    state: State = Path("joint"),
) -> None:
    """Blind nominated items, have them evaluated, and hand the rows to the hub; once per epoch, again after a fault.

    \b
    Example:
      tiergate share lab send nominations.jsonl --lab lab.toml
    """
    from tiergate.sharing.tokens.files import keep, kept, open_lab, read_nominations

    chosen = read_nominations(nominations)
    with open_lab(lab) as ours:
        epoch = ours.epoch()
        prepared = kept(state, epoch)
        if prepared is None:
            with progress("joint detection") as advance:
                prepared = ours.prepare(chosen, epoch, lambda done, of: advance("blinding items", done / of))
            keep(state, prepared)
        else:
            note(
                f"rows of epoch {epoch} are in `{state}`: these are handed in, and `{nominations}` is left for the next"
            )
        ours.hand_in(prepared)
    say(f"{counted(len(prepared.sent.holders), 'item')} handed in for epoch {epoch}")


@app.command("read")
def read(lab: LabFile = Path("lab.toml"), state: State = Path("joint"), as_json: Json = False) -> None:
    """Show customers that are in a joint cluster, in the newest epoch that has any rows of ours.

    It is a reason to look closer: `verify` at the most, after a review of your own.

    \b
    Example:
      tiergate share lab read --lab lab.toml
    """
    import msgspec

    from tiergate.sharing.tokens.files import Answer, keep_answer, kept, kept_epochs, open_lab

    epochs = kept_epochs(state)
    prepared = kept(state, epochs[0]) if epochs else None
    if prepared is None:
        raise InputError(f"nothing was handed in from `{state}`: run `tiergate share lab send` first")
    with open_lab(lab) as ours:
        told, found = ours.read(prepared.sent)
    keep_answer(state, Answer(epochs[0], told, found))
    if as_json:
        say_json({"told": msgspec.to_builtins(told), "clusters": msgspec.to_builtins(found)})
        return
    for one in found:
        say(_line(one))
    if not told.keys_agree:
        note("labs used different public keys: a key server may be parting them; compare keys with your peers")
    if told.unfit:
        note(f"{counted(told.unfit, 'row')} of ours fit nothing that others handed in: check the threshold and version")
    note(f"{counted(len(told.items), 'item')} of ours held by {told.threshold} labs or more, of {told.labs}")


def _line(one: JointCluster) -> str:
    customers = ", ".join(one.customers[:8]) + (f" and {len(one.customers) - 8} more" if len(one.customers) > 8 else "")
    causes = ", ".join(one.causes)
    return (
        f"{one.cluster_id}  {one.customers_of_all} customers of {one.labs} labs  agree by {causes}  ours: {customers}"
    )
