"""`tiergate share`: findings among peers."""

from __future__ import annotations

import typer

from tiergate.cli import (
    share_check,
    share_exchange,
    share_feedback,
    share_finding,
    share_follow,
    share_joint,
    share_lab,
    share_peers,
)

app = typer.Typer(help="Tell peers of findings, and hear theirs.", rich_markup_mode=None, add_completion=False)
share_finding.register(app)
share_check.register(app)
share_exchange.register(app)
app.command("follow")(share_follow.follow)
share_feedback.register(app)
app.add_typer(share_peers.app, name="peers")
share_joint.register(app)
app.add_typer(share_lab.app, name="lab")
