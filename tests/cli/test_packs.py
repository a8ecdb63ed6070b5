"""`tiergate packs` as people run it: from imported facts to a pack that binds."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.cli.conftest import RunCommand

ROOT = Path(__file__).parents[2]
FACTS = """\
record,id,name,headquarters,incorporated_in,owner,owned,percent,party,list
party,x,Example Holdings,CN,CN,,,,,
party,a,A Ltd,SG,SG,,,,,
party,z,Z Ltd,SG,SG,,,,,
stake,s1,,,,x,a,50,,
listing,,,,,,,,x,SDN
"""
PEOPLE = ("--by", "Ann Lee", "--by", "Bo Roy", "--why", "terms of December")


def test_from_preview_to_activation_and_back(run_tiergate: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "facts.csv").write_text(FACTS)
    assert run_tiergate("parties", "import", "csv", "facts.csv").returncode == 0
    assert run_tiergate("keys", "create", "alice").returncode == 0

    shown = json.loads(run_tiergate("packs", "preview", "ofac_50", "--json").stdout)
    assert shown["counts"]["organisations"] == {"clear->clear": 1, "clear->deny": 2}
    assert {row["reason"] for row in shown["rows"]} == {"listed", "ownership"}
    table = run_tiergate("packs", "preview", "ofac_50")
    assert "organisations: clear->clear 1, clear->deny 2" in table.stdout
    assert "2 outcomes would change" in table.stderr

    later = run_tiergate("packs", "activate", "uk_ofsi", *PEOPLE, "--on", "2099-01-01")
    assert "lists no model that `uk_ofsi@1` applies to" in later.stderr
    (tmp_path / "data" / "models.toml").write_text('[models.m]\ntier = "open"\n')
    done = run_tiergate("packs", "activate", "ofac_50", *PEOPLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "activated ofac_50@1 from" in done.stdout
    listed = json.loads(run_tiergate("packs", "list", "--json").stdout)
    assert listed["epoch"] == 2
    assert [one["pack"] for one in listed["packs"] if one["active"]] == ["ofac_50@1"]
    back = json.loads(run_tiergate("packs", "preview", "ofac_50", "--change", "deactivate", "--json").stdout)
    assert back["counts"]["organisations"] == {"clear->clear": 1, "deny->clear": 2}
    row = json.loads(run_tiergate("packs", "deactivate", "ofac_50", *PEOPLE, "--json").stdout)
    assert (row["epoch"], row["action"], row["second_name"]) == (3, "deactivate", "Bo Roy")


def test_what_is_refused(run_tiergate: RunCommand, tmp_path: Path) -> None:
    run_tiergate("keys", "create", "alice")
    (tmp_path / "persons.jsonl").write_text('{"subject": "per_1", "passport": "P1"}\n')
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "wrong.toml").write_text("id = 1\n")
    june = ("packs", "preview", "june_order")
    for arguments, message in (
        (("packs", "show", "nothing"), "no rule pack is called `nothing`"),
        (("packs", "activate", "ofac_50", "--by", "A", "--why", "x"), "give `--by` twice"),
        (("packs", "activate", "ofac_50", "--by", "A", "--by", "a", "--why", "x"), "two different names"),
        (("packs", "activate", "ofac_50", *PEOPLE, "--data", "nowhere"), "not a gateway's data folder"),
        (("packs", "activate", "bis_affiliates", *PEOPLE, "--on", "2099-01-01"), "confirm it with the source"),
        (("packs", "list", "--on", "tomorrow"), "`tomorrow` is no day"),
        (("packs", "preview", "ofac_50"), "has no facts of parties"),
        ((*june, "--persons", "persons.jsonl"), "nationality and papers have no place here"),
        (("packs", "list", "--packs", "mine"), "rule pack `wrong.toml`"),
    ):
        done = run_tiergate(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert message in done.stderr


def test_a_preview_that_looked_at_nobody_says_so(run_tiergate: RunCommand) -> None:
    run_tiergate("keys", "create", "alice")
    done = run_tiergate("packs", "preview", "june_order", "--on", "2026-06-15")
    assert done.returncode == 0, done.stderr
    assert "nobody was looked at" in done.stderr


def test_show_says_what_is_not_decided(run_tiergate: RunCommand) -> None:
    shown = run_tiergate("packs", "show", "bis_affiliates")
    assert "  seeds.lists: EL MEU SDN\n" in shown.stdout
    assert "unconfirmed: 2026-11-10 to open" in shown.stdout
    assert "not decided: Whether the rule is in force from 10 November 2026" in shown.stdout
    assert json.loads(run_tiergate("packs", "show", "ofac_50@1", "--json").stdout)["test"]["threshold_ppm"] == 500_000


def test_the_order_of_june_is_put_in_force_as_the_docs_say(run_tiergate: RunCommand, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "rule-packs.md").read_text()
    (command,) = re.findall(r"^mkdir packs\n(sed .*?\.v2\.toml)$", text, re.MULTILINE | re.DOTALL)
    made = tmp_path / "packs" / "june_order.v2.toml"
    made.parent.mkdir()
    subprocess.run(["sh", "-c", command.replace("> packs", f"> {tmp_path}/packs")], cwd=ROOT, check=True)
    run_tiergate("keys", "create", "alice")
    (tmp_path / "data" / "models.toml").write_text('[models.classified-1]\ntier = "open"\n')
    done = run_tiergate("packs", "activate", "june_order", "--packs", "packs", *PEOPLE)
    assert done.stdout.startswith("activated june_order@2 from")
    assert done.stderr == ""
    # What was activated is known without its folder, to gateways too.
    listed = json.loads(run_tiergate("packs", "list", "--json").stdout)["packs"]
    assert [one["pack"] for one in listed if one["active"]] == ["june_order@2"]


def test_the_june_drill_tells_who_loses_what_in_a_copy(run_tiergate: RunCommand, tmp_path: Path) -> None:
    run_tiergate("keys", "create", "alice")
    none = run_tiergate("packs", "drill")
    assert (none.returncode, none.stdout) == (2, "")
    assert "`models.toml` lists none" in none.stderr
    (tmp_path / "data" / "models.toml").write_text('[models.small]\ntier = "commodity"\n[models.old]\ntier = "open"\n')
    done = json.loads(run_tiergate("packs", "drill", "--model", "small", "--json").stdout)
    assert (done["models"], done["loses"], done["restored"]) == (["small"], 1, True)
    assert [one["reasons"] for one in done["rows"]] == [["person_class_missing"]]
    said = run_tiergate("packs", "drill", "--model", "small")
    assert "1 would lose access, 0 keep it; lifted again, all stood as before" in said.stderr
    assert json.loads(run_tiergate("packs", "list", "--json").stdout)["epoch"] == 0
