"""Which exchanges of a case's accounts are the campaign's: the rest belong to somebody innocent.

A reseller's account carries its customers' traffic beside the campaign's, and a careful campaign carries camouflage.
Each exchange gets a probability from a two-component mixture, campaign against other, fitted by expectation-
maximisation (Dempster, Laird and Rubin 1977) over what an exchange shows by itself: its template and system prompt,
its words, its client program and its form of request. Of each feature the most telling token counts, as it does for
accounts; shares of the campaign are weighted counts over the case, base rates come from all other exchanges.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import Ints, row_max, runs
from tiergate.detection.intake import Ragged, Traffic

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

ROUNDS: Final = 6
STRONGEST: Final = 6.0
"""Nats that one feature may add or take: features of one exchange are not independent."""

BELIEVED: Final = 0.95
"""Where the fit begins: belief in exchanges made from the case's common template, and disbelief in the others."""


class ExchangeMixture:
    """Base rates of the platform, to fit mixtures of several cases against."""

    def __init__(self, traffic: Traffic) -> None:
        every = np.arange(traffic.rows + 1, dtype=np.int32)
        nowhere = np.broadcast_to(np.False_, traffic.rows)
        text = [traffic.system, traffic.template, traffic.words]
        parts: list[Ragged] = []
        for name in ("user_agent", "request_model"):
            code = traffic.columns[name].code
            parts.append(Ragged(every, code + 1, int(code.max(initial=-1)) + 2, nowhere, 0))
        parts.append(Ragged(every, traffic.shape, int(traffic.shape.max(initial=-1)) + 1, nowhere, 0))
        self._rows = traffic.rows
        self._parts = [
            (part, np.bincount(part.code, minlength=part.distinct), number < len(text))
            for number, part in enumerate((*text, *parts))
            if part.distinct or part.singles
        ]

    def membership(self, rows: I64, workload: I64) -> F64:
        """Probability (rows,) that each of ``rows`` (ascending) serves the campaign, starting from the belief that
        ``workload``, a part of them, does."""
        belief = np.where(np.isin(rows, workload, assume_unique=True), BELIEVED, 1 - BELIEVED)
        if len(workload) == len(rows):
            return np.full(len(rows), BELIEVED)
        features: list[tuple[Ints, Ints, F64, npt.NDArray[np.bool_], int]] = []
        for part, everywhere, is_text in self._parts:
            length = part.start[rows + 1] - part.start[rows]
            code, local = np.unique(part.code[runs(part.start[rows], length)], return_inverse=True)
            if not is_text:
                # Client and form of request tell members from the platform; here only what they tell of one member's
                # exchanges counts.
                features.append((local, length, np.bincount(local).astype(np.float64), part.alone[rows], len(rows)))
            else:
                features.append((local, length, everywhere[code].astype(np.float64), part.alone[rows], self._rows))
        for _ in range(ROUNDS):
            prior = float(np.clip(belief.mean(), 0.001, 0.999))
            odds = np.full(len(rows), np.log(prior / (1 - prior)))
            for feature in features:
                odds = odds + self._evidence(belief, *feature)
            belief = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        return np.asarray(belief)

    def _evidence(
        self, belief: F64, local: Ints, length: Ints, everywhere: F64, alone: npt.NDArray[np.bool_], total: int
    ) -> F64:
        ours = float(belief.sum()) + 1
        weight = np.bincount(local, np.repeat(belief, length), len(everywhere))
        rest = np.maximum(everywhere - weight, 0)
        ratio = (weight / ours) / ((rest + 0.5) / (total - ours + 2))
        best = row_max(ratio[local], length)
        # A token that occurs nowhere else is as likely the campaign's as its exchange is.
        best[alone] = np.maximum(best, belief / ours / ((1 - belief + 0.5) / (total - ours + 2)))[alone]
        # How much of the campaign shows any telling token says what the lack of one means.
        telling = best > 1
        among_ours = float((belief * telling).sum() + 0.5) / (ours + 1)
        among_rest = float(((1 - belief) * telling).sum() + 0.5) / (len(belief) - ours + 3)
        lack = np.log(max(1 - among_ours, 1e-3) / max(1 - among_rest, 1e-3))
        found = np.log(np.maximum(best, 1e-9))
        return np.asarray(np.clip(np.where(telling, found, lack), -STRONGEST, STRONGEST))
