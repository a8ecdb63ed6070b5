"""Looks of a replay: the real detector and the real desk, with decoys only where they could change what is done.

Each look is first taken at best (`Search.at_best`): as if chance were as rare as decoys may ever claim.

- Where the desk would neither take nor propose a step then, nor change a verdict, decoys could not make it: the look is
  *spared*, and neither a case file nor an e-value has it.
- Where it would only bring or free accounts of cases whose step stands, decoys decide nothing but whether these cases
  are opened again. A look is *short*, and taken up at best, if a full one within `HOLDS_US` says that they are: chance
  clusters at or above a score grow by e at most for each nat that the score has lost since (`decoys`).
- Every other look is *full*.

A look depends on the log, the accounts, and the full looks before it. Answers are kept by a digest of these, so that a
replay that was interrupted, or one of the same world that differs later on, takes them up where they are the same.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

import tiergate
from tiergate.clock import DAY
from tiergate.detection.cases import OPENING_CONFIDENCE
from tiergate.detection.intake import TooLittleError
from tiergate.detection.lineage import LOOKS_SCHEMA, MEMBERS_SCHEMA, History
from tiergate.detection.run import DetectionInputs, Parameters, RunSummary, run_detection
from tiergate.records.refused import RefusedRows
from tiergate.redteam.recorded import Recorded
from tiergate.response.desk import CaseDesk
from tiergate.response.looks import digest_of, kept

HOLDS_US: Final = DAY
"""How long a full look says how far chance gets."""
MARGIN: Final = 0.1
"""Confidence beyond what opens a case, from which a short look is enough."""
_HISTORY: Final = {"seen": LOOKS_SCHEMA, "seen_members": MEMBERS_SCHEMA}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a look is asked: the moment, microseconds; a digest of the log; the log and the accounts as of then."""

    now: int
    digest: str
    log: Callable[[], pa.Table]
    accounts: Callable[[], pa.Table | None]


class Lookout:
    """Looks at ``world`` that ``desk`` takes up. ``answers``: folder that keeps answers, found again by what they
    answer; ``data``: the data folder of the desk, which has those it took. ``looks``: how many were `full`, `short` and
    `spared`."""

    def __init__(self, world: Recorded, parameters: Parameters, desk: CaseDesk, answers: Path, data: Path) -> None:
        self._world, self._parameters, self._desk = world, parameters, desk
        self._answers, self._data = answers, data
        self._history, self._past = History.empty(), f"{tiergate.__version__} {parameters} {world.digest}"
        self._chance: dict[str, tuple[float, float]] = {}
        self._held_until = 0
        self.looks: Counter[str] = Counter()
        answers.mkdir(parents=True, exist_ok=True)

    def look(self, asked: Asked) -> Path | None:
        """Look and act; returns the answer, None where nothing could follow from it."""
        key = hashlib.blake2b(f"{self._past} {asked.digest} {asked.now}".encode(), digest_size=12).hexdigest()
        full, least = self._answers / key, self._answers / f"{key}-at-best"
        need = self._need(least, asked.now) if least.is_dir() else None
        if need is None or (need == "full" and not full.is_dir()):
            need = self._detected(full, least, asked, need)
        self.looks[need] += 1
        if need == "spared":
            return None
        answer = full if need == "full" else least
        if need == "full":
            tables = (pq.read_table(full / f"{name}.parquet", schema=schema) for name, schema in _HISTORY.items())
            self._history, self._past = History(self.looks["full"], *tables), key
            linked = (row for row in _cases(full) if row["expected"] is not None)
            self._chance = {row["lineage_id"]: (row["expected"], _score(row)) for row in linked}
            self._held_until = asked.now + HOLDS_US
        self._desk.take(answer, asked.now)
        place = kept(self._data, digest_of(answer))
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(answer.resolve())
        return answer

    def _need(self, least: Path, now: int) -> str:
        """What a look needs of which ``least`` is the answer at best: to be `spared`, `short` or `full`."""
        doing = self._desk.would_do(least, now)
        if not doing:
            return "spared"
        meant = {one.case_id for one in doing}
        opened = {row["lineage_id"] for row in _cases(least) if self._opens_still(row)}
        steps = any(one.kind != "updated" for one in doing)
        return "full" if steps or now > self._held_until or meant - opened else "short"

    def _opens_still(self, row: dict[str, Any]) -> bool:
        if row["lineage_id"] not in self._chance:
            return False
        expected, score = self._chance[row["lineage_id"]]
        grown = expected * exp(max(score - _score(row), 0.0))
        # At best its confidence has the least that can be expected in it, which is next to nothing.
        return bool(row["confidence"] / (1 + 2 * grown) >= OPENING_CONFIDENCE + MARGIN)

    def _detected(self, full: Path, least: Path, asked: Asked, need: str | None) -> str:
        """Run the detector as far as it needs to be; ``need``: what it needs, where that is known."""
        log, accounts, told = asked.log(), asked.accounts(), need
        inputs = DetectionInputs(
            exchanges=lambda: log.combine_chunks().to_batches(),
            accounts=accounts,
            model_releases=self._world.releases,
            refused=RefusedRows(None),
            files=[],
        )
        written = full.with_name(f"{full.name}-writing")
        shutil.rmtree(written, ignore_errors=True)

        def worth(answer: Path) -> bool:
            nonlocal told
            half = least.with_name(f"{least.name}-writing")
            shutil.copytree(answer, half, dirs_exist_ok=True)
            half.rename(least)
            told = self._need(least, asked.now)
            return told == "full"

        try:
            found = self._run(inputs, written, worth if need is None else None)
        except TooLittleError:
            return "spared"
        if told == "full":
            for name, table in zip(_HISTORY, (found.history.looks, found.history.members), strict=True):
                pq.write_table(table, written / f"{name}.parquet")
            written.rename(full)
        shutil.rmtree(written, ignore_errors=True)
        assert told is not None
        return told

    def _run(self, inputs: DetectionInputs, out: Path, worth: Callable[[Path], bool] | None) -> RunSummary:
        return run_detection(
            inputs,
            out,
            parameters=self._parameters,
            sketch_key=None,
            progress=lambda _step, _share: None,
            history=self._history,
            worth=worth,
        )


def _cases(answer: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(answer / "cases.parquet").to_pylist()
    return rows


def _score(row: dict[str, Any]) -> float:
    return float(row["links_nats"] + row["workload_nats"])
