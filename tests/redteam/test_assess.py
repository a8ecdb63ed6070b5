"""The whole assessment on a tiny world: attacks, trials with the real detector, and going on after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.detection.search import Outcome
from tiergate.errors import InputError
from tiergate.redteam import trial as trials
from tiergate.redteam.assess import Assessment, Laboratory, assess
from tiergate.redteam.attack import KNOBS, Attack, Space
from tiergate.redteam.background import Background, Limits, Setting, at_us, times_us
from tiergate.redteam.journal import Journal, fingerprint
from tiergate.redteam.trial import DETECTING, Control, Trial, run_trial

SETTING = Setting(accounts=100, days=4.0, warm_up=2.0, looks=(1.0,), decoys=1)
QUICK = (Control.RATE_LIMIT, Control.SIGNUP_CHECK)
SPACE = Space(exchanges=200, days=4.0, most_accounts=40)


@pytest.fixture(scope="module")
def background() -> Background:
    return Background.make(SETTING, 1)


WORLDS: dict[int, Background] = {}


def quiet(_words: str, _share: float) -> None:
    return None


def assessed(journal: Path | None, **how: Any) -> tuple[list[Assessment], Journal]:
    kept = Journal(journal)
    laboratory = Laboratory(SETTING, kept)
    laboratory._worlds = WORLDS  # as they cost most of the time
    how = {"exchanges": [100], "evaluations": 1, "seed": 1, "controls": QUICK} | how
    return assess(laboratory, advance=quiet, **how), kept


@given(st.lists(st.floats(0, 1), min_size=len(KNOBS), max_size=len(KNOBS)), st.integers(1, 5_000))
def test_every_point_is_an_attack_that_plans_enough(point: list[float], exchanges: int) -> None:
    space = Space(exchanges, 14.0, 300)
    attack = space.attack(np.array(point))
    assert 1 <= attack.spec.accounts <= min(exchanges, 300)
    assert attack.spec.accounts * attack.spec.exchanges_per_account >= exchanges * (1 - 1e-9)
    assert 0 < attack.days <= 14
    assert space.attack(np.array(point)).key() == attack.key()


def test_the_known_attacks_span_naive_to_hidden() -> None:
    known = {name: SPACE.attack(point) for name, point in SPACE.known().items()}
    naive, hidden = known["one account"].spec, known["everything hidden"].spec
    assert (naive.accounts, naive.payment_sharing, naive.wordings, naive.camouflage) == (1, 1.0, 1, 0.0)
    assert (hidden.payment_sharing, hidden.address_sharing, hidden.client_programs, hidden.wordings) == (0, 0, 0, 0)
    assert hidden.human_rhythm
    assert hidden.topics_per_account == 1
    assert known["one persona each"].spec.topics_per_account == 1
    assert any(one.spec.replaced_after_h is not None for one in known.values())
    assert any(one.steps_up for one in known.values())


def test_the_background_is_everybody_and_nothing_of_the_future(background: Background) -> None:
    assert background.accounts.num_rows == pytest.approx(100, abs=3)
    assert background.log["prompt_text"].null_count == background.log.num_rows
    assert background.log["sketch_key_id"].null_count == 0
    half = background.until(at_us(SETTING, 0))
    assert 0 < half.num_rows < background.log.num_rows
    assert times_us(half).max() < at_us(SETTING, 0)
    known = trials._as_of(background.accounts, at_us(SETTING, 0))["closed_at"].cast("int64").drop_null()
    assert (pc.max(known).as_py() or 0) < at_us(SETTING, 0)


def test_undefended_an_attack_gets_out_for_what_it_bought(background: Background) -> None:
    attack = SPACE.attack(SPACE.point(5, days=1.0))
    made = run_trial(attack, background, SETTING, control=Control.NONE, exchanges=200, seed=1)
    assert made.answered == 200
    assert made.looks == made.replacements == made.honest == 0
    bill = made.bill(attack, SETTING, Control.NONE)
    assert bill.exchanges == 200
    assert bill.total == pytest.approx(sum(bill.items.values()))
    checked = made.bill(attack, SETTING, Control.SIGNUP_CHECK)
    assert checked.total == pytest.approx(bill.total + 5 * 5.0)


def test_what_a_case_recommends_is_done_to_its_accounts(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detector is told what to find, so that the test does not depend on how good it is."""
    seen: list[int] = []

    class Found:
        case_id, action = "case_1", "suspend"

        def __init__(self, accounts: np.ndarray, membership: np.ndarray) -> None:
            self.accounts, self.membership = accounts, membership

    def found(traffic: Any, *_rest: Any) -> Any:
        seen.append(traffic.rows)
        young = [at for at, name in enumerate(traffic.account_ids) if name not in honest]
        some = np.array([*young, traffic.account_ids.index(bystander), traffic.account_ids.index(doubtful)])
        belief = np.array([0.9] * (len(young) + 1) + [0.3])
        return type("Outcome", (), {"cases": [Found(some, belief)], "findings": []})

    honest = set(background.accounts["account_id"].to_pylist())
    bystander, doubtful = sorted(set(background.until(at_us(SETTING, 1))["account_id"].to_pylist()))[:2]
    attack = SPACE.attack(SPACE.point(20, days=1.0))
    free = run_trial(attack, background, SETTING, control=Control.DETECTION, exchanges=200, seed=1)
    monkeypatch.setattr(trials, "find_cases", found)
    made = run_trial(attack, background, SETTING, control=Control.DETECTION, exchanges=200, seed=1)
    assert 20 < made.answered < 120
    assert made == Trial(made.answered, made.days, answered_on=1.0, honest=1, looks=1)
    assert free.looks == 1
    # An account that had sent nothing by the look is not among the suspended, and goes on.
    assert 20 < seen[0] - background.until(at_us(SETTING, 1)).num_rows <= made.answered


def test_the_real_detector_sees_honest_and_attack_together(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Outcome] = []
    real = trials.find_cases
    monkeypatch.setattr(trials, "find_cases", lambda *given: outcomes.append(real(*given)) or outcomes[-1])
    attack = SPACE.attack(SPACE.point(20, days=1.0))
    made = run_trial(attack, background, SETTING, control=Control.ALL, exchanges=200, seed=1)
    assert made.looks == len(outcomes) == 1
    best = max(outcomes[0].findings, key=lambda one: one.score)
    assert len(best.cluster.members) >= 15, "twenty accounts that share a card, an address and a template hang together"


def test_an_attack_that_the_limits_alone_defeat_costs_no_detection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "find_cases", lambda *_given: pytest.fail("there is nothing to detect"))
    laboratory = Laboratory(replace(SETTING, account_a_day=1), Journal(None))
    laboratory._worlds = WORLDS
    best = assess(laboratory, exchanges=[300], evaluations=1, seed=1, advance=quiet, controls=[Control.ALL])[-1]
    assert (best.control, best.attack, best.trials) == (Control.ALL, None, 0)


def test_the_rate_limit_spares_honest_customers_unless_told_otherwise(background: Background) -> None:
    limits = background.limits(SETTING)
    assert background.share_above(limits) <= 0.02
    assert background.share_above(replace(limits, account=limits.account // 8, newcomer=1)) > 0.02
    told = background.limits(replace(SETTING, account_a_day=7))
    assert (told.account, told.newcomer) == (7, min(7, limits.newcomer))


def test_newcomers_are_told_from_the_rest_by_their_age(background: Background) -> None:
    strict = Limits(10**6, 1, newcomer_days=10**6)
    asked = np.unique(background.days.account[background.days.count > 1])
    assert background.share_above(strict) == len(asked) / len(np.unique(background.days.account))
    assert background.share_above(replace(strict, newcomer_days=0)) == 0
    assert background.limits(replace(SETTING, newcomer_a_day=2)).newcomer == 2
    assert background.days.age.min() > 0, "everybody signed up before asking"
    young = background.days.busiest(background.days.age < 200)
    assert young.sum() < background.days.busiest(background.days.age < np.inf).sum()


def test_what_the_limit_allows_is_never_less_than_what_it_lets_through(background: Background) -> None:
    setting = replace(SETTING, account_a_day=9, newcomer_a_day=2)
    for aged, spread in ((0.0, 0.0), (2 / 3, 0.0), (0.0, 0.1), (1.0, 1.0)):
        attack = SPACE.attack(SPACE.point(6, days=1.0, aged_days=aged, signup_spread_days=spread))
        most = trials.allowed(attack, background, setting)
        made = run_trial(attack, background, setting, control=Control.RATE_LIMIT, exchanges=200, seed=1)
        assert made.answered <= most
        assert most in (6 * 2 * 4, 6 * 9 * 4, 6 * (2 * 1 + 9 * 3)), most


def test_a_look_without_need_for_decoys_makes_none(background: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = trials.find_cases

    def counting(traffic: Any, evidence: Any, parameters: Any, progress: Any) -> Outcome:
        asked.append(parameters.decoys)
        return real(traffic, evidence, parameters, progress)

    monkeypatch.setattr(trials, "find_cases", counting)
    attack = SPACE.attack(SPACE.point(20, days=1.0))
    setting = replace(SETTING, decoys=3)
    made = run_trial(attack, background, setting, control=Control.DETECTION, exchanges=200, seed=1)
    sure = made.nearest["linked"] and made.nearest["queue"] >= trials.NEEDED
    assert asked == ([1, 3] if sure else [1])
    monkeypatch.setattr(trials, "NEEDED", -1e9)
    assert run_trial(attack, background, setting, control=Control.DETECTION, exchanges=200, seed=1) == replace(
        made, nearest=made.nearest | {"needed": -1e9}
    ), "what was spared would not have been acted on"


def test_an_attack_that_becomes_too_dear_is_broken_off(background: Background, tmp_path: Path) -> None:
    attack = SPACE.attack(SPACE.point(20, days=1.0, replaced_after_h=1.0))

    class Found:
        case_id, action = "case_1", "suspend"

        def __init__(self, accounts: list[int]) -> None:
            self.accounts, self.membership = np.array(accounts), np.ones(len(accounts))

    def all_new(traffic: Any, *_rest: Any) -> Any:
        names = set(background.accounts["account_id"].to_pylist())
        mine = [at for at, name in enumerate(traffic.account_ids) if name not in names]
        return type("Outcome", (), {"cases": [Found(mine)], "findings": []})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trials, "find_cases", all_new)
        whole = run_trial(attack, background, SETTING, control=Control.DETECTION, exchanges=200, seed=1)
        dear = run_trial(attack, background, SETTING, control=Control.DETECTION, exchanges=200, seed=1, dearest=0.01)
        laboratory = Laboratory(SETTING, Journal(tmp_path / "kept.jsonl"))
        laboratory._worlds = {1: background}
        for dearest in (0.01, 0.01, np.inf, 0.01):
            kept = laboratory.trial(attack, Control.DETECTION, 200, 1, dearest=dearest)
            assert kept.too_dear == (dearest < 1 and laboratory._journal.added < 2)
    assert whole.replacements > 0
    assert not whole.too_dear
    assert dear.too_dear


def test_an_attack_that_is_over_before_anybody_looks_is_not_looked_at(background: Background) -> None:
    attack = SPACE.attack(SPACE.point(5, days=0.0))
    made = run_trial(attack, background, SETTING, control=Control.DETECTION, exchanges=200, seed=1)
    assert (made.answered, made.looks) == (200, 0)


def test_going_on_gives_the_same_answer_and_makes_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "out" / "evaluations.jsonl"
    whole, first = assessed(path)
    assert first.added > 3
    again, second = assessed(path)
    assert again == whole
    assert (second.added, second.reused) == (0, first.added + first.reused)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    continued, third = assessed(path)
    assert continued == whole
    assert third.added == len(lines) - 2
    assert len(path.read_bytes().splitlines()) == len(lines)
    assert assessed(None)[0] == whole


def test_multipliers_are_over_the_cheapest_undefended_attack(tmp_path: Path) -> None:
    results, _ = assessed(None, exchanges=[100, 50, 100])
    assert [(one.exchanges, one.control) for one in results] == [
        (wanted, control) for wanted in (50, 100) for control in (Control.NONE, *QUICK)
    ]
    for none, *controlled in (results[:3], results[3:]):
        assert none.multiplier == {"low": 1.0, "mode": 1.0, "high": 1.0}
        for one in controlled:
            times = one.usd_per_exchange["mode"] / none.usd_per_exchange["mode"]
            assert one.multiplier["mode"] == pytest.approx(times)
            assert times >= 1 - 1e-9, "an attack past a control works without it as well"
            assert one.elsewhere is not None


def test_a_journal_of_another_detector_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evaluations.jsonl"
    assessed(path)
    monkeypatch.setattr("tiergate.redteam.assess.fingerprint", lambda: fingerprint()[::-1])
    assert assessed(path)[1].added > 3


def test_a_file_that_is_no_journal_is_said(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.jsonl"
    path.write_text('{"key": 1}\n')
    with pytest.raises(InputError, match=r"evaluations.jsonl` line 1 is no trial"):
        Journal(path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"accounts": 50}, "too few"),
        ({"days": 0.5}, "1 day or more"),
        ({"looks": (5.0,)}, "within the window"),
        ({"account_a_day": 0}, "1 or more"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(SETTING, **wrong)


def test_the_nearest_finding_is_the_one_that_is_mostly_the_attack() -> None:
    class Group:
        def __init__(self, members: list[int], queue: float) -> None:
            self.cluster = type("Cluster", (), {"members": np.array(members)})
            self.queue, self.score, self.linked = queue, 9.0, True
            self.statistics = [type("Test", (), {"name": "subject", "log_odds": 4.25})]

    names = [f"account {at}" for at in range(40)]
    groups: Any = [Group(list(range(40)), 5.0), Group(list(range(8)), 2.5), Group([30, 31], 9.0)]
    near = trials._nearest(groups, names, set(names[:10]))
    assert (near["mine"], near["accounts"], near["queue"], near["subject"]) == (8, 8, 2.5, 4.25)
    assert trials._nearest(groups[2:], names, set(names[:10])) == {}


def test_searches_against_detection_start_from_what_gets_past_the_rest() -> None:
    tried: list[tuple[Control, int, bool]] = []

    class Told(Laboratory):
        def trial(self, attack: Attack, control: Control, exchanges: int, seed: int, **how: Any) -> Trial:
            tried.append((control, attack.spec.accounts, attack.spec.filler_words > 0))
            # Detection finds all but those who speak in words of their own.
            hidden = control not in DETECTING or attack.spec.filler_words > 0
            return Trial(exchanges if hidden else 0, 1.0)

    laboratory = Told(replace(SETTING, account_a_day=30, newcomer_a_day=30), Journal(None))
    laboratory._worlds = WORLDS
    found = assess(laboratory, exchanges=[400], evaluations=6, seed=1, advance=quiet)
    by_control = {one.control: one for one in found}
    assert [one.control for one in found] == list(Control)
    best = by_control[Control.ALL].attack
    assert best is not None
    assert best.spec.filler_words > 0
    past = by_control[Control.WITHOUT_DETECTION].attack
    assert past is not None
    assert best.spec.accounts == past.spec.accounts
    dear = by_control[Control.ALL].usd_per_exchange["mode"]
    assert all(one.usd_per_exchange["mode"] <= dear for one in found)
    assert tried.index(next(one for one in tried if one[0] in DETECTING)) > 0
