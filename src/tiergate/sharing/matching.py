"""Which own accounts have what a finding tells of, and by how much that is worth acting on.

Tokens are compared under the epochs whose keys we hold; networks by their number. What more than `COMMON` accounts and
a hundredth of all have is common infrastructure and matches nobody: a popular library tells of no campaign. An account
is **touched** where it agrees in a place and a tool; either alone is shown, and no more. So is one that is itself told
of: whoever has the epoch's key can make that token of any account of ours whose id it knows or guesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import pyarrow as pa

from tiergate.sharing.finding import ACCOUNT, HMAC, Finding, Lab, keyed_token
from tiergate.sharing.telling import Pairs

PLACE: Final = "client_asn"
TOOLS: Final = ("tls_fingerprint", "user_agent")
COLUMNS: Final = (PLACE, *TOOLS)
COMMON: Final = 16
COMMON_SHARE: Final = 0.01


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An account that has something of a finding: what, ``by`` name in order; whether that ``touches`` it."""

    account_id: str
    by: tuple[str, ...]
    touches: bool


class Own:
    """What own accounts have, read once for any number of findings."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        """``batches``: exchanges with ``account_id`` and `COLUMNS`."""
        pairs = {name: Pairs() for name in COLUMNS}
        self.accounts: set[str] = set()
        for batch in batches:
            self.accounts.update(batch.column("account_id").unique().to_pylist())
            for name in COLUMNS:
                pairs[name].add(batch.column("account_id"), batch.column(name))
        most = max(COMMON, int(COMMON_SHARE * len(self.accounts)))
        self._holders = {name: _uncommon(held.distinct(), most) for name, held in pairs.items()}
        self._by_token: dict[tuple[str, bytes, Lab], dict[str, tuple[str, set[str]]]] = {}

    def matches(self, finding: Finding, keys: Mapping[str, bytes], lab: Lab) -> list[Match]:
        """Accounts that have something of a finding, by their id.

        :param keys: of epochs, by their names. :param lab: ours, since an account's token is its lab's alone.
        """
        found: dict[str, set[str]] = {}
        for number in finding.networks:
            for account in self._holders[PLACE].get(number, ()):
                found.setdefault(account, set()).add(PLACE)
        for token in finding.tokens:
            key = keys.get(token.epoch)
            if token.scheme == HMAC and key is not None:
                kind, accounts = self._tokens(token.epoch, key, lab).get(token.value, ("", set()))
                for account in accounts if kind == token.kind else ():
                    found.setdefault(account, set()).add(kind)
        return [
            Match(account_id=account, by=tuple(sorted(by)), touches=_touches(by))
            for account, by in sorted(found.items())
        ]

    def _tokens(self, epoch: str, key: bytes, lab: Lab) -> dict[str, tuple[str, set[str]]]:
        """Kind and accounts of each token of ours under a key."""
        named = (epoch, key, lab)
        if named not in self._by_token:
            made = {keyed_token(key, epoch, ACCOUNT, one, lab=lab).value: (ACCOUNT, {one}) for one in self.accounts}
            for kind in TOOLS:
                for value, accounts in self._holders[kind].items():
                    made[keyed_token(key, epoch, kind, str(value)).value] = (kind, accounts)
            self._by_token[named] = made
        return self._by_token[named]


def _touches(by: set[str]) -> bool:
    return PLACE in by and not by.isdisjoint(TOOLS)


def _uncommon(pairs: pa.Table | None, most: int) -> dict[str | int, set[str]]:
    held: dict[str | int, set[str]] = {}
    if pairs is not None:
        for account, value in zip(pairs["account"].to_pylist(), pairs["value"].to_pylist(), strict=True):
            if value not in ("", 0):
                held.setdefault(value, set()).add(account)
    return {value: accounts for value, accounts in held.items() if len(accounts) <= most}
