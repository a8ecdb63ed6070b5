"""`tiergate case`: cases that people work on."""

from __future__ import annotations

import typer

app = typer.Typer(help="Work on cases.", rich_markup_mode=None, add_completion=False)
