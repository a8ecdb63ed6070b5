"""Who is who in a world, made once a world: accounts with population, pool and main language."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from benchmarks.detection.peers.common import account_index, account_values, codes, times
from benchmarks.detection.results import WorldFacts
from benchmarks.detection.worlds import Split, compose

from tiergate.simulation.world import World, write_world

SHEET: Final = "sheet.parquet"
LANGUAGES: Final = ("other", "zh", "ja", "ko")
EAST_ASIAN_SHARE: Final = 0.1
"""Of a text's characters, from which it is not of another script that quotes a few."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Accounts that sent anything, in the order of their sorted ids, each with the truth about it (accounts,).

    ``pool``: 0 innocent, 1 and 2 the campaign's pools, -1 a campaign's account that served nobody and counts nowhere.
    """

    names: list[str]
    population: list[str]
    language: list[str]
    pool: npt.NDArray[np.int64]

    @property
    def guilty(self) -> npt.NDArray[np.bool_]:
        flags: npt.NDArray[np.bool_] = self.pool > 0
        return flags

    @property
    def innocent(self) -> npt.NDArray[np.bool_]:
        flags: npt.NDArray[np.bool_] = self.pool == 0
        return flags


def read_sheet(world: Path) -> Sheet:
    """The sheet that `write_sheet` left beside the world."""
    table = pq.read_table(world / SHEET)
    names, population, language = (table[name].to_pylist() for name in ("account_id", "population", "language"))
    return Sheet(names, population, language, np.asarray(table["pool"]).astype(np.int64))


def make_world(folder: str, shared_data: str, scenario: str, seed: int, split: Split, accounts: int) -> WorldFacts:
    """Compose a world and write it into ``folder`` with its sheet, under another name until it is whole."""
    half = Path(folder + ".part")
    shutil.rmtree(half, ignore_errors=True)
    world = compose(Path(shared_data), seed, scenario=scenario, split=split, accounts=accounts)
    write_world(world, half)
    facts = write_sheet(world, half)
    shutil.rmtree(folder, ignore_errors=True)
    half.replace(folder)
    return facts


def write_sheet(world: World, folder: Path) -> WorldFacts:
    """Write the sheet of ``world`` into ``folder``, and return the world's facts."""
    names, account = account_index(world.exchanges)
    at = times(world.exchanges)
    known = {row["account_id"]: row for row in world.truth.to_pylist()}
    population = [known[name]["population"] for name in names]
    innocent = np.array([name != "campaign" for name in population])
    serving = np.asarray(pc.is_in(world.exchanges["exchange_id"], world.exchange_truth["exchange_id"]).to_numpy())
    closed = np.array([c if c is not None else np.iinfo(np.int64).max for c in _closed(world, names)])
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, account[serving], at[serving])
    served = ~innocent & (first < np.iinfo(np.int64).max)
    ban = closed[served].min(initial=np.iinfo(np.int64).max)
    # Accounts that start to serve when others of the campaign have been closed are its second pool.
    second = served & (first > ban)
    pool = np.select([second, served, innocent], [2, 1, 0], -1)
    table = pa.table(
        {"account_id": names, "population": population, "language": languages(world.exchanges), "pool": pool}
    )
    pq.write_table(table, folder / SHEET)
    called, counts = np.unique(population, return_counts=True)
    return WorldFacts(
        exchanges=len(at),
        accounts=len(names),
        campaign_accounts=int(served.sum()),
        campaign_exchanges=int(serving.sum()),
        populations=dict(zip(called.tolist(), counts.tolist(), strict=True)),
        campaign_first_us=int(at[serving].min()) if serving.any() else None,
        campaign_last_us=int(at[serving].max()) if serving.any() else None,
        second_pool_us=int(first[second].min()) if second.any() else None,
    )


def _closed(world: World, names: list[str]) -> list[int | None]:
    return [None if value is None else int(value) for value in account_values(world.accounts, names, "closed_at")]


def languages(exchanges: pa.Table) -> list[str]:
    """Main language by script of each account, in the order of sorted ids: that of most of its prompts.

    Kana tell Japanese, Hangul Korean, Han characters without either Chinese; everything else is `other`.
    """
    names, account = account_index(exchanges)
    prompt, texts = codes(exchanges, "prompt_text")
    told = np.append(_by_script(pa.array(texts, pa.string())), 0)  # without text: other
    votes = np.bincount(account * len(LANGUAGES) + told[prompt], minlength=len(names) * len(LANGUAGES))
    return [LANGUAGES[most] for most in votes.reshape(-1, len(LANGUAGES)).argmax(axis=1).tolist()]


def _by_script(texts: pa.Array) -> npt.NDArray[np.int64]:
    def count(script: str) -> npt.NDArray[np.float64]:
        return np.asarray(pc.count_substring_regex(texts, pattern=script).to_numpy(zero_copy_only=False), np.float64)

    han, kana, hangul = count(r"\p{Han}"), count(r"[\p{Hiragana}\p{Katakana}]"), count(r"\p{Hangul}")
    length = np.asarray(pc.utf8_length(texts).to_numpy(zero_copy_only=False), np.float64)
    east = han + kana + hangul
    foreign = (east == 0) | (east < EAST_ASIAN_SHARE * length)
    told: npt.NDArray[np.int64] = np.select(
        [foreign, hangul > han + kana, kana >= EAST_ASIAN_SHARE * east], [0, 3, 2], 1
    )
    return told
