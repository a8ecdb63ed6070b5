"""`tiergate simulate`: a made-up world of customers, for trying things out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the world.")],
    preset: Annotated[str, typer.Option(metavar="NAME", help="Which world to make.")] = "demo",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of everything in it.")] = 1,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prompts to use instead of the built-in templates.")
    ] = None,
    scale: Annotated[float, typer.Option(metavar="X", min=0.01, help="Multiplies the number of accounts.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write a simulated world to try things on.

    \b
    Example:
      tiergate simulate --preset demo --seed 7 --out world
    """
