"""`tiergate replay`: what would have come of a recorded world under detection and response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import counted, note, progress, say, say_json

if TYPE_CHECKING:
    from tiergate.redteam.replay import Outcome


def replay(
    world: Annotated[
        Path, typer.Argument(metavar="WORLD", help="Folder of a world, as `tiergate simulate` writes it.")
    ],
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="none, account_limit, response or all; repeat for several; every one if not given."
        ),
    ] = None,
    every: Annotated[float, typer.Option(metavar="HOURS", min=0.1, help="Simulated hours between two looks.")] = 6.0,
    replaced_after: Annotated[
        float, typer.Option(metavar="HOURS", min=0, help="Until the campaign has fresh accounts for stopped ones.")
    ] = 24.0,
    gives_up: Annotated[bool, typer.Option("--gives-up", help="The campaign never replaces an account.")] = False,
    account_a_day: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="What one account may ask; the usual most if not given.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="Policy of response; ours if not given.")] = None,
    decoys: Annotated[int | None, typer.Option(metavar="N", min=1, help="Decoy platforms to score.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of every random choice.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Play a recorded world through detection and response.

    Time is simulated; the campaign's owner reacts, and its accounts are replaced. Figures are simulated.

    \b
    Example:
      tiergate replay world --every 6
    """
    from tiergate.errors import InputError
    from tiergate.redteam.recorded import Recorded
    from tiergate.redteam.replay import Control, Replay, Setting
    from tiergate.response.ladder import load_policy

    try:
        controls = [Control(name) for name in control] if control else list(Control)
    except ValueError as error:
        raise InputError(f"{error}: give one of {', '.join(Control)}") from None
    rules = load_policy(policy)
    setting = Setting(
        every_h=every, replaced_after_h=None if gives_up else replaced_after, account_a_day=account_a_day,
        decoys=decoys, seed=seed,
    )  # fmt: skip
    recorded = Recorded.read(world)
    with progress("replaying") as advance:
        outcomes = [Replay(recorded, setting, rules, one, advance).run() for one in controls]
        advance("done", 1.0)
    if as_json:
        say_json([_row(one) for one in outcomes])
        return
    _print(outcomes)
    if recorded.spec is None:
        note("this world does not say which exchanges are a campaign's: only what was refused is told")


def _row(one: Outcome) -> dict[str, Any]:
    waves = [
        {"accounts": len(wave.accounts), "began_us": wave.began_us, "stopped_after_h": wave.stopped_after_h}
        for wave in one.waves
    ]
    bill = None if one.bill is None else asdict(one.bill) | {"total_usd": one.bill.total}
    figures = {name: getattr(one, name) for name in one.__slots__}
    return figures | {"refused": dict(one.refused), "waves": waves, "bill": bill, "simulated": True}


def _print(outcomes: Sequence[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("control", "got out", "case after", "step after", "others refused", "touched", "fresh", "USD each"):
        table.add_column(name, justify="left" if name == "control" else "right", no_wrap=True)
    for one in outcomes:
        refused = sum(one.refused.values())
        each = "" if one.bill is None or not one.answered else f"{one.bill.per_exchange:.4f}"
        table.add_row(
            one.control.replace("_", " "),
            f"{one.answered / one.planned:.2%}" if one.planned else "",
            "" if one.case_h is None else f"{one.case_h:.1f} h",
            "" if one.step_h is None else f"{one.step_h:.1f} h",
            f"{refused / one.asked:.4%}" if one.asked else "",
            f"{one.touched:,}",
            f"{sum(len(wave.accounts) for wave in one.waves[1:]):,}",
            each,
        )
    Console(highlight=False).print(table)
    for one in outcomes:
        for number, wave in enumerate(one.waves[1:], 1):
            after = "not stopped" if wave.stopped_us is None else f"stopped after {wave.stopped_after_h:.1f} h"
            pool = f"fresh pool {number} of {counted(len(wave.accounts), 'account')}"
            say(f"{one.control.replace('_', ' ')}: {pool}: {after}")
    say("Simulated: a made-up world, and an attacker that reacts as described; prices partly assumed.")
