"""A recorded world played again: what is counted, who reacts, and worlds that say nothing of a campaign."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Carried
from tiergate.redteam.recorded import Recorded, newcomers
from tiergate.redteam.replay import Control, Outcome, Replay, Setting
from tiergate.redteam.requests import AHEAD, ANSWERED, MOVED, REFUSED, Requests
from tiergate.response.ladder import load_policy
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import PRESETS
from tiergate.simulation.world import simulate, write_world


def quietly(_step: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(simulate(PRESETS["demo"], 3, GrammarPrompts()), folder)
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> Recorded:
    return Recorded.read(folder)


def played(world: Recorded, control: Control, setting: Setting | None = None) -> Outcome:
    return Replay(world, setting or Setting(), load_policy(), control, quietly).run()


def test_without_a_control_everything_is_answered(world: Recorded) -> None:
    outcome = played(world, Control.NONE)
    assert (outcome.answered, outcome.planned) == (1_800, 1_800)
    assert outcome.asked == world.others.sum() < world.log.num_rows - 1_800  # camouflage is nobody's
    assert (outcome.refused.total(), outcome.looks, outcome.step_h) == (0, 0, None)
    assert outcome.bill is not None


def test_a_limit_for_every_account_stops_the_busiest_alone(world: Recorded) -> None:
    outcome = played(world, Control.ACCOUNT_LIMIT, Setting(account_a_day=1))
    asked = list(zip(world.log["account_id"].to_pylist(), (world.times // DAY).tolist(), world.others, strict=True))
    days, honest = {(name, day) for name, day, _ in asked}, {(name, day) for name, day, other in asked if other}
    assert outcome.asked - outcome.refused["account_limit"] == len(honest)
    assert outcome.answered <= len(days) - len(honest)
    # What 99 of 100 honest accounts never exceed touches few of their exchanges.
    assert played(world, Control.ACCOUNT_LIMIT).refused.total() < 0.05 * outcome.asked


def test_response_stops_the_campaign_and_what_replaces_it(world: Recorded) -> None:
    outcome = played(world, Control.RESPONSE, Setting(every_h=48, decoys=4))
    assert outcome.looks == 4
    assert outcome.case_h is not None
    assert outcome.step_h is not None
    assert outcome.case_h <= outcome.step_h
    first, *fresh = outcome.waves
    assert first.accounts == world.campaign
    assert first.stopped_us is not None
    assert fresh
    assert not any(wave.accounts & first.accounts for wave in fresh)
    assert outcome.bill is not None
    gives_up = played(world, Control.RESPONSE, Setting(every_h=48, decoys=4, replaced_after_h=None))
    assert len(gives_up.waves) == 1
    assert gives_up.answered < outcome.answered <= outcome.planned


def test_every_request_of_the_campaign_is_in_one_state_and_asked_by_one_account(world: Recorded) -> None:
    requests = Requests(world)
    middle = int(np.median(requests.time))
    stopped = sorted(world.campaign)[:10]
    requests.ask(0, middle, set(stopped), lambda _account, _at, _carried: "account_suspended")
    assert (requests.state[requests.purpose] == REFUSED).any()
    rows = requests.left(stopped)
    requests.stop(stopped)
    assert world.spec is not None
    accounts, shown = newcomers(world.spec, 7, middle, 2.0, 5)
    assert set(shown["account_id"].to_pylist()) <= set(accounts["account_id"].to_pylist())
    requests.deal(rows, shown, middle + HOUR + np.arange(len(rows)))
    requests.ask(middle, int(requests.time.max()) + 1, set(), lambda _account, _at, _carried: "never asked")
    asked = requests.purpose & (requests.state != MOVED)
    assert asked.sum() == world.purpose.sum()
    assert not (requests.state == AHEAD).any()
    assert requests.answered == asked.sum()
    log = requests.recorded()
    assert log.num_rows == (requests.state == ANSWERED).sum() == len(set(log["exchange_id"].to_pylist()))
    assert set(shown["account_id"].to_pylist()) <= set(log["account_id"].to_pylist())


def test_what_a_request_carries_tells_the_campaign(world: Recorded) -> None:
    requests, carried = Requests(world), Counter[str]()

    def gate(_account: str, _at: int, marks: Carried) -> str:
        carried.update(marks() or ())
        return "refused"

    requests.ask(0, int(requests.time.max()) + 1, world.campaign, gate)
    mark, count = carried.most_common(1)[0]
    assert mark.startswith("template:")
    assert count >= 0.9 * world.purpose.sum()


def test_a_log_without_a_truth_has_no_campaign(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "exchanges.parquet").write_bytes((folder / "exchanges.parquet").read_bytes())
    bare = Recorded.read(tmp_path)
    assert (bare.spec, bare.campaign, bare.accounts) == (None, frozenset(), None)
    assert played(bare, Control.NONE).planned == 0
    (tmp_path / "exchanges.parquet").unlink()
    with pytest.raises(InputError):
        Recorded.read(tmp_path)


def test_the_command_says_what_was_refused(folder: Path) -> None:
    command = [sys.executable, "-m", "tiergate", "replay", str(folder), "--control", "account_limit", "--json"]
    done = subprocess.run([*command, "--account-a-day", "1"], capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)
    assert row["refused"]["account_limit"] > 0
    assert (row["control"], row["simulated"], row["planned"]) == ("account_limit", True, 1_800)


def test_pools_that_begin_at_one_moment_are_looked_at_once(world: Recorded) -> None:
    looks = (24.0, 24.0, 48.0)  # of which 48 h after the beginning is a usual look too
    setting = Setting(every_h=100.0, close_h=looks, decoys=2, replaced_after_h=None)
    outcome = played(world, Control.RESPONSE, setting)
    assert outcome.looks == 2 + len(range(100, 240, 100))
