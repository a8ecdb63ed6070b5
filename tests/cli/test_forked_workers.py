"""Workers that detection forks end with their pool, though the command line handles signals itself."""

from __future__ import annotations

import subprocess
import sys

MANY_POOLS = """
import multiprocessing
import tiergate.cli as cli

def work(size):
    return [0] * size

def pools(**_options):
    for _ in range(300):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            list(pool.imap(work, [20_000] * 6))

cli.app = pools
cli.main()
"""


def test_a_worker_never_outlives_its_pool() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_POOLS], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
