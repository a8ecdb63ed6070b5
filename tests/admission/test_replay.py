"""Past decisions come out again as they were; whatever was changed since shows, and so does what today would change."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission import at_random, oracle
from tests.admission.at_random import HOUR, T0, right
from tests.ledger.decisions import LOG_KEY, NOW_US, ORIGIN
from tiergate.admission.engine import Engine, Policies, policies_of_today
from tiergate.admission.kept_policies import FOLDER, Engines, keep_policies
from tiergate.admission.known_facts import ModelFact, RequestFact, Standing
from tiergate.admission.replay import (
    RECORDED,
    Facts,
    Replayed,
    Replayer,
    Said,
    State,
    facts_text,
    read_facts,
    reasons_of,
    replay_log,
)
from tiergate.errors import ProofError
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_reader import DecisionReader
from tiergate.ledger.decision_records import FACTS, Decided, canonical_value
from tiergate.ledger.personal import PersonalValues

ENGINE = Engine()
OTHERS = Policies(
    # Who has no second proof is let in, and who names no project too.
    ENGINE.policies.text.replace("principal.bound", "true").replace("{ context has project }", "{ true }"),
    ENGINE.policies.schema,
)
Asked = tuple[Standing, ModelFact, RequestFact]


def by_lot(seed: int, count: int, wrong: float = 0.1) -> list[Asked]:
    """Requests of a few standings, again and again at other times. Facts are such as the stores can hold."""
    rng = random.Random(seed)
    people = [_of_the_stores(at_random.standing(rng, number, wrong)) for number in range(8)]
    models = at_random.MODELS[:-1]
    return [(rng.choice(people), model, at_random.request(rng, model, wrong)) for model in rng.choices(models, k=count)]


def _of_the_stores(standing: Standing) -> Standing:
    known = {name: said for name, said in standing.organisation_verdicts.items() if said != "odd"}  # type: ignore[comparison-overlap]
    employer = {name: said for name, said in standing.employer_verdicts.items() if said != "odd"}  # type: ignore[comparison-overlap]
    return msgspec.structs.replace(standing, organisation_verdicts=known, employer_verdicts=employer)


def recorded(asked: Asked, engine: Engine = ENGINE, **changes: Any) -> Decided:
    standing, model, request = asked
    decision = engine.decide(*asked)
    made = Decided(
        time_us=request.now_us, request="0" * 64, inputs="1" * 64, policy=engine.digest, epoch=7,
        outcome=RECORDED[decision.outcome], reasons=[reason.code for reason in decision.reasons],
        personal={FACTS: facts_text(*asked), "credential": standing.credential_id, "model": model.model},
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def log_of(folder: Path, made: list[Decided], *kept: Policies) -> None:
    log = DecisionLog.open(folder, origin=ORIGIN)
    log.append(made)
    log.sign(LOG_KEY, NOW_US)
    log.close()
    for policies in kept:
        keep_policies(folder, policies)


def replayed(folder: Path, **options: int) -> list[Replayed]:
    replayer = Replayer(Engines(folder, ENGINE), **options)
    with closing(DecisionReader(folder)) as reader:
        return list(replay_log(reader, "", replayer, key=LOG_KEY.public))


def test_decisions_by_lot_come_out_as_they_were(tmp_path: Path) -> None:
    asked = by_lot(1, 400)
    log_of(tmp_path, [recorded(one) for one in asked], ENGINE.policies)
    for afresh_every in (1, 50):
        found = replayed(tmp_path, afresh_every=afresh_every)
        assert [one.decision_id for one in found] == [str(n) for n in range(400)]
        assert {(one.state, one.signed, one.flips) for one in found} == {(State.SAME, True, False)}
        for one, facts in zip(found, asked, strict=True):
            codes = oracle.failed(*facts)
            assert one.replayed == one.today == one.recorded == Said(oracle.outcome(codes).upper(), codes)  # type: ignore[arg-type]
    assert len({one.recorded.outcome for one in found}) == 3


def test_facts_that_come_again_are_judged_once_until_a_time_of_theirs_passes(tmp_path: Path) -> None:
    times = [T0, T0 + 1, T0 - 1, T0 + 48 * HOUR, T0 + 48 * HOUR + 1, T0 + 2]
    asked = [right(now_us=time) for time in times]
    log_of(tmp_path, [recorded(one) for one in asked])
    replayer = Replayer(Engines(tmp_path, ENGINE))
    with closing(DecisionReader(tmp_path)) as reader:
        found = list(replay_log(reader, "", replayer))
    assert {one.state for one in found} == {State.SAME}
    assert len({one.recorded.outcome for one in found}) == 2
    assert replayer.evaluated < len(times)


@pytest.mark.parametrize(
    "changes",
    [{"outcome": "ALLOW", "reasons": []}, {"reasons": ["no_grant"]}, {"reasons": ["purpose_missing"] * 2},
     {"outcome": "DENY"}, {"time_us": T0 + 48 * HOUR}],
)  # fmt: skip
def test_a_decision_that_does_not_follow_from_its_facts_is_found(tmp_path: Path, changes: dict[str, Any]) -> None:
    asked = right(purpose=None)
    log_of(tmp_path, [recorded(asked), recorded(asked, **changes), recorded(asked)])
    found = replayed(tmp_path)
    assert [one.state for one in found] == [State.SAME, State.DIFFERENT, State.SAME]
    assert found[1].who == {"credential": "key_1", "model": asked[1].model}
    assert found[1].replayed == found[1].today != found[1].recorded
    assert not any(one.flips for one in found)


def test_other_policies_replay_by_their_own_text_and_say_who_flips(tmp_path: Path) -> None:
    others = Engine(OTHERS)
    assert others.digest != ENGINE.digest
    cases = [right(), right(credential_bound=False), right(project=None), right(purpose=None, project=None)]
    log_of(tmp_path / "kept", [recorded(one, others) for one in cases], OTHERS)
    log_of(tmp_path / "lost", [recorded(one, others) for one in cases])
    kept, lost = replayed(tmp_path / "kept"), replayed(tmp_path / "lost")
    assert [one.state for one in kept] == [State.SAME] * 4
    assert [one.state for one in lost] == [State.POLICIES_NOT_KEPT] * 4
    for found in (kept, lost):
        assert [one.flips for one in found] == [False, True, True, True]
        assert [one.today and one.today.reasons for one in found] == [
            [], ["credential_not_bound"], ["project_missing"], ["purpose_missing", "project_missing"],
        ]  # fmt: skip
        assert found[1].who["credential"] == "key_1"
        assert {(one.policy, one.policy_today) for one in found} == {(others.digest, ENGINE.digest)}
    assert [one.replayed for one in lost] == [None] * 4


def test_records_without_facts_say_why_they_cannot_be_replayed(tmp_path: Path) -> None:
    made = [recorded(right()) for _ in range(3)]
    made[1] = msgspec.structs.replace(made[1], personal={"credential": "key_1"})
    log_of(tmp_path, made)
    with closing(PersonalValues(tmp_path / "personal.sqlite")) as values:
        values.erase(NOW_US, record=2, field="credential", value=canonical_value("key_1"))
    states = [State.SAME, State.FACTS_NOT_KEPT, State.FACTS_ERASED]
    found = replayed(tmp_path)
    assert [one.state for one in found] == states
    assert all(one.replayed is one.today is None for one in found[1:])
    replayer = Replayer(Engines(tmp_path, ENGINE))
    with closing(DecisionReader(tmp_path)) as reader:
        assert [replayer.replay(str(n), reader.checked(n)).state for n in range(3)] == states
        assert [reasons_of(reader.checked(n), Engines(tmp_path, ENGINE)) for n in range(3)] == [[], [], []]


@pytest.mark.parametrize("digest", ["p1", "../log", "0" * 64, "A" * 64, "", "x" * 5000, "\0"])
def test_a_policy_that_names_nothing_kept_is_not_looked_for_elsewhere(tmp_path: Path, digest: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / "log.json").write_bytes(msgspec.json.encode(ENGINE.policies))
    assert Engines(tmp_path, ENGINE).of(digest) is None


def test_kept_policies_that_were_changed_are_not_believed(tmp_path: Path) -> None:
    log_of(tmp_path, [recorded(right(), Engine(OTHERS))], OTHERS)
    (path,) = (tmp_path / FOLDER).iterdir()
    assert path.stat().st_mode & 0o077 == 0
    for text in (msgspec.json.encode(ENGINE.policies), b"{}", b"\xff", b"", b"[" * 9_000):
        path.write_bytes(text)
        with pytest.raises(ProofError, match="restore it from a copy"):
            replayed(tmp_path)
    # What an older version could read, and this one cannot, is no fault of the log.
    odd = Policies("permit (", ENGINE.policies.schema)
    keep_policies(tmp_path, odd)
    assert Engines(tmp_path, ENGINE).of(odd.digest) is None


def test_policies_are_kept_once(tmp_path: Path) -> None:
    for _ in range(2):
        keep_policies(tmp_path, policies_of_today())
    (path,) = (tmp_path / FOLDER).iterdir()
    assert Engines(tmp_path, Engine(OTHERS)).of(path.stem) is not None


def test_gates_are_told_in_the_words_of_then(tmp_path: Path) -> None:
    reworded = Policies(ENGINE.policies.text.replace("no purpose was declared", "say why"), ENGINE.policies.schema)
    made = [recorded(right(purpose=None), Engine(reworded)), recorded(right(person_classes={}))]
    made.append(msgspec.structs.replace(made[1], reasons=["person_class_missing", "gone"], personal={}))
    log_of(tmp_path, made, reworded)
    engines = Engines(tmp_path, ENGINE)
    with closing(DecisionReader(tmp_path)) as reader:
        (purpose,), (missing,), (bare,) = (reasons_of(reader.checked(n), engines) for n in range(3))
    assert purpose.gate.text == "say why"
    assert (missing.code, missing.about) == ("person_class_missing", right()[1].person_packs)
    assert (bare.code, bare.about) == ("person_class_missing", ())


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=30)
def test_facts_are_read_as_they_were_written(seed: int, wrong: float) -> None:
    for standing, model, request in by_lot(seed, 3, wrong):
        text = facts_text(standing, model, request)
        assert read_facts(canonical_value(text), request.now_us) == Facts(
            standing=standing, model=model, request=request
        )
        later = msgspec.structs.replace(request, now_us=request.now_us + 1)
        assert facts_text(standing, model, later) == text


@given(st.binary(max_size=60) | st.text(max_size=60).map(canonical_value))
def test_what_are_no_facts_is_refused(value: bytes) -> None:
    with pytest.raises(ProofError, match="not of a form"):
        read_facts(value, 0)


def test_every_gate_is_met_by_the_lot() -> None:
    met = Counter(code for seed in range(12) for one in by_lot(seed, 400, 0.15) for code in oracle.failed(*one))
    assert set(met) >= set(ENGINE.gates)
