"""Nominating: customers that a lab suspects a little, with what they hold, from its exchange log and accounts.

A lab shows the group no customer base: it nominates who agrees with another of its customers in something that few
have, or sends one queue of requests again and again. Each is innocent in itself and far below what detection acts on;
what makes a case is that labs which know nothing of each other nominate the same.

Values must mean the same at all labs: identifiers hashed under the group's key, and sketches made under the group's
sketch key, else they match nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.addresses import block_of
from tiergate.ledger.sketches import Sketcher
from tiergate.sharing.tokens.items import CAUSES, COMMON, LONGEST, MOST_ITEMS, Cause, Item, Kind, Nomination, uncommon

COLUMNS: Final = ("account_id", "organization_id", "client_address", "user_agent", "tls_fingerprint")
"""Columns of the exchange log that are read beside sketches. Countries are not among them."""
TEXT_AND_SKETCHES: Final = ("system_text", "prompt_text", "sketch_key_id", "sketch_system", "sketch_template")
RECURRING: Final = 3
"""Exchanges of a customer that a template or system prompt must be in."""
QUEUE: Final = 0.5
"""Share of a customer's exchanges that one template is in, above which it sends a queue."""
SUSPECTED: Final = 2
"""Points that nominate: one for each cause by which a customer agrees with another of the lab, one for a queue."""
_IDENTITIES: Final = {"payment_hash": Kind.PAYMENT, "email_hash": Kind.EMAIL, "phone_hash": Kind.PHONE}


@dataclass(slots=True)
class _Holdings:
    """Exchanges by customer, and how many of them each item was in."""

    exchanges: Counter[str] = field(default_factory=Counter)
    items: defaultdict[str, Counter[Item]] = field(default_factory=lambda: defaultdict(Counter))


def nominate(
    batches: Iterable[pa.RecordBatch], accounts: pa.Table | None, sketcher: Sketcher, most: int = COMMON
) -> list[Nomination]:
    """Nominations of a lab, in order of customers.

    :param batches: of the exchange log's columns; text is sketched under ``sketcher`` where a row has no sketches, and
        sketches made under other keys are left out.
    :param accounts: rows of `ACCOUNT_SCHEMA`, or None.
    :param most: customers that may hold an item before it is common (`items.uncommon`).
    """
    held = _Holdings()
    customers = _customers(accounts)
    for batch in batches:
        _take_in(held, batch, customers, sketcher)
    if accounts is not None:
        _take_in_accounts(held, accounts, customers)
    rare = uncommon({who: _kept(counts) for who, counts in held.items.items()}, most)
    shared = Counter(item for items in rare.values() for item in items)
    nominations = []
    for who in sorted(rare):
        agreeing = {CAUSES[item.kind] for item in rare[who] if shared[item] > 1}
        if len(agreeing) + _has_queue(held, who, rare[who]) >= SUSPECTED:
            nominations.append(Nomination(who, _best(rare[who], held.items[who], shared), held.exchanges[who]))
    return nominations


def _customers(accounts: pa.Table | None) -> dict[str, str]:
    """The declared organisation of accounts that have one."""
    if accounts is None:
        return {}
    rows = zip(accounts["account_id"].to_pylist(), accounts["organization_id"].to_pylist(), strict=True)
    return {account: organization for account, organization in rows if organization}


def _take_in(held: _Holdings, batch: pa.RecordBatch, customers: Mapping[str, str], sketcher: Sketcher) -> None:
    organizations = batch.column("organization_id").to_pylist()
    who = [
        organization or customers.get(account, account)
        for account, organization in zip(batch.column("account_id").to_pylist(), organizations, strict=True)
    ]
    held.exchanges.update(who)
    columns = _sketches(batch, sketcher)
    ours = pc.fill_null(pc.equal(columns.column("sketch_key_id"), sketcher.key_id), fill_value=False).to_pylist()
    for name, kind in (("sketch_system", Kind.SYSTEM), ("sketch_template", Kind.TEMPLATE)):
        for customer, known, values in zip(who, ours, columns.column(name).to_pylist(), strict=True):
            if known and values:
                held.items[customer].update({Item(kind, f"{value & (1 << 64) - 1:016x}") for value in values})
    _count(held, who, Kind.NETWORK, map(_block, batch.column("client_address").to_pylist()))
    programs = zip(batch.column("user_agent").to_pylist(), batch.column("tls_fingerprint").to_pylist(), strict=True)
    _count(held, who, Kind.CLIENT, (f"{agent}\n{tls}" if agent and tls else None for agent, tls in programs))


def _sketches(batch: pa.RecordBatch, sketcher: Sketcher) -> pa.RecordBatch:
    """Sketches under our key: made of text where there is text, else those that are there."""
    names = batch.schema.names
    if "prompt_text" not in names or ("sketch_key_id" in names and batch["prompt_text"].null_count == len(batch)):
        return batch
    return sketcher.sketch(batch)


def _take_in_accounts(held: _Holdings, accounts: pa.Table, customers: Mapping[str, str]) -> None:
    who = [customers.get(one, one) for one in accounts["account_id"].to_pylist()]
    for name, kind in _IDENTITIES.items():
        _count(held, who, kind, accounts[name].to_pylist())
    _count(held, who, Kind.NETWORK, map(_block, accounts["signup_address"].to_pylist()))


def _count(held: _Holdings, who: list[str], kind: Kind, values: Iterable[str | None]) -> None:
    for customer, value in zip(who, values, strict=True):
        if value and len(value.encode()) <= LONGEST:
            held.items[customer][Item(kind, value)] += 1


def _block(address: str | None) -> str | None:
    return block_of(address) if address else None


def _kept(counts: Counter[Item]) -> Iterator[Item]:
    """Items of a customer, without texts that came up now and then."""
    texts = (Kind.TEMPLATE, Kind.SYSTEM)
    return (item for item, count in counts.items() if item.kind not in texts or count >= RECURRING)


def _has_queue(held: _Holdings, who: str, rare: frozenset[Item]) -> bool:
    counts = held.items[who]
    return any(counts[one] > QUEUE * held.exchanges[who] for one in rare if one.kind is Kind.TEMPLATE)


def _best(items: frozenset[Item], counts: Counter[Item], shared: Counter[Item]) -> frozenset[Item]:
    """The `MOST_ITEMS` that say most: every cause in turn, of each what the lab saw twice and what recurs most."""
    by_cause: dict[Cause, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda one: (shared[one] < 2, -counts[one], one)):
        by_cause[CAUSES[item.kind]].append(item)
    turns: list[tuple[int, Any, Item]] = [
        (at, cause, one) for cause, some in by_cause.items() for at, one in enumerate(some)
    ]
    return frozenset(item for _, _, item in sorted(turns)[:MOST_ITEMS])
