"""Run one function in a process of its own: what `benchmarks.detection.children.call` starts.

    python -m benchmarks.detection.task MODULE:FUNCTION ARGUMENTS_AS_JSON ANSWER.json

Modules are loaded when they are called, so that no measurement pays for the imports of another.
"""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path

import msgspec
from benchmarks.detection.results import save

from tiergate.errors import TiergateError


def main() -> None:
    name, arguments, answer = sys.argv[1:]
    try:
        save(Path(answer), pkgutil.resolve_name(name)(**msgspec.json.decode(arguments)))
    except TiergateError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
