"""The look that a case file rests on: where its answer lies, and what was read for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tiergate.detection.frozen import Frozen
from tiergate.response.case_files import CaseFile
from tiergate.response.looks import answer_in
from tiergate.response.record import cases_of
from tiergate.response.watch_lock import FOLDER


@dataclass(frozen=True, slots=True)
class Kept:
    """``answer``: folder of the tables; ``cases``: names in it of those that make up the case file."""

    answer: Path
    state: Path
    cases: list[str]

    def read(self) -> Frozen:
        """What was read at that look. Raises `InputError` when that is gone."""
        return Frozen.of(self.answer, self.state)


def kept_look(data: Path, file: CaseFile) -> Kept:
    """The newest look that saw the case. Raises `InputError` when its answer is gone."""
    answer = answer_in(data, file.found.digest)
    return Kept(answer, data / FOLDER / "state", cases_of(answer, file))
