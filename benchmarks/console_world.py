"""A large deployment for `benchmarks.console`: case files as looks leave them, over answers that are made up.

Nothing is detected: figures are drawn from a seeded generator, tables and files have the shapes of real ones.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tiergate.clock import DAY, HOUR
from tiergate.database import open_database
from tiergate.detection.cases import CASE_ACCOUNTS_SCHEMA, CASE_EVIDENCE_SCHEMA, CASE_EXCHANGES_SCHEMA, CASES_SCHEMA
from tiergate.detection.frozen import keep_read
from tiergate.detection.heirs import HEIRS_SCHEMA
from tiergate.detection.marks import MARKS_SCHEMA
from tiergate.detection.run import Parameters
from tiergate.detection.state import State
from tiergate.detection.ties import TIES_SCHEMA
from tiergate.ledger.verdicts import Action
from tiergate.records.schema import LOG_SCHEMA
from tiergate.response.case_files import CaseFile, Taken
from tiergate.response.desk import AUTHOR, SUBJECT, CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.response.looks import Look, kept
from tiergate.response.watch_lock import FOLDER
from tiergate.response.worklist import Worklist

FAMILIES: Final = (
    ("template", "template"), ("timing", "hours kept"), ("subjects", "range of subjects"), ("identity", "payment"),
    ("network", "nothing shared"), ("client", "counted once"), ("selection", "cost of naming the group"),
    ("workload", "subject"), ("workload", "minutes"), ("workload", "messages"), ("workload", "repeats"),
    ("workload", "variance"), ("workload", "bursts"),
)  # fmt: skip
NOTES: Final = 4
"""Changes of each file besides the one that opened it."""
CHARGED: Final = 10
I64 = npt.NDArray[np.int64]


def make(data: Path, *, cases: int, accounts: int, largest: int, now_us: int, seed: int) -> str:
    """Make a data folder with ``cases`` that hold ``accounts`` between them, one of which holds ``largest``; returns
    that one's id."""
    drawn = np.random.default_rng(seed)
    data.mkdir(parents=True)
    sizes = np.full(cases, max(2, (accounts - largest) // max(cases - 1, 1)))
    sizes[0] = largest
    names = [f"case_{number:024x}" for number in drawn.integers(0, 1 << 62, cases)]
    folder = data / FOLDER / "made"
    folder.mkdir(parents=True)
    _answer(folder, names, sizes, now_us, drawn)
    with State.open(data / FOLDER / "state", b"k" * 32) as state:
        batch = _exchanges(int(sizes[0]), now_us, drawn)
        keep_read(folder, state, unsealed=[batch], accounts=None, parameters=Parameters(decoys=1), again=False)
    # Of cases without number a digest takes minutes, and nothing here asks whether it is the answer's.
    digest = sha256(b"made up").hexdigest()
    place = kept(data, digest)
    place.parent.mkdir()
    folder.rename(place)
    heads = pq.read_table(place / "cases.parquet").to_pylist()
    look = Look.of_rows(1, digest, heads, [], [], [])
    files = [CaseFile(case_id=name, opened_at_us=now_us, found=found) for name, (found, _) in look.cases.items()]
    engine = open_database(data / "control.sqlite")
    try:
        changes = CaseDesk(engine, load_policy()).changes
        with changes.writing(AUTHOR, now_us) as writing:
            writing.put_all([(one.case_id, one) for one in files], "opened")
            writing.put(SUBJECT, Taken(number=1, digest=digest, looked_at_us=now_us, cases=cases), "taken")
        for _ in range(NOTES):
            with changes.writing("ana", now_us) as writing:
                writing.put_all([(one.case_id, one) for one in files], "note", "seen")
        with changes.writing("ana", now_us) as writing:
            mine = [msgspec.structs.replace(one, assignee="ana") for one in files[::3]]
            writing.put_all([(one.case_id, one) for one in mine], "assign")
        worklist = Worklist(CaseDesk(engine, load_policy()), data)
        for one in [each for each in files if each.found.recommended is Action.SUSPEND][:20]:
            if one.case_id != names[0]:
                worklist.propose(one.case_id, Action.VERIFY, author="ana", now_us=now_us, reason="seen")
    finally:
        engine.dispose()
    return names[0]


def _answer(folder: Path, names: list[str], sizes: I64, now_us: int, drawn: np.random.Generator) -> None:
    cases, total = len(names), int(sizes.sum())
    owner = np.repeat(np.arange(cases), sizes)
    sure = drawn.uniform(0.4, 0.999, cases)
    steps = drawn.choice(["watch", "verify", "limit", "suspend"], cases, p=[0.96, 0.02, 0.01, 0.01])
    heads = {
        "case_id": names, "opened_at": [now_us] * cases, "first_seen": [now_us - 10 * DAY] * cases,
        "last_seen": [now_us - HOUR] * cases, "accounts": sizes, "exchanges": sizes * CHARGED,
        "output_tokens": sizes * CHARGED * 400, "value_usd": sizes * CHARGED * 0.004, "capability": ["general"] * cases,
        "confidence": sure, "q_value": 1 - sure, "recommended_action": steps,
        "summary": [f"{size} accounts act as one; they have in common template and hours kept" for size in sizes],
        "lineage_id": names, "first_opened_at": [now_us] * cases, "looks": [3] * cases, "e_value": [8.0] * cases,
        "links_nats": drawn.uniform(2, 12, cases), "workload_nats": drawn.uniform(2, 9, cases),
        "prior_nats": [3.0] * cases, "expected": drawn.uniform(0.002, 0.2, cases),
    }  # fmt: skip
    account = np.char.add("acct_", np.char.zfill(np.arange(total).astype(str), 12))
    members = {
        "case_id": np.array(names)[owner], "account_id": account, "membership": drawn.uniform(0.5, 1, total),
        "first_linked_at": np.full(total, now_us - 9 * DAY), "campaign_exchanges": np.full(total, CHARGED),
        "exchanges": drawn.integers(CHARGED, 3 * CHARGED, total), "campaign_output_tokens": np.full(total, 4_000),
        "output_tokens": np.full(total, 6_000),
    }  # fmt: skip
    many = len(FAMILIES)
    reasons = {
        "case_id": np.repeat(names, many), "family": [one[0] for one in FAMILIES] * cases,
        "statistic": [one[1] for one in FAMILIES] * cases, "value": drawn.random(cases * many),
        "log_odds": drawn.normal(1, 2, cases * many), "direction": ["for"] * (cases * many),
        "explanation": ["a sentence for people, about as long as one of detection's own sentences is"] * (cases * many),
        "p_value": drawn.random(cases * many),
    }  # fmt: skip
    charged = int(sizes[0]) * CHARGED
    exchanges = {
        "case_id": [names[0]] * charged, "exchange_id": [f"ex_{number:012}" for number in range(charged)],
        "membership": drawn.uniform(0.5, 1, charged),
    }  # fmt: skip
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    pairs = np.minimum(sizes, 100)
    row = np.repeat(np.arange(cases), pairs)
    step = np.arange(len(row)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    links = {
        "case_id": np.array(names)[row], "account_a": account[first[row] + step % sizes[row]],
        "account_b": account[first[row] + (step * 7 + 1) % sizes[row]], "weight": drawn.uniform(3, 12, len(row)),
        "families": [["tool", "conduct"]] * len(row),
    }  # fmt: skip
    tables = {
        "cases": pa.table(heads, CASES_SCHEMA), "case_accounts": pa.table(members, CASE_ACCOUNTS_SCHEMA),
        "case_evidence": pa.table(reasons, CASE_EVIDENCE_SCHEMA),
        "case_exchanges": pa.table(exchanges, CASE_EXCHANGES_SCHEMA), "links": pa.table(links),
        "case_ties": TIES_SCHEMA.empty_table(), "case_marks": MARKS_SCHEMA.empty_table(),
        "case_heirs": HEIRS_SCHEMA.empty_table(),
    }  # fmt: skip
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")


def _exchanges(accounts: int, now_us: int, drawn: np.random.Generator) -> pa.RecordBatch:
    """What the accounts of the largest case sent: its charged exchanges."""
    rows = accounts * CHARGED
    times = np.sort(now_us - drawn.integers(0, 10 * DAY, rows))
    given = {
        "exchange_id": [f"ex_{number:012}" for number in range(rows)], "started_at": times,
        "account_id": np.char.add("acct_", np.char.zfill((np.arange(rows) % accounts).astype(str), 12)),
        "operation": ["chat"] * rows, "request_model": ["model-large"] * rows, "status": [200] * rows,
        "input_tokens": drawn.integers(200, 900, rows), "output_tokens": drawn.integers(100, 900, rows),
        "cost_usd": drawn.uniform(0.001, 0.01, rows), "user_agent": drawn.choice(["a/1.0", "b/2.0"], rows),
        "client_address": [f"192.0.2.{number % 250}" for number in range(rows)],
        "sketch_template": [[1, 2, 3, int(number)] for number in drawn.integers(0, 1 << 40, rows)],
        "sketch_prompt": drawn.integers(0, 1 << 60, rows), "sketch_intent": [1] * rows,
        "sketch_key_id": ["bench"] * rows,
    }  # fmt: skip
    columns = [
        pa.array(given[field.name], field.type) if field.name in given else pa.nulls(rows, field.type)
        for field in LOG_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LOG_SCHEMA)
