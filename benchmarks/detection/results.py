"""What is measured, and how it is kept: one small JSON file a measurement, there whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

ACTING: Final = ("verify", "limit", "suspend")
"""Actions above `watch`, mildest first: a case with one of them asks somebody to do something to its accounts."""


class Share(msgspec.Struct, frozen=True):
    """``part`` of ``of``; a share of nothing has no value."""

    part: int
    of: int

    @property
    def value(self) -> float:
        return self.part / self.of if self.of else float("nan")

    def __add__(self, other: Share) -> Share:
        return Share(self.part + other.part, self.of + other.of)


class Usage(msgspec.Struct, frozen=True):
    """Of one child process and all it waited for: seconds by the clock, seconds of CPU, and the resident memory (MiB)
    of the largest single process at its peak."""

    wall_s: float
    cpu_s: float
    peak_mib: int


UNTIMED: Final = Usage(0, 0, 0)
"""What a child cannot say about itself; its parent fills it in."""


class Recall(msgspec.Struct, frozen=True):
    """Campaign accounts found at a false-positive rate. ``allowed``: innocent accounts that the rate lets through in
    this world, rounded down; ``innocents``: accounts that were let through, fewer where scores are tied."""

    rate: float
    allowed: int
    innocents: int
    found: Share


class CaseOutcome(msgspec.Struct, frozen=True):
    """A case against the truth; ``campaign`` of its ``accounts`` are the campaign's, ``innocent`` are nobody's."""

    confidence: float
    q_value: float
    action: str
    accounts: int
    campaign: int
    innocent: int

    @property
    def right(self) -> bool:
        """Whether most of its accounts are a campaign's; half is not most."""
        return 2 * self.campaign > self.accounts


class Charged(msgspec.Struct, frozen=True):
    """Justice by exchange: of the charged those that are not the campaign's, of the campaign's those charged."""

    wrongly: Share
    rightly: Share


class WorldFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A world in numbers; times are microseconds since the epoch, None where there is no campaign or second pool."""

    exchanges: int
    accounts: int
    campaign_accounts: int
    campaign_exchanges: int
    populations: dict[str, int]
    campaign_first_us: int | None
    campaign_last_us: int | None
    second_pool_us: int | None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One detector on one world. ``code``: fingerprint of the detector's sources; ``roc``: false accounts, found."""

    detector: str
    code: str
    usage: Usage
    recall: list[Recall]
    roc: list[tuple[int, int]]
    false_by_population: dict[str, Share]
    false_by_language: dict[str, Share]
    cases: list[CaseOutcome] = []
    recall_by_action: dict[str, Share] = {}
    charged: dict[str, Charged] = {}


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One detection on the log as it was ``hours`` after the campaign's first exchange, when it had ``sent`` so many.

    ``opened``, ``acting``: campaign accounts seen so far that were in a case, in a case above `watch`, that held mostly
    campaign accounts; ``relinked``: second-pool accounts seen so far that were tied to the first pool's, None before
    there are any.
    """

    hours: float
    sent: int
    opened: Share
    acting: Share
    relinked: Share | None
    usage: Usage


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign got before it was found. ``looks`` by time; ``relinking``: the looks at so many hours after the
    second pool's first exchange; ``published_days``: how long the campaign ran as published, here often cut short."""

    code: str
    campaign_exchanges: int
    span_hours: float
    published_days: float
    looks: list[Look]
    relinking: dict[str, Look]


class WorldResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one world."""

    scenario: str
    seed: int
    facts: WorldFacts
    measurements: dict[str, Measurement]
    leak: Leak | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """`results.json`: what was asked for and everything measured. ``decoys``: None for the detector's own choice."""

    split: str
    accounts: int
    decoys: int | None
    worlds: list[WorldResult]


def kept(path: Path, kind: type[T], measure: Callable[[], T]) -> T:
    """What ``path`` holds; where it holds nothing of ``kind``, ``measure`` it and keep it there."""
    known = load(path, kind)
    if known is not None:
        return known
    made = measure()
    save(path, made)
    return made


def load(path: Path, kind: type[T]) -> T | None:
    """The measurement in ``path``; None if there is none, or one of an older form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save(path: Path, value: object) -> None:
    """Write under a temporary name and rename, so that a stop leaves no half of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    half.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
    half.replace(path)


def fingerprint(folder: Path) -> str:
    """BLAKE2b of a folder's Python sources, 64 bits: tells whether two figures come from the same code."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
