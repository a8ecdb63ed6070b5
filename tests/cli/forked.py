"""The real command line in a process of its own, forked from one that has imported the libraries already.

A start of Python with SQLAlchemy, pyarrow and scipy costs a second of processor time, and these tests make hundreds.
What a start itself does is tested in `test_main` and `test_demo`, which start Python afresh.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["tests.cli.preloaded"])


def run(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """What ``tiergate`` says to ``arguments``. Raises `subprocess.TimeoutExpired`."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = _forking.Process(target=_main, args=(list(arguments), cwd, dict(environment), out, err))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout_s, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(["tiergate", *arguments], process.exitcode, out.read_text(), err.read_text())


def _main(arguments: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tiergate", *arguments]

    from tiergate.cli import main

    main()
