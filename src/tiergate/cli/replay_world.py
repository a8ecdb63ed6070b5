"""`tiergate replay`: what would have come of a recorded world under detection and response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import note, progress, say, say_json

if TYPE_CHECKING:
    from tiergate.redteam.outcome import Outcome


def replay(
    world: Annotated[
        Path, typer.Argument(metavar="WORLD", help="Folder of a world, as `tiergate simulate` writes it.")
    ],
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="none, account_limit, response, people or all; repeat for several; none and response if not given.",
        ),
    ] = None,
    every: Annotated[float, typer.Option(metavar="HOURS", min=0.1, help="Simulated hours between two looks.")] = 12.0,
    fresh_a_day: Annotated[
        float | None,
        typer.Option(
            metavar="N", min=0, help="Accounts that the campaign can sign up a day; as before if not given; inf: any."
        ),
    ] = None,
    after: Annotated[
        float, typer.Option(metavar="HOURS", min=0, help="From the first stop until fresh accounts work.")
    ] = 24.0,
    reserve: Annotated[
        float, typer.Option(metavar="SHARE", min=0, help="Accounts that stand by, as a share of those it planned.")
    ] = 0.0,
    pace: Annotated[
        float, typer.Option(metavar="X", min=0.01, help="What a fresh account asks a day; 1: as planned ones.")
    ] = 1.0,
    verifies: Annotated[bool, typer.Option("--verifies", help="The campaign passes every check, and pays.")] = False,
    people_after: Annotated[
        float, typer.Option(metavar="HOURS", min=0, help="Office hours until people agree to what is proposed.")
    ] = 4.0,
    account_a_day: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="What one account may ask; the usual most if not given.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="Policy of response; ours if not given.")] = None,
    decoys: Annotated[int | None, typer.Option(metavar="N", min=1, help="Decoy platforms to score.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep answers of looks here; the same command goes on where it was. One at a time."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of every random choice.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Play a recorded world through detection and response.

    Time is simulated; the campaign's owner reacts, and its accounts are replaced. Figures are simulated. When it is
    interrupted, it says what came of it until then.

    \b
    Example:
      tiergate replay world --every 6 --keep answers
    """
    from tiergate.errors import InputError
    from tiergate.redteam.outcome import Control
    from tiergate.redteam.recorded import Recorded
    from tiergate.redteam.replay import Replay, Setting
    from tiergate.redteam.successors import Means
    from tiergate.response.ladder import load_policy

    try:
        controls = [Control(name) for name in control] if control else [Control.NONE, Control.RESPONSE]
    except ValueError as error:
        raise InputError(f"{error}: give one of {', '.join(Control)}") from None
    rules = load_policy(policy)
    means = Means(fresh_a_day=fresh_a_day, after_h=after, reserve=reserve, pace=pace, verifies=verifies)
    setting = Setting(
        every_h=every, people_after_h=people_after, means=means, account_a_day=account_a_day, decoys=decoys, seed=seed
    )
    recorded = Recorded.read(world)
    played: list[Replay] = []
    try:
        with progress("replaying") as advance:
            for one in controls:
                played.append(Replay(recorded, setting, rules, one, advance, keep))
                played[-1].run()
            advance("done", 1.0)
    finally:
        # What has come of it so far is also worth having where somebody interrupts.
        _say([one.outcome for one in played], as_json)
    if recorded.spec is None:
        note("this world does not say which exchanges are a campaign's: only what was refused is told")


def _say(outcomes: Sequence[Outcome], as_json: bool) -> None:
    if as_json:
        say_json([_row(one) for one in outcomes])
    elif outcomes:
        _print(outcomes)


def _row(one: Outcome) -> dict[str, Any]:
    waves = [
        {"accounts": len(wave.accounts), "began_us": wave.began_us, "stopped_after_h": wave.stopped_after_h}
        for wave in one.waves
    ]
    fresh = [{"began_us": fresh.began_us, "lasted_h": fresh.lasted_h} for fresh in one.fresh]
    bill = None if one.bill is None else asdict(one.bill) | {"total_usd": one.bill.total}
    figures = {name: getattr(one, name) for name in one.__slots__}
    return figures | {
        "refused": dict(one.refused),
        "looks": dict(one.looks),
        "waves": waves,
        "fresh": fresh,
        "bill": bill,
        "simulated": True,
    }


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
            "" if one.out is None else f"{one.out:.2%}",
            "" if one.case_h is None else f"{one.case_h:.1f} h",
            "" if one.step_h is None else f"{one.step_h:.1f} h",
            f"{refused / one.asked:.4%}" if one.asked else "",
            f"{one.touched:,}",
            f"{len(one.fresh):,}",
            each,
        )
    Console(highlight=False).print(table)
    for one in outcomes:
        _print_pools(one)
        if not one.complete:
            say(f"{one.control.replace('_', ' ')}: interrupted after {one.until:.0%} of the time; figures until then")
    say("Simulated: a made-up world, and an attacker that reacts as described; prices partly assumed.")


def _print_pools(one: Outcome) -> None:
    name = one.control.replace("_", " ")
    for number, wave in enumerate(one.waves[1:], 2):
        after = "not stopped" if wave.stopped_us is None else f"stopped after {wave.stopped_after_h:.1f} h"
        say(f"{name}: pool {number} of {len(wave.accounts):,} accounts: {after}")
    lasted = sorted(fresh.lasted_h for fresh in one.fresh if fresh.lasted_h is not None)
    if lasted:
        middle, rest = lasted[len(lasted) // 2], len(one.fresh) - len(lasted)
        say(f"{name}: fresh accounts: stopped after {middle:.1f} h (median), {rest:,} not stopped")
