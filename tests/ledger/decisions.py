"""Decisions, keys and logs for tests of the decision log."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from tiergate.ledger.checkpoints import Witness
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_records import Decided
from tiergate.ledger.notes import COSIGNATURE_V1, ED25519, PrivateKey

ORIGIN = "example.com/decisions"
LOG_KEY = PrivateKey(ORIGIN, ED25519, bytes(range(32)))
NOW_US = 1_790_000_000_000_000


def decided(n: int, **fields: Any) -> Decided:
    """The ``n``-th decision, about one of seven people."""
    digest = sha256(b"%d" % n).hexdigest()
    given: dict[str, Any] = {
        "time_us": NOW_US + n,
        "request": digest,
        "inputs": digest[::-1],
        "policy": "classified/4",
        "packs": {"ofac": "2026-11-10", "bis-affiliates": "3"},
        "epoch": 17,
        "reasons": ["owner_listed", "purpose_missing"][: n % 3],
        "outcome": ("ALLOW", "DENY", "REVIEW")[n % 3],
        "personal": {"person": f"person-{n % 7}@example.com", "organisation": f"org-{n % 3}"},
    }
    return Decided(**(given | fields))


def made_log(folder: Path, records: int, *, signed: bool = True) -> None:
    """A closed log of ``records`` decisions, signed at its end."""
    log = DecisionLog.open(folder, origin=ORIGIN)
    log.append([decided(n) for n in range(records)])
    if signed:
        log.sign(LOG_KEY, NOW_US)
    log.close()


def witness_key(name: str) -> PrivateKey:
    return PrivateKey(name, COSIGNATURE_V1, sha256(name.encode()).digest())


def made_witness(folder: Path, name: str = "member.example/w") -> Witness:
    return Witness(witness_key(name), [LOG_KEY.public], folder / f"{name.replace('/', '-')}.json")
