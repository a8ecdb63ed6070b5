"""Plain CSV: every column, section 1.5's cases as far as facts go, and rows that are none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.parties.sources.conftest import ReadText, lei, shares
from tiergate.errors import InputError
from tiergate.parties.fact_rows import party_id, shown_id
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.plain import COLUMNS
from tiergate.parties.sources.taking import Taken
from tiergate.parties.sources.values import instant

X, A = party_id("own", "X"), party_id("own", "A")


def stake(columns: str, values: str) -> str:
    return f"record,owner,owned,{columns}\nstake,X,A,{values}\n"


def test_every_column(read_text: ReadText) -> None:
    values = {
        "record": "party", "id": f"lei:{lei('Q').lower()}", "kind": "organisation", "name": "Q Ltd",
        "aliases": "Q; Queue", "previous_names": "P Ltd", "legal_form": "Ltd", "incorporated_in": "GB",
        "headquarters": "IE", "identifiers": "GB-COH:7", "valid_from": "2001", "retracted": "no",
    }  # fmt: skip
    text = ",".join(COLUMNS) + "\n" + ",".join(values.get(name, "") for name in COLUMNS) + "\n"
    (party,) = read_text("csv", text).parties
    assert party.party == party_id("lei", lei("Q"))
    assert party.identifiers == ["GB-COH:00000007", f"lei:{lei('Q')}"]
    assert (party.aliases, party.previous_names, party.headquarters) == (("Q", "Queue"), ("P Ltd",), "IE")


@pytest.mark.parametrize(
    ("columns", "values", "told"),
    [
        ("percent", "50", (500_000, 500_000)),
        ("percent", "50.000001", (500_000, 500_001)),
        ("percent_above,percent_max", "25,50", (250_001, 500_000)),  # P1: the band "25-50"
        ("percent_above,percent_below", "50,75", (500_001, 749_999)),  # P2: the band "50-75"
        ("percent_min", "75", (750_000, 1_000_000)),
        ("prong", "shares", (0, 1_000_000)),
        ("prong", "board", (1_000_000, 1_000_000)),
    ],
)
def test_shares_are_exact(columns: str, values: str, told: tuple[int, int], read_text: ReadText) -> None:
    (one,) = read_text("csv", stake(columns, values)).stakes
    assert (one.lo_ppm, one.hi_ppm) == told


def test_p1_and_p2_at_the_bound_of_fifty(read_text: ReadText) -> None:
    (p1,) = read_text("csv", stake("percent_above,percent_max", "25,50")).stakes
    (p2,) = read_text("csv", stake("percent_above,percent_max", "50,75")).stakes
    assert p1.lo_ppm < 500_000 <= p1.hi_ppm, "at least 50 is possible, not certain: to be looked at"
    assert p1.hi_ppm <= 500_000, "over 50 is impossible: clear"
    assert p2.lo_ppm > 500_000, "over 50 is certain"


def test_t1_a_sale_is_known_from_when_it_was_told(take: Callable[..., Taken], store: FactStore) -> None:
    march = instant("2026-03-01", "") or 0
    take("csv", "record,id,owner,owned,percent,valid_from\nstake,s,X,A,60,2020-01-01\n", now_us=march - 10)
    decided = store.as_of(march + 1)
    told = "record,id,owner,owned,percent,valid_from,effective_from\nstake,s,X,A,49,2026-03-01,2026-03-01\n"
    take("csv", told, now_us=march + 5)
    names = {"X": X, "A": A}
    assert shares(store.as_of(march - 1), names) == {("X", "A", "shares", 600_000, 600_000)}
    assert shares(store.as_of(march), names) == {("X", "A", "shares", 490_000, 490_000)}
    again = store.as_of(march + 1, decided.recorded_us)
    assert shares(again, names) == {("X", "A", "shares", 600_000, 600_000)}, "the old decision replays"
    assert again.version == decided.version


def test_components_concert_and_references(take: Callable[..., Taken], store: FactStore) -> None:
    shown = shown_id(A)
    take(
        "csv",
        "record,id,owner,owned,percent,directness,components,concert\n"
        f"stake,s1,X,B,50,direct,,\nstake,s2,B,{shown},50,direct,,family\n"
        f"stake,s3,X,{shown},25,indirect,s1; s2,family\nstake,s4,X,C,25,indirect,s1;gone,\n",
    )
    held = store.as_of(0).stakes
    assert held.chained.tolist() == [False, False, True, False]
    assert held.concert.tolist() == [-1, 0, 0, -1]
    assert len(np.unique(np.concatenate([held.owner, held.owned]))) == 4


def test_retracting_and_ending(take: Callable[..., Taken], store: FactStore) -> None:
    take("csv", "record,party,list,programme\nlisting,X,Own list,p\nundisclosed,Y,,\n")
    assert store.as_of(0).seeds["Own list"].tolist() == [store.as_of(0).number(X)]
    assert len(store.as_of(0).undisclosed) == 1
    take("csv", "record,party,list,programme,retracted\nlisting,X,Own list,p,true\n")
    assert store.as_of(0).seeds == {}


@pytest.mark.parametrize(
    "text",
    [
        stake("percent", "101"), stake("percent", "x"), stake("percent", "1e400"), stake("percent", "NaN"),
        stake("percent", "-0.1"), stake("percent", "9" * 5_000), stake("percent_min,percent_max", "60,50"),
        stake("prong", "magic"), stake("prong,percent", "board,60"), stake("confidence", "2"),
        stake("valid_from,valid_to", "2026-02-01,2026-01-01"), stake("valid_from", "2026-13-01"),
        stake("retracted", "maybe"), stake("directness", "sideways"), "record,owner,owned\nstake,X,X\n",
        "record,owner,owned\nstake,X,\n", "record,party,list\nlisting,X,\n", "record,id,kind\nparty,X,robot\n",
        "record,id\nthing,1\n",
    ],
)  # fmt: skip
def test_rows_that_are_no_fact(text: str, take: Callable[..., Taken], store: FactStore) -> None:
    with pytest.raises(InputError, match="holds no facts"):
        take("csv", text)
    assert store.version() == 0


def test_a_column_that_is_none(read_text: ReadText) -> None:
    with pytest.raises(InputError, match="column `nationality`"):
        read_text("csv", "record,id,nationality\nparty,X,ZZ\n")
