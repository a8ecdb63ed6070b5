"""`tiergate parties` as people run it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import RunCommand

FACTS = """\
record,id,name,identifiers,owner,owned,percent,party,list,reason
party,x,Example Holdings Ltd,GB-COH:7,,,,,,
party,a,A Ltd,,,,,,,
stake,s1,,,x,a,60,,,
stake,s2,,,x,a,600,,,
listing,,,,,,,x,Own list,
undisclosed,,,,,,,a,,asked and not told
"""


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.csv"
    path.write_text(FACTS)
    return path


def test_import_show_and_lists(facts: Path, run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate("parties", "import", "csv", str(facts))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "recorded 2 parties, 1 stake, 1 undisclosed, 1 list entry as version 1\n"
    assert "1 x percent: is no percentage from 0 to 100; first" in done.stderr
    assert (tmp_path / "data" / "parties-csv.refused.jsonl").read_text().count("\n") == 1

    shown = json.loads(run_tiergate("parties", "show", "example holdings ltd", "--json").stdout)
    assert shown[0]["lists"] == [{"list": "Own list", "programme": None}]
    assert [(one["name"], one["lo_ppm"]) for one in shown[0]["owns"]] == [("A Ltd", 600_000)]
    by_id = run_tiergate("parties", "show", shown[0]["owns"][0]["id"])
    assert "owners: 60% shares from Example Holdings Ltd" in by_id.stdout
    assert "undisclosed: owners, asked and not told" in by_id.stdout
    assert "Example Holdings Ltd" in run_tiergate("parties", "show", "GB-COH:7").stdout
    (row,) = json.loads(run_tiergate("parties", "lists", "--json").stdout)["lists"]
    assert (row["list"], row["parties"], row["source"], len(row["snapshot_hash"])) == ("Own list", 1, "csv", 64)


def test_a_listed_name_is_found_however_it_is_spelt(facts: Path, run_tiergate: RunCommand) -> None:
    run_tiergate("parties", "import", "csv", str(facts))
    done = run_tiergate("parties", "screen", "Exampel Holding Limited", "--country", "FR", "--json")
    found = json.loads(done.stdout)
    (hit,) = found["hits"]
    assert hit["name"] == "Example Holdings Ltd"
    assert hit["id"].startswith("pty_")
    assert hit["score"] > 0.5
    assert found["names"] == 1
    none = run_tiergate("parties", "screen", "Quite Another Name")
    assert (none.returncode, none.stdout) == (0, "")
    assert none.stderr == "tiergate: 0 hits among 1 listed name\n"
    wrong = run_tiergate("parties", "screen", "...")
    assert (wrong.returncode, "no letter or digit" in wrong.stderr) == (2, True)


def test_what_was_known_before(facts: Path, run_tiergate: RunCommand) -> None:
    run_tiergate("parties", "import", "csv", str(facts), "--as-of", "2026-01-01")
    gone = run_tiergate("parties", "show", "A Ltd", "--known", "2001-01-01")
    assert gone.returncode == 2
    assert gone.stderr.startswith("tiergate: no party has the id or the exact name `A Ltd`")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "csv", "absent.csv"), "`absent.csv` is not there"),
        (("show", "x"), "has no facts of parties"),
        (("lists", "--data", "nowhere"), "`nowhere` has no facts of parties"),
        (("import", "csv", "facts.csv", "--as-of", "soon"), "`soon` is no time"),
        (("import", "gleif", "facts.csv"), "lacks the columns LEI, Entity.LegalName"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...], message: str, facts: Path, run_tiergate: RunCommand, tmp_path: Path
) -> None:
    done = run_tiergate("parties", *arguments)
    assert done.returncode == 2
    *progress, said = done.stderr.splitlines()
    assert message in said
    assert all("importing: " in line for line in progress)


def test_json_counts_what_was_refused(facts: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("parties", "import", "csv", str(facts), "--complete", "--json")
    counts = json.loads(done.stdout)
    assert (counts["stakes"], counts["refused"], counts["complete"]) == (1, 1, False)
    assert counts["first"]["percent: is no percentage from 0 to 100"]["row"] == 5
    assert "nothing ended" in done.stderr


def test_names_in_place_of_ids_are_told(facts: Path, run_tiergate: RunCommand, tmp_path: Path) -> None:
    assert "nothing is told of" not in run_tiergate("parties", "import", "csv", str(facts)).stderr
    (tmp_path / "more.csv").write_text("record,party,list\nlisting,a,L\nlisting,A Ltd,L\nlisting,B Ltd,L\n")
    done = run_tiergate("parties", "import", "csv", "more.csv", "--json")
    counts = json.loads(done.stdout)
    assert (counts["listings"], counts["unknown_parties"], counts["first_unknown"]) == (3, 2, "A Ltd")
    assert "nothing is told of 2 parties that stakes or entries name, the first `A Ltd`" in done.stderr


@pytest.mark.shared_data
def test_real_lists_and_owners(shared_data: Path, run_tiergate: RunCommand, tmp_path: Path) -> None:
    path = tmp_path / "real.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["record", "id", "name", "party", "list", "owner", "owned"])
        listed = pq.read_table(shared_data / "org" / "bis_entity_list_universities.parquet").to_pylist()
        for row in listed:
            writer.writerow(["party", row["name"], row["name"], "", "", "", ""])
            writer.writerow(["listing", "", "", row["name"], "EL", "", ""])
        edges = pq.read_table(shared_data / "org" / "wikidata_owner_edges.parquet").to_pylist()
        for row in edges:
            writer.writerow(["stake", "", "", "", "", row["acquirer"], row["company"]])
        companies = pq.read_table(shared_data / "org" / "sec_exhibit21_companies.parquet").to_pylist()
        for row in companies:
            writer.writerow(["party", f"CIK:{row['cik']}", row["company"], "", "", "", ""])
    done = run_tiergate("parties", "import", "csv", str(path), "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["listings"] == len(listed)
    assert counts["parties"] == len(listed) + len(companies)
    assert counts["stakes"] + counts["refused"] == len(edges)
    assert counts["refused"] < 50, "companies that own themselves, names left out"
    (row,) = json.loads(run_tiergate("parties", "lists", "--json").stdout)["lists"]
    assert row["parties"] == len(listed)
