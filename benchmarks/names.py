"""How well and how fast names are matched: the scorer on labelled pairs beside two baselines, and screening of a list.

    python -m benchmarks.names [--data ../shared/data/org] [--fit] [--out names.json]

Pairs are the 826 of `name_match_cases` (opensanctions/nomenklatura, MIT). The split: pairs that have a name in common,
whatever its case, belong together; a group belongs to the tuning half where the first byte of the SHA-256 of its first
name is even, else to the held-out half. Costs are learnt from the tuning half alone (`--fit` learns them again and
prints them; the constants in `tiergate.parties.scoring` are these, rounded); the word lists were written with the
tuning half in view. Cross-validation learns them anew in five folds of groups over all 826, from the same start.

Screening asks the first names of the true pairs of a list of some 9,000: companies, listed universities, and the second
names of all pairs. A candidate recall of 1 means that the true name was always among those compared in full. Prints
tables and one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from rapidfuzz import fuzz, utils
from rapidfuzz.distance import JaroWinkler

from tiergate.parties import names as reading
from tiergate.parties.names import Kind, Name, parse
from tiergate.parties.scoring import THRESHOLD, Costs, compare, compare_by
from tiergate.parties.screening import Listed, NameIndex

KINDS: Final = {"Person": Kind.PERSON, "LegalEntity": Kind.UNKNOWN}
FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """One labelled pair. ``group`` is the first name of all the pairs that it shares names with."""

    left: str
    right: str
    kind: Kind
    schema: str
    made: str
    same: bool
    group: str

    @property
    def tuning(self) -> bool:
        return hashlib.sha256(self.group.encode()).digest()[0] % 2 == 0

    @property
    def fold(self) -> int:
        return hashlib.sha256(self.group.encode()).digest()[1] % FOLDS

    def read(self) -> tuple[Name, Name]:
        return parse(self.left, self.kind), parse(self.right, self.kind)


def load(data: Path) -> list[Pair]:
    """The labelled pairs, with the groups that the split keeps together."""
    rows = pq.read_table(data / "name_match_cases.parquet").to_pylist()
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for row in rows:
        a, b = sorted((root(row["name1"].casefold()), root(row["name2"].casefold())))
        parent[b] = a  # the root of a group is its first name
    return [
        Pair(
            row["name1"],
            row["name2"],
            KINDS.get(row["schema"], Kind.ORGANISATION),
            row["schema"],
            row["case_group"],
            row["is_match"] == "true",
            root(row["name1"].casefold()),
        )
        for row in rows
    ]


def quality(pairs: Sequence[Pair], scores: Sequence[float], threshold: float) -> dict[str, float]:
    """Precision, recall and F1 at the threshold; 0 where undefined."""
    said = np.array(scores) >= threshold
    same = np.array([pair.same for pair in pairs], dtype=bool)
    right = int((said & same).sum())
    precision, recall = right / max(int(said.sum()), 1), right / max(int(same.sum()), 1)
    f1 = 2 * right / max(int(said.sum()) + int(same.sum()), 1)
    return {"pairs": len(pairs), "precision": precision, "recall": recall, "f1": f1}


def ours(pair: Pair) -> float:
    return compare(*pair.read()).score


def token_sort(pair: Pair) -> float:
    return fuzz.token_sort_ratio(pair.left, pair.right, processor=utils.default_process) / 100


def jaro_winkler(pair: Pair) -> float:
    return JaroWinkler.similarity(pair.left, pair.right, processor=utils.default_process)


METHODS: Final[dict[str, tuple[Callable[[Pair], float], float]]] = {
    "tiergate": (ours, THRESHOLD),
    "token_sort": (token_sort, 0.80),
    "jaro_winkler": (jaro_winkler, 0.85),
}


def sets(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The parts of the pairs that figures are given of."""
    chosen = {
        "all": list(pairs),
        "tuning half": [pair for pair in pairs if pair.tuning],
        "held-out half": [pair for pair in pairs if not pair.tuning],
    }
    for half, tuning in (("", None), (" held out", False)):
        of_half = [pair for pair in pairs if tuning is None or pair.tuning is tuning]
        chosen["people" + half] = [pair for pair in of_half if pair.schema == "Person"]
        chosen["not people" + half] = [pair for pair in of_half if pair.schema != "Person"]
    for made in sorted({pair.made for pair in pairs}):
        chosen[made] = [pair for pair in pairs if pair.made == made]
    return chosen


# --- learning the costs -----------------------------------------------------------------------------------------------

START: Final = {
    Kind.PERSON: Costs(
        edit=0.2, power=1.2, share=0.8, heard=0.5, consonants=0.3, initial=0.3, short_form=0.4, acronym=0.6, joined=0.1,
        conflict=1.4, missing=0.2, thin=0.5, floor=0.1, forms=0.0,
    ),
    Kind.ORGANISATION: Costs(
        edit=0.2, power=1.2, share=0.8, heard=0.7, consonants=0.3, initial=0.5, short_form=1.0, acronym=0.6, joined=0.1,
        conflict=1.4, missing=0.9, thin=0.5, floor=0.7, forms=0.5,
    ),
}  # fmt: skip
"""Set by hand before anything was learnt; learning is drawn back towards it."""
BOUNDS: Final = {"floor": (0.0, 1.0), "heard": (0.0, 1.0), "power": (1.0, 3.0), "forms": (0.0, 0.5)}
STEEPNESS: Final = 5.0
DRAWN_BACK: Final = 0.005
STEPS: Final = (1.5, 1.25, 1.12, 1.06)


def of_kind(pairs: Sequence[Pair], kind: Kind) -> list[Pair]:
    """Pairs that are compared as of this kind."""
    return [p for p in pairs if all(name.kind is Kind.PERSON for name in p.read()) == (kind is Kind.PERSON)]


def loss(pairs: Sequence[Pair], costs: Costs, start: Costs) -> float:
    """Mean log loss of sigmoid(STEEPNESS * (1 - cost)), and the squared log distance from the start."""
    total = 0.0
    for pair in pairs:
        cost = min(-math.log2(max(compare_by(*pair.read(), costs).score, 1e-9)), 4.0)
        total += math.log1p(math.exp((-1 if pair.same else 1) * STEEPNESS * (1 - cost)))
    now, then = dataclasses.asdict(costs), dataclasses.asdict(start)
    moved = sum(math.log((now[key] + 0.02) / (then[key] + 0.02)) ** 2 for key in now)
    return total / len(pairs) + DRAWN_BACK * moved


def fit(pairs: Sequence[Pair], kind: Kind) -> Costs:
    """Coordinate descent with shrinking steps; no chance in it."""
    start = costs = START[kind]
    best = loss(pairs, costs, start)
    for step in STEPS:
        for _ in range(2):
            before = best
            for key in dataclasses.asdict(costs):
                low, high = BOUNDS.get(key, (0.0, math.inf))
                for factor in (step, 1 / step):
                    moved = dataclasses.replace(costs, **{key: min(max(getattr(costs, key) * factor, low), high)})
                    found = loss(pairs, moved, start)
                    if found < best - 1e-6:
                        best, costs = found, moved
                        break
            if best == before:
                break
    return costs


def fitted_scores(training: Sequence[Pair], asked: Sequence[Pair]) -> list[float]:
    """Scores of the pairs asked about, under costs learnt from the training pairs."""
    learnt = {kind: fit(of_kind(training, kind), kind) for kind in START}
    people = set(of_kind(asked, Kind.PERSON))
    return [
        compare_by(*pair.read(), learnt[Kind.PERSON if pair in people else Kind.ORGANISATION]).score for pair in asked
    ]


def cross_validated(pairs: Sequence[Pair]) -> dict[str, float]:
    """Quality over all pairs, each scored under costs learnt from the other folds."""
    asked: list[Pair] = []
    scores: list[float] = []
    for fold in range(FOLDS):
        held = [pair for pair in pairs if pair.fold == fold]
        scores += fitted_scores([pair for pair in pairs if pair.fold != fold], held)
        asked += held
    return quality(asked, scores, THRESHOLD)


# --- speed and screening ----------------------------------------------------------------------------------------------


def microseconds(pairs: Sequence[Pair], *, remembered: bool) -> dict[str, float]:
    """Time of reading and comparing a pair; with nothing remembered, each name is read from its text."""
    spent = []
    for pair in pairs:
        if not remembered:
            reading._parse.cache_clear()  # noqa: SLF001
            reading.sound_key.cache_clear()
        started = time.perf_counter()
        ours(pair)
        spent.append((time.perf_counter() - started) * 1e6)
    return {"p50": float(np.median(spent)), "p99": float(np.quantile(spent, 0.99))}


def companies_by_hash(data: Path) -> list[str]:
    """Companies that file with the SEC, in an order that has nothing to do with their names."""
    companies = set(pq.read_table(data / "sec_exhibit21_companies.parquet")["company"].to_pylist())
    return sorted(companies, key=lambda name: hashlib.sha256(name.encode()).digest())


def listed_names(data: Path, pairs: Sequence[Pair]) -> list[Listed]:
    """Some 9,000 names: 8,000 companies picked by hash, the listed universities, the second names of all pairs."""
    universities = pq.read_table(data / "bis_entity_list_universities.parquet")["name"].to_pylist()
    rows = [Listed(name, Kind.ORGANISATION) for name in [*companies_by_hash(data)[:8_000], *universities]]
    return rows + [Listed(name, kind, "pair") for name, kind in sorted({(pair.right, pair.kind) for pair in pairs})]


def screening(data: Path, pairs: Sequence[Pair]) -> dict[str, float]:
    """Speed of `NameIndex.screen` and what its candidates lose, against a comparison with every listed name."""
    rows = listed_names(data, pairs)
    started = time.perf_counter()
    index = NameIndex(rows)
    built = time.perf_counter() - started
    true_pairs = [pair for pair in pairs if pair.same]
    kept, kept_scored, scored = 0, 0, 0
    spent, hits = [], []
    for pair in true_pairs:
        row = rows.index(Listed(pair.right, pair.kind, "pair"))
        is_candidate = row in index.candidates(pair.left)
        is_scored = ours(pair) >= THRESHOLD
        kept += is_candidate
        scored += is_scored
        kept_scored += is_candidate and is_scored
        started = time.perf_counter()
        hits.append(len(index.screen(pair.left, pair.kind)))
        spent.append((time.perf_counter() - started) * 1e3)
    all_hits = found_hits = 0
    for pair in true_pairs[::10]:  # every listed name compared, to count what candidates lose among all hits
        found = {(hit.listed.name, hit.listed.kind) for hit in index.screen(pair.left)}
        for entry in rows:
            listed = parse(entry.name, entry.kind)
            if compare(parse(pair.left, listed.kind), listed).score >= THRESHOLD:
                all_hits += 1
                found_hits += (entry.name, entry.kind) in found
    others = companies_by_hash(data)[8_000:8_200]
    return {
        "listed": len(rows),
        "build_s": built,
        "asked": len(true_pairs),
        "screen_ms_p50": float(np.median(spent)),
        "screen_ms_p99": float(np.quantile(spent, 0.99)),
        "candidate_recall": kept / len(true_pairs),
        "candidate_recall_of_scored": kept_scored / scored,
        "hits_found_of_all": found_hits / all_hits,
        "all_hits_counted": all_hits,
        "hits_a_name": float(np.mean(hits)),
        "companies_not_listed_with_a_hit": float(np.mean([bool(index.screen(n, Kind.ORGANISATION)) for n in others])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/org"))
    parser.add_argument("--fit", action="store_true", help="learn the costs again and print them")
    parser.add_argument("--out", type=Path, help="write the JSON there too")
    options = parser.parse_args()
    pairs = load(options.data)
    if options.fit:
        for kind in START:
            print(kind, fit(of_kind([pair for pair in pairs if pair.tuning], kind), kind))
    result: dict[str, Any] = {"threshold": THRESHOLD, "sets": {}}
    print(f"{'set':24}{'pairs':>6}  " + "".join(f"{name + ' P / R / F1':>32}" for name in METHODS))
    for name, chosen in sets(pairs).items():
        row = {m: quality(chosen, [score(p) for p in chosen], limit) for m, (score, limit) in METHODS.items()}
        result["sets"][name] = row
        cells = "".join(f"{q['precision']:>16.3f} / {q['recall']:.3f} / {q['f1']:.3f}" for q in row.values())
        print(f"{name:24}{len(chosen):>6}  {cells}")
    result["cross_validated"] = cross_validated(pairs)
    result["us_a_pair_nothing_remembered"] = microseconds(pairs, remembered=False)
    result["us_a_pair_names_read_before"] = microseconds(pairs, remembered=True)
    result["screening"] = screening(options.data, pairs)
    result["load_average"] = os.getloadavg()[0]
    for key in ("cross_validated", "us_a_pair_nothing_remembered", "us_a_pair_names_read_before", "screening"):
        print(key, {name: round(value, 4) for name, value in result[key].items()})
    line = json.dumps(result)
    print(line)
    if options.out:
        options.out.write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
