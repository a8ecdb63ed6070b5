"""`tiergate catalog check`: does every row of a file of facts say when it held, where it is from and its licence?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.options import Json
from tiergate.cli.terminal import counted, say, say_json
from tiergate.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("check")(check)


def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files of facts, TOML or CSV; ours if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that every row has its day, source and licence, and that the licence lets it be shipped.

    \b
    Example:
      tiergate catalog check
      tiergate catalog check my-models.toml
    """
    from tiergate.catalog.check import check_file

    found = {path: check_file(path) for path in files or shipped()}
    if as_json:
        say_json([{"file": path.name, "rows": one.rows, "faults": one.faults} for path, one in found.items()])
    else:
        for path, one in found.items():
            say(f"{path.name}: {counted(one.rows, 'row')}, {counted(len(one.faults), 'fault')}")
            for fault in one.faults:
                say(f"  {fault}")
    faults = sum(len(one.faults) for one in found.values())
    if faults:
        raise InputError(
            f"{counted(faults, 'row')} cannot be shipped: give each its `as_of`, `source` and a `licence` that lets "
            "anybody use, change and pass on the data"
        )


def shipped() -> list[Path]:
    """The files of facts that come with Tiergate."""
    import tiergate

    root = Path(tiergate.__file__).parent
    folders = (root / "catalog" / "facts", root / "economics")
    return sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".toml", ".csv"))
