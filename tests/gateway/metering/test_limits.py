"""Which limits a request meets, and in which windows they are counted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.parties import in_memory
from tiergate.errors import InputError, StateError
from tiergate.gateway.metering.limits import LONGEST_SUBJECT, Limit, Limits, LimitStore, Measure, Payer, Scope, owned
from tiergate.gateway.metering.windows import window

MOMENTS = st.integers(0, 4_102_444_800_000_000 - 1)
ALICE = Payer("acct-1", "key_1", "acme", "red", "alice")


def limit(scope: Scope, subject: str, measure: Measure, amount: int | None) -> Limit:
    return Limit(scope=scope, subject=subject, measure=measure, amount=amount)


def at(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


@given(st.sampled_from(["day", "week", "month"]), MOMENTS)
def test_every_moment_lies_in_one_window_and_windows_follow_one_another(name: str, moment: int) -> None:
    begin, end = window(name, moment)
    assert begin <= moment < end
    assert window(name, begin) == window(name, end - 1) == (begin, end)
    assert window(name, end)[0] == end
    first, after = at(begin), at(end)
    assert (first.hour, first.minute, first.second, after.hour) == (0, 0, 0, 0)
    assert {"day": True, "week": first.weekday() == 0, "month": first.day == after.day == 1}[name]


def test_the_nearest_limit_of_a_scope_holds_and_each_measure_for_itself() -> None:
    limits = Limits(
        [
            limit("organisation", "acme", "usd/month", 500),
            limit("end_user", "*", "usd/day", 1),
            limit("end_user", "acme/*", "usd/day", 2),
            limit("end_user", "acme/alice", "usd/day", 3),
            limit("end_user", "*", "requests/minute", 9),
            limit("key", "key_2", "usd/day", 4),
        ]
    )

    def met(payer: Payer) -> set[tuple[str, int | None]]:
        return {(one.counter, one.amount) for one in limits.of(payer)}

    month, rate = ("usd/month organisation acme", 500), ("requests/minute end_user acme/alice", 9)
    assert met(ALICE) == {month, ("usd/day end_user acme/alice", 3), rate}
    assert met(ALICE._replace(end_user_id="bob")) >= {("usd/day end_user acme/bob", 2)}
    other = Payer("acct-2", "key_2", None, None, "alice")
    assert met(other) >= {("usd/day end_user acct-2/alice", 1), ("usd/day key key_2", 4)}
    assert met(Payer("acct-3", "key_3")) == set()
    assert (limits.by_end_user, limits.by_project) == (True, False)


@given(
    st.text(min_size=1, max_size=600), st.text(min_size=1, max_size=600), st.text(max_size=600), st.text(max_size=600)
)
def test_users_of_two_owners_are_never_one(owner: str, other: str, name: str, another: str) -> None:
    assert (owned(owner, name) == owned(other, another)) == ((owner, name) == (other, another))
    assert len(owned(owner, name)) <= LONGEST_SUBJECT


def test_limits_are_changes_with_an_author_and_can_be_removed() -> None:
    store = LimitStore(in_memory())
    month = limit("organisation", "acme", "usd/month", 5)
    store.put(month, author="ann", now_us=1)
    version = store.version()
    store.put(limit("organisation", "acme", "usd/month", 7), author="bob", now_us=2, reason="they grow")
    assert store.version() > version
    assert [one.amount for one in store.all()] == [7]
    store.remove(month, author="ann", now_us=3)
    assert store.all() == []
    assert [(one.action, one.author, one.reason) for one in store.history(month)] == [
        ("set", "ann", ""), ("set", "bob", "they grow"), ("remove", "ann", "")
    ]  # fmt: skip
    with pytest.raises(StateError, match="no limit on `usd/month organisation acme`"):
        store.remove(month, author="ann", now_us=4)
    for wrong in (limit("key", "k", "usd/day", -1), limit("key", "k", "usd/day", 10**16)):
        with pytest.raises(InputError, match="a limit is 0 to"):
            store.put(wrong, author="ann", now_us=5)
    for subject in ("", "a\nb", "x" * 300):
        with pytest.raises(InputError, match="subject"):
            store.put(limit("key", subject, "usd/day", 1), author="ann", now_us=5)
