"""The benchmark's own parts: its measures on examples worked by hand, and that it goes on where it was stopped."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.detection import measures
from benchmarks.detection.children import ChildError, run_child
from benchmarks.detection.judge import Verdict, judge_cases, judge_scores
from benchmarks.detection.leak import bracket, search
from benchmarks.detection.looks import known_at, look
from benchmarks.detection.results import (
    UNTIMED,
    CaseOutcome,
    Charged,
    Look,
    Results,
    Share,
    WorldResult,
    fingerprint,
    kept,
    load,
    save,
)
from benchmarks.detection.run import main
from benchmarks.detection.tables import figure, page
from benchmarks.detection.truth import Sheet, languages, read_sheet, write_sheet

from tests.detection.conftest import START, Platform
from tiergate.clock import HOUR
from tiergate.records.schema import TIME
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import simulate, write_world


def case(confidence: float, q: float, campaign: int, innocent: int, action: str = "verify") -> CaseOutcome:
    return CaseOutcome(confidence, q, action, campaign + innocent, campaign, innocent)


# --- recall at a false-positive rate


def test_whoever_ties_with_an_innocent_is_not_found() -> None:
    innocent = np.array([*np.zeros(997), 3.0, 5.0, 5.0])
    at = measures.recall_at(np.array([6.0, 5.0, 4.0, 3.0]), innocent, 1e-3)
    # One innocent is allowed, but two tie at the top: neither may pass, so only 6 beats the bar of 5.
    assert (at.allowed, at.innocents, at.found) == (1, 0, Share(1, 4))
    at = measures.recall_at(np.array([6.0, 5.0, 4.0, 3.0]), innocent, 2e-3)
    assert (at.allowed, at.innocents, at.found) == (2, 2, Share(3, 4))


def test_with_few_innocents_none_is_allowed() -> None:
    at = measures.recall_at(np.array([2.0, 1.0]), np.array([1.5, *np.zeros(998)]), 1e-3)
    assert (at.allowed, at.innocents, at.found) == (0, 0, Share(1, 2))


def test_accounts_in_no_case_are_never_found() -> None:
    nowhere = np.full(5, -np.inf)
    assert measures.recall_at(nowhere, nowhere, 1e-3).found == Share(0, 5)
    assert measures.recall_at(nowhere, np.array([]), 1e-3).found == Share(0, 5)


def test_the_curve_rises_and_its_points_are_recalls() -> None:
    rng = np.random.default_rng(1)
    guilty, innocent = np.round(rng.normal(1, 1, 60), 1), np.round(rng.normal(0, 1, 900), 1)
    curve = measures.roc(guilty, innocent)
    assert [n for n, _ in curve] == [0, 1, 2, 3, 5, 7, 10, 20, 30, 50, 70]
    assert all(low <= high for (_, low), (_, high) in pairwise(curve))
    for allowed, found in curve:
        by_hand = sum((innocent >= one).sum() <= allowed for one in guilty)
        assert found == by_hand


def test_log_odds_tell_memberships_near_one_apart() -> None:
    near = np.array([0.5, 1 - 1e-9, 1 - 1e-12])
    odds = measures.account_log_odds(near, np.ones(3))
    assert odds == pytest.approx([0, 9 * np.log(10), 12 * np.log(10)], rel=1e-4)
    assert measures.account_log_odds(np.array([0.8, 0.0]), np.array([0.5, 1.0])) == pytest.approx(
        [np.log(0.4 / 0.6), -np.inf]
    )


# --- cases


def test_a_case_that_is_half_innocent_is_a_false_discovery() -> None:
    cases = [case(0.99, 0.01, 9, 1), case(0.99, 0.05, 5, 5), case(0.9, 0.02, 0, 8), case(0.5, 0.2, 0, 8)]
    assert measures.false_discoveries(cases) == Share(2, 3)
    assert measures.false_discoveries([]) == Share(0, 0)


def test_the_upper_limit_is_that_of_the_rule_of_three() -> None:
    assert measures.upper_limit(Share(0, 100)) == pytest.approx(3 / 100, rel=0.02)
    assert measures.upper_limit(Share(4, 4)) == measures.upper_limit(Share(0, 0)) == 1


def test_bins_of_confidence_hold_their_lower_edge_and_the_last_one_both() -> None:
    cases = [case(0.9, 0, 1, 0), case(0.94, 0, 0, 1), case(0.95, 0, 1, 0), case(1.0, 0, 1, 0), case(0.4, 0, 0, 1)]
    bins = [(edge, share) for edge, _, share in measures.calibration(cases)]
    assert bins == [(0.6, Share(0, 1)), (0.95, Share(1, 2)), (0.99, Share(1, 1)), (1.0, Share(1, 1))]
    assert measures.calibration([]) == []


def test_an_exchange_charged_twice_is_wronged_once() -> None:
    accused = measures.charged(["a", "b", "b", "x", "x"], frozenset("abcd"))
    assert accused == Charged(Share(1, 3), Share(2, 4))


# --- looks


def looked(hours: float, opened: int, acting: int) -> Look:
    return Look(
        hours=hours, sent=int(hours), opened=Share(opened, 9), acting=Share(acting, 9), relinked=None, usage=UNTIMED
    )


def looks_of(opens: float, acts: float) -> tuple[list[float], list[Look]]:
    asked: list[float] = []

    def at(hours: float) -> Look:
        asked.append(hours)
        return looked(hours, int(hours >= opens), int(hours >= acts))

    return asked, search(at, 300.0)


def test_looks_bracket_the_first_case_and_the_first_that_acts() -> None:
    asked, looks = looks_of(opens=10, acts=100)
    assert [one.hours for one in looks] == sorted(set(asked))
    assert len(asked) == len(set(asked)) <= 9
    for acting, true in ((True, 100), (False, 10)):
        before, found = bracket(looks, acting=acting)
        assert before is not None
        assert found is not None
        assert before.hours < true <= found.hours <= before.hours * 1.5
    # The grid until a case acts, then halves of two gaps.
    assert asked[:5] == [0.5, 2, 8, 32, 128]


def test_looks_end_with_the_campaign_and_at_the_first_success() -> None:
    asked, looks = looks_of(opens=1000, acts=1000)
    assert asked == [0.5, 2, 8, 32, 128, 300]
    assert bracket(looks, acting=True)[1] is None
    asked, _ = looks_of(opens=0.2, acts=0.5)
    assert asked == [0.5]


def test_a_later_failure_does_not_take_an_earlier_success_back() -> None:
    looks = [looked(1, 0, 0), looked(4, 5, 5), looked(16, 3, 0), looked(64, 9, 9)]
    for order in (looks, looks[::-1]):
        assert bracket(order, acting=True) == (looks[0], looks[1])


# --- keeping


def test_what_is_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "measured" / "one.json"
    assert kept(path, Share, lambda: Share(1, 2)) == Share(1, 2)
    assert kept(path, Share, lambda: pytest.fail("measured again")) == Share(1, 2)
    assert [one.name for one in path.parent.iterdir()] == ["one.json"]


def test_a_stop_leaves_what_was_done_and_nothing_of_what_was_not(tmp_path: Path) -> None:
    def stopped() -> Share:
        raise KeyboardInterrupt

    kept(tmp_path / "first.json", Share, lambda: Share(1, 2))
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path / "second.json", Share, stopped)
    assert load(tmp_path / "first.json", Share) == Share(1, 2)
    assert load(tmp_path / "second.json", Share) is None
    (tmp_path / "second.json.part").write_text('{"part":1,')  # the machine went down while it was written
    assert kept(tmp_path / "second.json", Share, lambda: Share(3, 4)) == Share(3, 4)


def test_a_file_of_an_older_form_is_measured_again(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"share": 0.5}')
    assert kept(tmp_path / "old.json", Share, lambda: Share(1, 2)) == Share(1, 2)


def test_the_fingerprint_follows_the_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = fingerprint(tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert fingerprint(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    assert fingerprint(tmp_path) != before


def test_a_child_is_measured_and_its_failure_is_told(tmp_path: Path) -> None:
    usage = run_child("timeit", ["-n", "1", "-r", "1", "sum(range(3_000_000))"], tmp_path / "log")
    assert usage.cpu_s > 0
    assert usage.peak_mib > 5
    with pytest.raises(ChildError, match=r"`benchmarks.detection.task nothing` ended with 1: .*values to unpack"):
        run_child("benchmarks.detection.task", ["nothing"], tmp_path / "log")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--split", "report", "--seeds", "7"], "`7` is no seed"), (["--split", "tune", "--seeds", "100"], "`100` is no")],
)
def test_seeds_of_the_other_split_are_refused(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", *arguments, "--shared-data", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


# --- the truth, and a detection against it


def test_language_is_that_of_most_prompts() -> None:
    platform = Platform(seed=3)
    said = {
        "zh": ["请解释量子计算的基本原理", "hello there", "如何学习编程"],
        "ja": ["量子コンピュータの原理を説明してください"],
        "ko": ["양자 컴퓨터의 원리를 설명해 주세요"],
        "other": ["What does 你好 mean? Please answer in a long and careful English sentence.", "Explain Γ."],
    }
    named = {platform.account(name): name for name in said}
    for account, name in named.items():
        for number, text in enumerate(said[name]):
            platform.exchange(account, number * HOUR, text)
    assert languages(platform.exchange_table()) == [named[account] for account in sorted(named)]


def test_the_registry_of_an_earlier_day_knows_nothing_later() -> None:
    times = {"past": START, "now": START + HOUR, "future": START + 2 * HOUR}
    rows = [
        {"account_id": "kept", "created_at": times["past"], "closed_at": None, "status": "active"},
        {"account_id": "closed", "created_at": times["past"], "closed_at": times["past"] + 1, "status": "suspended"},
        {"account_id": "to be closed", "created_at": times["past"], "closed_at": times["future"], "status": "closed"},
        {"account_id": "to be made", "created_at": times["future"], "closed_at": None, "status": "active"},
    ]
    schema = pa.schema(
        [("account_id", pa.string()), ("created_at", TIME), ("closed_at", TIME), ("status", pa.string())]
    )
    known = known_at(pa.Table.from_pylist(rows, schema), pa.scalar(times["now"], TIME))
    assert known.schema == schema
    assert known["account_id"].to_pylist() == ["kept", "closed", "to be closed"]
    assert known["status"].to_pylist() == ["active", "suspended", "active"]
    assert [one is None for one in known["closed_at"].to_pylist()] == [True, False, True]


def verdict(tmp_path: Path, members: dict[str, dict[str, int]], ties: list[tuple[str, str]]) -> Verdict:
    """Cases by name, each with the accounts it holds and their pool."""
    pools = {account: pool for some in members.values() for account, pool in some.items()} | {"z9": 2, "z8": 2}
    names = sorted(pools)
    sheet = Sheet(names, ["people"] * len(names), ["other"] * len(names), np.array([pools[name] for name in names]))
    heads = [{"case_id": one, "confidence": 0.9, "q_value": 0.01, "recommended_action": "verify"} for one in members]
    rows = [{"case_id": one, "account_id": name, "membership": 0.9} for one, some in members.items() for name in some]
    pq.write_table(pa.Table.from_pylist(heads), tmp_path / "cases.parquet")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "case_accounts.parquet")
    tie_schema = pa.schema([("case_a", pa.string()), ("case_b", pa.string())])
    tied = pa.Table.from_pylist([{"case_a": a, "case_b": b} for a, b in ties], tie_schema)
    pq.write_table(tied, tmp_path / "case_ties.parquet")
    return Verdict(sheet, tmp_path)


def test_accounts_are_found_in_cases_that_hold_mostly_the_campaigns(tmp_path: Path) -> None:
    answer = verdict(tmp_path, {"right": {"a1": 1, "a2": 1, "a3": 0}, "wrong": {"b1": 1, "b2": 0}}, [])
    everybody = np.ones(len(answer.sheet.names), bool)
    assert answer.found(everybody, ("verify", "limit")) == Share(2, 5)  # a1, a2 of a1, a2, b1, z8, z9
    assert answer.found(everybody, ("watch",)) == Share(0, 5)
    assert answer.found(np.array([name != "a1" for name in answer.sheet.names]), ("verify",)) == Share(1, 4)


def test_a_pool_is_relinked_by_a_common_case_or_by_one_tie(tmp_path: Path) -> None:
    members = {
        "both": {"a1": 1, "a2": 2, "a3": 2},
        "mixed": {"b1": 1, "b2": 2, **{f"c{n}": 0 for n in range(4)}},  # a sixth is the first pool's: too few
        "first": {"d1": 1, "d2": 1},
        "tied": {"e1": 2},
        "tied to the tied": {"f1": 2},
    }
    answer = verdict(tmp_path, members, [("first", "tied"), ("tied", "tied to the tied")])
    seen = np.array([name != "z9" for name in answer.sheet.names])  # one of the second pool has sent nothing yet
    assert answer.relinked(seen) == Share(3, 6)  # a2, a3, e1 of a2, a3, b2, e1, f1, z8
    assert answer.relinked(np.array([name[0] in "bcd" and name != "b2" for name in answer.sheet.names])) is None


def test_a_world_is_judged_and_looked_at(tmp_path: Path) -> None:
    campaign = CampaignSpec(accounts=10, exchanges_per_account=30, banned_on_day=4, replaced_after_h=1, wordings=1)
    spec = WorldSpec(days=7, people=40, hard_negatives={"office": 8}, campaigns=(campaign,))
    world = simulate(spec, 3, GrammarPrompts())
    write_world(world, tmp_path)
    facts = write_sheet(world, tmp_path)
    sheet = read_sheet(tmp_path)
    assert (int((sheet.pool == 1).sum()), int((sheet.pool == 2).sum())) == (10, 10)
    assert facts.campaign_accounts == 20
    assert facts.second_pool_us is not None
    assert facts.campaign_first_us is not None
    assert (facts.second_pool_us - facts.campaign_first_us) / HOUR == pytest.approx(4 * 24 + 1, abs=2)

    until, cases = facts.second_pool_us + 24 * HOUR, tmp_path / "cases"
    seen = look(str(tmp_path), until, facts.campaign_first_us, 1, str(cases))
    assert 0.6 * facts.campaign_exchanges < seen.sent < facts.campaign_exchanges
    assert seen.relinked is not None
    assert 8 <= seen.relinked.of <= 10

    judged = judge_cases(str(tmp_path), str(cases), "tiergate", "1")
    assert sum(one.of for one in judged.false_by_population.values()) == 48
    assert set(judged.false_by_population) == {"people", "office"}
    assert [one.allowed for one in judged.recall] == [0, 0]
    assert judged.charged["any"].rightly.of == facts.campaign_exchanges

    np.save(
        tmp_path / "scores.npy", np.where(sheet.guilty, 2.0, np.where(np.array(sheet.population) == "office", 1, 0))
    )
    peer = judge_scores(str(tmp_path), str(tmp_path / "scores.npy"), "known", "1")
    assert peer.recall[0].found == Share(20, 20)
    assert sum(one.part for one in peer.false_by_population.values()) == 0

    both = {"tiergate": judged, "known": peer}
    result = WorldResult(scenario="two", seed=3, facts=facts, measurements=both)
    save(tmp_path / "results.json", Results(split="tune", accounts=68, decoys=1, worlds=[result]))
    assert load(tmp_path / "results.json", Results) is not None
    text = page(Results(split="tune", accounts=68, decoys=1, worlds=[result]))
    assert "| scenario | tiergate | known |" in text
    assert "| office | 8 |" in text


def test_a_figure_is_never_rounded_to_perfect() -> None:
    assert figure(Share(99_999, 100_000)) == "0.99999"
    assert figure(Share(1, 100_000)) == "1e-05"
    assert (figure(Share(0, 7)), figure(Share(7, 7)), figure(Share(0, 0))) == ("0.000", "1.000", "-")
