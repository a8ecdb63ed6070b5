"""Rows that could not be taken: counted, explained, and kept in a side file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec


class RefusedRows:
    """Collects refused rows; a context manager that closes the side file.

    :param side_file: JSONL file with one object a refusal (file, row, column, reason, raw), made at the first one;
        None keeps counts alone.
    """

    def __init__(self, side_file: Path | None) -> None:
        self.count = 0
        self._reasons: Counter[str] = Counter()
        self._first: dict[str, dict[str, object]] = {}
        self._path = side_file
        self._file: IO[bytes] | None = None
        if side_file is not None:
            side_file.unlink(missing_ok=True)

    def add(self, file: str, row: int, column: str, reason: str, raw: str | None = None) -> None:
        """Refuse row number ``row`` (from 1) of ``file`` for what is wrong in ``column``."""
        self.count += 1
        self._reasons[f"{column}: {reason}"] += 1
        if f"{column}: {reason}" not in self._first:
            self._first[f"{column}: {reason}"] = {"file": file, "row": row, "raw": raw and raw[:200]}
        if self._path is not None:
            if self._file is None:
                self._file = self._path.open("wb")
            refusal = {"file": file, "row": row, "column": column, "reason": reason, "raw": raw}
            self._file.write(msgspec.json.encode(refusal) + b"\n")

    def recall(self, by_reason: Mapping[str, int]) -> None:
        """Count refusals of an earlier call, which kept their rows then."""
        self.count += sum(by_reason.values())
        self._reasons.update(by_reason)

    @property
    def by_reason(self) -> dict[str, int]:
        """Counts by `column: reason`, the most frequent first."""
        return dict(self._reasons.most_common())

    @property
    def first(self) -> dict[str, dict[str, object]]:
        """The first row refused for each `column: reason`: its file, number and what it says, cut to 200 characters."""
        return dict(self._first)

    def __enter__(self) -> RefusedRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
