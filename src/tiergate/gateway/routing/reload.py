"""The file of routes in force, replaced whole by a newer one that is right, and by no other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tiergate.admission.models import Models, fingerprint
from tiergate.errors import InputError
from tiergate.gateway.routing.routes import Routes, parse
from tiergate.records.strict_yaml import LARGEST

FILE: Final = "gateway.yaml"
_log = logging.getLogger(__name__)


class InForce(msgspec.Struct, frozen=True):
    """``routes``: None where there was never a file. ``complaint``: why the file there now is not in force."""

    routes: Routes | None
    models: Models
    mark: int | None
    complaint: str | None = None


def changed(path: Path, before: InForce, models: Models) -> bool:
    """Whether the file or the models are others than those in force."""
    return fingerprint(path) != before.mark or models is not before.models


def load(path: Path, previous: InForce | None, models: Models, environment: Mapping[str, str] | None) -> InForce:
    """The routes of ``path``, or ``previous`` itself where neither the file nor ``models`` changed since.

    A file that is wrong or gone leaves the previous one in force, and says so once in the log. Half of a file may be a
    right one: replace it by renaming another onto it. Raises `InputError` when there is no previous one.
    """
    if previous is not None and not changed(path, previous, models):
        return previous
    mark = fingerprint(path)
    if mark is None and (previous is None or previous.routes is None):
        return InForce(None, models, mark)
    try:
        return InForce(read(path, models, environment), models, mark)
    except InputError as error:
        if previous is None:
            raise InputError(f"`{path}` cannot be used: {error}") from error
        complaint = str(error)
        if complaint != previous.complaint:
            _log.error("the routes stay as they were, `%s` cannot be used: %s", path, complaint)
        return InForce(previous.routes, models, mark, complaint)


def read(path: Path, models: Models, environment: Mapping[str, str] | None) -> Routes:
    """Read and check a file. Raises `InputError`, `FaultyRoutesError` for what is wrong within it."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    return parse(content, models, environment)
