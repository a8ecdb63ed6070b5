"""The decision logs of a deployment, one for each gateway on its data folder, and what their decisions are called.

A decision's id is its index in the first log, `17`, or stands behind the name of a further one: `worker-2/17`. The logs
are `<data>/decisions`, `<data>/decisions/worker-2` and so on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tiergate.errors import InputError
from tiergate.ledger.decision_reader import ABOUT

FOLDER: Final = "decisions"
KEY: Final = "decisions.key"
"""File in the data folder with the key that signs all its logs."""
MOST_WORKERS: Final = 64
_ID: Final = re.compile(r"(?:worker-([1-9][0-9]?)/)?(0|[1-9][0-9]{0,17})", re.ASCII)


class LogPlace(NamedTuple):
    """Folder of one log, and what ids of its decisions begin with."""

    folder: Path
    prefix: str


def place_of(data: Path, number: int) -> LogPlace:
    """The log of the ``number``-th gateway, counted from 1, whether or not it is there."""
    return _place(data / FOLDER, number)


def logs_of(data: Path) -> list[LogPlace]:
    """Logs that are there, in the order of their numbers. ``data`` may also be a log itself, such as a copy of one.

    Raises `InputError` where there is none.
    """
    first = data if (data / ABOUT).exists() else data / FOLDER
    places = [_place(first, number) for number in range(1, MOST_WORKERS + 1)]
    found = [place for place in places if (place.folder / ABOUT).exists()]
    if not found:
        raise InputError(f"`{data}` has no decision log: it is made with the first decision on the classified tier")
    return found


def find_decision(data: Path, decision_id: str) -> tuple[LogPlace, int]:
    """The log of a decision and its index in it, which may be beyond its end. Raises `InputError` for no such log."""
    parsed = _ID.fullmatch(decision_id)
    if parsed is not None:
        prefix = f"worker-{parsed[1]}/" if parsed[1] else ""
        for place in logs_of(data):
            if place.prefix == prefix:
                return place, int(parsed[2])
    raise InputError(
        f"`{decision_id[:80]}` is no decision of `{data}`: give one such as 17 or worker-2/17, which the answer to the "
        "request has in its header `x-tiergate-decision-id`; the id of an exchange is another one"
    )


def _place(first: Path, number: int) -> LogPlace:
    return LogPlace(first, "") if number == 1 else LogPlace(first / f"worker-{number}", f"worker-{number}/")
