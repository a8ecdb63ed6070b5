"""What is counted once of a case and kept: its traffic, what its accounts share, and the places of its graph.

It takes reading all that a look read, seconds to minutes on a large log, so it is done beside the requests for pages,
one case at a time, and kept in ``<data>/sheets/`` until the case rests on another look.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.errors import InputError, TiergateError
from tiergate.response.answers import Answers
from tiergate.response.case_files import CaseFile
from tiergate.response.dossier import traffic
from tiergate.response.graph import Link, layout
from tiergate.response.in_common import Common, in_common
from tiergate.response.kept import Kept, kept_look
from tiergate.response.wording import COLUMNS, Wording, wording

FORMAT: Final = 2
FOLDER: Final = "sheets"
MOST_HELD: Final = 16
MOST_KEPT: Final = 500
"""Files in the folder; the oldest go."""
MOST_SHARED: Final = 6_000
"""Edges between accounts that share a value, for the layout and the picture."""
_FAINT: Final = 0.15
_LOG: Final = logging.getLogger("tiergate.response")


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """``accounts`` are named by their places everywhere else. ``bins``: charged exchanges in each bin of the traffic,
    and how many accounts sent one; ``points`` (accounts, 2) rounded; ``shared``: pairs of accounts that have a value in
    common, each with one other of that value; ``span_us``: how long the log is."""

    accounts: list[str]
    traffic: traffic.Traffic
    bins: list[tuple[int, int]]
    in_common: list[Common]
    wording: Wording
    links: list[Link]
    shared: list[tuple[int, int]]
    points: list[tuple[float, float]]
    span_us: int


class Failed(msgspec.Struct, frozen=True):
    """Why nothing could be counted."""

    why: str


class Sheets:
    """Sheets of a deployment. Any number of threads may share it; work is done by one of its own."""

    def __init__(self, data: Path, answers: Answers) -> None:
        self._data = data
        self._answers = answers
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "case-sheets")
        self._ended = threading.Event()
        self._held: OrderedDict[str, Future[Sheet | Failed]] = OrderedDict()

    def of(self, file: CaseFile, members: list[str]) -> Sheet | Failed | None:
        """The sheet of a case with these accounts; None while it is being made, which asking begins."""
        named = hashlib.sha256("\n".join([str(FORMAT), file.case_id, file.found.digest, *sorted(members)]).encode())
        name = named.hexdigest()[:32]
        with self._lock:
            made = self._held.get(name)
            if made is None:
                kept = self._read(name)
                made = Future()
                if kept is not None:
                    made.set_result(kept)
                else:
                    made = self._worker.submit(self._make, name, file, members)
                self._held[name] = made
                while len(self._held) > MOST_HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(name)
            if made.done() and isinstance(made.result(), Failed):
                # Whoever comes next tries again: the watch may have looked anew.
                del self._held[name]
        return made.result() if made.done() else None

    def wait(self) -> None:
        """Until everything that was asked for is counted."""
        with self._lock:
            under_way = list(self._held.values())
        wait(under_way)

    def close(self) -> None:
        """Begin nothing more, and leave off what is under way."""
        self._ended.set()
        self._worker.shutdown(cancel_futures=True)

    def _read(self, name: str) -> Sheet | None:
        try:
            return msgspec.msgpack.decode((self._data / FOLDER / name).read_bytes(), type=Sheet)
        except (OSError, msgspec.DecodeError):
            return None

    def _make(self, name: str, file: CaseFile, members: list[str]) -> Sheet | Failed:
        try:
            sheet = make(kept_look(self._data, file), self._answers, file.found.digest, members, self._ended)
        except TiergateError as error:
            return Failed(str(error))
        except Exception:
            _LOG.exception("counting what the accounts of %s sent", file.case_id)
            return Failed("this went wrong on our side: see the log of this program")
        self._keep(name, sheet)
        return sheet

    def _keep(self, name: str, sheet: Sheet) -> None:
        folder = self._data / FOLDER
        part = folder / f".{name}.part"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            part.write_bytes(msgspec.msgpack.encode(sheet))
            part.rename(folder / name)
            oldest = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]
            for path in oldest:
                path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("a case's sheet is not kept: %s", error)


def make(kept: Kept, answers: Answers, digest: str, members: list[str], ended: threading.Event) -> Sheet:
    """Count what ``members`` sent, from all that a look read. Raises `InputError` when that is gone, and once it is
    ``ended``."""
    frozen = kept.read()
    inside = pa.array(members, pa.string())
    first, last, theirs = 1 << 62, 0, []
    for batch in frozen.batches(list(dict.fromkeys((*traffic.COLUMNS, *COLUMNS)))):
        if ended.is_set():
            raise InputError("this program ends: open the page again once it runs")
        if batch.num_rows:
            times = pc.min_max(batch.column("started_at").cast(pa.int64())).as_py()
            first, last = min(first, times["min"]), max(last, times["max"])
            theirs.append(batch.filter(pc.is_in(batch.column("account_id"), value_set=inside)))
    # `filters` reads the rows of these cases alone: an answer has one for every exchange that is charged.
    charged = pq.read_table(kept.answer / "case_exchanges.parquet", filters=[("case_id", "in", kept.cases)])
    known = frozen.accounts()
    counted = traffic.count(theirs, known, members, charged, seed=1, sample=0)
    sent = pa.Table.from_batches(theirs)
    own = None if known is None else known.filter(pc.is_in(known["account_id"], value_set=inside))
    sent_in = np.array([one.counts for one in counted.strips], np.int64).reshape(len(members), -1)
    shared = in_common([sent, own], members)
    of_case = np.asarray(pc.is_in(sent["exchange_id"], value_set=charged["exchange_id"].combine_chunks()))
    place = {name: at for at, name in enumerate(members)}
    links = [
        Link(a=place[row["account_a"]], b=place[row["account_b"]], weight=row["weight"], families=row["families"])
        for row in answers.rows(digest, "links", kept.cases)
        if row["account_a"] in place and row["account_b"] in place
    ]
    pairs = sorted({(one.accounts[0], other) for one in shared for other in one.accounts[1:]})[:MOST_SHARED]
    ends = np.array([*((link.a, link.b) for link in links), *pairs], np.int64).reshape(-1, 2)
    strongest = max((link.weight for link in links), default=1.0)
    weights = np.array([*(link.weight for link in links), *([_FAINT * strongest] * len(pairs))])
    points = layout(len(members), ends, weights)
    return Sheet(
        accounts=members,
        traffic=counted,
        bins=list(zip(sent_in.sum(0).tolist(), (sent_in > 0).sum(0).tolist(), strict=True)),
        in_common=shared,
        wording=wording(sent.select(list(COLUMNS)), of_case),
        links=links,
        shared=pairs,
        points=[(round(x, 4), round(y, 4)) for x, y in points.tolist()],
        span_us=max(0, last - first),
    )
