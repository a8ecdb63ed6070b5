"""`tiergate redteam`: what the cheapest campaign costs that gets past the detector and the response."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tiergate.cli.terminal import counted, note, progress, say_json

JOURNAL = "evaluations.jsonl"


def redteam(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results; a second run there goes on with the first.")
    ],
    exchanges: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, help="Exchanges the attacker is after; repeat for a cost curve."),
    ] = None,
    evaluations: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Attacks tried against each control with detection, for each number of exchanges; four times as many "
            "where there is none.",
        ),
    ] = 60,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the world and the search.")] = 1,
    accounts: Annotated[int, typer.Option(metavar="N", help="Honest accounts of the world.")] = 1_500,
    days: Annotated[float, typer.Option(metavar="D", help="Days the attacker has.")] = 14.0,
    look: Annotated[
        list[float] | None,
        typer.Option(
            metavar="D",
            help="Day on which detection runs; repeat for several. If not given: daily for a week, then every other.",
        ),
    ] = None,
    decoys: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Decoys of each detection; as many as `detect` takes if not given."),
    ] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Exchanges an account may ask a day; 99% of honest ones stay below."),
    ] = None,
    newcomer_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="The same for an account's first days; 99% of honest newcomers stay below."
        ),
    ] = None,
    newcomer_days: Annotated[float, typer.Option(metavar="D", help="Days for which an account is a newcomer.")] = 7.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Search for the cheapest campaign that your controls let through.

    Tries campaigns on a simulated world with the real detector and response, and prints what each exchange costs the
    attacker undefended, under each control and under all. Figures are simulated and hold against this attacker only.

    \b
    Example:
      tiergate redteam --exchanges 1000 --exchanges 8000 --out redteam
    """
    from tiergate.cli.outputs import writable_folder
    from tiergate.cli.redteam_files import as_rows, figure, write_results
    from tiergate.cli.redteam_table import print_results
    from tiergate.redteam.assess import QUICK_TRIALS, Laboratory, assess
    from tiergate.redteam.background import Setting, usual_looks
    from tiergate.redteam.journal import Journal

    setting = Setting(
        accounts=accounts,
        days=days,
        looks=tuple(look) if look else usual_looks(days),
        decoys=decoys,
        account_a_day=rate_limit,
        newcomer_a_day=newcomer_limit,
        newcomer_days=newcomer_days,
    )
    writable_folder(out)
    journal = Journal(out / JOURNAL)
    with progress("attacking") as advance:
        laboratory = Laboratory(setting, journal)
        results = assess(
            laboratory,
            exchanges=exchanges or [1_000, 8_000],
            evaluations=evaluations,
            seed=seed,
            advance=advance,
        )
    limits = laboratory.world(seed).limits(setting)
    stopped = laboratory.world(seed).share_above(limits)
    run: dict[str, Any] = {
        "evaluations": evaluations,
        "evaluations_without_detection": QUICK_TRIALS * evaluations,
        "seed": seed,
        "limits": asdict(limits),
        "honest_accounts_above_them": stopped,
    }
    write_results(out, results, setting, run)
    note(
        f"the rate limit is {counted(limits.account, 'exchange')} a day, {limits.newcomer:,} in an account's first "
        f"{limits.newcomer_days:g} days; {stopped:.1%} of honest accounts exceed it some day"
    )
    note(f"made {counted(journal.added, 'trial')}, reused {journal.reused:,}; all are in `{out / JOURNAL}`")
    drawn = figure(results, out)
    note(f"wrote `{drawn}`" if drawn else "no picture: it needs `pip install 'tiergate[report]'`")
    if as_json:
        say_json({"simulated": True, "assessments": as_rows(results)})
    else:
        print_results(results)
