"""Which exchanges of a group carry what its members have in common: the workload that is put to the test.

An account of a campaign also sends camouflage, a reseller's also its customers' requests. What an exchange carries
says nothing about whose it is, so that the tests, which ask just that, stay fair.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import Ints, gathered, runs
from tiergate.detection.columns import Ragged
from tiergate.detection.description import Cluster, worth_naming
from tiergate.detection.evidence import Evidence
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic
from tiergate.detection.membership import telling_tokens

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

COMMON_TOKEN: Final = 0.3
"""Share of members who hold a piece of template for it to be the group's."""

COMMON_PHRASE: Final = 0.1
"""Share of members who send a phrase or word, if only once, for it to be the group's."""

FEWEST_SENDERS: Final = 3
"""Members that must be such a share. Smaller groups have no phrases: what three of a dozen send alike, among all that
they send, is found because they do, and passes for a queue."""

TELLING: Final = 10.0
"""Times as often as everybody's exchanges carry such a phrase or word that members' must."""

WORKLOAD_SHARE: Final = 0.2
"""Share of members' exchanges that must come from their common template for it to be their workload."""


class Carrying:
    """What exchanges of a platform carry, to look workloads up in."""

    def __init__(self, traffic: Traffic, evidence: Evidence) -> None:
        self._traffic, self._evidence = traffic, evidence
        self._parts = [
            (part, np.bincount(part.code, minlength=part.distinct)) for part in (traffic.template, traffic.words)
        ]

    def workload(self, cluster: Cluster, holdings: Holdings, rows: I64) -> I64:
        """Exchanges (ascending) among members' ``rows`` that belong to what the group has in common.

        Those that carry a piece of a template which members share; where that is too few, as when an instruction has
        many wordings, those with two words of its vocabulary as well; or else those with phrases that many members
        send, if only once each; all of theirs otherwise.
        """
        tokens = telling_tokens(cluster, holdings, "template", COMMON_TOKEN)
        for look in (self.pieces, partial(self.pieces, anew=True), self._phrases):
            found = look(tokens, rows)
            if len(found) and len(found) >= WORKLOAD_SHARE * len(rows):
                return found
        return rows

    def pieces(self, tokens: I64, rows: I64, *, anew: bool = False) -> I64:
        """Those of ``rows`` that carry a piece of template among ``tokens`` (of the template family), or, where the
        instruction is worded ``anew`` each time, two words."""
        columns = self._evidence.template_columns
        wanted = np.zeros(max(int(tokens.max(initial=-1)), *(int(c.max(initial=-1)) for c in columns)) + 2, bool)
        wanted[tokens] = True
        system, template, words = (wanted[column] for column in columns)
        carried = _carried(self._traffic.system, system, rows) + _carried(self._traffic.template, template, rows)
        if anew:
            carried += 0.5 * _carried(self._traffic.words, words, rows)
        return rows[carried >= 1]

    def _phrases(self, _: I64, rows: I64) -> I64:
        """Those of ``rows`` that carry a phrase, or two words, that members send much more often than others do."""
        carried = np.zeros(len(rows))
        for (part, everywhere), worth in zip(self._parts, (1.0, 0.5), strict=True):
            carried += worth * _carried(part, self._telling(part, everywhere, rows), rows)
        return rows[carried >= 1]

    def _telling(self, part: Ragged, everywhere: I64, rows: I64) -> npt.NDArray[np.bool_]:
        """Which codes (distinct,) of ``part`` tell ``rows`` from all others."""
        owner = np.unique(self._traffic.account[rows], return_inverse=True)[1]
        accounts = int(owner.max(initial=-1)) + 1
        if (needed := COMMON_PHRASE * accounts) < FEWEST_SENDERS:
            return np.zeros(part.distinct, bool)
        length = np.diff(part.start)[rows]
        code = part.code[runs(part.start[rows], length)].astype(np.int64)
        inside = np.bincount(code, minlength=part.distinct)
        outside = max(self._traffic.rows - len(rows), 1)
        usual = (everywhere - inside + 0.5) / outside
        ours = (inside >= needed) & (inside >= TELLING * usual * len(rows))
        ours &= worth_naming(inside, usual, len(rows), part.distinct)
        # Senders are counted of those alone that pass all else: there are millions of others.
        held = ours[code]
        pair = np.unique(code[held] * accounts + np.repeat(owner, length)[held])
        return ours & (np.bincount(pair // accounts, minlength=part.distinct) >= needed)


def _carried(part: Ragged, wanted: npt.NDArray[np.bool_], rows: I64) -> F64:
    """How many of its codes that are ``wanted`` (distinct,) each of ``rows`` has (rows,)."""
    length = np.diff(part.start)[rows]
    hit = wanted[gathered(part.code, part.start[rows], length)]
    return np.asarray(np.bincount(np.repeat(np.arange(len(rows)), length), hit, len(rows)))


def shares(some: Ints, every: Ints) -> F64:
    """Share (accounts,) of each account's exchanges that are among ``some``, by account ascending: ``every`` and
    ``some`` hold the account of each exchange."""
    accounts, whole = np.unique(every, return_counts=True)
    return np.asarray(np.bincount(some, minlength=int(accounts.max(initial=-1)) + 1)[accounts] / whole)
