"""Other customers under other names, so that detection gives the same answer and nobody learns who they are.

Detection compares and orders, and reads next to nothing else of an identifier:

| column | what detection needs | what takes its place |
| --- | --- | --- |
| account ids | equality and order | the case's stay; any other is `<the id of the case before it> other 000000012` |
| addresses | equality, and which are of one /24 or /48 | blocks numbered, hosts hashed |
| autonomous systems | equality and order | their rank |
| tool names | equality of the list | one hash of all |
| models | equality | a hash, unless an account of the case asked for it |
| organisations, end users, contacts, payments, clients | equality, and whether empty | a hash |

Hashes are BLAKE2b under a key that is drawn for one bundle and thrown away: they cannot be undone by trying values, and
two bundles cannot be joined by them.
"""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.addresses import block_of
from tiergate.errors import InputError

HASHED: Final = (
    "organization_id",
    "end_user_id",
    "user_agent",
    "tls_fingerprint",
    "email_domain",
    "email_hash",
    "phone_hash",
    "payment_hash",
    "signup_address",
    "signup_user_agent",
    "signup_tls_fingerprint",
)


class Renaming:
    """Names for one bundle. ``accounts``: all account ids; ``kept``: those of the case; ``networks``: all autonomous
    systems; ``models``: those whose names stay. Raises `InputError` when account ids cannot be renamed in order."""

    def __init__(
        self, accounts: Iterable[str], kept: Iterable[str], networks: Iterable[int], models: Iterable[str]
    ) -> None:
        self._key = secrets.token_bytes(32)
        self._blocks: dict[str, int] = {}
        self._models = frozenset(models)
        ids = sorted(set(accounts))
        given = renamed(ids, set(kept))
        self._ids = pa.array(ids, pa.string())
        self._given = pa.array(given, pa.string())
        self._networks = pa.array(sorted(set(networks)), pa.int64())

    def accounts(self, column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        return self._given.take(pc.index_in(column, value_set=self._ids))

    def rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Exchanges of `ROWS_SCHEMA`."""
        columns = {name: self._column(name, batch.column(name)) for name in batch.schema.names}
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)

    def table(self, table: pa.Table) -> pa.Table:
        """Accounts, or members of earlier looks."""
        whole = table.combine_chunks()
        columns = [
            self._column(name, whole[name].combine_chunks()) if len(whole) else whole[name]
            for name in whole.schema.names
        ]
        return pa.table(columns, schema=table.schema)

    def _column(self, name: str, column: pa.Array) -> pa.Array:
        if name == "account_id":
            return self.accounts(column)
        if name == "client_address":
            return _mapped(column, self._address)
        if name == "client_asn":
            return pc.index_in(column, value_set=self._networks).cast(pa.int64())
        if name == "request_model":
            return _mapped(column, lambda model: model if model in self._models else self._hashed(model))
        if name == "tool_names":
            joined = _mapped(pc.binary_join(column, ","), self._hashed)
            tools = [None if one is None else [one] for one in joined.dictionary_encode().dictionary.to_pylist()]
            return pa.array(tools, column.type).take(joined.dictionary_encode().indices)
        return _mapped(column, self._hashed) if name in HASHED else column

    def _hashed(self, value: str) -> str:
        # Empty means that nothing was given, and detection treats it so.
        return hashlib.blake2b(value.encode(), key=self._key, digest_size=12).hexdigest() if value else ""

    def _address(self, address: str) -> str:
        block = block_of(address)
        if block is None:
            return self._hashed(address)
        number = self._blocks.setdefault(block, len(self._blocks))
        host = self._hashed(address)[:20]
        parts = [0x2000 | number >> 32, number >> 16 & 0xFFFF, number & 0xFFFF]
        return ":".join([*(f"{part:x}" for part in parts), *(host[at : at + 4] for at in range(0, 20, 4))])


def renamed(ids: list[str], kept: set[str]) -> list[str]:
    """A name for each of ``ids`` (ascending), in the same order; those ``kept`` keep theirs."""
    stays = sorted(kept)
    given = []
    for number, one in enumerate(ids):
        before = bisect_right(stays, one)
        given.append(one if one in kept else f"{stays[before - 1] if before else ''} other {number:09d}")
    if any(one >= other for one, other in pairwise(given)):
        raise InputError("account ids of this platform cannot be renamed in order: one of the case's continues another")
    return given


def _mapped(column: pa.Array, name: Callable[[str], str]) -> pa.Array:
    encoded = column.dictionary_encode()
    values = pa.array([name(one) for one in encoded.dictionary.to_pylist()], pa.string())
    return values.take(encoded.indices) if len(values) else column
