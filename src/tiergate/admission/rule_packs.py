"""Rule packs: one rule a file, as parameters with sources, read from TOML and checked.

A file is one version of one pack and is called after it: `ofac_50.toml`, a later version `ofac_50.v2.toml`. The
package brings its own in `packs/`; an operator keeps others, or later versions, in a folder beside them. A pack that
is in force by its own text binds nobody until it is activated (`tiergate.admission.activations`).
"""

from __future__ import annotations

import enum
import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
import rfc8785

from tiergate.admission.known_facts import TIER_RANK
from tiergate.errors import InputError
from tiergate.parties.ownership import WHOLE, Counts, OwnershipTest, Remainder

ANY: Final = "*"
_ID: Final = re.compile(r"[a-z][a-z0-9_]{1,62}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that a file has and the pack has not is an error: most often a misspelt one, which would bar nobody."""


class Standing(enum.StrEnum):
    """What a rule's own text says of a day. `UNCONFIRMED`: the text says in force, and nobody has confirmed it."""

    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    UNCONFIRMED = "unconfirmed"
    OUT = "out"  # before it began, after it ended, or between two periods


class Period(_Part, frozen=True, kw_only=True):
    """Whole days, ``valid_to`` included; None is open."""

    status: Literal["in_force", "suspended", "unconfirmed"]
    valid_from: date
    valid_to: date | None = None
    note: str = ""


class Source(_Part, frozen=True, kw_only=True):
    """Where values are from. ``read``: when they were last compared with it, None for those from memory;
    ``licence``: of the values, `fact` where a single fact carries none; ``covers``: which values it is about."""

    title: str
    url: str
    read: date | None = None
    licence: str
    covers: str


class AppliesTo(_Part, frozen=True, kw_only=True):
    """Tiers and models that the pack gates, `*` for all. Both have to match."""

    tiers: tuple[str, ...]
    models: tuple[str, ...]

    def meets(self, other: AppliesTo) -> bool:
        """Whether a model in a tier could fall under both."""
        pairs = ((self.tiers, other.tiers), (self.models, other.models))
        return all(ANY in (*mine, *theirs) or set(mine) & set(theirs) for mine, theirs in pairs)


class Seeds(_Part, frozen=True, kw_only=True):
    """Whom a rule of ownership starts from.

    ``lists``: names under which lists were imported, all pooled. ``headquarters``: countries whose companies are
    seeds, ISO 3166-1 alpha-2, or subdivisions of a country that is clear otherwise. Companies in neither of them
    nor in ``headquarters_clear``, and those whose headquarters nobody recorded, may be seeds: what depends on them
    is not known.
    """

    lists: tuple[str, ...] = ()
    headquarters: tuple[str, ...] = ()
    headquarters_clear: tuple[str, ...] = ()


class TestParameters(_Part, frozen=True, kw_only=True):
    """Parameters of `tiergate.parties.ownership.OwnershipTest`, and what a pack adds to it.

    ``only_outside``: entities incorporated in these countries alone are not covered unless they are listed
    themselves. ``integrated_review``: where shares multiplied along chains meet the threshold, NO becomes not known.
    ``most_restrictive_owner`` and ``minority_is_red_flag`` add notes and change no verdict.
    """

    __test__ = False  # the name means a test of ownership

    threshold_ppm: int
    operator: Literal[">=", ">"]
    aggregate: bool
    counts: Literal["economic", "votes", "either"]
    control: bool
    equal_presumes_control: bool = False
    remainder: Literal["ignored", "stated", "every"]
    integrated_review: bool = False
    only_outside: tuple[str, ...] = ()
    most_restrictive_owner: bool = False
    minority_is_red_flag: bool = False

    def test(self) -> OwnershipTest:
        """The test that these are parameters of."""
        return OwnershipTest(
            self.threshold_ppm,
            at_least=self.operator == ">=",
            aggregate=self.aggregate,
            counts=Counts[self.counts.upper()],
            control=self.control,
            equal_presumes_control=self.equal_presumes_control,
            remainder=Remainder(self.remainder),
        )


class PersonRule(_Part, frozen=True, kw_only=True):
    """What an issuer has to look at before it signs a class. Tiergate itself never learns a nationality.

    ``looks_at``: the most recent citizenship or permanent residency, every nationality held or ever held, or whether
    there is any but the country's own. ``attests``: the sentence that `eligible` stands for. ``longest_days``: how
    long a statement may hold.
    """

    looks_at: Literal["most_recent", "ever_held", "any_foreign"]
    exempt: tuple[str, ...]
    attests: str
    longest_days: int


class RulePack(_Part, frozen=True, kw_only=True):
    """One version of one rule. ``unknown``: what follows where the answer is not known. ``undecided``: questions that
    the rule or its sources leave open, and how the pack takes them until somebody decides."""

    id: str
    version: int
    kind: Literal["ownership", "person"]
    title: str
    unknown: Literal["deny", "review"]
    customer_text: str
    appeal_text: str
    applies_to: AppliesTo
    periods: tuple[Period, ...]
    sources: tuple[Source, ...]
    undecided: tuple[str, ...] = ()
    seeds: Seeds | None = None
    test: TestParameters | None = None
    person: PersonRule | None = None

    @property
    def name(self) -> str:
        """Id and version, as people write them: `ofac_50@1`."""
        return f"{self.id}@{self.version}"

    def fingerprint(self) -> str:
        """SHA-256 of everything the pack says, in hexadecimal (canonical JSON, RFC 8785)."""
        return hashlib.sha256(rfc8785.dumps(msgspec.to_builtins(self))).hexdigest()


class _Readable(Protocol):
    @property
    def name(self) -> str: ...

    def read_text(self, encoding: str) -> str: ...


def standing(pack: RulePack, day: date) -> Standing:
    """What the pack's own text says of ``day``."""
    for period in pack.periods:
        if period.valid_from <= day and (period.valid_to is None or day <= period.valid_to):
            return Standing(period.status)
    return Standing.OUT


def in_force(pack: RulePack, day: date) -> bool:
    """Whether the pack is in force on ``day`` by its own text, and confirmed to be."""
    return standing(pack, day) is Standing.IN_FORCE


def parse_pack(text: str, name: str) -> RulePack:
    """Pack of a file's ``text``. Raises InputError that says which key of file ``name`` is wrong, and how."""
    try:
        pack = msgspec.convert(tomllib.loads(text), RulePack)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"rule pack `{name}` is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        # A fault at the top level has no path: its message names the field.
        at = f"key {where.replace('$.', '')}: " if where else ""
        raise InputError(f"rule pack `{name}`: {at}{what[:1].lower()}{what[1:]}") from error
    fault = _fault(pack)
    if fault is not None:
        raise InputError(f"rule pack `{name}`: key `{fault[0]}` {fault[1]}")
    if name not in (f"{pack.id}.toml", f"{pack.id}.v{pack.version}.toml"):
        raise InputError(f"rule pack `{name}`: key `id` is `{pack.id}`; call the file `{pack.id}.v{pack.version}.toml`")
    return pack


def load_packs(folder: Path | None = None) -> dict[tuple[str, int], RulePack]:
    """All packs by id and version, in that order: the package's own and those of ``folder``.

    Raises InputError for a file that is wrong, and for a version that two files claim.
    """
    packs = dict(_bundled())
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"`{folder}` is no folder of rule packs")
        for pack, name in _read(folder.iterdir()):
            if (pack.id, pack.version) in packs:
                raise InputError(f"rule pack `{name}`: `{pack.name}` is there already; give it another `version`")
            packs[pack.id, pack.version] = pack
    return dict(sorted(packs.items()))


@cache
def _bundled() -> dict[tuple[str, int], RulePack]:
    """The package's own, read once."""
    own = files("tiergate.admission").joinpath("packs").iterdir()
    return {(pack.id, pack.version): pack for pack, _ in _read(own)}


def _read(found: Iterable[_Readable]) -> Iterator[tuple[RulePack, str]]:
    for file in found:
        if file.name.casefold().endswith(".toml"):
            yield parse_pack(file.read_text(encoding="utf-8"), file.name), file.name


def find_pack(packs: dict[tuple[str, int], RulePack], name: str) -> RulePack:
    """Pack called ``name``, `ofac_50` (its latest version) or `ofac_50@1`. Raises InputError when there is none."""
    wanted, _, version = name.partition("@")
    fitting = [pack for (one, number), pack in packs.items() if one == wanted and version in ("", str(number))]
    if not fitting:
        raise InputError(f"no rule pack is called `{name}`: see `tiergate packs list`")
    return fitting[-1]


def _fault(pack: RulePack) -> tuple[str, str] | None:
    """Key and reason of the first thing that is wrong beyond types."""
    texts = ("title", "customer_text", "appeal_text")
    checks: Iterable[tuple[str, bool, str]] = [
        ("id", not _ID.fullmatch(pack.id), "takes small letters, digits and `_`, a letter first"),
        ("version", pack.version < 1, "counts from 1"),
        *((key, not getattr(pack, key).strip(), "is empty") for key in texts),
        ("periods", not pack.periods, "is missing: say from when the rule is in force"),
        ("sources", not pack.sources, "is missing: say where the values are from"),
        ("applies_to.tiers", not pack.applies_to.tiers, "is empty; write `*` for all"),
        (
            "applies_to.tiers",
            not {ANY, *TIER_RANK}.issuperset(pack.applies_to.tiers),
            f"names a tier that is none of {', '.join(TIER_RANK)}: it would bind nobody",
        ),
        ("applies_to.models", not pack.applies_to.models, "is empty; write `*` for all"),
    ]
    for key, wrong, reason in checks:
        if wrong:
            return key, reason
    return _wrong_period(pack.periods) or _wrong_rule(pack)


def _wrong_period(periods: Sequence[Period]) -> tuple[str, str] | None:
    for number, period in enumerate(periods):
        if period.valid_to is not None and period.valid_to < period.valid_from:
            return f"periods[{number}].valid_to", "is before `valid_from`"
    for number, (one, after) in enumerate(pairwise(periods)):
        if one.valid_to is None:
            return f"periods[{number}].valid_to", "is missing: only the last period may be open"
        if after.valid_from <= one.valid_to:
            return f"periods[{number + 1}].valid_from", "is not after the period before it; put them in order of days"
    return None


def _wrong_rule(pack: RulePack) -> tuple[str, str] | None:
    if pack.kind == "person":
        for key in ("seeds", "test"):
            if getattr(pack, key) is not None:
                return key, "belongs to packs of kind `ownership`"
        if pack.person is None:
            return "person", "is missing"
        return None if pack.person.longest_days >= 1 else ("person.longest_days", "is less than a day")
    if pack.person is not None:
        return "person", "belongs to packs of kind `person`"
    if pack.seeds is None or pack.test is None:
        return "seeds" if pack.seeds is None else "test", "is missing"
    seeds, test = pack.seeds, pack.test
    if not 1 <= test.threshold_ppm <= WHOLE:
        return "test.threshold_ppm", f"is not between 1 and {WHOLE}: shares are parts per million"
    if test.equal_presumes_control and test.operator == ">=":
        return "test.equal_presumes_control", "says nothing where exactly the threshold suffices; use `>`"
    if not seeds.lists and not seeds.headquarters:
        return "seeds", "names neither lists nor headquarters: nobody would be barred"
    if seeds.headquarters_clear and not seeds.headquarters:
        return "seeds.headquarters_clear", "needs `headquarters` beside it"
    both = set(seeds.headquarters) & set(seeds.headquarters_clear)
    if both:
        return "seeds.headquarters_clear", f"names `{min(both)}`, which `headquarters` names too"
    countries = {
        "seeds.headquarters": seeds.headquarters,
        "seeds.headquarters_clear": seeds.headquarters_clear,
        "test.only_outside": test.only_outside,
    }
    for key, codes in countries.items():
        for code in codes:
            if not _COUNTRY.fullmatch(code):
                return key, f"has `{code}`, which is no code of ISO 3166, such as `CN`"
    return None
