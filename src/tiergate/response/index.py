"""All case files in memory, kept up by the number of the last change, so that lists need not read every case anew."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tiergate.admission.changes import Changes
from tiergate.response.case_files import CaseFile, Severity
from tiergate.response.desk import lapsed

_SEVERITIES: Final = {one: place for place, one in enumerate(Severity)}
_NEVER: Final = 1 << 62


def order(file: CaseFile) -> tuple[int, int, str]:
    """Where a case stands among others: those that ask for the most first, then those that waited longest."""
    return -_SEVERITIES[file.severity], file.opened_at_us, file.case_id


@dataclass(frozen=True)
class _Ordered:
    """Cases in order, as they stand from a time on until the next step ends."""

    files: Mapping[str, CaseFile]
    from_us: int
    until_us: int
    cases: list[CaseFile]


class CaseIndex:
    """Case files of a deployment by id. Any number of threads may share it."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._number = 0
        self._files: Mapping[str, CaseFile] = MappingProxyType({})
        self._ordered = _Ordered(self._files, 0, 0, [])

    def files(self) -> Mapping[str, CaseFile]:
        """Every file as it stands now. What was returned stays as it is."""
        if self._changes.version() == self._number:
            return self._files
        with self._lock:
            number, states = self._changes.since(self._number, [CaseFile])
            changed = {one.case_id: one for one in states if isinstance(one, CaseFile)}
            if changed:
                self._files = MappingProxyType(dict(self._files) | changed)
            # Last: whoever sees the number must see the files.
            self._number = number
            return self._files

    def ordered(self, now_us: int) -> list[CaseFile]:
        """Every case as it stands now, in `order`. Not to be changed."""
        files, held = self.files(), self._ordered
        if held.files is not files or not held.from_us <= now_us < held.until_us:
            ends = (one.step_until_us for one in files.values() if one.step_until_us is not None)
            until_us = min((one for one in ends if one > now_us), default=_NEVER)
            held = _Ordered(files, now_us, until_us, sorted((lapsed(one, now_us) for one in files.values()), key=order))
            self._ordered = held
        return held.cases
