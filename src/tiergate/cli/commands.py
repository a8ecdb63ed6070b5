"""The commands of `tiergate`, each imported and built when it is asked for: to build them all takes longer than most
of them run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

COMMANDS: Final = {
    "demo": "demo:demo",
    "serve": "serve:serve",
    "authorize": "authorize:authorize",
    "control": "control:control",
    "detect": "detect:detect",
    "import": "importing:import_",
    "simulate": "simulate:simulate",
    "redteam": "redteam:redteam",
    "replay": "replay_world:replay",
    "spend": "spend:spend",
    "advise": "advise:advise",
    "outcomes": "outcomes:outcomes",
    "playbook": "playbook:app",
    "verify": "verify:verify",
    "watch": "watch:watch",
    "keys": "keys:app",
    "operators": "operators:app",
    "routes": "routes:app",
    "packs": "packs:app",
    "parties": "parties:app",
    "case": "case:app",
    "catalog": "catalog:app",
    "economics": "economics:app",
    "respond": "respond:app",
    "decisions": "decisions:app",
    "programme": "programmes:app",
    "member": "members:app",
    "purpose": "purposes:app",
    "holders": "holders:app",
    "classes": "classes:app",
    "grant": "grants:app",
    "credit": "credit:app",
    "budgets": "budgets:app",
    "appeal": "appeals:app",
    "alerts": "alerts:app",
    "share": "share:app",
}
"""Where each is, by name in the order of the help: a module of this package, and a function or a group in it."""


class _Built(Mapping[str, Any]):
    """Commands by name."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            module, attribute = COMMANDS[name].split(":")
            found = getattr(import_module(f"tiergate.cli.{module}"), attribute)
            if not isinstance(found, typer.Typer):
                command, found = found, typer.Typer(rich_markup_mode=None, add_completion=False)
                found.command(name)(command)
            self._built[name] = typer.main.get_command(found)
            self._built[name].name = name
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Built()})
