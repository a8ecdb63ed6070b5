"""`tiergate case`: cases that people work on."""

from __future__ import annotations

import typer

app = typer.Typer(help="See cases and work on them.", rich_markup_mode=None, add_completion=False)
