"""A deployment for all six playbooks, set up by real commands in this process, and ways to break one control of it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.ledger.decisions import ORIGIN, decided
from typer.testing import CliRunner

from tiergate.advice.playbooks.playbook import shipped_playbooks
from tiergate.cli import app
from tiergate.clock import SECOND, SystemClock
from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.records.schema import Exchange

EXCHANGES: Final = 1_000
TODAY: Final = datetime.now(UTC).date()
FACTS = """record,id,name,headquarters,owner,owned,percent,percent_min,percent_max,party,list
party,acme,Acme Research Ltd,GB,,,,,,,
party,bad,Barred Holdings,CN,,,,,,,
listing,,,,,,,,,bad,SDN
"""
MODELS = """[models.swift]
tier = "commodity"

[models.steady]
tier = "commodity"

[models."classified-1"]
tier = "classified"
programme = "consortium"
organisation_packs = ["ofac_50"]
person_packs = ["ear_person"]
"""
ROUTES = """upstreams:
  east: {url: https://api.east.example.com/v1, dialect: openai, key_env: EAST_KEY, region: eu-west-1, retention_days: 0}
  west: {url: https://api.west.example.com, dialect: anthropic, region: eu-central-1, retention_days: 0}
models:
  swift:
    upstream: east
    prices: [{from: 2026-01-01, input: 1_000_000, output: 4_000_000}]
    context_tokens: 128_000
    capabilities: [tools, structured_output, streaming]
  steady:
    upstream: west
    prices: [{from: 2026-01-01, input: 1_000_000, output: 4_000_000}]
    context_tokens: 128_000
    capabilities: [tools, structured_output, streaming]
  classified-1:
    upstream: east
    prices: [{from: 2026-01-01, input: 15_000_000, output: 75_000_000}]
    context_tokens: 128_000
groups:
GROUPSpolicies:
  organisations:
    ACME: {regions: [eu], retention_days: 0}
"""
ALERTS = """[[sinks]]
name = "on-call"
kind = "webhook"
url = "https://hooks.example.com/tiergate"
secret = {env = "ALERTS_HOOK_SECRET"}
"""
SETUP = """
keys create max --organisation ACME
packs activate ofac_50 --by ann --by rob --why terms
packs activate ear_person --by ann --by rob --why terms
programme create consortium --author operator
MEMBER member apply consortium ACME --author ann --met security_review=PAPER \
    --met sso_mfa=PAPER --met contractors_listed=PAPER
member sponsor MEMBER --organisation operator --author sue
member review MEMBER --approve --author rob
member review MEMBER --approve --author rita
PURPOSE purpose declare MEMBER test_own_systems --asset domain:*.example.org --author ann \
    --evidence PAPER --issuer legal --until 2100-01-01
purpose accept PURPOSE --author rob
holders set max --organisation ACME --employer ACME --person PERSON --certificate DIGEST \
    --keeps sketches --author operator
budgets set organisation ACME usd/month 3000
budgets set organisation ACME usd/day 200
budgets set project * usd/month 2000 --of ACME
budgets set end-user * usd/day 1 --of ACME
budgets set key * usd/day 50
budgets set key * requests/minute 60
budgets set account * requests/minute 60
budgets set account * tokens/minute 2000000
"""


_WITHOUT_DATA: Final = (["classes", "person"], ["playbook", "show"])


class House:
    """A data folder, with what its ids are called in commands."""

    def __init__(self, folder: Path, names: dict[str, str] | None = None) -> None:
        self.folder, self.data = folder, folder / "data"
        self.names = names if names is not None else {"DIGEST": "ab" * 32, "PAPER": "cd" * 32}

    def run(self, line: str, *, code: int = 0) -> str:
        """What a command says; a capital word before it becomes the name of the first word that it says."""
        name, _, rest = line.partition(" ")
        known = re.compile(r"\b(" + "|".join(self.names) + r")\b")
        words = [
            known.sub(lambda found: self.names[found[0]], word)
            for word in shlex.split(rest if name.isupper() else line)
        ]
        where = ["--data", str(self.data)] if words[:2] not in _WITHOUT_DATA else []
        done = CliRunner().invoke(app, [*words, *where])
        assert done.exit_code == code, f"{words}: {done.output} {done.exception!r}"
        if name.isupper():
            self.names[name] = done.stdout.split()[0]
        return done.stdout

    def copy(self, folder: Path) -> House:
        shutil.copytree(self.data, folder / "data")
        return House(folder, self.names)

    def change(self, file: str, before: str, after: str, *, count: int = -1) -> None:
        text = (self.data / file).read_text()
        assert before in text, f"{file} has no {before}"
        (self.data / file).write_text(text.replace(before, after, count))


def set_up(folder: Path) -> House:
    """The deployment, with a thousand exchanges of each use case."""
    house = House(folder)
    (folder / "facts.csv").write_text(FACTS)
    house.run("PERSON classes person")
    house.run(f"parties import csv {folder / 'facts.csv'}")
    house.names["ACME"] = re.findall("pty_[0-9a-f]+", house.run("parties show 'Acme Research Ltd'"))[0]
    ids = [name for name in shipped_playbooks() if name != "security_research"]
    groups = "".join(f"  {name}: {{candidates: [swift, steady]}}\n" for name in ids)
    (house.data / "models.toml").write_text(MODELS)
    (house.data / "gateway.yaml").write_text(ROUTES.replace("GROUPS", groups).replace("ACME", house.names["ACME"]))
    for line in SETUP.strip().splitlines():
        house.run(line)
    (house.data / "alerts.toml").write_text(ALERTS)
    ours = Path(sys.modules["tiergate"].__file__ or "").parent / "response" / "response.toml"
    text = ours.read_text().replace('action = "limit"\n', 'action = "limit"\napprovals = 1\n')
    (house.data / "response.toml").write_text(text)
    (house.data / "playbooks.toml").write_text("\n".join(_adoption(house, one) for one in shipped_playbooks().values()))
    _exchanges(house)
    log = DecisionLog.open(house.data / "decisions", origin=ORIGIN)
    log.append([decided(n) for n in range(3)])
    log.sign(load_private_key(house.data / "decisions.key", ORIGIN), SystemClock().now_us())
    log.close()
    return house


def _adoption(house: House, playbook: Any) -> str:
    model = "classified-1" if playbook.id == "security_research" else playbook.id
    not_for = ", ".join(f'"{code}"' for code in playbook.gates.not_for)
    return f"""[{playbook.id}]
owners = {{accountable = "ann", risk = "rob", operations = "sue"}}
review_by = {TODAY + timedelta(days=90)}
tasks = ["{playbook.gates.tasks[0]}"]
not_for = [{not_for}]
models = ["{model}"]
organisation = "{house.names["ACME"]}"
"""


def row(house: House, model: str, number: int, **more: Any) -> Exchange:
    fields: dict[str, Any] = {
        "exchange_id": f"{model}-{number}", "started_at": SystemClock().now_us() - (number + 60) * SECOND,
        "account_id": "max", "organization_id": house.names["ACME"], "operation": "chat", "request_model": model,
        "status": 200, "latency_ms": 900.0 + number, "cost_micro_usd": 4_000, "prompt_text": "What is tin?",
        "response_text": "A metal.",
    }  # fmt: skip
    return Exchange(**fields | more)


def _exchanges(house: House) -> None:
    rows = [
        row(house, "classified-1" if name == "security_research" else name, number)
        for name in shipped_playbooks()
        for number in range(EXCHANGES)
    ]
    refused = [
        row(house, "support_assistant", 5_000 + n, status=429, finish_reason="budget_exhausted", cost_micro_usd=None)
        for n in range(3)
    ]
    append(house, [*rows, *refused], "sketches")


def append(house: House, rows: list[Exchange], retention: Any) -> None:
    sketcher = Sketcher(load_or_create_key(house.data / "key"))
    log = ExchangeLog.open(house.data / "log", sketcher=sketcher, retention=retention, durable=False)
    log.append(rows)
    log.close()


@contextmanager
def watching() -> Iterator[Callable[[Path], None]]:
    """A process that watches each folder it is told of, as `tiergate watch` would hold it."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom contextlib import ExitStack\n"
        "from tiergate.response.watch_lock import held\n"
        "stack = ExitStack()\n"
        "for line in sys.stdin:\n    stack.enter_context(held(Path(line.strip())))\n    print('held', flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None

    def hold(data: Path) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{data / 'detection'}\n")
        child.stdin.flush()
        assert child.stdout.readline() == "held\n"

    try:
        yield hold
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()
