"""All case files in memory, kept up by the number of the last change, so that lists need not read every case anew."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from tiergate.admission.changes import Changes
from tiergate.response.case_files import CaseFile


class CaseIndex:
    """Case files of a deployment by id. Any number of threads may share it."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._number = 0
        self._files: Mapping[str, CaseFile] = MappingProxyType({})

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
