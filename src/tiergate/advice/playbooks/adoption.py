"""Who adopted which playbook for what: `playbooks.toml` in the data folder, read strictly.

::

    [support_assistant]
    owners = {accountable = "ann", risk = "rob", operations = "sue"}
    review_by = 2027-05-01
    tasks = ["support"]
    not_for = ["decides_on_people"]   # what the playbook is not for, stated one by one
    models = ["support"]              # groups or models, as callers name them
    organisation = "acme"             # whose requests these are
    project = "support"               # and of which project, if it has one of its own
    regions = ["eu"]                  # in place of the playbook's

What stands here is stated by whoever writes the file; it is shown as that, and never as measured.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec

from tiergate.advice.playbooks.playbook import Playbook
from tiergate.catalog.access_programmes import Task
from tiergate.errors import InputError
from tiergate.gateway.routing.candidates import Region

FILE: Final = "playbooks.toml"


class Adoption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file; see there."""

    owners: dict[str, str]
    review_by: dt.date
    tasks: tuple[Task, ...]
    models: tuple[str, ...]
    organisation: str
    not_for: tuple[str, ...] = ()
    project: str | None = None
    regions: tuple[Region, ...] | None = None


def read_adoptions(path: Path) -> dict[str, Adoption]:
    """The adoptions of a deployment by playbook, none where there is no file. Raises `InputError` for a wrong one."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=dict[str, Adoption])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` does not say who adopted which playbook: {error}") from error


def example(playbook: Playbook, day: dt.date) -> str:
    """A table to start from, for whoever adopts ``playbook`` on ``day``."""
    owners = ", ".join(f'{role} = ""' for role in playbook.owners)
    tasks = ", ".join(f'"{task}"' for task in playbook.gates.tasks)
    not_for = ", ".join(f'"{code}"' for code in playbook.gates.not_for)
    lines = [
        f"[{playbook.id}]",
        f"owners = {{{owners}}}",
        f"review_by = {day + dt.timedelta(days=30 * playbook.review_months)}",
        f"tasks = [{tasks}]",
        f"not_for = [{not_for}]",
        f'models = ["{playbook.id}"]',
        'organisation = ""',
    ]
    return "\n".join(lines)
