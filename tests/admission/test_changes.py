"""Changes, the newest first and a page at a time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission.parties import in_memory
from tiergate.admission.changes import Changes
from tiergate.admission.grants import Departure, Party


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=25), st.integers(1, 4))
def test_pages_give_every_subject_once_in_its_newest_state(puts: list[tuple[int, bool]], size: int) -> None:
    changes = Changes(in_memory())
    newest: dict[str, int] = {}
    for number, (subject, back) in enumerate(puts, 1):
        state = Departure(
            party=Party.PERSON, party_id=str(subject), left_at_us=number, returned_at_us=1 if back else None
        )
        with changes.writing("ann", number) as writing:
            writing.put(str(subject), state, "put")
        newest.pop(str(subject), None)
        newest[str(subject)] = number
    found: list[tuple[int, Departure]] = []
    before = None
    while page := changes.newest(Departure, most=size, before=before):
        found += page
        before = page[-1][0]
    assert [(one.party_id, one.left_at_us) for _, one in found] == list(reversed(newest.items()))
