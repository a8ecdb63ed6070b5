"""Exactly what enough labs hold is opened; below that, whoever looks recovers nothing."""

from __future__ import annotations

import hashlib
import os
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiergate.sharing.tokens.items import Kind
from tiergate.sharing.tokens.opening import Opening, open_items
from tiergate.sharing.tokens.rows import NONCE_BYTES, ROW_BYTES, Context, Described, bucket, seal, unseal
from tiergate.sharing.tokens.shares import PRIME, SHARE_BYTES, TAG_BYTES, derive, recover, share

EPOCH = 7


def row(item: str, lab: int, *, threshold: int = 3, handle: int = 1, epoch: int = EPOCH) -> bytes:
    """A row as the lab makes it, with a hash in the place of the key servers' function."""
    tag, coefficients = derive([hashlib.sha512(item.encode()).digest()], threshold, epoch)
    described = Described(Kind.PAYMENT, 0, 3, (handle,))
    context = Context(epoch, lab, threshold).encoded()
    return tag + share(coefficients, lab) + seal(coefficients[0], tag, described, context, os.urandom(NONCE_BYTES))


def opened(held: dict[int, set[str]], threshold: int = 3) -> Opening:
    rows = {lab: b"".join(row(item, lab, threshold=threshold) for item in items) for lab, items in held.items()}
    return open_items(rows, threshold, EPOCH)


def tag_of(item: str, threshold: int = 3) -> bytes:
    return derive([hashlib.sha512(item.encode()).digest()], threshold, EPOCH)[0]


@given(st.lists(st.integers(0, PRIME - 1), min_size=2, max_size=6), st.data())
def test_any_choice_of_enough_shares_recovers_the_secret(coefficients: list[int], data: st.DataObject) -> None:
    count = len(coefficients)
    labs = data.draw(st.lists(st.integers(1, 255), min_size=count, max_size=count, unique=True))
    assert recover([(lab, share(coefficients, lab)) for lab in labs]) == coefficients[0]


@given(st.lists(st.integers(0, PRIME - 1), min_size=3, max_size=3), st.integers(0, PRIME - 1))
def test_too_few_shares_fit_every_secret(coefficients: list[int], other: int) -> None:
    # Some polynomial with another secret goes through the same two points: they say nothing of the secret.
    points = [(1, share(coefficients, 1)), (2, share(coefficients, 2))]
    through = [(255, b""), *points]
    weight = [recover([(lab, (one == lab).to_bytes(SHARE_BYTES)) for lab, _ in through]) for one in (255, 1, 2)]
    known = sum(weight[n] * int.from_bytes(points[n - 1][1]) for n in (1, 2)) % PRIME
    third = (other - known) * pow(weight[0], -1, PRIME) % PRIME
    assert recover([(255, third.to_bytes(SHARE_BYTES)), *points]) == other


def test_two_shares_of_one_lab_are_no_two() -> None:
    with pytest.raises(ValueError, match="each lab"):
        recover([(1, bytes(32)), (1, bytes(32))])


@settings(max_examples=40)
@given(
    st.dictionaries(st.integers(1, 6), st.sets(st.sampled_from("abcdefghij")), max_size=6),
    st.integers(2, 4),
)
def test_exactly_what_enough_labs_hold_is_opened(held: dict[int, set[str]], threshold: int) -> None:
    counts = {item: {lab for lab, items in held.items() if item in items} for item in "abcdefghij"}
    expected = {tag_of(item, threshold): labs for item, labs in counts.items() if len(labs) >= threshold}
    found = opened(held, threshold)
    assert {one.tag: set(one.said) for one in found.items} == expected
    assert found.waiting == sum(0 < len(labs) < threshold for labs in counts.values())
    assert not found.unfit
    assert not found.spoilt


@pytest.mark.parametrize("held_by", [1, 2])
def test_a_curious_hub_recovers_nothing_below_the_threshold(held_by: int) -> None:
    items = [f"card-{n}" for n in range(200)]
    labs = range(1, held_by + 1)
    held = {lab: [row(item, lab) for item in items] for lab in labs}
    assert open_items({lab: b"".join(rows) for lab, rows in held.items()}, 3, EPOCH).items == []
    recovered = 0
    for at in range(len(items)):
        rows = {lab: held[lab][at] for lab in labs}
        points = [(lab, one[TAG_BYTES : TAG_BYTES + SHARE_BYTES]) for lab, one in rows.items()]
        guesses = {0, *(int.from_bytes(one) % PRIME for _, one in points)}
        guesses |= {recover(chosen) for count in labs for chosen in combinations(points, count)}
        # The tag of the item, and shares of lab numbers that nobody has.
        guesses |= {recover([*points, (99, rows[1][:TAG_BYTES].rjust(SHARE_BYTES, b"\0"))])}
        for lab, one in rows.items():
            context = Context(EPOCH, lab, 3).encoded()
            sealed = one[TAG_BYTES + SHARE_BYTES :]
            recovered += sum(unseal(guess, one[:TAG_BYTES], sealed, context) is not None for guess in guesses)
    assert recovered == 0


def test_the_hub_and_too_few_labs_recover_nothing_that_none_of_them_holds() -> None:
    # Labs 4 and 5 are in league with the hub and show it all they have; labs 1 and 2 hold what they do not.
    ours = {lab: {f"card-{n}" for n in range(50)} for lab in (1, 2)}
    theirs = {lab: {f"other-{n}" for n in range(50)} for lab in (4, 5)}
    rows = {lab: [row(item, lab) for item in sorted(items)] for lab, items in (ours | theirs).items()}
    secrets = [derive([hashlib.sha512(item.encode()).digest()], 3, EPOCH)[1] for item in sorted(theirs[4])]
    # What they can add: shares of their own under the tags of others, of any polynomial that they know.
    forged = {
        lab: b"".join(
            mine[:TAG_BYTES] + share(known, lab) + mine[TAG_BYTES + SHARE_BYTES :]
            for mine, known in zip(rows[1], secrets, strict=True)
        )
        for lab in (4, 5)
    }
    pooled = {1: b"".join(rows[1]), 2: b"".join(rows[2])} | forged
    found = open_items(pooled, 3, EPOCH)
    assert found.items == []
    assert len(found.spoilt) == 50


def test_a_false_share_is_found_and_does_not_hide_the_item() -> None:
    rows = {lab: row("card", lab) for lab in (1, 2, 3, 4)}
    rows[2] = rows[2][:TAG_BYTES] + os.urandom(ROW_BYTES - TAG_BYTES)
    found = open_items(rows, 3, EPOCH)
    assert [set(one.said) for one in found.items] == [{1, 3, 4}]
    assert found.unfit == {2: 1}
    del rows[4]
    assert open_items(rows, 3, EPOCH).spoilt == [tag_of("card")]


def test_few_false_shares_among_many_hide_nothing_whoever_hands_them_in() -> None:
    rows = {lab: row("card", lab) for lab in range(1, 25)}
    for liar in (1, 2, 3):
        rows[liar] = rows[liar][:TAG_BYTES] + os.urandom(ROW_BYTES - TAG_BYTES)
    found = open_items(rows, 3, EPOCH)
    assert [set(one.said) for one in found.items] == [set(range(4, 25))]
    assert found.unfit == {1: 1, 2: 1, 3: 1}


def test_a_row_of_another_epoch_or_lab_opens_nothing() -> None:
    rows = {1: row("card", 1), 2: row("card", 2)}
    late = open_items(rows | {3: row("card", 3, epoch=EPOCH - 1)}, 3, EPOCH)
    copied = open_items(rows | {3: row("card", 2)}, 3, EPOCH)
    assert (late.items, copied.items) == ([], [])
    # Nor do tags tell that it is the same item, even of a key server that used one key for both.
    assert late.waiting == 2


def test_a_lab_counts_once_however_often_it_hands_an_item_in() -> None:
    found = open_items({1: row("card", 1) * 3, 2: row("card", 2, handle=2)}, 3, EPOCH)
    assert (found.items, found.waiting) == ([], 1)


@settings(max_examples=60)
@given(st.dictionaries(st.integers(1, 9), st.integers(0, 4), max_size=5), st.binary(min_size=8, max_size=8))
def test_any_bytes_are_rows_that_open_nothing(counts: dict[int, int], seed: bytes) -> None:
    rows = {lab: hashlib.shake_256(seed).digest(count * ROW_BYTES) for lab, count in counts.items()}
    assert open_items(rows, 2, EPOCH).items == []


@given(st.integers(0, 1 << 62))
def test_counts_leave_as_powers_of_two(count: int) -> None:
    assert (1 << bucket(count)) <= max(count, 1) < (2 << bucket(count))
