"""No sequence of requests, threads or processes makes or loses a micro-dollar."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.admission.parties import founded, in_memory, on_disk
from tiergate.admission.credit_rows import BALANCES, ENTRIES, usd
from tiergate.admission.credits import Credits
from tiergate.errors import InputError, StateError

POOL = 60
"""Small, so that limits are met exactly as often as they are missed."""


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(StateError) as caught:
        call()
    return caught.value.code


class Money(RuleBasedStateMachine):
    """The store beside a model in plain dictionaries, where every rule of the module's text is one line."""

    def __init__(self) -> None:
        super().__init__()
        engine = in_memory()
        founded(engine, pool_micro_usd=POOL)
        self.store = Credits(engine)
        self.now = 0
        self.committed: dict[str, int] = {}
        self.closed: set[str] = set()
        self.held: dict[str, tuple[str, str, int, int]] = {}
        self.state: dict[str, str] = {}
        self.cost: dict[str, tuple[int, int]] = {}

    def free(self, line: str) -> int:
        reserved = sum(
            self.held[one][2] for one in self.held if self.held[one][0] == line and self.state[one] == "open"
        )
        spent = sum(charged for one, (_, charged) in self.cost.items() if self.held[one][0] == line)
        return self.committed[line] - reserved - spent

    def expire(self, line: str | None = None) -> int:
        over = [one for one, held in self.held.items() if self.state[one] == "open" and held[3] <= self.now]
        over = [one for one in over if line in (None, self.held[one][0])]
        self.state |= dict.fromkeys(over, "expired")
        return len(over)

    @initialize(amount=st.integers(10, 40))
    def begin(self, amount: int) -> None:
        self.open_line(amount)

    @rule(amount=st.integers(1, POOL))
    def open_line(self, amount: int) -> None:
        def change() -> str:
            line = self.store.open_line("consortium", "acme", amount, author="operator", now_us=self.now)
            return line.line_id

        if sum(self.committed.values()) + amount > POOL:
            assert refusal(change) == "pool_exhausted"
        else:
            self.committed[change()] = amount

    @rule(n=st.integers(0, 9), amount=st.integers(0, POOL))
    def resize(self, n: int, amount: int) -> None:
        line = list(self.committed)[n % len(self.committed)]
        more = amount - self.committed[line]

        def change() -> object:
            return self.store.resize_line(line, amount, author="operator", now_us=self.now)

        if more > 0 and sum(self.committed.values()) + more > POOL:
            assert refusal(change) == "pool_exhausted"
        elif self.free(line) + more < 0:
            assert refusal(change) == "line_in_use"
        else:
            change()
            self.committed[line] = amount

    @rule(n=st.integers(0, 9))
    def close(self, n: int) -> None:
        line = list(self.committed)[n % len(self.committed)]
        if line in self.closed:
            assert refusal(lambda: self.store.close_line(line, author="operator", now_us=self.now)) == "line_closed"
        else:
            self.store.close_line(line, author="operator", now_us=self.now)
            self.closed.add(line)

    @rule(
        n=st.integers(0, 9),
        amount=st.integers(1, 25),
        member=st.sampled_from(["ann", "bob"]),
        purpose=st.sampled_from(["p", "q"]),
        lasts=st.integers(1, 4),
    )
    def reserve(self, n: int, amount: int, member: str, purpose: str, lasts: int) -> None:
        line = list(self.committed)[n % len(self.committed)]

        def change() -> str:
            made = self.store.reserve(
                line, amount, member_id=member, purpose_id=purpose, now_us=self.now, lasts_us=lasts
            )
            return made.reservation_id

        if line in self.closed or self.free(line) < amount:
            self.expire(line)
        if line in self.closed:
            assert refusal(change) == "line_closed"
        elif self.free(line) < amount:
            assert refusal(change) == "insufficient_credit"
        else:
            made = change()
            self.held[made] = (line, f"{member} {purpose}", amount, self.now + lasts)
            self.state[made] = "open"

    @precondition(lambda self: self.held)
    @rule(n=st.integers(0, 9), cost=st.integers(0, 40))
    def settle(self, n: int, cost: int) -> None:
        which = list(self.held)[-1 - n % len(self.held)]
        if self.state[which] in ("open", "expired"):
            line, _, amount, _ = self.held[which]
            back = amount if self.state[which] == "open" else 0
            charged = min(cost, self.free(line) + back)
            self.state[which], self.cost[which] = "settled", (cost, charged)
        elif self.state[which] == "released" or self.cost[which][0] != cost:
            assert refusal(lambda: self.store.settle(which, cost, now_us=self.now)) == "reservation_closed"
            return
        made = self.store.settle(which, cost, now_us=self.now)
        assert (made.cost, made.charged) == self.cost[which]
        assert self.store.settle(which, cost, now_us=self.now) == made == self.store.reservation(which)

    @precondition(lambda self: self.held)
    @rule(n=st.integers(0, 9))
    def release(self, n: int) -> None:
        which = list(self.held)[-1 - n % len(self.held)]
        if self.state[which] == "settled":
            assert refusal(lambda: self.store.release(which, now_us=self.now)) == "reservation_closed"
            return
        if self.state[which] == "open":
            self.state[which] = "released"
        assert self.store.release(which, now_us=self.now).state == self.state[which]

    @rule()
    def reclaim(self) -> None:
        assert self.store.reclaim(self.now) == self.expire()

    @rule(passing=st.integers(1, 3))
    def wait(self, passing: int) -> None:
        self.now += passing

    @invariant()
    def balances_are_the_models(self) -> None:
        for line, committed in self.committed.items():
            balance = self.store.balance(line)
            assert (balance.committed, balance.available) == (committed, self.free(line))
            assert min(balance.available, balance.reserved, balance.spent, balance.overrun) >= 0

    @invariant()
    def statements_add_up_to_the_balances(self) -> None:
        used: dict[tuple[str, str], int] = defaultdict(int)
        for one, (_, charged) in self.cost.items():
            used[self.held[one][0], self.held[one][1]] += charged
        rows = self.store.statement(list(self.committed))
        for row in rows:
            if row.member_id is not None:
                assert row.spent == used.get((row.line_id, f"{row.member_id} {row.purpose_id}"), 0)
        for line in self.committed:
            balance = self.store.balance(line)
            for name in ("committed", "reserved", "spent", "overrun"):
                assert sum(getattr(row, name) for row in rows if row.line_id == line) == getattr(balance, name)
        earlier = self.store.statement(list(self.committed), to_us=self.now)
        later = self.store.statement(list(self.committed), from_us=self.now)
        assert sum(row.spent for row in (*earlier, *later)) == sum(row.spent for row in rows)


Money.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestMoney = Money.TestCase


def spend(folder: Path, line_id: str, number: int, rounds: int) -> tuple[int, int, int]:
    """Reserve and close by lot, in a process or thread of its own; returns what it was charged, overran and did."""
    store = Credits(on_disk(folder))
    return spend_with(store, line_id, number, rounds)


def spend_with(store: Credits, line_id: str, number: int, rounds: int) -> tuple[int, int, int]:
    lot, charged, over, answered = random.Random(number), 0, 0, 0
    for _ in range(rounds):
        try:
            made = store.reserve(line_id, lot.randint(1, 40), member_id=f"m{number}", purpose_id="p", now_us=1)
        except StateError as error:
            if error.code != "insufficient_credit":
                raise
            continue
        if lot.random() < 0.2:
            store.release(made.reservation_id, now_us=2)
            continue
        cost = lot.randint(0, 60)
        settled = store.settle(made.reservation_id, cost, now_us=2)
        assert settled.charged is not None
        charged, over, answered = charged + settled.charged, over + cost - settled.charged, answered + 1
    return charged, over, answered


def check_sums(store: Credits, line_id: str, done: list[tuple[int, int, int]]) -> None:
    balance = store.balance(line_id)
    assert (balance.spent, balance.overrun) == (sum(one[0] for one in done), sum(one[1] for one in done))
    assert (balance.reserved, balance.available) == (0, balance.committed - balance.spent)
    rows = {row.member_id: row for row in store.statement([line_id])}
    for number, (charged, over, answered) in enumerate(done):
        row = rows.get(f"m{number}")
        assert (charged, over, answered) == ((row.spent, row.overrun, row.answers) if row else (0, 0, 0))


@pytest.mark.parametrize("committed", [600, 1_000_000])
def test_processes_never_overspend_one_line(tmp_path: Path, committed: int) -> None:
    engine = on_disk(tmp_path)
    founded(engine)
    store = Credits(engine)
    line = store.open_line("consortium", "acme", committed, author="operator", now_us=0)
    engine.dispose()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        done = pool.starmap(spend, [(tmp_path, line.line_id, number, 60) for number in range(4)])
    check_sums(store, line.line_id, done)
    assert (store.balance(line.line_id).available < 100) == (committed == 600)


def test_threads_never_overspend_one_line(tmp_path: Path) -> None:
    engine = on_disk(tmp_path)
    founded(engine)
    store = Credits(engine)
    line = store.open_line("consortium", "acme", 2_000, author="operator", now_us=0)
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda number: spend_with(store, line.line_id, number, 15), range(16)))
    check_sums(store, line.line_id, done)


def settle_once(folder: Path, reservation_id: str) -> int:
    return Credits(on_disk(folder)).settle(reservation_id, 70, now_us=2).charged or 0


def carve(folder: Path, amount: int) -> int:
    try:
        Credits(on_disk(folder)).open_line("consortium", "acme", amount, author="operator", now_us=1)
    except StateError:
        return 0
    return amount


def test_processes_that_settle_the_same_answer_charge_it_once_and_never_share_out_more_than_the_pool(
    tmp_path: Path,
) -> None:
    engine = on_disk(tmp_path)
    founded(engine, pool_micro_usd=1_000)
    store = Credits(engine)
    line = store.open_line("consortium", "acme", 100, author="operator", now_us=0)
    made = store.reserve(line.line_id, 50, member_id="ann", purpose_id="p", now_us=1)
    engine.dispose()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        charged = pool.starmap(settle_once, [(tmp_path, made.reservation_id)] * 12)
        carved = pool.starmap(carve, [(tmp_path, 130)] * 12)
    assert charged == [70] * 12
    assert (store.balance(line.line_id).spent, store.statement([line.line_id])[-1].answers) == (70, 1)
    assert sum(carved) == 6 * 130
    assert sum(one.committed_micro_usd for one in store.lines("consortium")) == 880


def spend_for_ever(folder: Path, line_id: str) -> None:
    store = Credits(on_disk(folder))
    while True:
        spend_with(store, line_id, 0, 1_000)


def test_a_process_that_is_killed_loses_nothing_and_holds_nothing_back(tmp_path: Path) -> None:
    engine = on_disk(tmp_path)
    founded(engine)
    store = Credits(engine)
    line_id = store.open_line("consortium", "acme", 10**9, author="operator", now_us=0).line_id
    for _ in range(3):
        spent = store.balance(line_id).spent
        process = multiprocessing.get_context("spawn").Process(target=spend_for_ever, args=(tmp_path, line_id))
        process.start()
        give_up = time.monotonic() + 60
        while store.balance(line_id).spent < spent + 100 and time.monotonic() < give_up:
            time.sleep(0.01)
        process.kill()
        process.join()
        process.close()
        assert store.balance(line_id).spent > spent
        assert store.reclaim(10**12) <= 1
        balance, rows = store.balance(line_id), store.statement([line_id])
        assert balance.reserved == sum(row.reserved for row in rows) == 0
        assert (balance.spent, balance.overrun) == (sum(row.spent for row in rows), sum(row.overrun for row in rows))


def test_what_is_asked_for_wrongly_is_told_and_changes_nothing(tmp_path: Path) -> None:
    engine = in_memory()
    founded(engine)
    store = Credits(engine)
    line = store.open_line("consortium", "acme", 2_500_000, author="operator", now_us=0)
    version = store.line(line.line_id)
    with pytest.raises(StateError, match=r"has \$2\.50 left, and up to \$3\.000001 is asked for"):
        store.reserve(line.line_id, 3_000_001, member_id="ann", purpose_id="p", now_us=1)
    for wrong in (0, -1, 1.5, 2**63):
        with pytest.raises(InputError, match="whole number of micro-dollars"):
            store.reserve(line.line_id, wrong, member_id="ann", purpose_id="p", now_us=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no reservation is called `res_x`"):
        store.settle("res_x", 1, now_us=1)
    with pytest.raises(InputError, match="no credit line is called `line_x`"):
        store.reserve("line_x", 1, member_id="ann", purpose_id="p", now_us=1)
    assert refusal(lambda: store.resize_pool("consortium", 1, author="o", now_us=1)) == "pool_exhausted"
    assert store.resize_pool("consortium", 2_500_000, author="o", now_us=1).pool_micro_usd == 2_500_000
    assert store.line(line.line_id) == version
    assert len(store.statement([line.line_id])) == 1


def test_a_mistake_of_ours_cannot_make_a_balance_negative() -> None:
    engine = in_memory()
    founded(engine)
    Credits(engine).open_line("consortium", "acme", 10, author="operator", now_us=0)
    for name, amount in itertools.product(("reserved", "spent"), (-1, 11)):
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(sa.update(BALANCES).values({name: amount}))


def test_entries_are_only_ever_appended(tmp_path: Path) -> None:
    engine = on_disk(tmp_path)
    founded(engine)
    store = Credits(engine)
    line = store.open_line("consortium", "acme", 1_000, author="operator", now_us=0)
    seen: list[object] = []
    for number in range(5):
        made = store.reserve(line.line_id, 100, member_id="ann", purpose_id="p", now_us=number, lasts_us=1)
        if number % 2:
            store.settle(made.reservation_id, 120, now_us=number)
        store.reclaim(number + 1)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.number))]
        assert rows[: len(seen)] == seen
        assert all(row[-2] and row[-1] is not None for row in rows)
        seen = list(rows)


@pytest.mark.parametrize(
    ("amount", "said"), [(0, "$0.00"), (1, "$0.000001"), (1_234_500_000, "$1,234.50"), (-5, "-$0.000005")]
)
def test_amounts_are_written_exactly(amount: int, said: str) -> None:
    assert usd(amount) == said
