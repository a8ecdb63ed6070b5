"""The search finds what is known to be cheapest, and asks for no more trials than it may."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from tiergate.errors import InputError, SettingsError
from tiergate.redteam.search import FAILED, search

F64 = npt.NDArray[np.float64]

STEPS = np.array([0.0, 0.0, 0.25, 1.0, 0.0, 0.0])
CHEAPEST = np.array([0.3, 0.0, 0.75, 1.0, 0.6, 0.0])


@dataclass
class Bowl:
    """Cost grows with every knob; only points that reach `CHEAPEST` in every knob are solutions."""

    tight: bool = True
    asked: list[F64] = field(default_factory=list)

    def bound(self, point: F64, best: float) -> float:
        return float(1 + point.sum()) if self.tight else 0.0

    def value(self, point: F64, best: float) -> float:
        self.asked.append(point)
        short = np.maximum(CHEAPEST - point, 0).sum()
        return FAILED * (1 + float(short)) if short > 1e-9 else float(1 + point.sum())


STARTS = {"nothing": np.zeros(6), "everything": np.ones(6)}


def test_the_cheapest_point_is_found() -> None:
    bowl = Bowl()
    found = search(bowl, STEPS, STARTS, evaluations=300, seed=1)
    assert found.solved
    assert found.value == pytest.approx(1 + CHEAPEST.sum(), abs=0.08)
    assert found.point[[2, 3]] == pytest.approx([0.75, 1.0])
    assert found.trials == len(bowl.asked) <= 300


def test_it_is_found_on_curved_ground_by_the_evolution_alone() -> None:
    """Correlated knobs, where turning one at a time gets stuck: the solutions lie along a line."""

    class Valley:
        def bound(self, point: F64, best: float) -> float:
            return 0.0

        def value(self, point: F64, best: float) -> float:
            return float(50 * (point[0] + point[1] - 1) ** 2 + (point[0] - 0.8) ** 2 + (point[2] - 0.5) ** 2)

    found = search(Valley(), np.array([0.0, 0.0, 0.5]), {"corner": np.zeros(3)}, evaluations=500, seed=3)
    assert found.point == pytest.approx([0.8, 0.2, 0.5], abs=0.06)
    assert found.by_phase["cma"] == found.value


def test_nothing_that_is_known_to_be_dearer_is_tried() -> None:
    tight, loose = Bowl(), Bowl(tight=False)
    assert search(tight, STEPS, STARTS, evaluations=120, seed=2).value <= 1 + CHEAPEST.sum() + 0.5
    search(loose, STEPS, STARTS, evaluations=120, seed=2)
    best = np.inf
    for point in tight.asked:
        assert 1 + point.sum() < best
        best = min(best, 1 + point.sum()) if (point >= CHEAPEST - 1e-9).all() else best
    assert any(1 + point.sum() > 1 + CHEAPEST.sum() + 1 for point in loose.asked[20:])


def test_the_same_seed_gives_the_same_answer() -> None:
    first, second = (search(Bowl(), STEPS, STARTS, evaluations=80, seed=5) for _ in range(2))
    assert first.value == second.value
    assert (first.point == second.point).all()


def test_no_solution_is_said_to_be_none() -> None:
    class Hopeless:
        def bound(self, point: F64, best: float) -> float:
            return 0.0

        def value(self, point: F64, best: float) -> float:
            return FAILED * (2 - float(point.mean()))

    found = search(Hopeless(), STEPS, STARTS, evaluations=40, seed=1)
    assert not found.solved
    assert set(found.by_phase.values()) == {np.inf}
    assert found.trials == 40


def test_a_budget_of_one_is_spent() -> None:
    found = search(Bowl(), STEPS, STARTS, evaluations=1, seed=1)
    assert (found.trials, found.solved) == (1, False)


def test_a_search_without_budget_is_refused() -> None:
    with pytest.raises(InputError, match="one evaluation"):
        search(Bowl(), STEPS, STARTS, evaluations=0, seed=1)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    bowl = Bowl()
    monkeypatch.setattr("tiergate.redteam.search.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"tiergate\[redteam\]"):
        search(bowl, STEPS, STARTS, evaluations=200, seed=1)
    assert not bowl.asked
