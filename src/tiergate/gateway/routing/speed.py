"""How fast a candidate answers: exponentially weighted means of its time to first token and its seconds per token.

The mean weighs a sample by ``2 ** (-age / HALF_LIFE_S)``. Weighing by age, not by number, makes a burst of samples and
a trickle of them forget alike. Both means are of seconds, so that an answer's expected time is linear in them.
"""

from __future__ import annotations

import math
from typing import Final

HALF_LIFE_S: Final = 60.0
"""Load of a provider changes within minutes. Finagle's peak EWMA decays in 10 s for calls of milliseconds; answers of
models take seconds, and one request a second over four candidates gives some twenty samples of each in this time."""

PRIOR_WEIGHT: Final = 1.0
"""Samples that the mean of all candidates counts for: one odd answer must not condemn a candidate, and what was not
asked for long is thought of as average again."""

EXPLORE: Final = 0.05
"""Share of requests that go to a candidate by lot, so that one that was slow is seen to have recovered. It costs at
most 5% of the gap between candidates, and with one request a second and four candidates tries each every 80 s."""

FEWEST_TOKENS: Final = 8
"""Tokens from which on an answer says anything about seconds per token: events carry several tokens at a time."""


class DecayingMean:
    """A mean that forgets. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._sum = 0.0
        self._then_s = 0.0

    def add(self, value: float, now_s: float) -> None:
        kept = self._kept(now_s)
        self._weight, self._sum, self._then_s = self._weight * kept + 1.0, self._sum * kept + value, now_s

    def weight(self, now_s: float) -> float:
        """How many fresh samples it is worth."""
        return self._weight * self._kept(now_s)

    def mean(self) -> float | None:
        """None where there was no sample."""
        return self._sum / self._weight if self._weight > 0 else None

    def towards(self, prior: float, now_s: float) -> float:
        """The mean, drawn towards ``prior`` the more the older and fewer its samples are."""
        weight = self.weight(now_s)
        return ((self.mean() or 0.0) * weight + prior * PRIOR_WEIGHT) / (weight + PRIOR_WEIGHT)

    def _kept(self, now_s: float) -> float:
        return math.exp2(-max(0.0, now_s - self._then_s) / HALF_LIFE_S)


class Speed:
    """What was measured of one candidate."""

    def __init__(self) -> None:
        self.first_token = DecayingMean()
        """Seconds from asking to the first token, or to a failure where that took longer than the mean."""
        self.per_token = DecayingMean()
        """Seconds for each token after the first."""

    def answered(self, first_token_s: float | None, total_s: float, output_tokens: int | None, now_s: float) -> None:
        """An answer: ``first_token_s`` is None for one that came whole, whose first token nobody saw."""
        if first_token_s is not None:
            self.first_token.add(first_token_s, now_s)
        if output_tokens is None or output_tokens < FEWEST_TOKENS:
            return
        began = self.first_token.mean() or 0.0 if first_token_s is None else first_token_s
        if began < total_s:
            self.per_token.add((total_s - began) / output_tokens, now_s)

    def failed(self, after_s: float, now_s: float) -> None:
        """A failure counts as so long a wait; one that came quickly says nothing of how fast answers are."""
        mean = self.first_token.mean()
        if mean is not None and after_s > mean:
            self.first_token.add(after_s, now_s)


def expected_times(speeds: list[Speed], output_tokens: int, now_s: float) -> list[float]:
    """Seconds that each candidate may be expected to take for an answer of ``output_tokens``.

    A mean is drawn towards that of all candidates by `PRIOR_WEIGHT`; what was never measured is average.
    """
    first = _average([speed.first_token for speed in speeds])
    each = _average([speed.per_token for speed in speeds])
    return [
        speed.first_token.towards(first, now_s) + output_tokens * speed.per_token.towards(each, now_s)
        for speed in speeds
    ]


def _average(means: list[DecayingMean]) -> float:
    known = [mean for one in means if (mean := one.mean()) is not None]
    return sum(known) / len(known) if known else 0.0
