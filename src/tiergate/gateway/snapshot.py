"""What every request must know, in memory: credentials by key hash and verdicts by account.

Reading it costs a dictionary look-up. It is replaced as a whole, at most a second after the control database
changed; if the database cannot be read the last snapshot stays, so that a verdict never lapses by an outage.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiergate.ledger.verdicts import Verdict, VerdictStore
from tiergate.parties.registry import Credential, Registry, key_hash


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the control database. ``notices``: verdicts in force by their id."""

    pepper: bytes
    versions: tuple[int, int]
    credentials: dict[str, Credential]
    verdicts: dict[str, Verdict]
    notices: dict[str, Verdict]

    def credential(self, key: str | None) -> Credential | None:
        """The credential behind a presented key.

        The look-up is by a hash of the whole key, so its time says nothing about how much of a guess was right.
        """
        hashed = key_hash(key, self.pepper) if key else None
        return self.credentials.get(hashed) if hashed else None

    def verdict(self, account_id: str, now_us: int) -> Verdict | None:
        """The verdict in force for an account; expiry is checked here, between refreshes too."""
        verdict = self.verdicts.get(account_id)
        if verdict is not None and verdict.expires_at is not None and verdict.expires_at <= now_us:
            return None
        return verdict


def load(registry: Registry, store: VerdictStore, now_us: int, current: Snapshot | None) -> Snapshot:
    """The present state, or ``current`` when nothing changed since."""
    versions = (registry.version(), store.version())
    if current is not None and current.versions == versions:
        return current
    verdicts = store.in_force(now_us)
    notices = {verdict.verdict_id: verdict for verdict in verdicts.values()}
    return Snapshot(registry.pepper, versions, registry.credentials(), verdicts, notices)
