"""What is in force is what a plain list of decisions says, at any time."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id

ACCOUNTS = st.sampled_from(["a", "b", "c"])
CASES = st.sampled_from(["case-1", "case-2"])


def verdict(account: str = "a", case: str = "case-1", **fields: Any) -> Verdict:
    given: dict[str, Any] = {"action": Action.VERIFY, "reason": "r", "author": "ann", "decided_at": 5} | fields
    return Verdict(verdict_id=new_verdict_id(), account_id=account, case_id=case, **given)


class Decisions(RuleBasedStateMachine):
    """The store beside a dictionary from account and case to the newest verdict, None once lifted."""

    def __init__(self) -> None:
        super().__init__()
        self.store = VerdictStore(sa.create_engine("sqlite://", poolclass=sa.StaticPool))
        self.newest: dict[tuple[str, str], tuple[int, Verdict] | None] = {}
        self.now = 0
        self.version = 0
        self.rows = 0

    def standing(self) -> list[tuple[int, Verdict]]:
        held = [one for one in self.newest.values() if one is not None]
        return [(n, one) for n, one in held if one.expires_at is None or one.expires_at > self.now]

    def model(self) -> dict[str, Verdict]:
        strictest: dict[str, Verdict] = {}
        for _, one in sorted(self.standing(), key=lambda item: (list(Action).index(item[1].action), item[0])):
            strictest[one.account_id] = one
        return strictest

    @rule(
        whom=st.lists(st.tuples(ACCOUNTS, CASES), max_size=4),
        action=st.sampled_from(Action),
        lasts=st.none() | st.integers(1, 20),
    )
    def put(self, whom: list[tuple[str, str]], action: Action, lasts: int | None) -> None:
        ends = None if lasts is None else self.now + lasts
        made = [verdict(account, case, action=action, expires_at=ends) for account, case in whom]
        self.store.put(made)
        self.newest |= {(one.account_id, one.case_id): (self.rows + n, one) for n, one in enumerate(made)}
        self.rows += len(made)

    @rule(case=CASES)
    def lift(self, case: str) -> None:
        lifted = [(one.account_id, case) for _, one in self.standing() if one.case_id == case]
        assert self.store.lift(case, "bob", self.now) == len(lifted)
        self.newest |= dict.fromkeys(lifted)
        self.rows += len(lifted)

    @rule(by=st.integers(1, 15))
    def wait(self, by: int) -> None:
        self.now += by

    @invariant()
    def agrees(self) -> None:
        assert self.store.in_force(self.now) == self.model()
        assert len(self.store.history("case-1")) + len(self.store.history("case-2")) == self.rows
        assert self.store.version() >= self.version
        assert (self.store.version() > 0) == (self.rows > 0)
        self.version = self.store.version()

    def teardown(self) -> None:
        self.store._engine.dispose()


Decisions.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestDecisions = Decisions.TestCase


@pytest.fixture
def store() -> Any:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    yield VerdictStore(engine)
    engine.dispose()


def test_every_field_comes_back(store: VerdictStore) -> None:
    one = verdict(expires_at=9, supersedes="old", evidence=["x", "ü"], requests_per_minute=1.5, action=Action.LIMIT)
    store.put([one])
    assert store.in_force(8) == {"a": one}
    assert store.in_force(9) == {}


def test_lifting_adds_a_row_that_says_who(store: VerdictStore) -> None:
    store.put([verdict()])
    assert store.lift("case-1", "bob", 7) == 1
    first, second = store.history("case-1")
    assert (first.lifted, second.lifted) == (False, True)
    assert (second.supersedes, second.author, second.decided_at) == (first.verdict_id, "bob", 7)
    assert store.lift("case-1", "bob", 8) == 0


def test_ids_cannot_be_guessed_or_repeated(store: VerdictStore) -> None:
    ids = {new_verdict_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert min(map(len, ids)) >= 22
    one = verdict()
    store.put([one])
    with pytest.raises(sa.exc.IntegrityError):
        store.put([verdict("b"), one])
    assert set(store.in_force(0)) == {"a"}
