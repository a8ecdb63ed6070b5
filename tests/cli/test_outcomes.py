"""`tiergate outcomes` over a log, as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.advice.test_focus import exchange
from tests.cli.conftest import RunCommand

HEAD = "outcome_id,accepted,arm,exchange_ids,other_usd"


def given(folder: Path, lines: list[str], head: str = HEAD) -> None:
    pq.write_table(
        pa.Table.from_pylist([exchange(n, cost_micro_usd=10_000) for n in range(400)]), folder / "log.parquet"
    )
    (folder / "outcomes.csv").write_text("\n".join([head, *lines]) + "\n", "utf-8")


def test_arms_are_compared_with_the_baseline(run_tiergate: RunCommand, tmp_path: Path) -> None:
    assistant = [f"a{n},{'yes' if n % 4 else 'no'},assistant,x{2 * n} x{2 * n + 1},1" for n in range(200)]
    manual = [f"m{n},{'true' if n % 5 else 'false'},manual,,{4 + n % 3}" for n in range(200)]
    given(tmp_path, assistant + manual)
    command = ["outcomes", "outcomes.csv", "log.parquet", "--baseline", "manual"]
    shares = ["--split", "assistant=0.5", "--split", "manual=0.5"]
    shown = run_tiergate(*command, *shares, "--chart", "cost.svg", "--csv", "arms.csv")
    assert shown.returncode == 0, shown.stderr
    assert "assistant costs 0.218 times what manual does" in shown.stdout
    assert "-5.0 points" in shown.stdout
    assert "<svg" in (tmp_path / "cost.svg").read_text("utf-8")
    found = json.loads(run_tiergate(*command, "--json").stdout)
    arms = {one["arm"]: one for one in found["arms"]}
    assert arms["assistant"]["cost"] == pytest.approx(200 * 1.02 / 150)
    assert arms["assistant"]["model_usd"] == pytest.approx(4.0)
    assert arms["manual"]["model_usd"] == 0
    assert found["comparisons"][0]["needed"] > 10


@pytest.mark.parametrize(
    ("lines", "head", "said"),
    [
        (["a,maybe,x,,"], HEAD, "line 2: `accepted` is true or false"),
        (["a,yes,x,,-3"], HEAD, "`other_usd` is a sum of dollars"),
        (["a,yes,x,,nan"], HEAD, "`other_usd` is a sum of dollars"),
        (["a,yes,x,,", "a,no,x,,"], HEAD, "comes twice"),
        (["a,yes"], "name,accepted", "no column `outcome_id`"),
        ([], HEAD, "has no outcome"),
        (["a,yes,x,,"], HEAD, "no arm to compare"),
    ],
)
def test_bad_input_says_where(run_tiergate: RunCommand, tmp_path: Path, lines: list[str], head: str, said: str) -> None:
    given(tmp_path, lines, head)
    done = run_tiergate("outcomes", "outcomes.csv", "log.parquet", "--baseline", "x")
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")
