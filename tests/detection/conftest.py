"""A small platform made by hand, with groups that can be switched on one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.records.schema import ACCOUNT_SCHEMA, EXCHANGE_SCHEMA, SKETCH_SCHEMA

START = 1_780_272_000_000_000  # 2026-06-01, a Monday
SUBJECTS = (
    "gardens roses pruning soil compost seedlings",
    "football league striker transfer stadium coach",
    "violin sonata rehearsal orchestra bowing concert",
    "mortgage interest pension insurance deposit account",
    "kitchen recipe oven butter dough cinnamon",
    "telescope galaxy nebula orbit comet eclipse",
)


@dataclass
class Platform:
    """Exchanges and accounts as rows, and which account belongs to which population."""

    seed: int
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    population: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def account(self, population: str, **columns: Any) -> str:
        name = f"acct-{self.rng.integers(1 << 62):016x}"
        self.population[name] = population
        row = {"account_id": name, "created_at": START - int(self.rng.integers(1, 365)) * DAY, "plan": "pay_as_you_go"}
        self.accounts.append(row | columns)
        return name

    def exchange(self, account: str, at: int, prompt: str, **columns: Any) -> None:
        row = {
            "exchange_id": f"x{self.seed}-{len(self.exchanges)}",
            "started_at": START + at,
            "account_id": account,
            "operation": "chat",
            "request_model": "model-a",
            "status": 200,
            "prompt_text": prompt,
            "output_tokens": 100,
        }
        self.exchanges.append(row | columns)

    def words(self, subject: str, count: int) -> str:
        return " ".join(self.rng.choice(subject.split(), count))

    def address(self) -> str:
        return ".".join(str(n) for n in self.rng.integers(1, 255, 4))

    def people(self, population: str, count: int, *, system: str | None = None, **columns: Any) -> None:
        """Accounts that ask in sittings, in their own hours, about one or two subjects of their own."""
        for _ in range(count):
            name = self.account(population)
            own = {"client_address": self.address(), "user_agent": f"agent-{self.rng.integers(8)}"} | columns
            subjects = self.rng.choice(SUBJECTS, 2, replace=False)
            hour = int(self.rng.integers(0, 24))
            asked = 0
            wanted = int(self.rng.integers(6, 40))
            while asked < wanted:
                at = int(self.rng.integers(0, 14)) * DAY + hour * HOUR + int(self.rng.integers(0, 5 * HOUR))
                for turn in range(min(int(self.rng.integers(1, 7)), wanted - asked)):
                    text = f"{self.words(str(self.rng.choice(subjects)), 9)} {self.rng.integers(1 << 40):x}"
                    self.exchange(name, at + turn * 2 * MINUTE, text, system_text=system, **own)
                    asked += 1

    def campaign(self, count: int, each: int, **columns: Any) -> None:
        """One queue of filled-in templates dealt to accounts around the clock; own address for each."""
        names = [self.account("campaign", created_at=START - int(self.rng.integers(3, 17)) * DAY) for _ in range(count)]
        addresses = {name: self.address() for name in names}
        for _ in range(count * each):
            name = str(self.rng.choice(names))
            filling = f"{self.words(str(self.rng.choice(SUBJECTS)), 9)} {self.rng.integers(1 << 40):x}"
            prompt = f"Work through the task below and write out every step of your reasoning first. Task: {filling}"
            at = int(self.rng.integers(0, 14 * DAY))
            own = {"client_address": addresses[name], "user_agent": f"agent-{self.rng.integers(3)}"} | columns
            self.exchange(name, at, prompt, **own)

    def exchange_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.exchanges, EXCHANGE_SCHEMA)

    def account_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.accounts, ACCOUNT_SCHEMA)


def log_batches(exchanges: pa.Table, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Batches as readers yield them: all columns of exchanges, sketch columns null."""
    for name in SKETCH_SCHEMA.names:
        if name not in exchanges.schema.names:
            exchanges = exchanges.append_column(
                SKETCH_SCHEMA.field(name), pa.nulls(len(exchanges), SKETCH_SCHEMA.field(name).type)
            )
    yield from exchanges.combine_chunks().to_batches(rows)
