"""Opening: items that enough labs hold, from the rows that they handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.sharing.tokens.rows import ROW_BYTES, Context, Described, unseal
from tiergate.sharing.tokens.shares import SHARE_BYTES, TAG_BYTES, recover

MOST_TRIED: Final = 256
"""Choices of labs that one item is tried with, where some handed in shares that fit nothing."""
_Point = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class OpenedItem:
    """An item that enough labs hold: what each of them, by number, says of it."""

    tag: bytes
    said: dict[int, Described]


@dataclass(frozen=True, slots=True)
class Opening:
    """What came of the rows. ``waiting``: tags below the threshold, of which nothing is known but how many labs hold
    each; ``unfit``: by lab, rows that do not fit what enough others handed in; ``spoilt``: tags that enough labs hold
    and that no choice of them opens."""

    items: list[OpenedItem]
    waiting: int = 0
    unfit: Counter[int] = field(default_factory=Counter)
    spoilt: list[bytes] = field(default_factory=list)


def open_items(rows: Mapping[int, bytes], threshold: int, epoch: int) -> Opening:
    """Open what can be opened.

    :param rows: by number of the lab, its rows side by side (`ROW_BYTES` each); of two with one tag the first counts.
    """
    labs = sorted(rows)
    firsts = {lab: _first_of_each_tag(rows[lab]) for lab in labs}
    tags = np.concatenate([firsts[lab][0] for lab in labs]) if labs else np.empty((0, 2), np.uint64)
    lab = np.repeat(labs, [len(firsts[one][1]) for one in labs])
    row = np.concatenate([firsts[one][1] for one in labs]) if labs else np.empty(0, np.int64)
    order = np.lexsort((lab, tags[:, 1], tags[:, 0]))
    tags, lab, row = tags[order], lab[order], row[order]
    start = np.flatnonzero(np.r_[True, (tags[1:] != tags[:-1]).any(axis=1)]) if len(tags) else np.empty(0, np.int64)
    size = np.diff(np.append(start, len(tags)))
    opening = Opening([], waiting=int((size < threshold).sum()))
    for at, count in zip(start[size >= threshold].tolist(), size[size >= threshold].tolist(), strict=True):
        places = zip(lab[at : at + count].tolist(), row[at : at + count].tolist(), strict=True)
        held = {one: rows[one][number * ROW_BYTES : (number + 1) * ROW_BYTES] for one, number in places}
        item = _opened(held, threshold, epoch)
        if item is None:
            opening.spoilt.append(next(iter(held.values()))[:TAG_BYTES])
        else:
            opening.items.append(item)
            opening.unfit.update(one for one in held if one not in item.said)
    return opening


def _first_of_each_tag(rows: bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Tags (n, 2) as pairs of numbers, and the first row that each is in (n,)."""
    whole = np.frombuffer(rows, np.uint8).reshape(-1, ROW_BYTES)
    tags = np.ascontiguousarray(whole[:, :TAG_BYTES]).view(np.uint64)
    _, first = np.unique(tags.view([("high", "u8"), ("low", "u8")]).ravel(), return_index=True)
    return tags[first], first


def _opened(held: dict[int, bytes], threshold: int, epoch: int) -> OpenedItem | None:
    """The item of rows with one tag, by lab. Where a share is false, labs whose shares agree are found by trying."""
    tag = next(iter(held.values()))[:TAG_BYTES]
    points = [(lab, row[TAG_BYTES : TAG_BYTES + SHARE_BYTES]) for lab, row in held.items()]
    for chosen in _choices(points, threshold, tag):
        secret = recover(chosen)
        said = {}
        for lab, row in held.items():
            context = Context(epoch, lab, threshold).encoded()
            described = unseal(secret, tag, row[TAG_BYTES + SHARE_BYTES :], context)
            if described is not None:
                said[lab] = described
        if len(said) >= threshold:
            return OpenedItem(tag, said)
    return None


def _choices(points: Sequence[_Point], threshold: int, tag: bytes) -> Iterator[Sequence[_Point]]:
    """All choices of shares, or `MOST_TRIED` at random: in order, two labs with low numbers would spoil all that are
    tried, however many are honest."""
    if comb(len(points), threshold) <= MOST_TRIED:
        yield from combinations(points, threshold)
    else:
        lots = Random(tag)  # noqa: S311, the same for the same rows, and no secret
        yield from (lots.sample(points, threshold) for _ in range(MOST_TRIED))
