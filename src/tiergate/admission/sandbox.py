"""A deployment's admission state copied into a temporary folder, where anything may be tried."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tiergate.admission.models import FILE as MODELS
from tiergate.errors import InputError

CONTROL: Final = "control.sqlite"
PARTIES: Final = "parties.sqlite"


@contextmanager
def sandbox(data: Path) -> Iterator[Path]:
    """A copy of what admission reads in ``data``, gone when the block ends. The original is opened for reading alone.

    Each database is copied as of one moment (SQLite's backup), whoever writes to it meanwhile. Raises `InputError`
    where there is no control database.
    """
    if not (data / CONTROL).is_file():
        raise InputError(f"`{data}` is not a gateway's data folder: make one with `tiergate keys create`")
    with tempfile.TemporaryDirectory(prefix="tiergate-sandbox-") as folder:
        copy = Path(folder)
        for name in (CONTROL, PARTIES):
            if (data / name).is_file():
                _copy(data / name, copy / name)
        if (data / MODELS).is_file():
            shutil.copy(data / MODELS, copy / MODELS)
        yield copy


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as original,
        closing(sqlite3.connect(target)) as made,
    ):
        original.backup(made)
