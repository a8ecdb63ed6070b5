"""Does a learnt router choose better than a weighted group at the same cost, and does what it learnt carry over?

    python -m benchmarks.routing --data ../shared/data/routing

Recorded outcomes: right or wrong of two models on MMLU and GSM8K (RouteLLM), and scores of nine open models on many
sets (LLMRouter). A router sees the words of a question and foretells each model's score; it takes the model with the
best score less a price of cost. Routers: ridge regression on TF-IDF of words and word pairs; the mean score in the
cluster of questions that a question lies in (domain level); and the length of the question. All are learnt from the
training part alone, their strength of regularisation too.

Splits, fixed by hashes of the text: `same` holds out half of the questions; `other subjects` whole subjects of MMLU, in
five folds; `other kind` one kind of question of the nine models' (code, formulas, sums in words, other words), told by
fixed patterns, as their sets are not on record; `other set` learns from MMLU and is tried on GSM8K, and back. Folds are
pooled.

A question costs a model's price times its tokens, a token for four characters, and ``--output-tokens`` of an answer.
Prices are RouteLLM's for its two; nobody recorded any for the nine, whose price is their number of weights. Each router
is set to spend a share of what lies between the cheapest and the dearest model, on the training part. It is compared
with the best that needs no words: drawing by lot between two models, chosen on the training part, at the mean cost that
the router has on the held-out part. Intervals are of 2,000 bootstraps over questions, and so say nothing of how
other subjects or kinds would have come out. Prints one JSON line a row.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.sparse.linalg import lsmr

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Learn = Callable[["Outcomes", Places, Places], Floats]

FEATURES = 1 << 16
STRENGTHS = (2.0, 8.0, 32.0)
DOMAINS = 32
KINDS = {
    "code": re.compile(r"\bfunction\b|\bdef |python", re.IGNORECASE),
    "formulas": re.compile(r"[$\\]"),
    "sums": re.compile(r"\d.*\d.*(how (many|much|long|old|far)|what (is|was) the|find)", re.IGNORECASE | re.DOTALL),
}
SHARES = (0.1, 0.25, 0.5, 0.75)
BOOTSTRAPS = 2_000
_WORD = re.compile(r"[A-Za-z]+|\d+|[^\w\s]")


@dataclass
class Outcomes:
    """Questions, each model's score on each (n x models, 0 to 1), what that costs (n x models), subjects or kinds."""

    questions: list[str]
    scores: Floats
    costs: Floats
    subjects: list[str]
    counts: sp.csr_array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the recorded outcomes")
    parser.add_argument("--output-tokens", type=int, default=256, help="of an answer, as `cheapest` expects by default")
    options = parser.parse_args()
    for name, read in (("two models", routellm), ("nine models", llmrouter)):
        outcomes = read(options.data, options.output_tokens)
        for split, folds in splits(outcomes).items():
            for router, learn in (("ridge", ridge), ("domains", domains), ("length", length)):
                for row in compared(outcomes, folds, learn):
                    print(json.dumps({"data": name, "split": split, "router": router} | row), flush=True)


def compared(outcomes: Outcomes, folds: list[tuple[Places, Places]], learn: Learn) -> Iterator[dict[str, Any]]:
    foretold = [(train, test, learn(outcomes, train, np.concatenate([train, test]))) for train, test in folds]
    for share in SHARES:
        columns: dict[str, list[Floats]] = {}
        for train, test, scores in foretold:
            before, held, costs = outcomes.scores[train].mean(axis=0), outcomes.scores[test], outcomes.costs[test]
            mean_costs = outcomes.costs[train].mean(axis=0)
            budget = mean_costs.min() + share * (mean_costs.max() - mean_costs.min())
            price = price_for(scores[: len(train)], outcomes.costs[train], budget)
            picked = np.argmax(scores[len(train) :] - price * costs, axis=1)
            rows = np.arange(len(test))
            lot = mixture(before, costs.mean(axis=0), float(costs[rows, picked].mean()))
            for column, values in {
                "gain_over_lot": held[rows, picked] - held @ lot,
                "score": held[rows, picked],
                "relative_cost": costs[rows, picked] / costs.mean(axis=0).max(),
                "cheapest": held[:, np.lexsort((-before, mean_costs))[0]],
                "best": held[:, np.argmax(before)],
                "oracle": held.max(axis=1),
            }.items():
                columns.setdefault(column, []).append(values)
        joined = {column: np.concatenate(parts) for column, parts in columns.items()}
        gain, rng = joined["gain_over_lot"], np.random.default_rng(1)
        means = [gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(BOOTSTRAPS)]
        interval = [round(float(edge), 4) for edge in np.percentile(means, [2.5, 97.5])]
        by_fold = [round(float(part.mean()), 4) for part in columns["gain_over_lot"]]
        yield {"share": share, "held_out": len(gain), "interval_95": interval, "gain_by_fold": by_fold} | {
            column: round(float(values.mean()), 4) for column, values in joined.items()
        }


def mixture(seen: Floats, costs: Floats, budget: float) -> Floats:
    """Shares of the models, of which at most two are used, with the best mean score seen at a mean cost of budget."""
    best, shares = -1.0, np.zeros(len(costs))
    budget = min(max(budget, float(costs.min())), float(costs.max()))  # against rounding
    for a in range(len(costs)):
        for b in range(len(costs)):
            if not costs[a] <= budget <= costs[b]:
                continue
            part = 0.0 if costs[a] == costs[b] else (budget - costs[a]) / (costs[b] - costs[a])
            score = (1 - part) * seen[a] + part * seen[b]
            if score > best:
                best, shares = score, np.zeros(len(costs))
                shares[a] += 1 - part
                shares[b] += part
    return shares


def price_for(scores: Floats, costs: Floats, budget: float) -> float:
    """The price of cost at which the choices cost ``budget`` on the mean."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        picked = np.argmax(scores - middle * costs, axis=1)
        dear = costs[np.arange(len(costs)), picked].mean() > budget
        low, high = (middle, high) if dear else (low, middle)
    return high


def ridge(outcomes: Outcomes, train: Places, asked: Places) -> Floats:
    inner = np.array([_hash(outcomes.questions[place], "inner") % 4 == 0 for place in train])
    fitted, checked = train[~inner], train[inner]
    errors = [
        ((_ridge(outcomes, fitted, checked, strength) - outcomes.scores[checked]) ** 2).mean() for strength in STRENGTHS
    ]
    return _ridge(outcomes, train, asked, STRENGTHS[int(np.argmin(errors))])


def _ridge(outcomes: Outcomes, train: Places, asked: Places, strength: float) -> Floats:
    weights = _weights(outcomes.counts[train])
    means = outcomes.scores[train].mean(axis=0)
    rows = _tfidf(outcomes.counts[train], weights)
    learnt = [
        lsmr(rows, outcomes.scores[train, model] - means[model], damp=strength**0.5, maxiter=60)[0]
        for model in range(len(means))
    ]
    return np.asarray(_tfidf(outcomes.counts[asked], weights) @ np.column_stack(learnt) + means)


def domains(outcomes: Outcomes, train: Places, asked: Places) -> Floats:
    place, of = clusters(outcomes, train, DOMAINS)
    near = of(asked)
    means = outcomes.scores[train].mean(axis=0)
    # Ten questions' worth of the mean of all, so that a small cluster says little.
    table = np.array(
        [
            (outcomes.scores[train][place == one].sum(axis=0) + 10 * means) / ((place == one).sum() + 10)
            for one in range(DOMAINS)
        ]
    )
    return np.asarray(table[near])


def length(outcomes: Outcomes, train: Places, asked: Places) -> Floats:
    sizes = np.log([len(question) + 1.0 for question in outcomes.questions])
    lines = [np.polyfit(sizes[train], outcomes.scores[train, model], 1) for model in range(outcomes.scores.shape[1])]
    return np.column_stack([np.polyval(line, sizes[asked]) for line in lines])


def clusters(outcomes: Outcomes, train: Places, count: int) -> tuple[Places, Callable[[Places], Places]]:
    """The cluster of each question of ``train`` by its words, and of any others."""
    weights = _weights(outcomes.counts[train])
    rows = _tfidf(outcomes.counts[train], weights)
    axes = _axes(rows)
    centres, place = kmeans2(rows @ axes, count, minit="++", rng=np.random.default_rng(1))

    def of(asked: Places) -> Places:
        at = _tfidf(outcomes.counts[asked], weights) @ axes
        return np.asarray(((at[:, None, :] - centres[None]) ** 2).sum(axis=2).argmin(axis=1), np.int64)

    return np.asarray(place, np.int64), of


def splits(outcomes: Outcomes) -> dict[str, list[tuple[Places, Places]]]:
    """Pairs of training and held-out places by the name of the split."""
    everything = np.arange(len(outcomes.questions))
    half = np.array([_hash(question, "half") % 2 == 0 for question in outcomes.questions])
    made = {"same": [(everything[half], everything[~half])]}
    subjects = np.array(outcomes.subjects)
    if "gsm8k" not in outcomes.subjects:
        kinds = sorted(set(outcomes.subjects))
        made["other kind"] = [(everything[subjects != kind], everything[subjects == kind]) for kind in kinds]
        return made
    exam = subjects != "gsm8k"
    fold = np.array([_hash(subject, "fold") % 5 for subject in outcomes.subjects])
    made["other subjects"] = [(everything[exam & (fold != one)], everything[exam & (fold == one)]) for one in range(5)]
    made["other set, MMLU to GSM8K"] = [(everything[exam], everything[~exam])]
    made["other set, GSM8K to MMLU"] = [(everything[~exam], everything[exam])]
    return made


def routellm(data: Path, output_tokens: int) -> Outcomes:
    table = pq.read_table(data / "routellm_outcomes.parquet").to_pydict()
    rows = _once(table["prompt"])
    scores = np.column_stack([table["mixtral_8x7b_correct"], table["gpt_4_1106_correct"]]).astype(np.float64)
    questions = [table["prompt"][row] for row in rows]
    costs = _costs(questions, [0.24, 24.7], output_tokens)
    return Outcomes(questions, scores[rows], costs, [table["task"][row] for row in rows], _counts(questions))


def llmrouter(data: Path, output_tokens: int) -> Outcomes:
    table = pq.read_table(data / "nine_models_train.parquet").to_pydict()
    rows = _once(table["question"])
    told = [json.loads(table["scores"][row]) for row in rows]
    models = sorted(told[0])
    sizes = [float(re.findall(r"(\d+)b", model)[-1]) for model in models]
    questions = [table["question"][row] for row in rows]
    scores = np.array([[one[model] for model in models] for one in told])
    costs = _costs(questions, sizes, output_tokens)
    return Outcomes(questions, scores, costs, [_kind(question) for question in questions], _counts(questions))


def _costs(questions: list[str], prices: list[float], output_tokens: int) -> Floats:
    tokens = np.array([len(question) / 4 + output_tokens for question in questions])
    return np.asarray(tokens[:, None] * np.array(prices))


def _kind(question: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if pattern.search(question)), "other words")


def _once(questions: list[str]) -> list[int]:
    """Places of the questions without those that say the same again."""
    return list({" ".join(_WORD.findall(question.lower())): row for row, question in enumerate(questions)}.values())


def _counts(questions: list[str]) -> sp.csr_array:
    places: list[int] = []
    ends = [0]
    for question in questions:
        # All numbers alike: which number it is says nothing of how hard a question is.
        words = ["#" if word.isdigit() else word.lower() for word in _WORD.findall(question)[:400]]
        pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
        places += [zlib.crc32(word.encode()) % FEATURES for word in (*words, *pairs)]
        ends.append(len(places))
    made = sp.csr_array((np.ones(len(places)), np.array(places), np.array(ends)), shape=(len(questions), FEATURES))
    made.sum_duplicates()
    return made


def _weights(counts: sp.csr_array) -> Floats:
    documents = np.asarray((counts > 0).sum(axis=0)).ravel()
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + documents)) + 1)


def _tfidf(counts: sp.csr_array, weights: Floats) -> sp.csr_array:
    rows = counts.copy()
    rows.data = 1 + np.log(rows.data)
    rows = sp.csr_array(rows @ sp.diags_array(weights))
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(norms, 1e-9)) @ rows)


def _axes(rows: sp.csr_array) -> Floats:
    """Features x 50: the main axes of the rows, by a randomised singular value decomposition (Halko et al., 2011)."""
    found = np.asarray(rows.T @ (rows @ np.random.default_rng(1).standard_normal((rows.shape[1], 60))))
    for _ in range(2):
        found = np.asarray(rows.T @ (rows @ np.linalg.qr(found)[0]))
    basis = np.linalg.qr(found)[0]
    _, _, turned = np.linalg.svd(rows @ basis, full_matrices=False)
    return np.asarray(basis @ turned.T[:, :50])


def _hash(text: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}\n{text}".encode()).digest()[:4])


if __name__ == "__main__":
    main()
