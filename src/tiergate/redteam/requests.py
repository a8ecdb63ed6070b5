"""The requests of a recorded world, asked once more: answered, refused, or dealt to fresh accounts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.ledger.marks import KINDS, mark
from tiergate.ledger.verdicts import Carried
from tiergate.records.schema import TIME
from tiergate.redteam.recorded import IDENTITY, Recorded

I64 = npt.NDArray[np.int64]
AHEAD: Final = 0
ANSWERED: Final = 1
REFUSED: Final = 2
MOVED: Final = 3
"""A request that another account asks again, under a row of its own."""

Gate = Callable[[str, int, Carried], str | None]
"""By account, time (microseconds) and the marks that the request carries: None for an answer, or a refusal's code."""


class Requests:
    """Every request with its time, its account and what became of it.

    Rows are those of the recorded log, and one more for each that was dealt to a fresh account.
    """

    def __init__(self, world: Recorded) -> None:
        self._world = world
        names = world.log["account_id"].combine_chunks().dictionary_encode()
        self.names: list[str] = names.dictionary.to_pylist()
        self._recorded_names = len(self.names)
        self.owner = np.asarray(names.indices).astype(np.int64)
        self.time = world.times.copy()
        self.purpose = world.purpose.copy()
        self.others = world.others.copy()
        self.state = np.zeros(len(self.time), np.int8)
        self._source = np.arange(len(self.time))
        self._shown: list[pa.Table] = []
        self.refused: Counter[str] = Counter()

    @property
    def answered(self) -> int:
        """Exchanges of the campaign's purpose that were answered."""
        return int(((self.state == ANSWERED) & self.purpose).sum())

    def ask(self, since: int, until: int, gated: Collection[str] | None, gate: Gate) -> None:
        """Ask everything from ``since`` to before ``until``, in order of time.

        :param gated: accounts whose requests ``gate`` decides on; all others are answered. None for all.
        """
        rows = np.flatnonzero((self.time >= since) & (self.time < until) & (self.state == AHEAD))
        if gated is not None:
            inside = np.array([name in gated for name in self.names], bool)[self.owner[rows]]
            self.state[rows[~inside]] = ANSWERED
            rows = rows[inside]
        for row in rows[np.argsort(self.time[rows], kind="stable")].tolist():
            code = gate(self.names[self.owner[row]], int(self.time[row]), partial(self._carried, row))
            self.state[row] = ANSWERED if code is None else REFUSED
            if code is not None and self.others[row]:
                self.refused[code] += 1

    def _carried(self, row: int) -> frozenset[str]:
        log, source = self._world.log, int(self._source[row])
        told = ((kind, log[f"sketch_{kind}"][source].as_py() or ()) for kind in KINDS)
        return frozenset(mark(kind, value) for kind, values in told for value in values)

    def add(self, shown: pa.Table) -> None:
        """More accounts, which show what ``shown`` says of each (`IDENTITY`), and ask nothing yet."""
        self.names += shown["account_id"].to_pylist()
        self._shown.append(shown)

    def waiting(self, most: int) -> I64:
        """The first ``most`` rows of the campaign's purpose that were refused and that no account asked again."""
        return np.flatnonzero(self.purpose & (self.state == REFUSED))[:most]

    def deal(self, rows: I64, owners: I64, times: I64) -> None:
        """Let account ``owners[i]`` (its number among `names`) ask row ``rows[i]`` again, at ``times[i]``."""
        self.state[rows] = MOVED
        self.owner = np.concatenate([self.owner, owners])
        self._source = np.concatenate([self._source, self._source[rows]])
        self.time = np.concatenate([self.time, times])
        self.purpose = np.concatenate([self.purpose, np.ones(len(rows), bool)])
        self.others = np.concatenate([self.others, np.zeros(len(rows), bool)])
        self.state = np.concatenate([self.state, np.zeros(len(rows), np.int8)])

    @property
    def digest(self) -> str:
        """Of what `recorded` has: the same where the same accounts were answered the same, at the same times."""
        answered = self.state == ANSWERED
        told = hashlib.blake2b(digest_size=16)
        for values in (self._source, self.owner, self.time):
            told.update(values[answered].tobytes())
        told.update("\n".join(self.names).encode())
        return told.hexdigest()

    def recorded(self) -> pa.Table:
        """The log of what was answered so far."""
        recorded = len(self._world.purpose)
        answered = self.state == ANSWERED
        own = self._world.log.filter(pa.array(answered[:recorded]))
        rows = recorded + np.flatnonzero(answered[recorded:])
        if not len(rows):
            return own
        moved = self._world.log.take(pa.array(self._source[rows]))
        shown = pa.concat_tables(self._shown).combine_chunks()
        who = shown.take(pa.array(self.owner[rows] - self._recorded_names))
        for name in IDENTITY:
            at = moved.schema.get_field_index(name)
            moved = moved.set_column(at, moved.schema.field(at), who[name])
        at = moved.schema.get_field_index("started_at")
        moved = moved.set_column(at, moved.schema.field(at), pa.array(self.time[rows], pa.int64()).cast(TIME))
        return pa.concat_tables([own, moved])
