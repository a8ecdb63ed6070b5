"""Holdings: all tokens of all accounts, family by family, in the form that descriptions are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.detection.arrays import Ints, runs
from tiergate.detection.evidence import Evidence
from tiergate.detection.families import CAUSES, FAMILIES

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Family:
    """All tokens of one family side by side. ``holds`` (accounts, tokens) boolean CSR and ``held``, the same as CSC;
    ``rate`` (tokens,): share of accounts that hold each; ``kind`` (tokens,): index into ``kinds``, the names.

    In a decoy account ``a`` holds what ``source[a]`` (accounts,) really holds, and ``to`` is the inverse; None where
    nothing was dealt anew.
    """

    name: str
    holds: sp.csr_array
    held: sp.csc_array
    rate: F64
    kind: I64
    kinds: tuple[str, ...]
    source: I64 | None = None
    to: I64 | None = None

    def tokens(self, accounts: I64) -> tuple[I64, I64]:
        """Tokens of ``accounts`` (k,) end to end, and how many each has (k,)."""
        return _slices(
            self.holds.indptr, self.holds.indices, accounts if self.source is None else self.source[accounts]
        )

    def holders(self, tokens: I64) -> I64:
        """Accounts that hold any of ``tokens`` (k,), with repeats."""
        accounts, _ = _slices(self.held.indptr, self.held.indices, tokens)
        return accounts if self.to is None else self.to[accounts]


def _slices(start: Ints, values: Ints, which: I64) -> tuple[I64, I64]:
    """Runs ``which`` of a compressed matrix end to end, and their lengths. Slicing the matrix itself would check and
    copy far more than this needs."""
    begin = start[which].astype(np.int64)
    length = start[which + 1] - begin
    return values[runs(begin, length)].astype(np.int64), length


@dataclass(frozen=True, slots=True)
class Holdings:
    """Evidence in the form that descriptions are computed from. Families without data are absent."""

    accounts: int
    families: dict[str, Family]
    organization: I64

    @classmethod
    def of(cls, evidence: Evidence, accounts: int) -> Holdings:
        families = {}
        for name in FAMILIES:
            kinds = evidence.of(name)
            if kinds:
                holds = sp.csr_array(sp.hstack([kind.holds for kind in kinds], format="csr"))
                rate = np.asarray(holds.sum(axis=0)).ravel() / accounts
                origin = np.repeat(np.arange(len(kinds)), [kind.holds.shape[1] for kind in kinds])
                names = tuple(kind.name for kind in kinds)
                families[name] = Family(name, holds, sp.csc_array(holds), rate, origin, names)
        return cls(accounts, families, evidence.organization)

    def permuted(self, moves: dict[str, I64]) -> Holdings:
        """The same holdings with the families of each cause in ``moves`` dealt to other accounts."""
        families = dict(self.families)
        for cause, to in moves.items():
            source = np.argsort(to)
            for name in CAUSES[cause]:
                if name in families:
                    families[name] = replace(families[name], source=source, to=to)
        organization = self.organization[np.argsort(moves["customer"])] if "customer" in moves else self.organization
        return Holdings(self.accounts, families, organization)
