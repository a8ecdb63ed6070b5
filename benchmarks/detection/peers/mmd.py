"""Maximum mean discrepancy of an account's prompts from the platform's: a content test without linkage.

In the spirit of the extraction-attack detector of arXiv 2606.05725, which compares windows of query embeddings with
benign windows. Prompts are embedded by signed hashing of their words (256 dimensions, unit length); the RBF kernel,
its bandwidth the median distance, is approximated by random Fourier features (Rahimi and Recht, 2007). Each account's
exchanges are cut into windows of 50 in order of time, and the score is the largest n * MMD^2 (unbiased) of a window of
n to the whole platform; the factor makes windows of different size comparable, for under the null MMD^2 is of order
1/n.

Simplified: hashed words instead of a sentence encoder, one pool (which holds the attackers too) instead of vetted
benign traffic, and windows of 50 instead of 1,500, as few accounts here send more.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benchmarks.detection.peers.common import F64, account_index, codes, largest, times
from scipy import sparse
from scipy.spatial.distance import pdist

from tiergate.ledger.words import split_words

SOURCE: Final = "MMD model-extraction detector, arXiv 2606.05725 (2026), https://arxiv.org/abs/2606.05725"

DIMENSIONS: Final = 256
FEATURES: Final = 512
WINDOW: Final = 50
CHUNK: Final = 8_192
TEXT_BYTES: Final = 2_048

F32 = npt.NDArray[np.float32]


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:  # noqa: ARG001 - every peer takes both tables
    """Largest n * MMD^2 of a window to the platform (accounts,)."""
    names, account = account_index(exchanges)
    prompt, distinct = codes(exchanges, "prompt_text")
    order = np.lexsort((times(exchanges), account))
    order = order[prompt[order] >= 0]
    if not len(order):
        return np.zeros(len(names))
    account, prompt = account[order], prompt[order]
    place = np.arange(len(order)) - np.searchsorted(account, account)
    start = place % WINDOW == 0
    window = np.cumsum(start) - 1
    owner = account[start]
    size = np.bincount(window).astype(np.float64)
    counts = sparse.csc_matrix((np.ones(len(order), np.float32), (window, prompt)), shape=(len(size), len(distinct)))

    rng = np.random.default_rng(2606)
    sample = embed([distinct[i] for i in prompt[rng.integers(0, len(prompt), min(1_000, len(prompt)))]])
    distances = pdist(sample.astype(np.float64)) if len(sample) > 1 else np.ones(1)
    scale = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
    projection = (rng.standard_normal((DIMENSIONS, FEATURES // 2)) / scale).astype(np.float32)

    mean = np.zeros((len(size), FEATURES), np.float32)
    for first in range(0, len(distinct), CHUNK):
        angle = embed(distinct[first : first + CHUNK]) @ projection
        features = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / np.float32(np.sqrt(FEATURES // 2))
        mean += np.asarray(counts[:, first : first + CHUNK] @ features)
    pool = mean.sum(axis=0, dtype=np.float64) / len(order)
    mean /= size[:, None].astype(np.float32)
    # Each feature vector has length 1, so the diagonal of a window's kernel matrix is known.
    square = np.einsum("ij,ij->i", mean, mean, dtype=np.float64)
    within = (size * square - 1) / np.maximum(size - 1, 1)
    discrepancy = within - 2 * (mean @ pool) + pool @ pool
    return largest(len(names), owner, np.where(size > 1, size * discrepancy, 0.0))


def embed(texts: list[str]) -> F32:
    """Signed hashes of words, of unit length (texts, `DIMENSIONS`); zero for a text without words."""
    words = split_words(pa.array(texts, pa.string()), TEXT_BYTES, np.uint64(0))
    bucket = (words.masked % np.uint64(DIMENSIONS)).astype(np.int64)
    sign = np.where(words.masked >> np.uint64(63), 1.0, -1.0).astype(np.float32)
    dense: F32 = sparse.coo_matrix((sign, (words.row, bucket)), shape=(len(texts), DIMENSIONS)).toarray()
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), np.float32(1e-9))
    return dense
