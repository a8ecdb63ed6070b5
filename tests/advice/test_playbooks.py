"""Playbooks by themselves: their files, the clauses that they are mapped to, figures and the decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.advice.outcomes import Arm
from tiergate.advice.playbooks.adoption import Adoption
from tiergate.advice.playbooks.checking import ASKED, GATES, controls_of
from tiergate.advice.playbooks.clauses import REPORT, load_clauses, pack_of
from tiergate.advice.playbooks.decision import decide
from tiergate.advice.playbooks.findings import Fault, Finding, Found, finding
from tiergate.advice.playbooks.kpis import COLUMNS, Kpi, judge, measure
from tiergate.advice.playbooks.playbook import KPIS, Controls, Threshold, parse_playbook, shipped_playbooks
from tiergate.catalog.access_programmes import Task
from tiergate.errors import InputError
from tiergate.records.schema import LOG_SCHEMA

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
BEGAN_US = int(BEGAN.timestamp() * 1e6)
OURS = Adoption(
    owners={}, review_by=BEGAN.date(), tasks=(Task.SUPPORT,), models=("support",), organisation="acme", project="desk"
)
PLAYBOOKS = shipped_playbooks()


def test_six_are_shipped_and_each_control_has_a_check() -> None:
    assert len(PLAYBOOKS) == 6
    assert set(Controls.__struct_fields__) == set(ASKED)
    asked = {name for one in PLAYBOOKS.values() for name in controls_of(one)}
    assert asked == {*GATES, *ASKED}


def test_a_control_that_asks_for_nothing_at_all_is_asked() -> None:
    assert PLAYBOOKS["regulated_review"].controls.retention_days == 0
    assert "retention_days" in controls_of(PLAYBOOKS["regulated_review"])


def test_every_clause_names_evidence_that_there_is_and_has_a_source_and_a_day() -> None:
    file = load_clauses()
    frameworks = {one.id for one in file.framework}
    known = {*GATES, *ASKED, *KPIS, REPORT}
    assert len({(one.framework, one.clause) for one in file.clause}) == len(file.clause) > 60
    for one in file.clause:
        assert one.framework in frameworks
        assert set(one.evidence) <= known, one.clause
        assert set(one.only) <= PLAYBOOKS.keys()
        assert one.source.startswith("https://")
        assert one.as_of.year == 2026
        assert one.limit
    for playbook in PLAYBOOKS.values():
        pack = pack_of(playbook, [], [])
        assert {one.framework for one in pack if one.shown} == frameworks
        assert any(not one.shown for one in pack)
        assert "appeals" in controls_of(playbook) or any("asks for none of appeals" in one.limit for one in pack)
        # No control stands there without a clause that it is evidence for.
        assert set(controls_of(playbook)) <= {name for one in pack for name in one.shown}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("  upstreams: 2", "  upstream: 2", "did you mean `upstreams`"),
        ("usd/month", "requests/minute", "`requests/minute` belongs to `rates`"),
        ("  error_share: {most: 0.02}", "  error_share: {}", "needs `least` or `most`"),
        ("  error_share:", "  failures:", "there is no figure `failures`"),
        ("  tasks: [support]", "  tasks: [chess]", "invalid enum value 'chess'"),
        ("  accountable:", "  boss:", "needs `accountable`"),
        ("review_months: 6", "review_months: 0", "`review_months`"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(before: str, after: str, said: str) -> None:
    from importlib.resources import files

    text = (files("tiergate.advice.playbooks") / "support_assistant.yaml").read_text()
    assert before in text
    with pytest.raises(InputError, match=r"line \d+: ") as raised:
        parse_playbook(text.replace(before, after).encode(), "mine")
    assert said in str(raised.value)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(content: bytes) -> None:
    with pytest.raises(InputError):
        parse_playbook(content, "mine")


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "organization_id": st.sampled_from(["acme", "other", None]),
            "project_id": st.sampled_from(["desk", "else", None]),
            "request_model": st.sampled_from(["support", "swift"]),
            "status": st.sampled_from([200, 200, 200, 403, 429, 502]),
            "finish_reason": st.sampled_from(["stop", "budget_exhausted", None]),
            "latency_ms": st.one_of(st.none(), st.floats(0, 1e5)),
            "cost_micro_usd": st.one_of(st.none(), st.integers(0, 10**6)),
            "hours": st.integers(-5, 5),
        }
    ),
    max_size=40,
)


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = pa.schema([LOG_SCHEMA.field(name) for name in COLUMNS])
    made = [{**row, "started_at": BEGAN + timedelta(hours=row["hours"])} for row in rows]
    return pa.RecordBatch.from_pylist([{name: row[name] for name in COLUMNS} for row in made], schema=schema)


@given(ROWS, st.integers(0, 40))
def test_figures_are_those_of_the_use_case_however_the_log_is_cut(rows: list[dict[str, Any]], cut: int) -> None:
    found = measure([batch(rows[:cut]), batch(rows[cut:])], OURS, from_us=BEGAN_US, to_us=BEGAN_US + 4 * 3_600_000_000)
    ours = [
        row
        for row in rows
        if (row["organization_id"], row["project_id"], row["request_model"]) == ("acme", "desk", "support")
        and 0 <= row["hours"] < 4
    ]
    good = [row for row in ours if row["status"] < 400]
    failed = [row for row in ours if row["status"] >= 500]
    assert found.figures["exchanges"] == len(good)
    assert found.usd == pytest.approx(sum(row["cost_micro_usd"] or 0 for row in ours) / 1e6)
    assert sum(found.refusals.values()) == len(ours) - len(good)
    if good or failed:
        assert found.figures["error_share"] == len(failed) / (len(good) + len(failed))
    else:
        assert "error_share" not in found.figures


def arm(**more: Any) -> Arm:
    fields: dict[str, Any] = {
        "arm": "all", "outcomes": 100, "accepted": 80, "exchanges": 100, "model_usd": 1.0, "other_usd": 0.0,
        "cost": 0.1, "low": 0.09, "high": 0.2, "missing": 0, "unpriced": 0,
    }  # fmt: skip
    return Arm(**fields | more)


def test_a_cost_counts_by_the_upper_end_of_its_interval_and_not_at_all_where_exchanges_are_missing() -> None:
    span = {"from_us": BEGAN_US, "to_us": BEGAN_US + 1}
    assert measure([], OURS, outcomes=[arm(), arm(arm="b", high=0.3)], **span).figures["cost_per_accepted_usd"] == 0.3
    for wrong in ({"missing": 1}, {"unpriced": 1}, {"high": None}):
        found = measure([], OURS, outcomes=[arm(**wrong)], **span)
        assert "cost_per_accepted_usd" not in found.figures
        assert "cost_per_accepted_usd" in found.missing
        (kpi,) = [one for one in judge(PLAYBOOKS["support_assistant"], found) if one.name == "cost_per_accepted_usd"]
        assert (kpi.met, kpi.value) == (None, None)


STATES = st.sampled_from(["in force", "not in force", "not known"])
VALUES = st.one_of(st.none(), st.floats(0, 10))


@given(st.lists(STATES, max_size=5), st.lists(VALUES, max_size=5))
def test_it_is_a_go_only_where_all_is_in_force_and_all_is_measured_and_met(
    states: list[Any], values: list[float | None]
) -> None:
    findings = [Finding(control=f"c{n}", state=state, because=("x",)) for n, state in enumerate(states)]
    most = Threshold(most=5.0)
    kpis = [
        Kpi(name=f"k{n}", value=value, threshold=most, met=None if value is None else most.met(value))
        for n, value in enumerate(values)
    ]
    found = decide(findings, kpis)
    wrong = sum(state != "in force" for state in states) + sum(value is None or value > 5 for value in values)
    assert (found.go, len(found.against)) == (wrong == 0, wrong)


def test_one_known_fault_outweighs_what_is_not_known() -> None:
    known, unknown = Fault("a", "do a"), Fault("b", "do b", known=False)
    assert finding("c", Found("", (unknown,))).state == "not known"
    assert finding("c", Found("", (unknown, known))).state == "not in force"
    assert finding("c", Found("fine")).state == "in force"
