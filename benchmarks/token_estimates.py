"""How far estimates of tokens are off, against real tokenizers on real text.

    pip install tiktoken
    python -m benchmarks.token_estimates --shared-data DIR

Takes up to 150 rows of each text collection, prompts and answers apart, shuffles them, and estimates each before it is
learnt from. tiktoken fetches its vocabularies unless TIKTOKEN_CACHE_DIR has them. Texts of fewer than 50 tokens are
learnt from and not scored. Prints a row a tokenizer and side.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tiktoken

from tiergate.gateway.metering.estimates import Estimator
from tiergate.gateway.metering.usage import Demand, Seen

SCORED = 50


def texts(folder: Path, column: str, lot: random.Random) -> list[str]:
    """Texts of a column, in random order."""
    found: list[str] = []
    for path in sorted(folder.glob("*.parquet")):
        rows = [text for text in pq.read_table(path, columns=[column])[column].to_pylist() if text]
        found += lot.sample(rows, min(150, len(rows)))
    lot.shuffle(found)
    return found


def score(encoding: tiktoken.Encoding, found: list[str], *, asked: bool) -> str:
    """Median and 90% quantile of the relative error, and the error of the sum."""
    estimator, estimates, counts = Estimator(), [], []
    for text in found:
        size, count = len(text.encode()), len(encoding.encode(text, disallowed_special=()))
        demand = Demand(input_bytes=size if asked else 0, input_chars=len(text))
        seen = Seen(text_bytes=0 if asked else size, text_chars=len(text))
        if count >= SCORED:
            estimates.append(estimator.asked("m", demand) if asked else estimator.said("m", seen))
            counts.append(count)
        seen.input_tokens, seen.output_tokens = (count, 0) if asked else (0, count)
        estimator.usage("m", demand, seen)
    off = np.abs(np.array(estimates) - counts) / counts
    whole = sum(estimates) / sum(counts) - 1
    return f"{len(counts):,} texts  median {np.median(off):.1%}  90% {np.quantile(off, 0.9):.1%}  sum {whole:+.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared-data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    for name in ("o200k_base", "cl100k_base"):
        for column in ("prompt", "response"):
            found = texts(given.shared_data / "prompts", column, random.Random(1))
            print(f"{name:<12} {column:<9} {score(tiktoken.get_encoding(name), found, asked=column == 'prompt')}")


if __name__ == "__main__":
    main()
