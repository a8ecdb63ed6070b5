"""Where a command writes: seen to before the work starts, so that none is done in vain."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tiergate.errors import InputError


def writable_folder(out: Path, option: str = "--out") -> None:
    """Make the folder ``out`` where it is absent. Raises `InputError`, which names ``option``, when nothing can be
    written into it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write into `{out}` ({error.strerror}): give `{option}` a folder that is new or can be written to"
        ) from error


def writable_file(out: Path, option: str = "--out") -> None:
    """Make the folder of ``out`` where it is absent. Raises `InputError` when ``out`` is one itself, or as above."""
    if out.is_dir():
        raise InputError(f"`{out}` is a folder: give `{option}` the name of a file")
    writable_folder(out.parent, option)
