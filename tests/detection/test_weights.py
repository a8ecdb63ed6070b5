"""Weights are recovered from pairs without labels, and stay sane where there is nothing to learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tiergate.detection.families import CAUSES, FAMILIES
from tiergate.detection.weights import (
    BOUNDS,
    MOST_AGAINST,
    PRIOR,
    FamilyWeight,
    Weights,
    learn,
)

F64 = npt.NDArray[np.float64]
PLANTED = {
    "identity": (0.5, 0.05),
    "network": (0.35, 0.02),
    "template": (0.9, 0.1),
    "timing": (0.7, 0.15),
    "lifecycle": (0.6, 0.1),
    "subjects": (0.8, 0.2),
}
RANGES = dict.fromkeys(PLANTED, (1.0, 6.0))


def pairs(rng: np.random.Generator, number: int, share: float, proposed_by: str | None = None) -> F64:
    """Comparisons of ``number`` pairs of which ``share`` belong together; one in ten has no data on conduct."""
    table = np.full((number, len(FAMILIES)), np.nan)
    together = rng.random(number) < share
    for name, (m, u) in PLANTED.items():
        chance = np.where(together, m, u)
        if proposed_by is not None and name in CAUSES[proposed_by]:
            chance = np.ones(number)
        agrees = rng.random(number) < chance
        table[:, FAMILIES.index(name)] = np.where(agrees, rng.uniform(1, 6, number), 0.0)
        if name in CAUSES["conduct"]:
            table[rng.random(number) < 0.1, FAMILIES.index(name)] = np.nan
    return table


def test_m_u_and_the_share_are_recovered_from_unlabelled_pairs() -> None:
    rng = np.random.default_rng(11)
    shares = {"customer": 0.3, "place": 0.15, "tool": 0.08}
    candidates = {cause: pairs(rng, 30_000, share, cause) for cause, share in shares.items()}
    learnt = learn(candidates, pairs(rng, 60_000, 0.0), RANGES)
    for name, (m, u) in PLANTED.items():
        assert learnt.families[name].m == pytest.approx(m, abs=0.05), name
        assert learnt.families[name].u == pytest.approx(u, abs=0.01), name
    assert learnt.shares == pytest.approx(shares, abs=0.03)


def test_the_cause_that_proposed_a_pair_does_not_teach_its_own_weight() -> None:
    """All candidates agree in their template, since that proposed them: nothing is learnt about templates."""
    rng = np.random.default_rng(12)
    learnt = learn({"tool": pairs(rng, 20_000, 0.2, "tool")}, pairs(rng, 60_000, 0.0), RANGES)
    assert learnt.families["template"].pairs == 0
    assert learnt.families["template"].m == pytest.approx(PRIOR[0] / sum(PRIOR))
    assert learnt.families["identity"].pairs == 20_000


def test_where_nobody_belongs_together_the_prior_stands() -> None:
    rng = np.random.default_rng(13)
    quiet = {cause: pairs(rng, 20_000, 0.0, cause) for cause in ("customer", "place", "tool")}
    learnt = learn(quiet, pairs(rng, 60_000, 0.0), RANGES)
    assert max(learnt.shares.values()) < 0.05
    assert all(one.m >= 1.5 * one.u for one in learnt.families.values())
    empty = learn({"tool": pairs(rng, 0, 0.0)}, pairs(rng, 1000, 0.0), RANGES)
    assert empty.shares == {}
    assert all(one.m == pytest.approx(PRIOR[0] / sum(PRIOR)) for one in empty.families.values())


def test_families_without_data_are_left_out() -> None:
    rng = np.random.default_rng(14)
    some = {"identity": (1.0, 6.0), "timing": (1.0, 6.0)}
    learnt = learn({"place": pairs(rng, 5000, 0.1, "place")}, pairs(rng, 5000, 0.0), some)
    assert set(learnt.families) == set(some)
    assert learnt.table()["family"].to_pylist() == list(some)
    agree, against = learnt.odds(pairs(rng, 100, 0.5))
    assert not agree[:, list(CAUSES).index("tool")].any()
    assert not against[:, list(CAUSES).index("tool")].any()


def test_rarer_tokens_weigh_more_and_disagreement_is_bounded() -> None:
    surprise = np.linspace(0, 9, 50)
    sure = FamilyWeight(BOUNDS[1], 0.01, 1, 0.0, 9.0)
    assert (np.diff(sure.agreement(surprise)) > 0).all()
    assert sure.disagreement == -MOST_AGAINST
    doubtful = FamilyWeight(0.1, 0.05, 1, 0.0, 9.0)
    assert -0.1 < doubtful.disagreement < 0
    assert (doubtful.agreement(surprise) < sure.agreement(surprise))[1:].all()
    everything = Weights(dict.fromkeys(FAMILIES, sure), {})
    _, against = everything.odds(np.zeros((1, len(FAMILIES))))
    assert against.tolist() == [[-MOST_AGAINST] * len(CAUSES)]
