"""What recurs within an account: its templates, its vocabulary, and how coherent its subjects are.

All three come from one count, how often each account's messages carry each hashed token, made account by account in
blocks, so that memory follows the block and not the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import gathered
from tiergate.detection.intake import Ragged, Traffic

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

BLOCK_ITEMS: Final = 4_000_000

VOCABULARY_SHARE: Final = 0.1
"""A word belongs to the account's vocabulary when it comes up in a tenth of its messages and three times: the words
of an instruction that is worded anew each time still recur, in every account that it is dealt to."""

COHERENCE_MINIMUM: Final = 6
"""Messages an account needs before pairs of them say how coherent its subjects are."""


def recurring(counts: I64, messages: I64) -> npt.NDArray[np.bool_]:
    """Whether a token seen ``counts`` times in an account's ``messages`` is part of a template of its own.

    A fifth of the messages, below which chance repeats of phrases begin in small accounts; in large ones three times
    and 2%, so that a template which a reseller's other users dilute to a twentieth is still seen.
    """
    need = np.minimum(0.2 * messages, 3 + 0.02 * messages)
    return np.asarray(counts >= np.maximum(need, np.minimum(2, messages)))


def templates(traffic: Traffic, part: Ragged) -> tuple[I64, I64]:
    """Account and token of every recurring token of ``part`` that two accounts or more carry."""
    messages = _messages(traffic)
    owners, tokens = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for account, code, times in _counted(traffic, part, _widespread(traffic, part)):
        kept = recurring(times, messages[account])
        owners.append(account[kept])
        tokens.append(code[kept])
    return np.concatenate(owners), np.concatenate(tokens)


def vocabulary(traffic: Traffic) -> tuple[I64, I64, F64]:
    """Account and word of every account's recurring words, and each account's coherence (accounts,), NaN where it has
    too few messages.

    Coherence is the log of how often two messages of the account share a word, words weighted by rarity, against two
    messages of anybody: about 0 for an account that is dealt from everybody's subjects, several nats for a person.
    """
    messages = _messages(traffic)
    words = traffic.words
    seen = np.bincount(words.code, minlength=words.distinct).astype(np.float64)
    rarity = np.log(max(traffic.rows, 2) / np.maximum(seen, 1))
    everybody = (rarity * seen * (seen - 1)).sum() / max(traffic.rows * (traffic.rows - 1.0), 1.0)
    shared = np.zeros(len(messages))
    owners, tokens = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for account, code, times in _counted(traffic, words, np.ones(words.distinct, bool)):
        n = messages[account]
        # What nearly every message carries is a form and no subject.
        form = times > np.maximum(0.5 * n, 3)
        shared += np.bincount(account, ~form * rarity[code] * times * (times - 1.0), minlength=len(messages))
        kept = (times >= 3) & (times >= VOCABULARY_SHARE * n)
        owners.append(account[kept])
        tokens.append(code[kept])
    pairs = messages * (messages - 1.0)
    rate = (shared + 0.5 * rarity.mean() if len(rarity) else shared) / np.maximum(pairs, 1)
    coherence = np.full(len(messages), np.nan)
    enough = (messages >= COHERENCE_MINIMUM) & (everybody > 0)
    coherence[enough] = np.log(np.maximum(rate[enough], 1e-12) / max(everybody, 1e-12))
    return np.concatenate(owners), np.concatenate(tokens), coherence


def _messages(traffic: Traffic) -> I64:
    return np.bincount(traffic.account, minlength=len(traffic.account_ids))


def _widespread(traffic: Traffic, part: Ragged) -> npt.NDArray[np.bool_]:
    """Which tokens (distinct,) more than one account carries: nearly all shingles of free text are one account's."""
    owner = np.repeat(traffic.account, np.diff(part.start))
    some = np.zeros(part.distinct, np.int32)
    some[part.code] = owner
    several = np.zeros(part.distinct, bool)
    several[part.code[owner != some[part.code]]] = True
    return several


def _counted(traffic: Traffic, part: Ragged, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[I64, I64, I64]]:
    """Blocks of (account, token, messages that carry it), for the ``wanted`` tokens."""
    rows = np.argsort(traffic.account, kind="stable")
    length = np.diff(part.start)[rows]
    ends = np.cumsum(length)
    # Blocks end where an account ends.
    last = np.flatnonzero(np.append(np.diff(traffic.account[rows]) != 0, True))
    begin = 0
    while begin < len(rows):
        reach = int(np.searchsorted(ends, (ends[begin - 1] if begin else 0) + BLOCK_ITEMS, side="right"))
        at = int(np.searchsorted(last, max(reach - 1, begin)))
        end = int(last[min(at, len(last) - 1)]) + 1
        if end > reach > begin and at > 0 and last[at - 1] >= begin:
            end = int(last[at - 1]) + 1
        some, count = rows[begin:end], length[begin:end]
        code = gathered(part.code, part.start[some], count).astype(np.int64)
        row = np.repeat(np.arange(begin, end), count)
        kept = wanted[code]
        # A token counts once a message: the first and last words of a short one can coincide.
        once = np.sort(row[kept] * part.distinct + code[kept])
        once = once[np.append(True, np.diff(once) != 0)] if len(once) else once
        row, code = np.divmod(once, max(part.distinct, 1))
        pair = np.sort(traffic.account[rows[row]] * np.int64(part.distinct) + code)
        edge = np.flatnonzero(np.append(True, np.diff(pair) != 0)) if len(pair) else np.empty(0, np.int64)
        account, code = np.divmod(pair[edge], max(part.distinct, 1))
        yield account, code, np.diff(np.append(edge, len(pair)))
        begin = end
