"""Rows that could not be taken: counted, explained, and kept in a side file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import msgspec

MOST_NAMED: Final = 5
SHOWN: Final = 80


def excerpt(raw: str) -> str:
    """The beginning of ``raw`` for a message, without what would move a terminal's cursor."""
    return "".join(letter for letter in raw[:SHOWN] if letter.isprintable())


class RefusedRows:
    """Collects refused rows; a context manager that closes the side file.

    :param side_file: JSONL file with one object a refusal (file, row, column, reason, raw), made at the first one;
        None keeps counts alone.
    """

    def __init__(self, side_file: Path | None) -> None:
        self.count = 0
        self._reasons: Counter[str] = Counter()
        self._first: tuple[str, int, str] | None = None
        self._first_by_reason: dict[str, dict[str, object]] = {}
        self._path = side_file
        self._file: IO[bytes] | None = None
        if side_file is not None:
            side_file.unlink(missing_ok=True)

    def add(self, file: str, row: int, column: str, reason: str, raw: str | None = None) -> None:
        """Refuse row number ``row`` (from 1) of ``file`` for what is wrong in ``column``."""
        # Not the first that comes: of a file, lines that are no JSON are refused before the rows of a batch are.
        if self._first is None or (file == self._first[0] and row < self._first[1]):
            self._first = file, row, "" if raw is None or raw == "None" else f", with `{excerpt(raw)}`"
        self.count += 1
        self._reasons[f"{column}: {reason}"] += 1
        told = {"file": file, "row": row, "raw": raw and raw[:200]}
        self._first_by_reason.setdefault(f"{column}: {reason}", told)
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
        return dict(self._first_by_reason)

    @property
    def told(self) -> str:
        """How many were refused and why, the most frequent reasons first, and which was the first."""
        named = self._reasons.most_common(MOST_NAMED)
        reasons = [f"{reason.removeprefix(': ').replace(': ', ' ', 1)} ({count:,})" for reason, count in named]
        others = self.count - sum(count for _, count in named)
        if others:
            reasons.append(f"other reasons ({others:,})")
        first = "; the first is row {1} of `{0}`{2}".format(*self._first) if self._first else ""
        return f"{self.count:,} row{'s were' if self.count != 1 else ' was'} refused: {', '.join(reasons)}{first}"

    def __enter__(self) -> RefusedRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
