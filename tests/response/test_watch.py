"""The loop on a gateway's own log: looks as it grows, cut off and taken up again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from tiergate.clock import FixedClock
from tiergate.database import open_database
from tiergate.detection.run import Parameters
from tiergate.detection.state import State
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.verdicts import Action
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.records.schema import Exchange
from tiergate.response.case_files import CaseFile
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.response.looks import digest_of
from tiergate.response.watch import Watch
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import PRESETS
from tiergate.simulation.world import World, simulate

QUICK = Parameters(decoys=8)


def quietly(_step: str, _share: float) -> None:
    pass


@pytest.fixture(scope="session")
def world() -> World:
    return simulate(PRESETS["demo"], 3, GrammarPrompts())


def exchanges_of(world: World) -> list[Exchange]:
    fields = set(Exchange.__struct_fields__)
    rows = world.exchanges.to_pylist()
    return [
        Exchange(
            **{k: v for k, v in row.items() if k in fields} | {"started_at": round(row["started_at"].timestamp() * 1e6)}
        )
        for row in rows
    ]


@pytest.fixture
def data(tmp_path: Path, world: World) -> Path:
    """A data folder with the world's accounts, and nothing asked yet."""
    return tmp_path / "data"


@pytest.fixture
def engine(data: Path) -> Iterator[sa.Engine]:
    data.mkdir()
    (data / "key").write_bytes(b"k" * 32)  # which groups come out at a threshold depends on the key
    engine = open_database(data / "control.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def watch(data: Path, engine: sa.Engine, world: World) -> Watch:
    registry = Registry(engine, load_or_create_pepper(data / "pepper"))
    registry.add_accounts(world.accounts.to_pylist())
    end = round(world.exchanges["started_at"][-1].as_py().timestamp() * 1e6)
    return Watch(data, engine, registry, load_policy(), FixedClock(end))


def record(data: Path, exchanges: list[Exchange]) -> None:
    log = ExchangeLog.open(data / "log", sketcher=Sketcher(load_or_create_key(data / "key")))
    log.append(exchanges)
    log.close()


def test_looks_at_a_growing_log_open_one_case_and_reach_its_accounts(watch: Watch, data: Path, world: World) -> None:
    asked = exchanges_of(world)
    assert watch.look(QUICK, quietly).folder is None
    record(data, asked[: len(asked) // 2])
    watch.look(QUICK, quietly)
    record(data, asked[len(asked) // 2 :])
    seen = watch.look(QUICK, quietly)
    population = {row["account_id"]: row["population"] for row in world.truth.to_pylist()}
    (case,) = [one for one in watch.desk.changes.every(CaseFile) if one.step is not Action.WATCH]
    held = watch.desk.verdicts.in_force(watch.desk.last().looked_at_us)
    reached = [population[account] for account in held]
    assert reached.count("campaign") >= 36
    assert set(reached) == {"campaign"}
    # Nothing new: no row is written.
    rows = watch.desk.verdicts.version(), watch.desk.changes.version()
    again = watch.look(QUICK, quietly)
    assert (again.folder, again.changes) == (seen.folder, [])
    assert (watch.desk.verdicts.version(), watch.desk.changes.version()) == rows
    # What the case rests on is kept, and is what its file says.
    assert digest_of(watch.answer(case.found.digest)) == case.found.digest


@pytest.mark.parametrize("cut", ["detection", "taking", "filing"])
def test_a_look_that_is_cut_off_is_made_up_for(
    watch: Watch, data: Path, world: World, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    record(data, exchanges_of(world))

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    rename = Path.rename

    def dies_filing(path: Path, to: Path) -> Path:
        if path.name == "pending":
            raise KeyboardInterrupt
        return rename(path, to)

    with monkeypatch.context() as broken:
        broken.setattr(
            *{
                "detection": (State, "keep_answer", dies),
                "taking": (CaseDesk, "take", dies),
                "filing": (Path, "rename", dies_filing),
            }[cut]
        )
        with pytest.raises(KeyboardInterrupt):
            watch.look(QUICK, quietly)
    watch.look(QUICK, quietly)
    assert any(one.step is not Action.WATCH for one in watch.desk.changes.every(CaseFile))
    opened = watch.desk.changes.every(CaseFile)
    assert all(len(watch.desk.changes.history(CaseFile, one.case_id)) == 1 for one in opened)


def test_requests_that_were_refused_say_nothing_for_whoever_sent_them(watch: Watch, data: Path, world: World) -> None:
    asked = exchanges_of(world)
    sent = Counter(one.account_id for one in asked if one.status < 400)
    refused = [
        msgspec.structs.replace(one, exchange_id=f"{one.exchange_id}-{number}", status=403, system_text=None,
                                prompt_text=f"what is {number} times {len(one.exchange_id)}", output_tokens=None)
        for number in range(3) for one in asked[: len(asked) // 2]
    ]  # fmt: skip
    record(data, refused)
    assert watch.look(QUICK, quietly).folder is None
    record(data, asked)
    watch.look(QUICK, quietly)
    held = watch.desk.verdicts.in_force(watch.desk.last().looked_at_us)
    assert len(held) >= 36
    assert {account: one.observed for account, one in held.items()} == {account: sent[account] for account in held}


def test_an_answer_that_a_power_failure_tore_is_made_again(
    watch: Watch, data: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(data, exchanges_of(world))

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(CaseDesk, "take", dies)
        with pytest.raises(KeyboardInterrupt):
            watch.look(QUICK, quietly)
    (data / "detection" / "pending" / "case_heirs.parquet").write_bytes(b"")
    watch.look(QUICK, quietly)
    assert any(one.step is not Action.WATCH for one in watch.desk.changes.every(CaseFile))


def test_one_watch_a_data_folder(watch: Watch, data: Path) -> None:
    take = f"with held(Path({str(data / 'detection')!r})): pass"
    code = f"from pathlib import Path\nfrom tiergate.response.watch_lock import held\n{take}"
    with watch.held():
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "watched already" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)
