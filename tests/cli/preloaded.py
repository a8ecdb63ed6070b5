"""Imported once in the process that `tests.cli.forked` forks from: what most commands import when they run.

Nothing that starts a thread: a forked process would lack it.
"""

from __future__ import annotations

import sqlalchemy.dialects.sqlite

import tiergate.admission.replay
import tiergate.cli
import tiergate.detection.cases
import tiergate.parties.ownership
import tiergate.redteam.assess
import tiergate.response.watch
import tiergate.settings

__all__ = ["sqlalchemy", "tiergate"]
