"""The tree is RFC 6962's: published vectors, a naive implementation of the text, and proofs that must not pass."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.errors import ProofError
from tiergate.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    position,
    root,
    stored_count,
    stored_size,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves that implementations of certificate transparency test with, the roots of the first 1 to 8 of them,
# and proofs among them (RFC 6962 trees; the same values are in the tests of Trillian and its successors).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
H1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
H23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
H4567 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
H4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
H45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
H6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
H67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
INCLUSION = {
    (0, 1): [],
    (0, 8): [H1, H23, H4567],
    (5, 8): [H4, H67, ROOTS[3]],
    (2, 3): [ROOTS[1]],
    (1, 5): [ROOTS[0], H23, H4],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [H1, H23, H4567],
    (6, 8): [H45, H67, ROOTS[3]],
    (2, 5): [H23, H4],
    (6, 7): [H45, H6, ROOTS[3]],
}
SOME_HASH = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")


class Stored:
    """A tree in memory, as a log stores it."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.frontier = Frontier()
        self.hashes = self.frontier.extend([leaf_hash(leaf) for leaf in leaves])

    def read(self, level: int, k: int) -> bytes:
        return self.hashes[position(level, k)]


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = naive_split(len(leaves))
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH as RFC 6962 section 2.1.1 writes it."""
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: Sequence[bytes], known: bool = True) -> list[bytes]:
    """SUBPROOF as RFC 6962 section 2.1.2 writes it."""
    if m == len(leaves):
        return [] if known else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], known), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def naive_split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def numbered(size: int) -> list[bytes]:
    return [b"leaf %d" % n for n in range(size)]


def test_the_published_roots_and_proofs() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == ROOTS[0]
    tree = Stored(LEAVES)
    assert [root(size, tree.read).hex() for size in range(1, 9)] == ROOTS
    for (index, size), proof in INCLUSION.items():
        assert [one.hex() for one in inclusion_proof(index, size, tree.read)] == proof
    for (old, new), proof in CONSISTENCY.items():
        assert [one.hex() for one in consistency_proof(old, new, tree.read)] == proof


def test_the_example_of_rfc_6962_section_2_1_3() -> None:
    data = numbered(7)
    a, b, c, d, e, f, j = (leaf_hash(one) for one in data)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741  # the letters are the RFC's
    tree = Stored(data)
    assert root(7, tree.read) == node_hash(k, l)
    assert inclusion_proof(0, 7, tree.read) == [b, h, l]
    assert inclusion_proof(3, 7, tree.read) == [c, g, l]
    assert inclusion_proof(4, 7, tree.read) == [f, j, k]
    assert inclusion_proof(6, 7, tree.read) == [i, k]
    assert consistency_proof(3, 7, tree.read) == [c, d, g, l]
    assert consistency_proof(4, 7, tree.read) == [l]
    assert consistency_proof(6, 7, tree.read) == [i, j, k]


def test_every_proof_up_to_64_leaves_is_the_texts_and_holds() -> None:
    data = numbered(64)
    tree = Stored(data)
    roots = [naive_root(data[:size]) for size in range(65)]
    for size in range(1, 65):
        assert root(size, tree.read) == roots[size]
        for index in range(size):
            proof = inclusion_proof(index, size, tree.read)
            assert proof == naive_path(index, data[:size])
            verify_inclusion(index, size, leaf_hash(data[index]), proof, roots[size])
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, tree.read)
            assert proof == naive_subproof(old, data[:size])
            verify_consistency(old, size, roots[old], roots[size], proof)


@given(st.lists(st.binary(max_size=4), max_size=200), st.data())
def test_any_tree_is_the_naive_one(leaves: list[bytes], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(leaves)))
    frontier = Frontier()
    stored = frontier.extend([leaf_hash(leaf) for leaf in leaves[:split]])
    resumed = Frontier.at(split, lambda level, k: stored[position(level, k)])
    assert resumed.root() == frontier.root() == naive_root(leaves[:split])
    stored += resumed.extend([leaf_hash(leaf) for leaf in leaves[split:]])
    assert len(stored) == stored_count(len(leaves))
    assert resumed.root() == naive_root(leaves)
    tree = Stored(leaves)
    assert stored == tree.hashes
    if leaves:
        index = data.draw(st.integers(0, len(leaves) - 1))
        assert inclusion_proof(index, len(leaves), tree.read) == naive_path(index, leaves)
        assert consistency_proof(index + 1, len(leaves), tree.read) == naive_subproof(index + 1, leaves)


def test_places_of_hashes() -> None:
    assert sorted(position(level, k) for level in range(7) for k in range(64 >> level)) == list(range(stored_count(64)))
    counts = [stored_count(size) for size in range(1000)]
    for hashes in range(1000):
        assert stored_size(hashes) == max(size for size, count in enumerate(counts) if count <= hashes)


def corrupted_inclusion(index: int, size: int, leaf: bytes, proof: list[bytes], top: bytes) -> list[tuple[object, ...]]:
    wrong: list[tuple[object, ...]] = [(at, size, leaf, proof, top) for at in (index - 1, index + 1, index ^ 2)]
    wrong += [(index, other, leaf, proof, top) for other in (size * 2, size // 2, 0, -1)]
    wrong += [(index, size, other, proof, top) for other in (b"", b"short", SOME_HASH, leaf + b"\0")]
    wrong += [(index, size, leaf, proof, other) for other in (b"", EMPTY_ROOT, SOME_HASH, top[:31])]
    for extra in (b"", top, SOME_HASH):
        wrong += [(index, size, leaf, [*proof, extra], top), (index, size, leaf, [extra, *proof], top)]
    for n, one in enumerate(proof):
        flipped = bytes([one[0] ^ 8]) + one[1:]
        wrong += [(index, size, leaf, [*proof[:n], other, *proof[n + 1 :]], top) for other in (flipped, b"")]
        wrong.append((index, size, leaf, proof[:n] + proof[n + 1 :], top))
        wrong.append((index, size, leaf, [*proof[:n], SOME_HASH, *proof[n:]], top))
    return wrong


def corrupted_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]
) -> list[tuple[object, ...]]:
    wrong: list[tuple[object, ...]] = [(at, new, old_root, new_root, proof) for at in (old - 1, old + 1, old ^ 2, 0)]
    wrong += [(old, other, old_root, new_root, proof) for other in (new * 2, new // 2, 0)]
    wrong += [(old, new, other, new_root, proof) for other in (b"", b"short", SOME_HASH)]
    wrong += [(old, new, old_root, other, proof) for other in (b"", b"short", SOME_HASH)]
    for extra in (b"", old_root, new_root, SOME_HASH):
        wrong += [(old, new, old_root, new_root, [*proof, extra]), (old, new, old_root, new_root, [extra, *proof])]
    if old != new:
        wrong += [(old, new, new_root, old_root, proof), (old, new, old_root, new_root, [])]
    for n, one in enumerate(proof):
        flipped = bytes([one[0] ^ 16]) + one[1:]
        wrong.append((old, new, old_root, new_root, [*proof[:n], flipped, *proof[n + 1 :]]))
        wrong.append((old, new, old_root, new_root, proof[:n] + proof[n + 1 :]))
    return wrong


def test_no_corrupted_inclusion_proof_passes() -> None:
    data = numbered(13)
    tree = Stored(data)
    for size in range(1, 14):
        top = root(size, tree.read)
        for index in range(size):
            proof = inclusion_proof(index, size, tree.read)
            for wrong in corrupted_inclusion(index, size, leaf_hash(data[index]), proof, top):
                # A proof of leaf 0 of 6 may have the shape of one of another size; the root is not another size's.
                if wrong[:2] == (index, size) or not _same_shape(index, size, *wrong[:2]):
                    with pytest.raises(ProofError):
                        verify_inclusion(*wrong)  # type: ignore[arg-type]


def _same_shape(index: int, size: int, other_index: object, other_size: object) -> bool:
    """Whether the siblings lie on the same sides, so that only the signed size tells the two proofs apart."""
    assert isinstance(other_index, int)
    assert isinstance(other_size, int)
    if not 0 <= other_index < other_size:
        return False
    return _sides(index, size) == _sides(other_index, other_size)


def _sides(index: int, size: int) -> str:
    if size == 1:
        return ""
    k = naive_split(size)
    return _sides(index, k) + "r" if index < k else _sides(index - k, size - k) + "l"


def test_no_corrupted_consistency_proof_passes() -> None:
    tree = Stored(numbered(13))
    for new in range(1, 14):
        for old in range(1, new + 1):
            roots = root(old, tree.read), root(new, tree.read)
            proof = consistency_proof(old, new, tree.read)
            for wrong in corrupted_consistency(old, new, *roots, proof):
                with pytest.raises(ProofError):
                    verify_consistency(*wrong)  # type: ignore[arg-type]


def test_nothing_is_proved_about_an_empty_tree() -> None:
    for old, new in ((0, 0), (0, 1), (1, 0), (2, 1), (-1, 3)):
        with pytest.raises(ProofError):
            verify_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])
        with pytest.raises(ValueError, match="no proof leads"):
            consistency_proof(old, new, lambda *_: SOME_HASH)
    for index, size in ((0, 0), (1, 0), (2, 1), (-1, 4)):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, SOME_HASH, [], SOME_HASH)
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(index, size, lambda *_: SOME_HASH)


def test_proofs_read_a_node_a_level() -> None:
    size = 3_000_001
    for index in (0, 1, 2_097_151, 2_097_152, 3_000_000):
        places: list[tuple[int, int]] = []

        def read(level: int, k: int, places: list[tuple[int, int]] = places) -> bytes:
            assert (k + 1) << level <= size
            places.append((level, k))
            return SOME_HASH

        assert len(inclusion_proof(index, size, read)) <= 22
        assert len(places) <= 44
        places.clear()
        consistency_proof(index + 1, size, read)
        assert len(places) <= 44
