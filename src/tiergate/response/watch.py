"""Looking at what a deployment's own log says was answered, every few minutes, and acting on what is found.

    <data>/detection/state/          what detection remembers (`detection.state`)
    <data>/detection/pending/        an answer that may not be in the case files yet
    <data>/detection/looks/3f9c.../  answers that case files rest on, by their digest
    <data>/detection/lock            held by the one watch of a data folder

An answer is written elsewhere, moved to `pending` whole, taken up (`desk`) and then put where it stays. Cut off
anywhere in between, the next look finds either nothing, and looks again, or an answer, and takes it up, which counts
once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tiergate.clock import Clock
from tiergate.detection.again import look_again
from tiergate.detection.intake import TooLittleError
from tiergate.detection.run import Parameters, Progress
from tiergate.detection.state import Part, State
from tiergate.errors import InputError
from tiergate.ledger.log import is_log, read_pieces
from tiergate.ledger.sketches import load_or_create_key
from tiergate.parties.registry import Registry
from tiergate.records.refused import RefusedRows
from tiergate.response.case_files import CaseFile
from tiergate.response.desk import CaseDesk, Change
from tiergate.response.ladder import Policy
from tiergate.response.looks import digest_of, kept
from tiergate.response.watch_lock import FOLDER, held


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look came to: the ``folder`` of its answer, None where there was too little to look at, and what it
    changed in case files."""

    folder: str | None
    changes: list[Change]


class Watch:
    """The one watch of a data folder. ``desk`` holds its case files."""

    def __init__(self, data: Path, engine: sa.Engine, registry: Registry, policy: Policy, clock: Clock) -> None:
        self._data = data
        self._log = data / "log"
        self._folder = data / FOLDER
        self._pending = self._folder / "pending"
        self._key = data / "key"
        self._registry = registry
        self._clock = clock
        self.desk = CaseDesk(engine, policy)

    def held(self) -> AbstractContextManager[None]:
        """Be the only watch until the block ends. Raises `InputError` when there is another."""
        return held(self._folder)

    def look(self, parameters: Parameters, progress: Progress) -> Look:
        """Look once, and act. Raises `InputError` or `LedgerError` when the log cannot be read."""
        changes = self._take_up()
        if not is_log(self._log):
            return Look(folder=None, changes=changes)
        parts, unsealed = _pieces(self._log)
        written = self._folder / "writing"
        shutil.rmtree(written, ignore_errors=True)
        with State.open(self._folder / "state", load_or_create_key(self._key)) as state:
            try:
                look_again(
                    written,
                    state,
                    parts=parts,
                    unsealed=unsealed,
                    accounts=self._registry.accounts_table(),
                    releases=None,
                    refused=RefusedRows(None),
                    files=[],
                    sketch_key=None,
                    parameters=parameters,
                    progress=progress,
                    keep=True,
                )
            except TooLittleError:
                return Look(folder=None, changes=changes)
        written.rename(self._pending)
        changes += self._take_up()
        newest = self.desk.last()
        return Look(folder=None if newest is None else str(self.answer(newest.digest)), changes=changes)

    def answer(self, digest: str) -> Path:
        """Where the answer with that digest lies."""
        return kept(self._data, digest)

    def _take_up(self) -> list[Change]:
        if not self._pending.exists():
            return []
        try:
            changes = self.desk.take(self._pending, self._clock.now_us())
            place = self.answer(digest_of(self._pending))
        except InputError:
            # A machine that loses power keeps a name and not what it names. The look that follows answers it again.
            shutil.rmtree(self._pending)
            return []
        place.parent.mkdir(exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        self._pending.rename(place)
        needed = {self.answer(file.found.digest) for file in self.desk.changes.every(CaseFile)}
        for path in place.parent.iterdir():
            if path != place and path not in needed:
                shutil.rmtree(path)
        return changes


def _pieces(log: Path) -> tuple[list[Part], list[pa.RecordBatch]]:
    segments, unsealed = read_pieces(log)
    return [Part(path, partial(_batches, read)) for path, read in segments.items()], list(_answered(unsealed))


def _batches(read: Callable[[], Iterator[pa.RecordBatch]], _: RefusedRows) -> Iterator[pa.RecordBatch]:
    return _answered(read())


def _answered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Without requests that nobody answered: they cost nothing, and an account that is stopped could say with as many
    as it likes that it is like others."""
    for batch in batches:
        answered = batch.filter(pc.less(batch.column("status"), 400))
        if answered.num_rows:
            yield answered
