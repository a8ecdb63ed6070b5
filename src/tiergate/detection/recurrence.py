"""What recurs within an account: its templates, its vocabulary, and how coherent its subjects are.

All three come from one count, how often each account's messages carry each hashed token, made account by account in
blocks, so that memory follows the block and not the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import Ints, gathered
from tiergate.detection.intake import Ragged, Traffic
from tiergate.detection.threads import spread

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

BLOCK_ITEMS: Final = 1_000_000

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
    for account, code, times in _counted(traffic, words, None):
        n = messages[account]
        # What nearly every message carries is a form and no subject.
        form = times > np.maximum(0.5 * n, 3)
        if len(account):
            # Accounts of a block are in order and in no other block.
            weighed = np.bincount(account - account[0], ~form * rarity[code] * times * (times - 1.0))
            shared[account[0] : account[-1] + 1] += weighed
        kept = (times >= 3) & (times >= VOCABULARY_SHARE * n)
        owners.append(account[kept])
        tokens.append(code[kept])
    pairs = messages * (messages - 1.0)
    # Words that occur once share nothing, but they are words like others when the mean rarity is asked for.
    known = words.distinct + words.singles
    mean = (rarity.sum() + words.singles * np.log(max(traffic.rows, 2))) / known if known else 0.0
    rate = (shared + 0.5 * mean) / np.maximum(pairs, 1)
    coherence = np.full(len(messages), np.nan)
    enough = (messages >= COHERENCE_MINIMUM) & (everybody > 0)
    coherence[enough] = np.log(np.maximum(rate[enough], 1e-12) / max(everybody, 1e-12))
    return np.concatenate(owners), np.concatenate(tokens), coherence


def _messages(traffic: Traffic) -> I64:
    return np.diff(traffic.edge).astype(np.int64)


def _widespread(traffic: Traffic, part: Ragged) -> npt.NDArray[np.bool_]:
    """Which tokens (distinct,) more than one account carries: nearly all shingles of free text are one account's."""
    owner = np.repeat(traffic.account, np.diff(part.start))
    some = np.zeros(part.distinct, np.int32)
    some[part.code] = owner
    several = np.zeros(part.distinct, bool)
    several[part.code[owner != some[part.code]]] = True
    return several


def _counted(traffic: Traffic, part: Ragged, wanted: npt.NDArray[np.bool_] | None) -> Iterator[tuple[I64, I64, I64]]:
    """Blocks of (account, token, messages that carry it), for the ``wanted`` tokens, all when None."""
    start, code = _narrowed(part, wanted)
    rows = traffic.rows_of
    length = start[rows + 1] - start[rows]
    # Items before each account's; blocks end where an account ends.
    before = np.append(0, np.cumsum(length, dtype=np.int64))[traffic.edge]

    def tallied(block: tuple[int, int]) -> tuple[I64, I64, I64]:
        begin, end = block
        some = slice(int(traffic.edge[begin]), int(traffic.edge[end]))
        items = gathered(code, start[rows[some]], length[some])
        local = traffic.account[rows[some]] - begin
        rank = np.arange(some.start, some.stop, dtype=np.int32) - traffic.edge[begin + local]
        account, token, times = _tallied(np.repeat(local, length[some]), items, np.repeat(rank, length[some]))
        return account + begin, token, times

    yield from spread(tallied, _blocks(before))


def _blocks(before: I64) -> Iterator[tuple[int, int]]:
    """First and last account (exclusive) of runs with about `BLOCK_ITEMS` items, and never less than one account."""
    begin, accounts = 0, len(before) - 1
    while begin < accounts:
        end = int(np.searchsorted(before, before[begin] + BLOCK_ITEMS, side="right")) - 1
        end = min(max(end, begin + 1), accounts)
        yield begin, end
        begin = end


def _narrowed(part: Ragged, wanted: npt.NDArray[np.bool_] | None) -> tuple[Ints, I32]:
    if wanted is None:
        return part.start, part.code
    kept = wanted[part.code]
    return np.append(0, np.cumsum(kept))[part.start], part.code[kept]


def _tallied(account: I32, token: I32, message: I64) -> tuple[I64, I64, I64]:
    """Distinct pairs of account and token, in order, and in how many messages each occurs. One sort of one number
    an item does it: a token counts once a message, should a message carry it twice."""
    if not len(token):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    tokens, messages = int(token.max()) + 1, int(message.max()) + 1
    if (int(account.max()) + 1) * tokens * messages < 2**63:
        key = (account.astype(np.int64) * tokens + token) * messages + message
        key.sort()
        pair = key[np.append(True, key[1:] != key[:-1])] // messages
    else:
        order = np.lexsort((message, token, account))
        fresh = np.any([np.diff(one[order], prepend=-1) != 0 for one in (account, token, message)], axis=0)
        pair = account[order][fresh].astype(np.int64) * tokens + token[order][fresh]
    edge = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
    owner, code = np.divmod(pair[edge], tokens)
    return owner, code, np.diff(np.append(edge, len(pair)))
