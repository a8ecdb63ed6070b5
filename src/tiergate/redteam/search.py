"""A search for the cheapest point of a box: starting points, random points, knob by knob, then CMA-ES with margin.

CMA-ES adapts the shape of its cloud to the objective; the margin keeps whole-number knobs from freezing (Hamano et al.
2022, doi 10.1145/3512290.3528827; the implementation is the package `cmaes`). A point whose lower bound is no better
than the best found is never tried, which spares most trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from tiergate.errors import InputError, SettingsError

F64 = npt.NDArray[np.float64]

FAILED: Final = 1e9
"""Values from here on are no solutions; smaller ones of them are nearer to one."""
KNOWN_SHARE: Final = 0.5
RANDOM_SHARE: Final = 0.2
RELAX_SHARE: Final = 0.3
PROPOSALS_PER_TRIAL: Final = 25
"""Points drawn for each trial allowed: most are known to be too dear, or hopeless, at little cost."""
SIGMA: Final = 0.2
PATIENCE: Final = 8
"""Generations without a better point after which CMA-ES starts anew."""


class Objective(Protocol):
    """What is made small, on points (knobs,) of the unit box."""

    def bound(self, point: F64, best: float) -> float:
        """A number that the value is never below; quick. It may be any such number once that is ``best`` or more."""
        ...

    def value(self, point: F64, best: float) -> float:
        """The value, `FAILED` or more where the point is no solution; slow. It may be any lower bound of it that is
        ``best`` or more."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """The best ``point`` and its ``value``; ``by_phase``: the best value that each phase reached itself, infinite for
    none; ``trials``: values computed."""

    point: F64
    value: float
    by_phase: Mapping[str, float]
    trials: int

    @property
    def solved(self) -> bool:
        return self.value < FAILED


Advance = Callable[[str, float], None]


class _SpentError(Exception):
    """The budget of a phase, or of all, is used up."""


class _Search:
    def __init__(self, objective: Objective, budget: int, seed: int, advance: Advance) -> None:
        self.objective, self.budget, self.advance = objective, budget, advance
        self.rng = np.random.default_rng(seed)
        self.best: tuple[float, F64] | None = None
        self.by_phase: dict[str, float] = {}
        self.trials = self.proposals = 0
        self._until = budget

    def phase(self, name: str, share: float) -> None:
        """Begin a phase that may use ``share`` of all trials, or what is left."""
        self._name, self.by_phase[name] = name, np.inf
        self._until = min(self.budget, self.trials + max(1, round(share * self.budget)))
        self.proposals = PROPOSALS_PER_TRIAL * max(self._until - self.trials, 1)

    def left(self) -> bool:
        return self.trials < self._until and self.proposals > 0

    def tried(self, point: F64) -> float:
        """The value of ``point``, or its bound where that is no better than the best. Raises `_SpentError`."""
        if not self.left():
            raise _SpentError
        self.proposals -= 1
        best = self.best[0] if self.best is not None else np.inf
        bound = self.objective.bound(point, best)
        if bound >= min(best, FAILED):
            return bound
        self.trials += 1
        value = self.objective.value(point, best)
        self.advance(self._name, self.trials / self.budget)
        if value < FAILED:
            self.by_phase[self._name] = min(value, self.by_phase[self._name])
        if self.best is None or value < self.best[0]:
            self.best = value, point
        return value


def search(
    objective: Objective,
    steps: F64,
    starts: Mapping[str, F64],
    *,
    evaluations: int,
    seed: int,
    advance: Advance = lambda _words, _share: None,
) -> Found:
    """Look for the point of least value, with at most ``evaluations`` values computed.

    :param steps: distance of neighbouring choices of each knob (knobs,), 0 where continuous.
    :param starts: points to try first, by name; the cheapest first.
    The same arguments give the same answer. Raises `InputError` when there is nothing to spend and `SettingsError` when
    the extra `redteam` is not installed.
    """
    if evaluations < 1 or not starts:
        raise InputError("a search needs one evaluation and one starting point at the least")
    # Said before hours are spent on the phases that come first.
    if find_spec("cmaes") is None:
        raise SettingsError("the search needs a package that is not installed: pip install 'tiergate[redteam]'")
    run = _Search(objective, evaluations, seed, advance)
    phases: tuple[tuple[str, float, Callable[[_Search, F64, Mapping[str, F64]], None]], ...] = (
        ("known", KNOWN_SHARE, _known),
        ("random", RANDOM_SHARE, _random),
        ("relax", RELAX_SHARE, _relax),
        ("cma", 1.0, _evolve),
    )
    for name, share, step in phases:
        run.phase(name, share)
        try:
            step(run, steps, starts)
        except _SpentError:
            continue
    value, point = run.best or (FAILED, next(iter(starts.values())))
    return Found(point, value, run.by_phase, run.trials)


def _known(run: _Search, _steps: F64, starts: Mapping[str, F64]) -> None:
    """The starting points, cheapest first: the first that succeeds spares the dearer ones."""
    for point in sorted(starts.values(), key=lambda one: run.objective.bound(one, 0.0)):
        run.tried(point)


def _random(run: _Search, steps: F64, _starts: Mapping[str, F64]) -> None:
    """Uniform points, half of them with a random half of the knobs at their cheapest."""
    while True:
        point = snapped(run.rng.random(len(steps)), steps)
        if run.rng.random() < 0.5:
            point = np.where(run.rng.random(len(steps)) < 0.5, 0.0, point)
        run.tried(point)


def _relax(run: _Search, steps: F64, _starts: Mapping[str, F64]) -> None:
    """From the best point, one knob at a time to its ends, half-way to them and to its neighbours, while that helps."""
    while run.best is not None:
        value, point = run.best
        for knob in run.rng.permutation(len(steps)).tolist():
            here = point[knob]
            step = steps[knob] or 0.05
            for there in (0.0, here / 2, here - step, here + step, (1 + here) / 2, 1.0):
                moved = run.best[1].copy()
                moved[knob] = snapped(np.clip(np.array([there]), 0, 1), steps[[knob]])[0]
                if moved[knob] != run.best[1][knob]:
                    run.tried(moved)
        if run.best[0] >= value:
            return


def _evolve(run: _Search, steps: F64, starts: Mapping[str, F64]) -> None:
    """CMA-ES with margin from the best point, then from starting points."""
    from cmaes import CMAwM

    box = np.tile(np.array([[0.0, 1.0]]), (len(steps), 1))
    others = list(starts.values())
    origin = others[-1] if run.best is None else run.best[1]
    while True:
        evolution = CMAwM(
            mean=np.clip(origin, 0.02, 0.98), sigma=SIGMA, bounds=box, steps=steps, seed=int(run.rng.integers(1 << 31))
        )
        stale = 0
        while stale < PATIENCE and not evolution.should_stop():
            before, told = run.best, []
            for _ in range(evolution.population_size):
                point, ask = evolution.ask()
                told.append((ask, run.tried(np.clip(point, 0, 1))))
            evolution.tell(told)
            stale = stale + 1 if run.best is before else 0
        origin = others[int(run.rng.integers(len(others)))]


def snapped(point: F64, steps: F64) -> F64:
    """``point`` with each stepped knob at its nearest choice."""
    safe = np.where(steps > 0, steps, 1.0)
    return np.where(steps > 0, np.round(point / safe) * safe, point)
