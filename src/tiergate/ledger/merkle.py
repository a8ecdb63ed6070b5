"""A Merkle tree over a log: hashes, roots, proofs and how they are checked (RFC 6962 section 2, RFC 9162 section 2).

All hashes are SHA-256, 32 bytes. A *node* is ``(level, k)``: the root of the complete subtree over leaves
``k * 2**level`` up to ``(k + 1) * 2**level``. Complete subtrees never change, so a log stores each once, in the order
in which they become complete: a leaf, then every node that it completes. That makes one file to which an append adds
two hashes on average, and in which each node has a place that arithmetic gives (`position`). Whatever is not a complete
subtree, such as the root, is made of at most one node a level.

Functions that need stored nodes take ``read``, which gives the hash at a node.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

from tiergate.errors import ProofError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962 section 2.1)."""

Read = Callable[[int, int], bytes]


def leaf_hash(record: bytes) -> bytes:
    """Hash of a record as a leaf; the prefix keeps leaves and nodes apart (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def position(level: int, k: int) -> int:
    """Place of a node among the stored hashes, counted from 0."""
    last_leaf = ((k + 1) << level) - 1
    return stored_count(last_leaf) + level


def stored_count(size: int) -> int:
    """Number of hashes that are stored for ``size`` leaves: sum of size // 2**i over all i."""
    return 2 * size - size.bit_count()


def stored_size(hashes: int) -> int:
    """The most leaves whose hashes are all among the first ``hashes`` stored ones."""
    size = (hashes + 64) // 2
    while stored_count(size) > hashes:
        size -= 1
    return size


class Frontier:
    """The right edge of a tree: all that is needed to append and to know the root.

    ``size`` is the number of leaves. Holds one hash for each bit set in it.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    @classmethod
    def at(cls, size: int, read: Read) -> Frontier:
        """The frontier of a stored tree."""
        return cls(size, [read(level, k) for level, k in _cover(0, size)])

    def copy(self) -> Frontier:
        return Frontier(self.size, self._peaks)

    def extend(self, leaves: Sequence[bytes]) -> list[bytes]:
        """Append leaf hashes; returns the hashes to store after those that are. Amortised O(1) a leaf."""
        stored: list[bytes] = []
        store, peaks, size = stored.append, self._peaks, self.size
        for leaf in leaves:
            node, complete = leaf, size
            store(node)
            while complete & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                store(node)
                complete >>= 1
            peaks.append(node)
            size += 1
        self.size = size
        return stored

    def root(self) -> bytes:
        return _joined(self._peaks)


def root(size: int, read: Read) -> bytes:
    """Root of the first ``size`` leaves of a stored tree. O(log n)."""
    return _range_root(0, size, read)


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1: the siblings from the leaf up. O(log n).

    Raises `ValueError` unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    proof = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_root(middle, end, read))
            end = middle
        else:
            proof.append(_range_root(start, middle, read))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: Read) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2, empty when the sizes are equal. O(log n).

    Raises `ValueError` unless 0 < old <= new: nothing can be proved from an empty tree.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof leads from a tree of {old} to one of {new}")
    start, end = 0, new
    proof = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_root(middle, end, read))
            end = middle
        else:
            proof.append(_range_root(start, middle, read))
            start = middle
    # The old tree's own root is known to whoever asks; a smaller subtree is not.
    if start:
        proof.append(_range_root(start, end, read))
    return proof[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Check that ``leaf`` is leaf ``index`` of the tree (RFC 9162 section 2.1.3.2). Raises `ProofError`."""
    _check_hashes((leaf, expected_root, *proof))
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} has no leaf {index}")
    at, last, node = index, size - 1, leaf
    for sibling in proof:
        if not last:
            raise ProofError(f"the inclusion proof has {len(proof)} hashes, more than a tree of {size} is high")
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            at, last = _to_left_child(at, last)
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError(f"the inclusion proof has {len(proof)} hashes, too few for leaf {index} of {size}")
    if not hmac.compare_digest(node, expected_root):
        raise ProofError("the inclusion proof does not lead to the root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the old tree is a beginning of the new one (RFC 9162 section 2.1.4.2). Raises `ProofError`.

    A tree without leaves is a beginning of every tree, which is why a proof from size 0 says nothing and is refused.
    """
    _check_hashes((old_root, new_root, *proof))
    if not 0 < old <= new:
        raise ProofError(f"no proof leads from a tree of {old} to one of {new}")
    if old == new:
        if proof:
            raise ProofError("two trees of one size need no proof, and one was given")
        if not hmac.compare_digest(old_root, new_root):
            raise ProofError(f"two different trees of {old} leaves")
        return
    # The old root is the first hash where it is a node of the new tree: then the proof leaves it out.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not proof:
        raise ProofError(f"the consistency proof from {old} to {new} is empty")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if not last:
            raise ProofError(f"the consistency proof has {len(proof)} hashes, too many from {old} to {new}")
        if at & 1 or at == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            at, last = _to_left_child(at, last)
        else:
            new_node = node_hash(new_node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError(f"the consistency proof has {len(proof)} hashes, too few from {old} to {new}")
    # Both are compared whatever the first says, so that the time taken tells nothing.
    same_old, same_new = hmac.compare_digest(old_node, old_root), hmac.compare_digest(new_node, new_root)
    if not same_old & same_new:
        which = "old" if not same_old else "new"
        raise ProofError(f"the consistency proof does not lead to the {which} root: the log was rewritten or forked")


def _to_left_child(at: int, last: int) -> tuple[int, int]:
    """Skip the levels at which a node on the right edge has no sibling and is its own parent."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for one in hashes:
        if len(one) != HASH_BYTES:
            raise ProofError(f"a hash has {HASH_BYTES} bytes, not {len(one)}")


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _cover(start: int, end: int) -> list[tuple[int, int]]:
    """Nodes that cover leaves ``start`` to ``end``, from the left; ``start`` is a multiple of the largest."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _range_root(start: int, end: int, read: Read) -> bytes:
    return _joined([read(level, k) for level, k in _cover(start, end)])


def _joined(peaks: Sequence[bytes]) -> bytes:
    """Root over complete subtrees that shrink to the right."""
    if not peaks:
        return EMPTY_ROOT
    joined = peaks[-1]
    for peak in reversed(peaks[:-1]):
        joined = node_hash(peak, joined)
    return joined
