"""`decisions explain` and `replay` on the logs of two workers: with facts, without, changed, by other policies."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.admission.at_random import right
from tests.admission.test_replay import OTHERS, log_of, recorded
from tests.ledger.decisions import ORIGIN

from tiergate.admission.appeals import Against, Appeals, Outcome, notice
from tiergate.admission.engine import Engine
from tiergate.cli import app
from tiergate.cli import replay as command
from tiergate.database import open_database
from tiergate.errors import InputError
from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_logs import place_of
from tiergate.parties.fact_rows import Listing, Stake, fact_key, party_id, shown_id
from tiergate.parties.facts import FactStore

RunCommand = Callable[..., subprocess.CompletedProcess[str]]
RIGHT, REFUSED = right(), right(purpose=None, credit_available=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The first worker's log by today's policies; the second's by others, of which it kept the text."""
    folder = tmp_path / "data"
    log_of(place_of(folder, 1).folder, [recorded(RIGHT), recorded(REFUSED), recorded(RIGHT, personal={})])
    others = [recorded(one, Engine(OTHERS)) for one in (RIGHT, right(credential_bound=False), right(project=None))]
    log_of(place_of(folder, 2).folder, others, OTHERS)
    for number in (1, 2):
        with_own_key(folder, number)
    return folder


def with_own_key(data: Path, number: int) -> None:
    """Sign anew with the deployment's own key."""
    log = DecisionLog.open(place_of(data, number).folder)
    log.sign(load_private_key(data / "decisions.key", ORIGIN), 0)
    log.close()


def result(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_refusal_is_explained_with_what_would_change_it(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "explain", "1")
    assert done.returncode == 0, done.stderr
    head, who, *rest = done.stdout.splitlines()
    assert head.startswith("DENY at ")
    assert "credential key_1" in who
    assert rest[:4] == [
        "- purpose_missing: no purpose was declared",
        "  missing: the purpose of the request",
        "  would change it: declare a purpose in the header x-tiergate-purpose",
        "  who decides an appeal: the organisation's administrator",
    ]
    assert 'tiergate appeal file decision 1 --grounds "..."' in done.stdout
    told = result(run_tiergate("decisions", "explain", "1", "--json"))
    assert (
        [one["code"] for one in told["reasons"]] == told["record"]["reasons"] == ["purpose_missing", "credit_exhausted"]
    )
    assert told["facts"]["request"]["account"] == "allowed"
    assert (told["signed"], told["overturned"]) == (True, None)
    assert "facts" not in told["personal"]


def test_an_ownership_that_is_not_known_is_explained_by_the_facts_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    owner, member = (party_id("test", name) for name in ("owner", "member"))
    standing, model, request = right()
    standing = msgspec.structs.replace(
        standing, organisation_id=shown_id(member), employer_id=shown_id(member),
        organisation_verdicts={"ofac_50@1": "not_known"}, ownership_wanted={"ofac_50@1": ("a record of a share",)},
    )  # fmt: skip
    model = msgspec.structs.replace(model, organisation_packs=("ofac_50@1",))
    place = place_of(tmp_path / "data", 1)
    log_of(place.folder, [recorded((standing, model, request))])
    with_own_key(tmp_path / "data", 1)
    engine = open_database(tmp_path / "data" / "control.sqlite")
    Appeals(engine)
    engine.dispose()
    engine = open_database(tmp_path / "data" / "parties.sqlite")
    band = Stake(key=fact_key("s"), owner=owner, owned=member, prong="shares", lo_ppm=400_000, hi_ppm=600_000)
    FactStore(engine).add([Listing(key=fact_key("l"), party=owner, list="SDN"), band], source="test", now_us=1)
    engine.dispose()
    app(args=["decisions", "explain", "0"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "  would settle it, as the caller was told: a record of a share\n" in said
    exact = f"a record of {shown_id(owner)}'s exact share of {shown_id(member)}, on file as 40% to 60%: up to 49.9999%"
    assert f"  would settle it today, ofac_50@1: {exact} clears it, 50% and more bar it\n" in said


def test_a_decision_that_an_appeal_undid_says_so(data: Path, run_tiergate: RunCommand) -> None:
    engine = open_database(data / "control.sqlite")
    appeals = Appeals(engine)
    filed = appeals.file(Against.DECISION, "worker-2/1", filed_by="ann", grounds="g", now_us=1)
    for reviewer in ("rob", "rita"):
        filed = appeals.decide(filed.appeal_id, reviewer=reviewer, outcome=Outcome.OVERTURNED, reason="r", now_us=2)
    assert notice(filed, 3) == "the appeal succeeded; what caused the refusal must still be changed: r; r"
    engine.dispose()
    assert "an appeal overturned it" in run_tiergate("decisions", "explain", "worker-2/1").stdout
    assert result(run_tiergate("decisions", "explain", "1", "--json"))["overturned"] is False


@pytest.mark.parametrize(
    ("decision_id", "said"),
    [("worker-2/0", "there is nothing to appeal"), ("17", "has no record 17"), ("worker-3/1", "is no decision of"),
     ("ex_0a0a", "x-tiergate-decision-id")],
)  # fmt: skip
def test_only_a_refusal_that_is_in_a_log_is_appealed(data: Path, decision_id: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        app(["appeal", "file", "decision", decision_id, "--grounds", "g", "--data", str(data)], standalone_mode=False)


def test_decisions_are_listed_with_a_cursor(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> tuple[str, str]:
        app(args=["decisions", "list", "--data", str(data), *words], standalone_mode=False)
        return tuple(capsys.readouterr())  # type: ignore[return-value]

    told = json.loads(said("--json", "--limit", "4")[0])
    rest = json.loads(said("--json", "--cursor", told["next"])[0])
    assert (len(told["decisions"]), len(rest["decisions"]), rest["next"]) == (4, 2, None)
    out, err = said("--code", "purpose_missing", "--outcome", "deny", "--since", "2020-01-01")
    assert (out.count("\n"), "1 decision, 6 looked at" in err) == (1, True)
    assert out.startswith("1 ")
    assert "key_1" in out
    assert said("--until", "2020-01-01T00:00:00")[0] == ""


def test_what_passed_and_what_cannot_be_replayed_are_explained_too(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "explain", "2")
    assert (done.returncode, done.stdout.count("\n")) == (0, 2)
    assert done.stdout.startswith("ALLOW at ")
    assert "were not kept, so it cannot be replayed" in done.stderr


def test_one_decision_is_replayed_by_its_own_policies_and_by_todays(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "replay", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1: came out as recorded, reason for reason"
    assert "today" not in done.stdout
    done = run_tiergate("decisions", "replay", "worker-2/1")
    assert done.returncode == 0, done.stderr
    assert "today:    DENY: credential_not_bound, by the policies" in done.stdout
    told = result(run_tiergate("decisions", "replay", "worker-2/2", "--json"))
    assert (told["state"], told["flips"], told["today"]["reasons"]) == ("same", True, ["project_missing"])


@pytest.mark.parametrize(
    ("decision_id", "every", "said"),
    [(None, False, "or --all"), ("1", True, "or --all"), ("worker-3/0", False, "is no decision of"),
     ("7", False, "has no record 7"), ("x", False, "is no decision of")],
)  # fmt: skip
def test_what_cannot_be_replayed_is_bad_input(data: Path, decision_id: str | None, every: bool, said: str) -> None:
    with pytest.raises(InputError, match=said):
        command.replay(decision_id, every=every, data=data)


def test_all_decisions_are_replayed_and_flips_are_no_failure(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "replay", "--all")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == [
        "replayed 6 decisions of 2 logs",
        "  5 came out as recorded, reason for reason",
        "  1 cannot be replayed: made before facts were kept",
        "by today's policies 2 decisions of 1 key would come out otherwise",
    ]
    assert "worker-2/1: ALLOW -> DENY: credential_not_bound  key_1" in done.stdout
    told = result(run_tiergate("decisions", "replay", "--all", "--json"))
    assert (told["complete"], told["decisions"], told["states"]) == (True, 6, {"same": 5, "facts_not_kept": 1})
    assert [one["decision_id"] for one in told["flips"]["listed"]] == ["worker-2/1", "worker-2/2"]
    assert (told["signature_not_checked"], told["different"], told["damaged"]) == ([], [], [])
    # A copy of one log, elsewhere, with the key or without.
    shutil.copytree(data / "decisions" / "worker-2", data.parent / "copy")
    key = str(load_private_key(data / "decisions.key", ORIGIN).public)
    for given, not_checked in (([], [ORIGIN]), (["--key", key], [])):
        told = result(run_tiergate("decisions", "replay", "--all", "--data", "copy", "--json", *given))
        assert (told["decisions"], told["signature_not_checked"]) == (3, not_checked)


def test_what_comes_out_otherwise_and_what_is_damaged_ends_with_1(data: Path, run_tiergate: RunCommand) -> None:
    log = DecisionLog.open(place_of(data, 1).folder)
    log.append([recorded(REFUSED, outcome="ALLOW", reasons=[])])
    log.close()
    told = result(run_tiergate("decisions", "replay", "--all", "--json"), code=1)
    (one,) = told["different"]
    assert (one["decision_id"], one["recorded"]["outcome"], one["replayed"]["outcome"]) == ("3", "ALLOW", "DENY")
    assert one["signed"] is False
    done = run_tiergate("decisions", "replay", "3")
    assert done.returncode == 1
    assert "came out otherwise than recorded" in done.stdout
    assert "no checkpoint covers the record" in done.stderr

    (path,) = (data / "decisions" / "worker-2").rglob("*.records")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    done = run_tiergate("decisions", "replay", "--all")
    assert done.returncode == 1
    assert f"{ORIGIN} does not hold, and was read up to there: record 1 is damaged" in done.stdout
    told = result(run_tiergate("decisions", "replay", "worker-2/1", "--json"), code=1)
    assert told["record"] == 1


def test_erasing_one_person_reaches_every_log_and_ends_their_replays(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "erase", "--field", "credential", "--value", "key_1", "--json")
    assert result(done) == {"erased": 10}
    told = result(run_tiergate("decisions", "replay", "--all", "--json"))
    assert told["states"] == {"facts_erased": 5, "facts_not_kept": 1}
    assert "the facts were erased" in run_tiergate("decisions", "replay", "worker-2/0").stdout
    assert run_tiergate("decisions", "erase", "--record", "worker-2/0").stdout == "erased 1 personal value\n"
    assert run_tiergate("decisions", "receipt", "worker-2/0").returncode == 0


def test_whoever_interrupts_is_told_what_was_found(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add = command._Tally.add

    def interrupted(tally: Any, one: Any) -> None:
        if tally.decisions == 2:
            raise KeyboardInterrupt
        add(tally, one)

    monkeypatch.setattr(command._Tally, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.replay(None, every=True, data=data, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["complete"], told["decisions"]) == (False, 2)


def test_many_differences_are_counted_and_some_are_listed(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MOST_LISTED", 1)
    command.replay(None, every=True, data=data, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["flips"]["decisions"], len(told["flips"]["listed"])) == (2, 1)
