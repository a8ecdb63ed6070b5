"""The exchange log loses nothing that it acknowledged, whatever kills it, and never shows half a row."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tiergate.errors import LedgerError
from tiergate.ledger import segments as segments_module
from tiergate.ledger.log import INTERRUPTED, ExchangeLog, is_log, read_log, writer_is_gone
from tiergate.ledger.sketches import Sketcher
from tiergate.ledger.spool import Spool
from tiergate.records.schema import LOG_SCHEMA, Exchange

SKETCHER = Sketcher(bytes(32))
SECRET = "violet-marmalade-lighthouse"

WRITER = """
import sys, threading, time
from pathlib import Path
from tests.ledger.test_log import SKETCHER, exchange
from tiergate.ledger.log import ExchangeLog
log = ExchangeLog.open(Path(sys.argv[1]), sketcher=SKETCHER)
def seal():
    while True:
        log.seal()
        time.sleep(0.01)
threading.Thread(target=seal, daemon=True).start()
n = 0
while True:
    ids = [f"{sys.argv[2]}-{n + i}" for i in range(1 + n % 7)]
    log.append([exchange(i) for i in ids])
    sys.stdout.write("".join(i + "\\n" for i in ids))
    sys.stdout.flush()
    n += len(ids)
"""


def exchange(name: str, **columns: object) -> Exchange:
    fields: dict[str, object] = {
        "exchange_id": name,
        "started_at": 1_780_000_000_000_000 + len(name),
        "account_id": "a",
        "operation": "chat",
        "request_model": "m",
        "status": 200,
        "prompt_text": f"{SECRET} {name}",
    }
    return Exchange(**(fields | columns))  # type: ignore[arg-type]


def ids(folder: Path) -> Counter[str]:
    return Counter(name for batch in read_log(folder) for name in batch.column("exchange_id").to_pylist())


def rows(folder: Path) -> dict[str, dict[str, object]]:
    return {row["exchange_id"]: row for batch in read_log(folder) for row in batch.to_pylist()}


def open_log(folder: Path, **options: object) -> ExchangeLog:
    return ExchangeLog.open(folder, sketcher=SKETCHER, **options)  # type: ignore[arg-type]


def abandon(log: ExchangeLog) -> None:
    """What the operating system does when the writer is killed: locks go, nothing is tidied."""
    if log._spool._descriptor is not None:
        os.close(log._spool._descriptor)
    os.close(log._spool._held)  # type: ignore[arg-type]


def test_killed_at_any_moment_it_keeps_every_acknowledged_exchange_once(tmp_path: Path) -> None:
    dice = random.Random(5)
    acknowledged: list[str] = []
    for life in range(12):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged.append(writer.stdout.readline().strip())
            time.sleep(dice.random() * 0.25)
            writer.send_signal(signal.SIGKILL)
            # A last line cut by the kill was never read as acknowledged.
            rest = writer.stdout.read()
        acknowledged += rest[: rest.rfind("\n") + 1].split()
    assert len(acknowledged) > 200
    log = open_log(tmp_path)
    log.close()
    kept = ids(tmp_path)
    assert not [name for name in acknowledged if kept[name] != 1]
    assert max(kept.values()) == 1
    assert not list((tmp_path / "spool").iterdir())
    listed = {json.loads(path.read_bytes())["segment"] for path in (tmp_path / "manifest").glob("*.json")}
    assert {path.name for path in (tmp_path / "segments").iterdir()} == listed


def test_readers_see_everything_while_two_writers_write_and_seal(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    with (
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), "one"], stdout=subprocess.PIPE, text=True
        ) as one,
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), "two"], stdout=subprocess.PIPE, text=True
        ) as two,
    ):
        assert one.stdout is not None
        assert two.stdout is not None
        acknowledged: set[str] = set()
        for _ in range(5):
            for _ in range(20):
                acknowledged.add(one.stdout.readline().strip())
                acknowledged.add(two.stdout.readline().strip())
            seen = ids(tmp_path)
            assert acknowledged <= seen.keys()
            assert max(seen.values()) == 1
        for writer in (one, two):
            writer.kill()


@pytest.mark.parametrize("step", ["pq.write_table", "os.fsync", "os.link", "_sync_folder", "drop"])
def test_a_crash_at_any_step_of_sealing_neither_loses_nor_doubles(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.append([exchange("sealed before")])
    log.seal()
    log.append([exchange(str(n)) for n in range(50)])
    with monkeypatch.context() as broken:

        def fail(*arguments: object, **options: object) -> None:
            raise OSError(28, "no space left on device")

        if step == "drop":
            broken.setattr(Spool, "drop", fail)
        else:
            owner, _, name = step.rpartition(".")
            broken.setattr(getattr(segments_module, owner) if owner else segments_module, name, fail)
        with pytest.raises((LedgerError, OSError)):
            log.seal()
    expected = {str(n): 1 for n in range(50)} | {"sealed before": 1}
    assert ids(tmp_path) == expected
    abandon(log)
    open_log(tmp_path).close()
    assert ids(tmp_path) == expected
    assert sum(1 for _ in (tmp_path / "segments").iterdir()) == len(list((tmp_path / "manifest").glob("*.json")))


def test_the_log_goes_on_after_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    log.append([exchange("kept")])
    with monkeypatch.context() as broken:
        broken.setattr(segments_module.os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(LedgerError, match="free space"):
            log.seal()
    log.append([exchange("later")])
    assert log.seal() == 2
    assert ids(tmp_path) == {"kept": 1, "later": 1}


def test_text_never_reaches_the_disk_where_sketches_are_kept(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.begin([exchange("stream", system_text=SECRET)])
    log.append([exchange("answered", response_text=SECRET)])
    for _ in range(2):
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or SECRET.split("-")[0].encode() not in path.read_bytes()
        log.seal()
    row = rows(tmp_path)["answered"]
    assert row["prompt_text"] is row["response_text"] is None
    assert row["sketch_key_id"] == SKETCHER.key_id
    assert row["sketch_template"]


def test_text_is_kept_beside_the_sketches_where_asked(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention="text")
    log.append([exchange("x", response_text="yes", tool_names=["a"], temperature=0.5)])
    row = rows(tmp_path)["x"]
    log.close()
    assert rows(tmp_path)["x"] == row
    assert (row["prompt_text"], row["response_text"]) == (f"{SECRET} x", "yes")
    assert row["sketch_prompt"] is not None
    assert list(row) == LOG_SCHEMA.names


def test_a_stream_cut_by_a_crash_shows_as_interrupted_and_a_finished_one_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for name in ("cut", "finished"):
        log.begin([exchange(name)])
    assert ids(tmp_path) == {}
    log.append([exchange("finished", finish_reason="stop")])
    log.seal()
    abandon(log)
    open_log(tmp_path).close()
    found = rows(tmp_path)
    assert {name: row["finish_reason"] for name, row in found.items()} == {"cut": INTERRUPTED, "finished": "stop"}
    assert ids(tmp_path) == {"cut": 1, "finished": 1}


def test_a_live_writer_is_left_alone(tmp_path: Path) -> None:
    first = open_log(tmp_path)
    first.append([exchange("mine")])
    second = open_log(tmp_path)
    second.append([exchange("other")])
    first.append([exchange("mine too")])
    second.close()
    assert not writer_is_gone(tmp_path, first.writer)
    assert writer_is_gone(tmp_path, second.writer)
    first.close()
    assert ids(tmp_path) == {"mine": 1, "other": 1, "mine too": 1}


def test_damage_is_named(tmp_path: Path) -> None:
    assert not is_log(tmp_path)
    with pytest.raises(LedgerError, match="no manifest"):
        list(read_log(tmp_path))
    log = open_log(tmp_path)
    log.append([exchange("x")])
    log.close()
    segment = next((tmp_path / "segments").iterdir())
    content = segment.read_bytes()
    segment.write_bytes(content[: len(content) // 2])
    with pytest.raises(LedgerError, match=segment.name):
        list(read_log(tmp_path))
    next((tmp_path / "manifest").glob("*.json")).write_bytes(b"{")
    with pytest.raises(LedgerError, match="damaged"):
        list(read_log(tmp_path))


def test_a_place_that_cannot_be_a_log_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot write the exchange log"):
        open_log(tmp_path / "file")


class LogMachine(RuleBasedStateMachine):
    """The log against a dictionary: appends, repeats, streams, seals, deaths and reopenings in any order."""

    names = st.integers(0, 15).map(str)

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp(prefix="tiergate-test-"))
        self.model: dict[str, int] = {}
        self.begun: set[str] = set()
        self.log = open_log(self.folder)
        self.count = 0

    @rule(some=st.lists(names, min_size=1, max_size=4))
    def append(self, some: list[str]) -> None:
        self.count += 1
        self.log.append([exchange(name, output_tokens=self.count) for name in some])
        for name in some:
            self.model.setdefault(name, self.count)
            self.begun.discard(name)

    @rule(name=names)
    def begin(self, name: str) -> None:
        if name not in self.model and name not in self.begun:
            self.log.begin([exchange(name, output_tokens=-1)])
            self.begun.add(name)

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @rule(killed=st.booleans())
    def reopen(self, killed: bool) -> None:
        if killed:
            abandon(self.log)
        else:
            self.log.close()
        self.log = open_log(self.folder)
        self.model |= dict.fromkeys(self.begun, -1)
        self.begun.clear()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert {name: row["output_tokens"] for name, row in rows(self.folder).items()} == self.model
        assert ids(self.folder) == dict.fromkeys(self.model, 1)

    def teardown(self) -> None:
        import shutil

        self.log.close()
        shutil.rmtree(self.folder)


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)


def test_text_is_left_unread_where_sketches_suffice(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention="text")
    log.append([exchange("sealed", prompt_text="say what")])
    log.seal()
    wanted = ["prompt_text", "exchange_id"]
    (whole,) = read_log(tmp_path, columns=wanted)
    (lean,) = read_log(tmp_path, columns=wanted, sketches_suffice=True, repeats=True)
    assert whole.to_pylist() == [{"prompt_text": "say what", "exchange_id": "sealed"}]
    assert lean.to_pylist() == [{"prompt_text": None, "exchange_id": "sealed"}]
    log.close()
