"""Two processes that open a new data folder together."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tiergate.admission.changes import prepare
from tiergate.database import open_database
from tiergate.ledger.verdicts import VerdictStore
from tiergate.parties.registry import Registry

PROCESSES = 4
FOLDERS = 8


def open_all(folder: Path, together: Barrier) -> None:
    for number in range(FOLDERS):
        engine = open_database(folder / f"{number}.sqlite")
        together.wait(30)
        Registry(engine, b"p" * 32)
        prepare(engine)
        VerdictStore(engine)
        engine.dispose()


def test_processes_that_open_a_new_database_together_all_find_it_whole(tmp_path: Path) -> None:
    ways = multiprocessing.get_context("spawn")
    together = ways.Barrier(PROCESSES)
    processes = [ways.Process(target=open_all, args=(tmp_path, together)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    for number in range(FOLDERS):
        engine = open_database(tmp_path / f"{number}.sqlite")
        with engine.connect() as connection:
            for table in ("registry_changes", "registry_pepper", "admission_epoch"):
                assert connection.exec_driver_sql(f"select count(*) from {table}").scalar_one() == 1
        engine.dispose()


def test_a_new_database_is_its_owner_s_alone(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "x.sqlite")
    prepare(engine)
    with engine.connect():
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    engine.dispose()
    assert modes == dict.fromkeys(["x.sqlite", "x.sqlite-wal", "x.sqlite-shm"], 0o600)
