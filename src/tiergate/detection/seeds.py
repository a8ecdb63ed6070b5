"""Seeds: groups that hold two tokens of different causes far more often than both are common.

Links find groups whose members share rare things two by two. A campaign that has rotated everything shares only things
that are each fairly common: a vocabulary, a pace, an hour. For every token and every class of conduct, the accounts
that hold both are counted against what independence would bring (as in the mining of correlated item pairs: Brin,
Motwani and Silverstein 1997); what naming the group would save is ``o * (log(o / e) - 1)`` nats for ``o`` observed and
``e`` expected holders. One sparse product a family counts all pairs, so the cost is linear in tokens held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.detection.evidence import CAUSES

if TYPE_CHECKING:
    from tiergate.detection.clusters import Family

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

SMALLEST: Final = 4
LARGEST_SHARE: Final = 1 / 3
"""Tokens of more than a third of all accounts are no more than background."""

MOST_SEEDS: Final = 60
CONSIDERED: Final = 600
LEAST_LIFT: Final = np.e
"""Observed over expected holders from which naming a group saves anything at all."""

COVERED: Final = 0.6
"""Share of a seed's members in better seeds from which it says nothing new."""


def seeds(families: dict[str, Family], accounts: int) -> list[I64]:
    """Groups (each ascending) that hold a token and a class of conduct together, the most surprising first."""
    conduct = [families[name] for name in CAUSES["conduct"] if name in families]
    if not conduct:
        return []
    behaviour, rows = _wanted([family.holds for family in conduct], accounts)
    behaviour_columns = behaviour.tocsc()
    cells: list[tuple[F64, I64, I64, int]] = []
    tokens: list[sp.csc_array] = []
    for cause, names in CAUSES.items():
        for name in names if cause != "conduct" else ():
            if name in families:
                held, count = _wanted([families[name].holds], accounts)
                saved, token, classed = _surprising(held, count, behaviour, rows, accounts)
                cells.append((saved, token, classed, len(tokens)))
                tokens.append(held.tocsc())
    saved, one, other = _surprising(behaviour, rows, behaviour, rows, accounts)
    apart = one < other
    cells.append((saved[apart], one[apart], other[apart], len(tokens)))
    tokens.append(behaviour_columns)
    return _apart(cells, tokens, behaviour_columns, accounts)


def _wanted(holds: list[sp.csr_array], accounts: int) -> tuple[sp.csr_array, I64]:
    """Columns that are held by enough accounts and not too many, and by how many."""
    joined = sp.csc_array(sp.hstack(holds, format="csc"))
    count = np.diff(joined.indptr)
    kept = np.flatnonzero((count >= SMALLEST) & (count <= LARGEST_SHARE * accounts))
    return sp.csr_array(joined[:, kept]), count[kept].astype(np.int64)


def _surprising(
    held: sp.csr_array, count: I64, behaviour: sp.csr_array, rows: I64, accounts: int
) -> tuple[F64, I64, I64]:
    """Pairs of columns that many hold together: nats saved, column of ``held``, column of ``behaviour``."""
    both = sp.coo_array(held.T @ behaviour)
    observed = both.data
    lift = observed / (count[both.row] * (rows[both.col] / accounts))
    good = (observed >= SMALLEST) & (lift > LEAST_LIFT)
    saved, token, classed = observed[good] * (np.log(lift[good]) - 1), both.row[good], both.col[good]
    # Each token with its best class: the others would mostly propose the same group again.
    order = np.lexsort((classed, -saved, token))
    order = order[np.append(True, np.diff(token[order]) != 0)] if len(order) else order
    best = order[np.argsort(-saved[order], kind="stable")][:CONSIDERED]
    return saved[best], token[best].astype(np.int64), classed[best].astype(np.int64)


def _apart(
    cells: list[tuple[F64, I64, I64, int]], tokens: list[sp.csc_array], behaviour: sp.csc_array, accounts: int
) -> list[I64]:
    """The best cells as groups of accounts, leaving out those that better ones cover."""
    ranked = sorted(
        (-value, part, one, other)
        for saved, token, classed, part in cells
        for value, one, other in zip(saved.tolist(), token.tolist(), classed.tolist(), strict=True)
    )
    covered = np.zeros(accounts, bool)
    groups: list[I64] = []
    for _, part, one, other in ranked[:CONSIDERED]:
        group = np.intersect1d(_column(tokens[part], one), _column(behaviour, other), assume_unique=True)
        if covered[group].mean() < COVERED:
            covered[group] = True
            groups.append(group)
            if len(groups) == MOST_SEEDS:
                break
    return groups


def _column(held: sp.csc_array, column: int) -> I64:
    return held.indices[held.indptr[column] : held.indptr[column + 1]].astype(np.int64)
