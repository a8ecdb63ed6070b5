"""What one lab tells others of a distillation case: the least that lets them look for it themselves.

There is no field for a price, a customer, revenue or plans, and none in which they could be written. Volumes are
powers of two. What stands for an account or a client is a token: a keyed hash that only those who share the epoch's
key can compare.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import uuid
from typing import Annotated, Final

import msgspec

from tiergate.errors import InputError
from tiergate.sharing.marking import Tlp

NAMESPACE: Final = uuid.UUID("7a0d284e-4def-418f-9547-250a8e15332f")
"""Of the UUIDs (version 5, RFC 9562) that we make of names."""
MOST_TOKENS: Final = 1_024
MOST_NETWORKS: Final = 32
HMAC: Final = "hmac-sha256"
VOPRF: Final = "voprf-ristretto255-sha512"
SCHEMES: Final = (HMAC, VOPRF)
"""Ways to make a token: under a key that peers share, or by the key server of RFC 9497, which no peer can ask without
limit."""
ACCOUNT: Final = "account"
HMAC_KINDS: Final = frozenset({ACCOUNT, "tls_fingerprint", "user_agent", "template"})
"""What may be hashed under a key that peers share. E-mail and network addresses, telephone numbers and cards are so few
that each peer could try them all: they need the key server."""


class Capability(enum.StrEnum):
    """What a campaign is after, by the names of `ledger.intents`."""

    CHAIN_OF_THOUGHT = "chain_of_thought"
    RUBRIC_GRADING = "rubric_grading"
    TASK_GENERATION = "task_generation"
    TOOL_USE = "tool_use"
    AGENTIC_CODING = "agentic_coding"


class Technique(enum.StrEnum):
    """What a campaign does, by MITRE ATLAS 5.6.0 (Apache-2.0)."""

    EXTRACT_AI_MODEL = "AML.T0024.002"
    AI_SERVICE_PROXIES = "AML.T0008.005"
    AI_MODEL_INFERENCE_API_ACCESS = "AML.T0040"
    ESTABLISH_ACCOUNTS = "AML.T0021"
    VALID_ACCOUNTS = "AML.T0012"


Bucket = Annotated[int, msgspec.Meta(ge=0, le=40)]
"""A volume as a power of two: b for 2**(b-1) and more, and less than 2**b; 0 for none."""


def bucket(count: int) -> int:
    """The bucket of a count. Raises `ValueError` below 0."""
    if count < 0:
        raise ValueError(f"a count is 0 at least, not {count}")
    return count.bit_length()


def least(held: int) -> int:
    """The smallest count of a bucket."""
    return 1 << held - 1 if held else 0


class Lab(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who tells it. ``lab_id``: a UUID; ``name``: the lab's domain."""

    lab_id: str
    name: str

    @classmethod
    def named(cls, domain: str) -> Lab:
        """The lab with that domain; its id follows from it. Raises `InputError` when it is none."""
        name = domain.lower()
        if len(name) > 253 or not _DOMAIN.fullmatch(name):
            raise InputError(f"`{domain}` is no domain: name the lab as `lab.example`")
        return cls(lab_id=str(uuid.uuid5(NAMESPACE, f"lab {name}")), name=name)


class Token(msgspec.Struct, frozen=True, kw_only=True, order=True, forbid_unknown_fields=True):
    """A keyed hash: ``value``, 32 to 128 hexadecimal digits, of something of a ``kind`` under an ``epoch``'s key.

    Raises `InputError` when it is none, or its kind needs another scheme.
    """

    scheme: str
    epoch: str
    kind: str
    value: str

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(f"`{self.scheme}` is no way to make a token: it is one of {', '.join(SCHEMES)}")
        if not _WRITTEN.fullmatch(str(self)):
            raise InputError(f"`{self}` is no token: expected scheme:epoch:kind:hexadecimal digits")
        if self.scheme == HMAC and self.kind not in HMAC_KINDS:
            raise InputError(f"a `{self.kind}` is too easily guessed for {HMAC}: make its token by {VOPRF}")

    def __str__(self) -> str:
        return f"{self.scheme}:{self.epoch}:{self.kind}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """The token that is written so. Raises `InputError`."""
        parts = text.split(":")
        if len(parts) != 4:
            raise InputError(f"`{text}` is no token: expected scheme:epoch:kind:hexadecimal digits")
        return cls(**dict(zip(cls.__struct_fields__, parts, strict=True)))


def keyed_token(key: bytes, epoch: str, kind: str, value: str, *, lab: Lab | None = None) -> Token:
    """The token of a value under an epoch's key, by HMAC-SHA256. An account's is its ``lab``'s alone: give that too.

    Raises `InputError` when that kind may not be hashed so.
    """
    said = "\0".join([kind, lab.lab_id if lab else "", value])
    digest = hmac.new(key, said.encode(), hashlib.sha256).hexdigest()
    return Token(scheme=HMAC, epoch=epoch, kind=kind, value=digest)


def finding_id(lab: Lab, name: str) -> str:
    """Id of what a lab calls ``name``: a UUID of version 5, its last 12 digits a hash of the lab and of the rest. So no
    lab can tell a finding under an id of another's."""
    return _owned(lab.lab_id, str(uuid.uuid5(uuid.UUID(lab.lab_id), name)))


def is_finding_of(lab_id: str, finding_id: str) -> bool:
    """Whether an id is one that this lab gives."""
    return finding_id == _owned(lab_id, finding_id)


def _owned(lab_id: str, finding_id: str) -> str:
    start = finding_id[:-_OWNER_DIGITS]
    return start + hashlib.sha256(f"{lab_id} {start}".encode()).hexdigest()[:_OWNER_DIGITS]


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A distillation case, told to peers. Times are microseconds, UTC, in whole milliseconds.

    ``finding_id``: as the function of that name makes it; ``created_us``: when it was first told; ``modified_us``: when
    this version was; ``confidence``: in percent; ``networks``: numbers of autonomous systems that the campaign came
    through and that hardly anybody else uses; ``tokens``: of its accounts and of what its clients are, in order;
    ``revoked``: it was a mistake.
    """

    finding_id: str
    lab: Lab
    created_us: int
    modified_us: int
    first_seen_us: int
    last_seen_us: int
    confidence: Annotated[int, msgspec.Meta(ge=0, le=100)]
    accounts: Bucket
    exchanges: Bucket
    capabilities: tuple[Capability, ...] = ()
    techniques: tuple[Technique, ...] = (Technique.EXTRACT_AI_MODEL, Technique.AI_MODEL_INFERENCE_API_ACCESS)
    networks: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    revoked: bool = False
    tlp: Tlp = Tlp.AMBER_STRICT

    @property
    def content(self) -> str:
        """SHA-256, in hexadecimal, of all by which accounts are matched: networks, then tokens, in order, a line each.
        Who agrees agrees with that: what is told later under the same id, or told to others, is not agreed with. Before
        them comes when it was first told, to the millisecond: who has the finding knows it, and others can hardly guess
        networks by the hash."""
        lines = [str(self.created_us // 1_000), *map(str, sorted(self.networks)), *sorted(map(str, self.tokens))]
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


class View(enum.StrEnum):
    """How far a lab agrees with a finding (opinion-enum of STIX 2.1)."""

    STRONGLY_DISAGREE = "strongly-disagree"
    DISAGREE = "disagree"
    NEUTRAL = "neutral"
    AGREE = "agree"
    STRONGLY_AGREE = "strongly-agree"


class Opinion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a lab thinks of a finding, ``about``, after its own review of its ``content``."""

    opinion_id: str
    about: str
    content: str
    lab: Lab
    created_us: int
    modified_us: int
    view: View
    revoked: bool = False
    tlp: Tlp = Tlp.AMBER_STRICT


class Sighting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lab met a finding, ``about``, by its ``content``, in its own traffic: ``accounts`` of its own, as a bucket."""

    sighting_id: str
    about: str
    content: str
    lab: Lab
    created_us: int
    modified_us: int
    first_seen_us: int
    last_seen_us: int
    accounts: Annotated[int, msgspec.Meta(ge=1, le=30)]
    revoked: bool = False
    tlp: Tlp = Tlp.AMBER_STRICT


Told = Finding | Sighting | Opinion
"""What labs tell each other."""

_OWNER_DIGITS: Final = 12
_DOMAIN: Final = re.compile(
    r"(?=.*\.)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+", re.ASCII
)
_WRITTEN: Final = re.compile(r"[a-z0-9-]{1,32}:[0-9A-Za-z.-]{1,32}:[a-z_]{1,32}:[0-9a-f]{32,128}", re.ASCII)
