"""Each shipped playbook over an empty deployment, one that is set up for it, and one with a single control broken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.playbook_house import EXCHANGES, House, append, row, set_up, watching
from typer.testing import CliRunner

from tiergate.advice.playbooks.checking import controls_of
from tiergate.advice.playbooks.playbook import shipped_playbooks
from tiergate.cli import app

PLAYBOOKS = shipped_playbooks()
Hold = Callable[[Path], None]


@pytest.fixture(scope="module")
def hold() -> Iterator[Hold]:
    with watching() as hold:
        yield hold


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, hold: Hold) -> House:
    made = set_up(tmp_path_factory.mktemp("house"))
    hold(made.data)
    return made


def checked(house: House, playbook: str, *, code: int) -> dict[str, str]:
    found = json.loads(house.run(f"playbook check {playbook} --json", code=code))
    assert found["in_force"] is (code == 0)
    assert all(one["do"] for one in found["controls"] if one["state"] != "in force")
    return {one["control"]: one["state"] for one in found["controls"]}


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_on_an_empty_deployment_it_says_what_to_do(playbook: str, tmp_path: Path) -> None:
    empty = House(tmp_path)
    empty.run("keys create alice")
    states = checked(empty, playbook, code=1)
    assert list(states) == controls_of(PLAYBOOKS[playbook])
    # Ours are the policy of response and its clock for appeals: they are in force from the first day.
    assert {name for name, state in states.items() if state == "in force"} <= {"approvals", "appeals", "reasoning"}
    said = empty.run(f"playbook check {playbook}", code=1)
    assert f"`tiergate playbook show {playbook}` has one" in said
    assert "tiergate budgets set organisation ORGANISATION" in said
    assert "not offered    redaction" in said
    assert "e+" not in said  # commands are to be typed as they stand
    report = json.loads(empty.run(f"playbook report {playbook} --json"))
    assert report["go"] is False
    assert any("nobody adopted the playbook" in reason for reason in report["against"])


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_where_it_is_set_up_every_control_is_in_force(house: House, playbook: str) -> None:
    assert set(checked(house, playbook, code=0).values()) == {"in force"}


def _command(*lines: str) -> Callable[[House, str], None]:
    def run(house: House, _playbook: str) -> None:
        for line in lines:
            house.run(line)

    return run


def _changed(file: str, before: str, after: str) -> Callable[[House, str], None]:
    return lambda house, _: house.change(file, before, after)


def _without_limit(field: str) -> Callable[[House, str], None]:
    def remove(house: House, playbook: str) -> None:
        one = getattr(PLAYBOOKS[playbook].controls, field)[-1]
        subject = house.names["ACME"] if one.scope == "organisation" else "*"
        of = f" --of {house.names['ACME']}" if one.scope in ("project", "end_user") else ""
        house.run(f"budgets remove {one.scope.replace('_', '-')} {subject} {one.measure}{of}")

    return remove


def _other_tier(house: House, playbook: str) -> None:
    before, after = (playbook, "classified-1") if playbook != "security_research" else ("classified-1", "swift")
    house.change("playbooks.toml", f'models = ["{before}"]', f'models = ["{after}"]')


def _text_kept(house: House, playbook: str) -> None:
    append(house, [row(house, playbook, 9_999)], "text")


def _one_gives(house: House, _playbook: str) -> None:
    from importlib.resources import files

    text = (files("tiergate.admission") / "templates" / "consortium.toml").read_text()
    text = text.replace('programme_id = "consortium"', 'programme_id = "loose"\ngrant_approvals = 1')
    (house.folder / "loose.toml").write_text(text)
    house.run(f"programme create {house.folder / 'loose.toml'} --author operator")
    house.change("models.toml", 'programme = "consortium"', 'programme = "loose"')


def _bare_key(house: House, _playbook: str) -> None:
    house.run("keys create zoe --organisation ACME")
    house.run("holders set zoe --organisation ACME --employer ACME --person PERSON --keeps sketches --author operator")


def _damaged(house: House, _playbook: str) -> None:
    for path in (house.data / "decisions" / "records").iterdir():
        path.write_bytes(path.read_bytes().replace(b"REVIEW", b"REVIEX"))


BREAKS: dict[str, Callable[[House, str], None]] = {
    "owners": _changed("playbooks.toml", 'risk = "rob"', 'risk = "Ann"'),
    "applicability": _changed("playbooks.toml", '"decides_on_people", ', ""),
    "tiers": _other_tier,
    "rule_packs": _command("packs deactivate ear_person --by ann --by rob --why lifted"),
    "membership": _command("member suspend MEMBER --code review --reason late --author rob"),
    "grants": _one_gives,
    "purposes": _command("purpose withdraw PURPOSE --author ann"),
    "second_proof": _bare_key,
    "regions": _changed("gateway.yaml", "regions: [eu]", "regions: [eu, us]"),
    "retention_days": _changed("gateway.yaml", "retention_days: 0}\n", "retention_days: 31}\n"),
    "capabilities": _changed("gateway.yaml", "[tools, structured_output, streaming]", "[streaming]"),
    "upstreams": _changed("gateway.yaml", "upstream: west", "upstream: east"),
    "budgets": _without_limit("budgets"),
    "rates": _without_limit("rates"),
    "log": _text_kept,
    "approvals": _changed("response.toml", 'action = "limit"\napprovals = 1\n', 'action = "limit"\n'),
    "appeals": _changed("response.toml", "appeal_days = 5", "appeal_days = 6"),
    "reasoning": _changed("response.toml", "value_usd = 1_000\napprovals = 1", "value_usd = 1_000\napprovals = 2"),
    "watch": lambda _house, _playbook: None,
    "alerts": _changed("alerts.toml", "secret =", 'types = ["case.step"]\nsecret ='),
    "decision_log": _damaged,
}
CASES = [(playbook.id, control) for playbook in PLAYBOOKS.values() for control in controls_of(playbook)]


@pytest.mark.parametrize(("playbook", "control"), CASES)
def test_with_one_control_broken_the_check_fails_and_names_it(
    house: House, hold: Hold, tmp_path: Path, playbook: str, control: str
) -> None:
    broken = house.copy(tmp_path)
    if control != "watch":
        hold(broken.data)
    if (playbook, control) != ("regulated_review", "approvals") and control == "approvals":
        # Fewer than two for a suspension is refused by the policy's reader: the control is then not known.
        broken.change("response.toml", "q_value = 0.01\napprovals = 2", "q_value = 0.01\napprovals = 1")
    else:
        BREAKS[control](broken, playbook)
    states = checked(broken, playbook, code=1)
    assert states[control] != "in force"
    beside = {name for name, state in states.items() if state != "in force"} - {control}
    # What is read from the same file or rests on the same programme may fall with it.
    assert beside <= ALONG.get(control, set()), states


ALONG = {
    "tiers": {"rule_packs", "membership", "grants", "purposes", "capabilities", "upstreams", "regions"},
    "grants": {"membership", "purposes"},
    "membership": {"purposes"},
    "approvals": {"appeals", "reasoning"},
}


def test_a_report_is_go_only_on_measured_figures(house: House, tmp_path: Path) -> None:
    command = "playbook report support_assistant"
    without = json.loads(house.run(f"{command} --json"))
    assert without["go"] is False
    assert [one.split(" was")[0] for one in without["against"]] == [
        "outcomes", "accepted_share", "cost_per_accepted_usd",
    ]  # fmt: skip
    assert without["refusals"] == {"budget_exhausted": 3}
    figures = {one["name"]: one["value"] for one in without["figures"]}
    assert figures["exchanges"] == EXCHANGES
    assert figures["usd_per_exchange"] == pytest.approx(0.004)
    assert figures["error_share"] == 0

    def given(accepted: int) -> Path:
        lines = [f"o{n},{'yes' if n < accepted else 'no'},support_assistant-{n},0.1" for n in range(200)]
        path = tmp_path / f"{accepted}.csv"
        path.write_text("\n".join(["outcome_id,accepted,exchange_ids,other_usd", *lines]) + "\n")
        return path

    assert json.loads(house.run(f"{command} --json --outcomes {given(180)}"))["go"] is True
    fewer = json.loads(house.run(f"{command} --json --outcomes {given(100)}"))
    assert fewer["against"] == ["accepted_share is 50%, 70% or more is asked"]
    for name in ("report.md", "report.html"):
        house.run(f"{command} --outcomes {given(180)} --out {tmp_path / name}")
        text = (tmp_path / name).read_text("utf-8")
        for words in ("Support assistant: go", "GOVERN 1.1", "A.6.2.8", "article 26(6)", "redaction", "2026-11-28"):
            assert words in text, name
    later = json.loads(house.run(f"{command} --json --since 2100-01-01"))
    assert "exchanges is 0, 500 or more is asked" in later["against"]


@pytest.mark.parametrize("playbook", ["regulated_review", "security_research"])
def test_probes_in_a_sandbox_are_refused(house: House, playbook: str) -> None:
    found = json.loads(house.run(f"playbook check {playbook} --live --json"))
    said = {(one["control"], one["passed"]): one["said"] for one in found["probes"]}
    assert all(passed for _, passed in said), found["probes"]
    probed = {control for control, _ in said}
    if playbook == "security_research":
        assert "403" in said["tiers", True]
    else:
        assert probed == {"tiers", "regions", "retention_days", "budgets", "rates", "log"}


def test_what_a_file_has_wrong_is_said_with_its_line(house: House, tmp_path: Path) -> None:
    text = house.run("playbook show support_assistant --yaml")
    (tmp_path / "mine.yaml").write_text(text.replace("  watch: true", "  wacth: true").replace("error_share", "errors"))
    done = CliRunner().invoke(app, ["playbook", "show", str(tmp_path / "mine.yaml")])
    assert re.search(r"line \d+: there is no field `controls.wacth`: did you mean `watch`\?", str(done.exception))
    (tmp_path / "mine.yaml").write_text(text)
    assert CliRunner().invoke(app, ["playbook", "show", str(tmp_path / "mine.yaml"), "--json"]).exit_code == 0


def test_a_table_that_is_misspelt_is_pointed_out(house: House, tmp_path: Path) -> None:
    broken = house.copy(tmp_path)
    broken.change("playbooks.toml", "[support_assistant]", "[suport_assistant]")
    done = CliRunner().invoke(app, ["playbook", "check", "support_assistant", "--data", str(broken.data)])
    assert done.exit_code == 1
    assert "call it `[support_assistant]`" in done.stderr
    (broken.data / "playbooks.toml").write_text("[support_assistant]\nmodel = []\n")
    done = CliRunner().invoke(app, ["playbook", "check", "support_assistant", "--data", str(broken.data)])
    assert "does not say who adopted which playbook" in str(done.exception)
