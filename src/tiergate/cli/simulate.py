"""`tiergate simulate`: a made-up world of customers, for trying things out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.terminal import counted, progress, say, say_json

LEAST_FACTOR = 0.001
MOST_FACTOR = 1_000
"""Far beyond what fits into memory: here to name a slip."""


def simulate(
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the world.")] = None,
    preset: Annotated[str, typer.Option(metavar="NAME", help="Which world to make; `list` names them.")] = "demo",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of everything in it.")] = 1,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prompts to use instead of the built-in templates.")
    ] = None,
    scale: Annotated[float, typer.Option(metavar="X", help="Multiplies the number of accounts.")] = 1.0,
    thin: Annotated[float, typer.Option(metavar="X", help="Multiplies a campaign's exchanges.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write a simulated world to try things on.

    \b
    Example:
      tiergate simulate --preset demo --seed 7 --out world
    """
    from tiergate.cli.outputs import writable_folder
    from tiergate.errors import InputError
    from tiergate.simulation.prompts import GrammarPrompts, read_prompts
    from tiergate.simulation.spec import PRESETS
    from tiergate.simulation.world import simulate as make
    from tiergate.simulation.world import write_world

    if preset == "list":
        for name, spec in PRESETS.items():
            size = sum(one.accounts for one in spec.campaigns)
            say(f"{name}: {spec.days:g} days, {spec.people:,} people, {size:,} campaign accounts at scale 1")
        return
    if out is None:
        raise InputError("say where to write the world: --out DIR")
    for option, factor in (("--scale", scale), ("--thin", thin)):
        if not LEAST_FACTOR <= factor <= MOST_FACTOR:
            raise InputError(f"`{option} {factor:g}`: give a number from {LEAST_FACTOR:g} to {MOST_FACTOR:,}")
    if prompts is not None and not prompts.is_file():
        raise InputError(f"`--prompts {prompts}` is no file: give one of messages, .txt, .jsonl or .parquet")
    if preset not in PRESETS:
        raise InputError(f"no preset is called `{preset}`: there are {', '.join(PRESETS)}")
    writable_folder(out)
    with progress("simulating") as advance:
        source = read_prompts(prompts) if prompts else GrammarPrompts()
        world = make(PRESETS[preset].scaled(scale).thinned(thin), seed, source)
        advance("writing", 0.8)
        write_world(world, out)
        advance("", 1.0)
    if as_json:
        counts = {"exchanges": world.exchanges.num_rows, "accounts": world.accounts.num_rows}
        say_json({"out": str(out), **counts, "parameters": world.parameters})
    else:
        made = f"{counted(world.exchanges.num_rows, 'exchange')} of {counted(world.accounts.num_rows, 'account')}"
        say(f"wrote {made} to {out}; truth.parquet says who is who")
