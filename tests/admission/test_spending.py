"""What was spent, kept up entry by entry, is what a statement says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission.parties import founded, in_memory
from tiergate.admission.credits import Credits
from tiergate.admission.spending import Spending
from tiergate.clock import DAY

USE = st.tuples(
    st.sampled_from("ab"), st.sampled_from("pq"), st.integers(1, 90), st.integers(0, 120), st.integers(0, 3)
)


@settings(max_examples=30)
@given(st.lists(st.lists(USE, max_size=4), max_size=4))
def test_sums_are_those_of_the_statement_however_often_they_are_kept_up(
    rounds: list[list[tuple[str, str, int, int, int]]],
) -> None:
    engine = in_memory()
    founded(engine)
    store, spending = Credits(engine), Spending(engine)
    line = store.open_line("consortium", "acme", 2_000, author="op", now_us=0).line_id
    days: dict[int, int] = {}
    for uses in rounds:
        for member, purpose, reserved, cost, day in uses:
            held = store.reserve(line, reserved, member_id=member, purpose_id=purpose, now_us=day * DAY)
            charged = store.settle(held.reservation_id, cost, now_us=day * DAY).charged
            assert charged is not None
            days[day] = days.get(day, 0) + charged
        spending.keep_up()
        assert spending.behind() == 0
        found = spending.of(line)
        key = lambda row: (row.member_id or "", row.purpose_id or "")  # noqa: E731
        assert sorted(found.rows, key=key) == sorted(store.statement([line]), key=key)
        assert found.days == {day: spent for day, spent in days.items() if spent}
