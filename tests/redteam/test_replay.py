"""A recorded world played again: what is counted, who reacts, and worlds that say nothing of a campaign."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action, Carried
from tiergate.redteam import lookout
from tiergate.redteam.lookout import Asked, Lookout
from tiergate.redteam.outcome import Control, Outcome
from tiergate.redteam.recorded import Recorded
from tiergate.redteam.replay import ENDED_US, Replay, Setting
from tiergate.redteam.requests import AHEAD, ANSWERED, MOVED, REFUSED, Requests
from tiergate.redteam.reviewers import office_hours_later
from tiergate.redteam.successors import DEALT_US, Means, Successors
from tiergate.response.ladder import Policy, Step, load_policy
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


SELDOM = Setting(every_h=48, close_h=(), decoys=4)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of looks, which tests of one world have in common."""
    return tmp_path_factory.mktemp("answers")


def played(world: Recorded, control: Control, setting: Setting = SELDOM, answers: Path | None = None) -> Outcome:
    return Replay(world, setting, load_policy(), control, quietly, answers).run()


def test_without_a_control_everything_is_answered(world: Recorded) -> None:
    outcome = played(world, Control.NONE)
    assert (outcome.answered, outcome.planned) == (1_800, 1_800)
    assert outcome.asked == world.others.sum() < world.log.num_rows - 1_800  # camouflage is nobody's
    assert (outcome.refused.total(), outcome.looks.total(), outcome.step_h) == (0, 0, None)
    assert outcome.bill is not None


def test_a_limit_for_every_account_stops_the_busiest_alone(world: Recorded) -> None:
    outcome = played(world, Control.ACCOUNT_LIMIT, Setting(account_a_day=1))
    asked = list(zip(world.log["account_id"].to_pylist(), (world.times // DAY).tolist(), world.others, strict=True))
    days, honest = {(name, day) for name, day, _ in asked}, {(name, day) for name, day, other in asked if other}
    assert outcome.asked - outcome.refused["account_limit"] == len(honest)
    assert outcome.answered <= len(days) - len(honest)
    # What 99 of 100 honest accounts never exceed touches few of their exchanges.
    assert played(world, Control.ACCOUNT_LIMIT).refused.total() < 0.05 * outcome.asked


def test_response_stops_the_campaign_and_what_goes_on_for_it(world: Recorded, answers: Path) -> None:
    outcome = played(world, Control.RESPONSE, SELDOM, answers)
    assert outcome.looks.total() == 4
    assert outcome.complete
    assert outcome.case_h is not None
    assert outcome.step_h is not None
    assert outcome.case_h <= outcome.step_h
    (first,) = outcome.waves
    assert first.accounts == world.campaign
    assert first.stopped_us is not None
    assert outcome.fresh
    assert outcome.bill is not None
    gives_up = played(world, Control.RESPONSE, replace(SELDOM, means=Means(fresh_a_day=0)), answers)
    assert not gives_up.fresh
    assert gives_up.answered < outcome.answered <= outcome.planned


def test_a_replay_that_was_interrupted_goes_on_with_the_look_that_was_running(
    world: Recorded, answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = played(world, Control.RESPONSE, SELDOM, answers)
    real, times = Lookout._run, count()

    def once(self: Lookout, *given: Any) -> Any:
        if next(times):
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(Lookout, "_run", once)
    playing = Replay(world, SELDOM, load_policy(), Control.RESPONSE, quietly, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        playing.run()
    assert (playing.outcome.complete, playing.outcome.looks.total()) == (False, 1)
    assert 0 < playing.outcome.until < 0.5
    looked: list[object] = []
    monkeypatch.setattr(Lookout, "_run", lambda *given: looked.append(given) or real(*given))
    again = played(world, Control.RESPONSE, SELDOM, tmp_path)
    assert (again, len(looked)) == (whole, 3)


def test_no_look_is_spared_that_would_have_done_something(
    world: Recorded, answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = replace(SELDOM, close_h=(6.0,))
    monkeypatch.setattr(lookout, "HOLDS_US", 10 * DAY)
    sparing = played(world, Control.RESPONSE, setting, answers)
    assert set(sparing.looks) == {"spared", "short", "full"}
    monkeypatch.setattr(Lookout, "_need", lambda *_given: "full")
    whole = played(world, Control.RESPONSE, setting, tmp_path)
    assert set(whole.looks) == {"full"}
    same = ("answered", "refused", "touched", "step_h", "waves", "fresh", "bill")
    assert [getattr(sparing, name) for name in same] == [getattr(whole, name) for name in same]


def test_a_verdict_that_ends_is_looked_after(world: Recorded, answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, look = list[int](), Lookout.look

    def noted(self: Lookout, asked: Asked) -> Path | None:
        seen.append(asked.now)
        return look(self, asked)

    monkeypatch.setattr(Lookout, "look", noted)
    day_long = msgspec.structs.replace(load_policy(), expires_after_hours=24.0)
    Replay(world, SELDOM, day_long, Control.RESPONSE, quietly, answers).run()
    begin, every = int(world.times[0]), int(SELDOM.every_h * HOUR)
    after_an_end = {at for at in seen if (at - begin) % every}
    assert after_an_end
    assert {at - ENDED_US - DAY for at in after_an_end} <= set(seen)


def test_every_request_of_the_campaign_is_in_one_state_and_asked_by_one_account(world: Recorded) -> None:
    requests = Requests(world)
    middle = int(np.median(requests.time))
    stopped = set(sorted(world.campaign)[:10])
    requests.ask(0, middle, stopped, lambda _account, _at, _carried: "account_suspended")
    waiting = int(((requests.state == REFUSED) & requests.purpose).sum())
    assert waiting
    successors = Successors(world, requests, Means(fresh_a_day=inf), 5)
    now = middle
    while successors.deal(now, stopped):
        requests.ask(now, now + DEALT_US, stopped, lambda _account, _at, _carried: "account_suspended")
        now += DEALT_US
    requests.ask(now, int(requests.time.max()) + 1, stopped, lambda _account, _at, _carried: "account_suspended")
    # Ten are lacking, and later those that have done all that was planned for them.
    assert 10 <= len(successors.at_work) <= len(world.campaign)
    asked = requests.purpose & (requests.state != MOVED)
    assert asked.sum() == world.purpose.sum()
    assert not (requests.state == AHEAD).any()
    assert waiting < (requests.state == MOVED).sum()
    log = requests.recorded()
    assert log.num_rows == (requests.state == ANSWERED).sum() == len(set(log["exchange_id"].to_pylist()))
    by_fresh = log.filter(pc.is_in(log["account_id"], pa.array(sorted(successors.at_work))))
    assert set(by_fresh["account_id"].to_pylist()) == set(successors.at_work)
    # No account is dealt more than planned ones asked.
    rate = world.purpose.sum() / len(world.campaign) / ((world.times[-1] - world.times[0]) / DAY)
    assert by_fresh.num_rows <= 2 * rate * sum((now - one.began_us) / DAY for one in successors.at_work.values())


def test_fresh_accounts_come_no_faster_than_they_can_be_signed_up(world: Recorded) -> None:
    def begun(means: Means, days: int) -> int:
        requests = Requests(world)
        now = int(requests.time.min()) + DAY
        requests.ask(0, now, world.campaign, lambda _account, _at, _carried: "account_suspended")
        successors = Successors(world, requests, means, 1)
        for _ in range(days * 24):
            successors.deal(now, world.campaign | set(requests.names))
            now += DEALT_US
        return successors.bought

    assert world.spec is not None
    assert begun(Means(fresh_a_day=3), 4) == 12
    assert begun(Means(fresh_a_day=3, reserve=0.5), 4) == 12 + world.spec.accounts // 2
    assert begun(Means(fresh_a_day=0), 4) == 0
    usual = world.spec.accounts / world.spec.signup_spread_days
    assert begun(Means(), 4) == pytest.approx(4 * usual, abs=1)


def test_people_answer_in_office_hours() -> None:
    monday = 1_788_739_200_000_000  # 2026-09-07
    nine = monday + 9 * HOUR
    assert office_hours_later(monday, 4) == office_hours_later(nine, 4) == nine + 4 * HOUR
    assert office_hours_later(nine + 6 * HOUR, 4) == nine + DAY + 2 * HOUR
    friday = monday + 4 * DAY
    assert office_hours_later(friday + 16 * HOUR, 4) == monday + 7 * DAY + 12 * HOUR
    assert office_hours_later(friday + 20 * HOUR, 0) == monday + 7 * DAY + 9 * HOUR


def test_people_take_the_steps_that_are_proposed_to_them(world: Recorded, answers: Path) -> None:
    policy = Policy(steps=(Step(action=Action.VERIFY, confidence=0.95, q_value=0.05, approvals=1),))
    setting = replace(SELDOM, means=Means(fresh_a_day=0))
    alone, people = (
        Replay(world, setting, policy, control, quietly, answers).run()
        for control in (Control.RESPONSE, Control.PEOPLE)
    )
    assert (alone.step_h, alone.answered) == (None, alone.planned)
    assert people.case_h is not None
    assert people.step_h is not None
    assert people.step_h >= people.case_h + 4
    assert people.answered < people.planned


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


def test_pools_that_begin_at_one_moment_are_looked_at_once(world: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = (24.0, 24.0, 48.0)  # of which 48 h after the beginning is a usual look too
    setting = Setting(every_h=100.0, close_h=looks)
    asked: list[lookout.Asked] = []
    monkeypatch.setattr(Lookout, "look", lambda _self, one: asked.append(one))
    played(world, Control.RESPONSE, setting)
    assert len(asked) == len({one.now for one in asked}) == 2 + len(range(100, 240, 100))


def test_means_that_cannot_be_are_refused() -> None:
    for given in ({"fresh_a_day": -1.0}, {"reserve": float("nan")}, {"pace": 0.0}):
        with pytest.raises(InputError):
            Means(**given)
