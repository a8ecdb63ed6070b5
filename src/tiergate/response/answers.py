"""Answers of detection in memory, so that what one case of many thousands has in them is found at once.

An answer never changes: it is called after its digest. The newest few are kept, each table once somebody asks for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.response.digests import read_table
from tiergate.response.looks import Look, answer_in

Row = dict[str, Any]
MOST: Final = 4
"""Answers that are kept. That of a platform with a million accounts in cases takes some 100 MB."""


@dataclass(frozen=True)
class _Sorted:
    """A table whose rows are found by a column of text."""

    table: pa.Table
    column: str

    @cached_property
    def _runs(self) -> dict[str, list[tuple[int, int]]]:
        """Where each value's rows begin and end: once where they stand together, as detection writes them."""
        values = self.table[self.column].combine_chunks()
        runs = pc.run_end_encode(values)
        ends = np.asarray(runs.run_ends).tolist()
        found: dict[str, list[tuple[int, int]]] = {}
        for value, start, end in zip(runs.values.to_pylist(), [0, *ends], ends, strict=False):
            found.setdefault(value, []).append((start, end))
        return found

    def of(self, values: Iterable[str]) -> pa.Table:
        """Rows with one of ``values``, in order."""
        spans = sorted(span for one in set(values) for span in self._runs.get(one, ()))
        pieces = [self.table.slice(start, end - start) for start, end in spans]
        return pa.concat_tables(pieces) if pieces else self.table.slice(0, 0)


class Answers:
    """Answers of a data folder, by digest. Any number of threads may share it.

    Methods raise `InputError` where an answer is gone or cannot be read.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._lock = threading.Lock()
        self._held: OrderedDict[str, dict[tuple[str, str], _Sorted]] = OrderedDict()

    def table(self, digest: str, name: str, cases: Iterable[str], column: str = "case_id") -> pa.Table:
        """Rows of table ``name`` of these cases."""
        return self._sorted(digest, name, column).of(cases)

    def rows(self, digest: str, name: str, cases: Iterable[str]) -> list[Row]:
        """The same as dictionaries."""
        found: list[Row] = self.table(digest, name, cases).to_pylist()
        return found

    def cases_of(self, digest: str, lineages: Iterable[str]) -> list[str]:
        """Names of the cases in an answer that have one of these lineages."""
        names: list[str] = self.table(digest, "cases", lineages, "lineage_id")["case_id"].to_pylist()
        return names

    def look(self, number: int, digest: str, lineages: Iterable[str]) -> Look:
        """An answer as a look that has these lineages alone, and no ties."""
        heads = self.table(digest, "cases", lineages, "lineage_id").to_pylist()
        cases = [head["case_id"] for head in heads]
        members, marks, heirs = (
            self.rows(digest, name, cases) for name in ("case_accounts", "case_marks", "case_heirs")
        )
        return Look.of_rows(number, digest, heads, members, marks, heirs)

    def with_account(self, digest: str, beginning: str, most: int) -> list[tuple[str, str]]:
        """Lineages and accounts whose name begins so, ``most`` at most."""
        members = self._sorted(digest, "case_accounts", "case_id").table
        found = members.filter(pc.starts_with(members["account_id"], beginning)).slice(0, most)
        heads = self.table(digest, "cases", found["case_id"].to_pylist())
        lineages = dict(zip(heads["case_id"].to_pylist(), heads["lineage_id"].to_pylist(), strict=True))
        return [(lineages[row["case_id"]], row["account_id"]) for row in found.to_pylist()]

    def _sorted(self, digest: str, name: str, column: str) -> _Sorted:
        with self._lock:
            tables = self._held.setdefault(digest, {})
            self._held.move_to_end(digest)
            key = (name, column)
            if key not in tables:
                try:
                    of_other = next((one.table for (other, _), one in tables.items() if other == name), None)
                    table = of_other if of_other is not None else read_table(answer_in(self._data, digest), name)
                    tables[key] = _Sorted(table, column)
                finally:
                    if not tables:
                        del self._held[digest]
            while len(self._held) > MOST:
                self._held.popitem(last=False)
            return tables[key]
