"""The policy of response: what a case permits by itself, what it proposes, and files that are no policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action
from tiergate.response.ladder import LADDER, Permitted, load_policy, permitted

OURS = load_policy()
SURE = {"confidence": 0.999, "q_value": 0.001, "value_usd": None}


@pytest.mark.parametrize(
    ("figures", "recommended", "expected"),
    [
        (SURE, Action.SUSPEND, Permitted(Action.LIMIT, Action.SUSPEND)),
        (SURE, Action.LIMIT, Permitted(Action.LIMIT)),
        (SURE | {"value_usd": 5_000.0}, Action.LIMIT, Permitted(Action.LIMIT, Action.SUMMARISE)),
        (SURE, Action.VERIFY, Permitted(Action.VERIFY)),
        (SURE, Action.WATCH, Permitted(Action.WATCH)),
        (SURE | {"confidence": 0.96}, Action.SUSPEND, Permitted(Action.VERIFY)),
        (SURE | {"q_value": 0.2}, Action.SUSPEND, Permitted(Action.WATCH)),
    ],
)
def test_what_is_permitted_by_ours(figures: dict[str, float], recommended: Action, expected: Permitted) -> None:
    assert permitted(OURS, **figures, recommended=recommended) == expected  # type: ignore[arg-type]


@given(
    st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(0, 1e6), st.sampled_from(LADDER), st.sampled_from(LADDER)
)
def test_more_evidence_never_permits_less(
    confidence: float, q_value: float, value_usd: float | None, one: Action, other: Action
) -> None:
    milder, stricter = sorted((one, other), key=LADDER.index)
    weak = permitted(OURS, confidence=confidence, q_value=q_value, value_usd=value_usd, recommended=milder)
    strong = permitted(OURS, confidence=1.0, q_value=0.0, value_usd=value_usd, recommended=stricter)
    assert LADDER.index(weak.alone) <= LADDER.index(strong.alone)
    # Nobody is suspended, and no reasoning is withheld, unless people say so.
    assert weak.alone in (Action.WATCH, Action.VERIFY, Action.LIMIT)
    assert weak.proposed is None or LADDER.index(weak.proposed) > LADDER.index(weak.alone)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = [", "no policy"),
        ("step = []", "unknown field `step`"),
        ('steps = [{action = "ban"}]', "Invalid enum value 'ban'"),
        ('steps = [{action = "limit", confidense = 1}]', "unknown field `confidense`"),
        ('steps = [{action = "limit"}, {action = "verify"}]', "from mild to strict"),
        ('steps = [{action = "limit"}, {action = "limit"}]', "there twice"),
        ('steps = [{action = "limit", confidence = 99}]', "from 0 to 1"),
        ('steps = [{action = "limit", approvals = -1}]', "`approvals` goes from 0"),
        ("steps = []\nexpires_after_hours = 100000", "outlives its reason"),
        ("steps = []\nrequests_per_minute = 0", "above 0"),
    ],
)
def test_a_file_that_is_no_policy_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "response.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load_policy(path)


def test_a_deployment_without_a_file_has_ours(tmp_path: Path) -> None:
    assert load_policy(tmp_path / "response.toml") == OURS
