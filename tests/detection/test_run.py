"""From a log to cases: who is found, who is left alone, and that the answer stands still."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.detection.conftest import START, SUBJECTS, Platform, log_batches
from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.detection.cases import opens
from tiergate.detection.description import Cluster
from tiergate.detection.evidence import gather
from tiergate.detection.findings import Finding
from tiergate.detection.intake import take_in
from tiergate.detection.run import DetectionInputs, Parameters, RunSummary, run_detection
from tiergate.detection.workload import Statistic
from tiergate.errors import InputError
from tiergate.ledger.sketches import PUBLIC_KEY, Sketcher
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import ACCOUNT_SCHEMA, MODEL_RELEASE_SCHEMA, TEXT_COLUMNS

QUICK = Parameters()


def run(
    batches: Iterable[pa.RecordBatch], accounts: pa.Table | None, out: Path, key: bytes | None = None
) -> RunSummary:
    with RefusedRows(None) as refused:
        inputs = DetectionInputs(lambda: batches, accounts, None, refused, [])
        return run_detection(inputs, out, parameters=QUICK, sketch_key=key, progress=lambda step, share: None)


def platform(seed: int, campaign: int = 25) -> Platform:
    made = Platform(seed)
    made.people("benign", 260)
    made.people("tool", 40, system="You are an editor plug-in. Follow the house rules.", user_agent="plug-in/2")
    made.people("office", 30, client_address="198.51.100.7")
    if campaign:
        made.campaign(campaign, 30)
    return made


def found(summary: RunSummary, made: Platform) -> Counter[str]:
    return Counter(made.population[name] for name in summary.case_accounts["account_id"].to_pylist())


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_the_campaign_is_found_and_the_look_alikes_are_not(seed: int, tmp_path: Path) -> None:
    made = platform(seed)
    summary = run(log_batches(made.exchange_table()), made.account_table(), tmp_path)
    members = found(summary, made)
    assert members["campaign"] >= 23
    assert members["tool"] == members["office"] == 0
    assert members["benign"] <= 1
    case = summary.cases.to_pylist()[0]
    assert case["recommended_action"] in ("verify", "limit")
    assert case["q_value"] <= 0.05
    assert case["capability"] == "chain_of_thought"
    assert "accounts act as one" in case["summary"]


def test_a_case_shows_what_its_score_and_confidence_are_made_of(tmp_path: Path) -> None:
    made = platform(11)
    summary = run(log_batches(made.exchange_table()), made.account_table(), tmp_path)
    scores = {row["case_id"]: row["score"] for row in pq.read_table(tmp_path / "decoys.parquet").to_pylist()}
    (case,) = summary.cases.to_pylist()
    assert case["links_nats"] + case["workload_nats"] == pytest.approx(scores[case["case_id"]])
    assert 0 < case["prior_nats"] <= 5
    queue = 1 / (1 + np.exp(case["prior_nats"] - case["workload_nats"]))
    assert case["confidence"] == pytest.approx(queue / (1 + 2 * case["expected"]))
    evidence = summary.evidence.to_pylist()
    workload = [row["log_odds"] for row in evidence if row["family"] == "workload"]
    assert case["workload_nats"] == pytest.approx(sum(workload))
    for row in evidence:
        assert row["direction"] == {1: "for", 0: "neither", -1: "against"}[np.sign(row["log_odds"])]


def test_a_platform_without_a_campaign_has_no_case(tmp_path: Path) -> None:
    made = platform(14, campaign=0)
    summary = run(log_batches(made.exchange_table()), made.account_table(), tmp_path)
    assert summary.cases.num_rows == 0
    assert pq.read_table(tmp_path / "cases.parquet").schema.names == summary.cases.schema.names


def test_without_an_accounts_table_it_says_what_it_lacked(tmp_path: Path) -> None:
    made = platform(15)
    summary = run(log_batches(made.exchange_table()), None, tmp_path)
    assert found(summary, made)["campaign"] >= 20
    assert "identity" in summary.run["lacking"]
    assert "not available" in summary.evidence["statistic"].to_pylist()


def test_sketches_alone_give_the_same_tables_as_text(tmp_path: Path) -> None:
    made = platform(16)
    exchanges = made.exchange_table()
    bare = exchanges.drop_columns(list(TEXT_COLUMNS))
    for name in TEXT_COLUMNS:
        bare = bare.append_column(name, pa.nulls(len(bare), pa.string()))
    for name, column in zip((s := Sketcher(PUBLIC_KEY).sketch(exchanges)).schema.names, s.columns, strict=True):
        bare = bare.append_column(name, column)
    run(log_batches(exchanges), made.account_table(), tmp_path / "text")
    run(log_batches(bare), made.account_table(), tmp_path / "sketches")
    for name in ("cases", "case_accounts", "case_evidence"):
        one, other = (tmp_path / folder / f"{name}.parquet" for folder in ("text", "sketches"))
        assert one.read_bytes() == other.read_bytes()


def test_order_batches_and_repeats_change_no_byte(tmp_path: Path) -> None:
    made = platform(17)
    exchanges = made.exchange_table()
    shuffled = exchanges.take(np.random.default_rng(1).permutation(len(exchanges)))
    twice = pa.concat_tables([shuffled, exchanges.slice(0, 500)])
    one = run(log_batches(exchanges), made.account_table(), tmp_path / "one")
    other = run(
        log_batches(twice, rows=777), made.account_table().take(np.arange(len(made.accounts))[::-1]), tmp_path / "other"
    )
    for name in ("cases", "case_accounts", "case_evidence", "links", "decoys"):
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (
            tmp_path / "other" / f"{name}.parquet"
        ).read_bytes()
    assert one.run["exchanges"]["repeated"] == 0
    assert other.run["exchanges"]["repeated"] == 500
    assert other.run["exchanges"]["used"] == len(exchanges)


def test_the_run_is_described(tmp_path: Path) -> None:
    made = platform(18, campaign=0)
    run(log_batches(made.exchange_table()), made.account_table(), tmp_path)
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["exchanges"]["used"] == len(made.exchanges)
    assert described["parameters"] == {"decoys": 64, "seed": 1}
    assert described["seconds"] > 0
    assert described["peak_memory_mib"] > 0


def test_charged_exchanges_are_those_of_the_workload_alone(tmp_path: Path) -> None:
    """A member's own conversations are not the campaign's."""
    made = platform(19)
    members = [name for name, population in made.population.items() if population == "campaign"]
    own = {name: int(made.rng.integers(0, 6)) for name in members}
    before = Counter(row["account_id"] for row in made.exchanges)
    for name, count in own.items():
        for _ in range(count):
            talk = made.words("birds feathers nest migration", 8)
            made.exchange(name, int(made.rng.integers(0, 10**12)), talk, status=429, output_tokens=None)
    summary = run(log_batches(made.exchange_table()), made.account_table(), tmp_path)
    for row in summary.case_accounts.to_pylist():
        if row["account_id"] in own:
            sent = before[row["account_id"]]
            assert (row["campaign_exchanges"], row["exchanges"]) == (sent, sent + own[row["account_id"]])
            # What was refused has no output.
            assert row["campaign_output_tokens"] == row["output_tokens"] == 100 * sent


def test_nothing_to_look_at_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no exchange to look at"):
        run([], None, tmp_path)


def test_sketches_under_two_keys_are_refused(tmp_path: Path) -> None:
    made = platform(20, campaign=0)
    exchanges = made.exchange_table().slice(0, 40)
    parts = []
    for key in (bytes(32), bytes([1] * 32)):
        sketches = Sketcher(key).sketch(exchanges)
        part = exchanges
        for name, column in zip(sketches.schema.names, sketches.columns, strict=True):
            part = part.append_column(name, column)
        parts += list(log_batches(part))
    with pytest.raises(InputError, match="2 keys are mixed"):
        run(parts, None, tmp_path)


def test_too_few_decoys_are_refused() -> None:
    with pytest.raises(InputError, match="`0` decoys"):
        Parameters(decoys=0)


def test_turning_to_a_new_model_within_a_day_is_evidence() -> None:
    made = Platform(21)
    made.people("benign", 60)
    for account in list(made.population)[:5]:
        for at, model in ((0, "model-a"), (5 * DAY + HOUR, "model-b")):
            made.exchange(account, at, made.words("tin copper zinc", 6), request_model=model)
    late = list(made.population)[6]
    made.exchange(late, 9 * DAY, made.words("tin copper zinc", 6), request_model="model-b")
    traffic = take_in(log_batches(made.exchange_table()), PUBLIC_KEY)
    releases = pa.Table.from_pylist([{"model": "model-b", "released_at": START + 5 * DAY}], MODEL_RELEASE_SCHEMA)
    kinds = {kind.name: kind for kind in gather(traffic, None, releases).kinds}
    holders = kinds["new model within a day"].holds.tocoo().row
    assert {traffic.account_ids[a] for a in holders} == set(list(made.population)[:5])


def test_the_order_of_rows_of_an_account_given_twice_changes_nothing(tmp_path: Path) -> None:
    made = platform(22)
    rows = made.accounts
    again = [row | {"plan": "free", "payment_hash": "card-x"} for row in rows[::3]]
    tables = [pa.Table.from_pylist(some, ACCOUNT_SCHEMA) for some in (rows + again, again + rows)]
    exchanges = made.exchange_table()
    one, other = (run(log_batches(exchanges), table, tmp_path / str(n)) for n, table in enumerate(tables))
    assert one.cases.equals(other.cases)
    assert one.evidence.equals(other.evidence)


def test_a_second_pool_is_known_by_its_first_exchange(tmp_path: Path) -> None:
    """Accounts that have asked once, an hour after a ban, hold pieces of an instruction that nobody else holds."""
    made = platform(14)
    first = [name for name, population in made.population.items() if population == "campaign"]
    for row in made.accounts:
        if row["account_id"] in first:
            row |= {"status": "suspended", "closed_at": START + 14 * DAY}
    asked = [row["prompt_text"] for row in made.exchanges if row["account_id"] in first]
    for number in range(20):
        name = made.account("second", created_at=START + 13 * DAY)
        text = asked[number].replace("first.", "first, please.") + f" {made.rng.integers(1 << 40):x}"
        made.exchange(name, 14 * DAY + int(made.rng.integers(HOUR)), text, client_address=made.address())
    summary = run(log_batches(made.exchange_table()), made.account_table(), tmp_path)
    members = found(summary, made)
    assert members["campaign"] >= 23
    assert members["second"] >= 18
    assert members["tool"] == members["office"] == 0


def test_who_comes_with_the_same_instruction_and_subjects_of_its_own_is_left_alone(tmp_path: Path) -> None:
    made = platform(14)
    asked = next(row["prompt_text"] for row in made.exchanges if made.population[row["account_id"]] == "campaign")
    instruction = asked[: asked.index("Task:") + 6]
    for number in range(25):
        name = made.account("newcomer", created_at=START + 13 * DAY)
        own = SUBJECTS[number % len(SUBJECTS)]
        begin = 13 * DAY + int(made.rng.integers(20 * HOUR))
        for turn in range(5):
            text = f"{instruction}{made.words(own, 9)} {made.rng.integers(1 << 40):x}"
            made.exchange(name, begin + turn * 2 * MINUTE, text, client_address=made.address())
    members = found(run(log_batches(made.exchange_table()), made.account_table(), tmp_path), made)
    assert members["campaign"] >= 23
    assert members["newcomer"] == 0


@pytest.mark.parametrize(("workload", "power", "expected"), [(3.1, 1.0, True), (2.9, 1.0, False), (0.0, 0.0, True)])
def test_what_is_more_likely_an_ordinary_group_opens_no_case_where_the_tests_can_tell(
    workload: float, power: float, expected: bool
) -> None:
    linked = Cluster(np.arange(30), {}, 3.0, 0.0, 6.0)
    told = [Statistic("subject", 0.1, 0.1, 2.0, 0.3, workload)]
    assert opens(Finding(linked, np.ones(30), np.arange(9), told, 11.0, power), 0.49) is expected
