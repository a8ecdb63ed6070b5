"""`tiergate share`: findings among peers."""

from __future__ import annotations

import typer

from tiergate.cli import share_check, share_finding

app = typer.Typer(help="Tell peers of findings, and hear theirs.", rich_markup_mode=None, add_completion=False)
share_finding.register(app)
share_check.register(app)
