"""What is kept of a log, against plain counting in Python over the same rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.detection.conftest import START, log_batches
from tiergate.clock import DAY, HOUR
from tiergate.detection import columns, intake, recurrence
from tiergate.detection.conduct import lifecycle, timing
from tiergate.detection.evidence import gather
from tiergate.detection.exchanges import ExchangeMixture
from tiergate.detection.intake import Ragged, Traffic, take_in
from tiergate.detection.recurrence import recurring, templates, vocabulary
from tiergate.ledger.sketches import PUBLIC_KEY
from tiergate.records.schema import EXCHANGE_SCHEMA, SKETCH_SCHEMA

LISTS = ("sketch_system", "sketch_template", "sketch_words")


def make_log(seed: int, rows: int = 400, accounts: int = 30) -> list[dict[str, Any]]:
    """Exchanges with sketches: tokens of everybody, of the account and of nobody else; some repeated in a list."""
    rng = np.random.default_rng(seed)
    hashed = rng.integers(-(2**63), 2**63 - 1, 10_000).tolist()
    log = []
    for number in range(rows):
        account = int(rng.integers(accounts))

        def tokens(account: int = account, number: int = number) -> list[int] | None:
            if rng.random() < 0.1:
                return None
            drawn = [int(rng.integers(12)), 100 + account * 5 + int(rng.integers(5)), 1_000 + number * 9]
            return [hashed[one] for one in drawn + drawn[: int(rng.integers(2))]]

        log.append(
            {
                "exchange_id": f"x{number}",
                "started_at": START + int(rng.integers(10 * DAY)),
                "account_id": f"acct-{account * 7 % accounts:02d}",
                "operation": "chat",
                "request_model": str(rng.choice(["a", "b"])),
                "status": 200,
                "max_tokens": [None, 5, 10**10][int(rng.integers(3))],
                "input_tokens": int(rng.integers(1, 500)),
                "client_asn": int(rng.choice([64_500, 4_200_000_000, 7])),
                "organization_id": f"org-{account % 3}" if account % 4 == 0 else None,
                "sketch_key_id": "k",
                "sketch_prompt": hashed[int(rng.integers(3_000, 3_600))],
                "sketch_intent": 0,
                **{name: tokens() for name in LISTS},
            }
        )
    return log


def read(log: list[dict[str, Any]], seed: int = 0) -> Traffic:
    # Every fifth exchange comes twice.
    shuffled = np.random.default_rng(seed).permutation([*range(len(log)), *range(0, len(log), 5)]).tolist()
    table = pa.Table.from_pylist([log[at] for at in shuffled], pa.schema([*EXCHANGE_SCHEMA, *SKETCH_SCHEMA]))
    return take_in(log_batches(table, rows=61), PUBLIC_KEY)


@pytest.fixture(name="log", params=[1, 2])
def _log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(intake, "FOLD_BATCHES", request.param)
    monkeypatch.setattr(columns, "COMPACT_ROWS", 100)
    monkeypatch.setattr(columns, "CHUNK_ROWS", 37)
    return sorted(make_log(request.param), key=lambda row: (row["started_at"], row["exchange_id"]))


def test_lists_keep_what_recurs_in_order_of_time(log: list[dict[str, Any]]) -> None:
    traffic = read(log)
    for name in LISTS:
        part: Ragged = getattr(traffic, name.removeprefix("sketch_"))
        times = Counter(token for row in log for token in row[name] or [])
        numbers: dict[int, int] = {}
        for at, row in enumerate(log):
            kept = [token for token in row[name] or [] if times[token] > 1]
            expected = [numbers.setdefault(token, len(numbers)) for token in kept]
            assert part.code[part.start[at] : part.start[at + 1]].tolist() == expected
            assert part.alone[at] == (len(kept) < len(row[name] or []))
        assert part.distinct == len(numbers)
        assert part.singles == sum(count == 1 for count in times.values())


def test_plain_columns_are_those_of_the_rows(log: list[dict[str, Any]]) -> None:
    traffic = read(log)
    assert traffic.exchange_ids.take(pa.array(range(len(log)))).to_pylist() == [row["exchange_id"] for row in log]
    assert [traffic.account_ids[a] for a in traffic.account] == [row["account_id"] for row in log]
    assert traffic.account_ids == sorted(traffic.account_ids)
    assert traffic.time_us.tolist() == [row["started_at"] for row in log]
    assert traffic.input_tokens.tolist() == [row["input_tokens"] for row in log]
    assert traffic.asn.tolist() == [[7, 64_500, 4_200_000_000].index(row["client_asn"]) for row in log]
    assert len(set(traffic.shape.tolist())) == len({(row["request_model"], row["max_tokens"]) for row in log})
    sent = Counter(row["sketch_prompt"] for row in log)
    for row, number in zip(log, traffic.prompt.tolist(), strict=True):
        assert (number == -1) == (sent[row["sketch_prompt"]] == 1)
    for account, name in enumerate(traffic.account_ids):
        rows = traffic.rows_of[traffic.edge[account] : traffic.edge[account + 1]].tolist()
        assert rows == [at for at, row in enumerate(log) if row["account_id"] == name]


@pytest.mark.parametrize("block", [1_000_000, 40, 1])
def test_templates_and_vocabulary_are_what_counting_says(
    log: list[dict[str, Any]], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrence, "BLOCK_ITEMS", block)
    traffic = read(log)
    carried: dict[int, Counter[int]] = defaultdict(Counter)
    for at in range(traffic.rows):
        part = traffic.template
        carried[int(traffic.account[at])].update(set(part.code[part.start[at] : part.start[at + 1]].tolist()))
    holders = Counter(token for tokens in carried.values() for token in tokens)
    messages = Counter(traffic.account.tolist())
    expected = [
        (account, token)
        for account, tokens in carried.items()
        for token, times in tokens.items()
        if holders[token] > 1 and recurring(np.array(times), np.array(messages[account]))
    ]
    owner, token = templates(traffic, traffic.template)
    assert list(zip(owner.tolist(), token.tolist(), strict=True)) == sorted(expected)
    assert len(expected) > 10
    _, _, coherence = vocabulary(traffic)
    assert coherence.tolist() == pytest.approx(_coherence(log, traffic), nan_ok=True)


def _coherence(log: list[dict[str, Any]], traffic: Traffic) -> list[float]:
    """As defined: rarity-weighted sharing of two messages of the account against two of anybody."""
    rows = len(log)
    seen = Counter(word for row in log for word in row["sketch_words"] or [])
    rarity = {word: np.log(rows / times) for word, times in seen.items()}
    everybody = sum(rarity[w] * n * (n - 1) for w, n in seen.items()) / (rows * (rows - 1))
    found = []
    for name in traffic.account_ids:
        own = [set(row["sketch_words"] or []) for row in log if row["account_id"] == name]
        times = Counter(word for words in own for word in words)
        n = len(own)
        shared = sum(rarity[w] * t * (t - 1) for w, t in times.items() if t <= max(0.5 * n, 3))
        rate = (shared + 0.5 * np.mean(list(rarity.values()))) / max(n * (n - 1), 1)
        found.append(float(np.log(max(rate, 1e-12) / everybody)) if n >= recurrence.COHERENCE_MINIMUM else np.nan)
    return found


def test_a_key_too_wide_for_one_number_is_counted_another_way() -> None:
    rng = np.random.default_rng(4)
    account, token, message = (rng.integers(0, limit, 500) for limit in (5, 9, 12))
    plain = recurrence._tallied(account, token, message)
    wide = recurrence._tallied(account, token * 2**32, message * 2**32)
    assert [one.tolist() for one in plain] == [wide[0].tolist(), (wide[1] >> 32).tolist(), wide[2].tolist()]


def test_conduct_is_what_counting_says(log: list[dict[str, Any]]) -> None:
    traffic = read(log)
    days, bins = defaultdict(set), defaultdict(set)
    for at in range(traffic.rows):
        time = int(traffic.time_us[at])
        days[int(traffic.account[at])].add((time - int(traffic.time_us[0])) // DAY)
        bins[int(traffic.account[at])].add(time // (3 * HOUR) % 8)
    _, account, covered = timing(traffic)[0]
    assert covered.tolist() == [len(bins[a]) for a in account.tolist()]
    _, account, token = lifecycle(traffic, np.empty(0, np.int64), np.empty(0, np.int64))[1]
    span = {a: max(max(days[a]) - min(days[a]) + 1, 1) for a in account.tolist()}
    times = traffic.time_us[traffic.rows_of]
    for a, presence in zip(account.tolist(), (token % 5).tolist(), strict=True):
        first, last = times[traffic.edge[a]], times[traffic.edge[a + 1] - 1]
        assert presence == min(4, 4 * len(days[a]) // max(int(last - first) // DAY + 1, 1))
    assert len(span) > 20


def test_a_token_of_its_own_counts_as_if_it_had_been_kept(log: list[dict[str, Any]]) -> None:
    traffic = read(log)
    rows, workload = np.arange(0, traffic.rows, 2), np.arange(0, traffic.rows, 6)
    whole = {}
    for name in LISTS:
        lists = [row[name] or [] for row in log]
        code = pa.array([token for tokens in lists for token in tokens]).dictionary_encode()
        start = np.cumsum([0, *map(len, lists)])
        nothing = np.zeros(traffic.rows, bool)
        items = np.asarray(code.indices)
        whole[name.removeprefix("sketch_")] = Ragged(start, items, len(code.dictionary), nothing, 0)
    expected = ExchangeMixture(replace(traffic, **whole)).membership(rows, workload)
    assert ExchangeMixture(traffic).membership(rows, workload).tolist() == expected.tolist()


def test_organisations_are_the_tables_else_those_of_the_earliest_exchange(log: list[dict[str, Any]]) -> None:
    traffic = read(log)
    table = pa.table({"account_id": ["acct-01"], "organization_id": ["org-9"], "plan": ["free"]})
    others = ("payment_hash", "email_hash", "phone_hash", "email_domain", "signup_address", "signup_user_agent")
    for name in (*others, "signup_tls_fingerprint"):
        table = table.append_column(name, pa.nulls(1, pa.string()))
    for name in ("created_at", "closed_at"):
        table = table.append_column(name, pa.array([START]).cast(pa.timestamp("us", "UTC")))
    evidence = gather(traffic, table)
    first: dict[str, str | None] = {}
    for row in log:
        if row["organization_id"]:
            first.setdefault(row["account_id"], row["organization_id"])
    first["acct-01"] = "org-9"
    numbers: dict[str, int] = {}
    expected = [numbers.setdefault(first[name], len(numbers)) if name in first else -1 for name in traffic.account_ids]
    assert evidence.organization.tolist() == expected


def test_of_rows_with_one_id_and_time_the_same_one_counts_in_any_order() -> None:
    log = make_log(3, rows=60)
    for number, row in enumerate(log[:10]):
        change: dict[str, Any] = [
            {"account_id": "acct-99"}, {"output_tokens": 7}, {"sketch_words": [5, 6]}, {"cost_usd": 0.5},
            {"max_tokens": 77},
        ][number % 5]  # fmt: skip
        log.append(row | change)
    one, *others = (read(log, seed) for seed in range(6))
    for other in others:
        assert np.array_equal(one.account, other.account)
        assert np.array_equal(one.output_tokens, other.output_tokens)
        assert np.array_equal(one.cost_usd, other.cost_usd)
        assert np.array_equal(one.words.code, other.words.code)
        assert one.exchange_ids.to_pylist() == other.exchange_ids.to_pylist()
        assert one.account_ids == other.account_ids
        assert np.array_equal(one.shape, other.shape)
