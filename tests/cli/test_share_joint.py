"""Joint detection from the command line: a lab's files, and five labs in one command."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from tests.sharing.tokens.conftest import TOKENS, Served, group
from typer.testing import CliRunner

from tiergate.cli import app
from tiergate.cli.share_demo import run
from tiergate.errors import InputError
from tiergate.parties.tokens import is_token
from tiergate.sharing.tokens.files import open_lab, read_nominations, write_nominations
from tiergate.sharing.tokens.items import Item, Kind, Nomination
from tiergate.simulation.labs import deal
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import simulate

NOMINATIONS = [Nomination("acct_1", frozenset({Item(Kind.PAYMENT, "card"), Item(Kind.CLIENT, "agent\ntls")}), 12)]


def test_a_token_and_its_hash() -> None:
    done = CliRunner().invoke(app, ["share", "token"])
    assert is_token(done.stdout.strip(), "tgj")
    assert re.search(r'token_sha256 = "[0-9a-f]{64}"', done.stderr)


def test_nominations_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_nominations(tmp_path / "n.jsonl", NOMINATIONS)
    assert read_nominations(tmp_path / "n.jsonl") == NOMINATIONS
    assert (tmp_path / "n.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line", ['{"customer": "a"}', "nonsense", '{"customer":"a","exchanges":1,"items":[["price","9"]]}']
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "n.jsonl").write_text(line)
    with pytest.raises(InputError, match="line 1"):
        read_nominations(tmp_path / "n.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("number = 1", "missing"),
        ('number = 0\nthreshold = 3\nkey_servers = []\nhub = {url = "https://h", token_file = "t"}', "key server"),
        (
            'number = 1\nthreshold = 3\nkey_servers = [{url = "https://k", token_file = "t"}]\n'
            'hub = {url = "https://h", token_file = "t"}',
            "token",
        ),
    ],
)
def test_a_wrong_file_of_a_lab_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(InputError, match=said), open_lab(tmp_path / "lab.toml"):
        pass


def test_a_lab_from_its_log_to_its_customers(tmp_path: Path) -> None:
    thin = CampaignSpec(accounts=12, address_sharing=0.6, payment_sharing=0.6)
    shares = deal(simulate(WorldSpec(people=40, hard_negatives={}, campaigns=(thin,)), 1, GrammarPrompts()), 3, 1)
    (tmp_path / "group.key").write_bytes(b"k" * 32)
    served = Served(tmp_path / "served", group())
    with closing(served):
        for number, share in enumerate(shares, 1):
            folder = tmp_path / f"lab-{number}"
            folder.mkdir()
            pq.write_table(share.exchanges, folder / "exchanges.parquet")
            pq.write_table(share.accounts, folder / "accounts.parquet")
            (folder / "token").write_text(TOKENS[number - 1])
            (folder / "lab.toml").write_text(
                f'number = {number}\nthreshold = 3\nhub = {{url = "{served.hub_url}", token_file = "token"}}\n'
                f'key_servers = [{{url = "{served.key_urls[0]}", token_file = "token"}}]\n'
            )
            sheet, place = str(folder / "nominations.jsonl"), ["--lab", str(folder / "lab.toml")]
            place += ["--state", str(folder / "joint")]
            tiergate("lab", "nominate", str(folder), "--sketch-key", str(tmp_path / "group.key"), "-o", sheet)
            tiergate("lab", "send", sheet, *place)
        again = tiergate("lab", "send", sheet, *place)
        assert "are handed in" in again.stderr
        found = json.loads(tiergate("lab", "read", *place, "--json").stdout)
        assert "3 labs" in tiergate("lab", "read", *place).stdout
    rows = zip(shares[2].truth["account_id"].to_pylist(), shares[2].truth["campaign_id"].to_pylist(), strict=True)
    assert [one["customers"] for one in found["clusters"]] == [sorted(account for account, of in rows if of)]


def tiergate(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["share", *arguments])
    assert done.exit_code == 0, done.output
    return done


def test_five_labs_in_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    run(seed=1, people=60)
    said = capsys.readouterr().out
    assert said.count("no value among them") == 5
    assert len(re.findall(r"of 4 found, 0 named wrongly", said)) == 5
    assert said.count("joint cluster: ") == 5
