"""Programmes: what a closed circle of members may do with a tier of models, and on which terms.

The shape covers three kinds of programme that providers run (as published in 2026; sources with the bundled files in
`templates/`, which are starting points and state no provider's actual contract):

- *consortium*: named organisations, a pool of granted credits, security requirements before admission, later members
  vouched for (Project Glasswing, April to November 2026: $100M of credits, requirements added in June);
- *cyber verification*: free, per organisation, a decision within days, an appeal; dual use opens up, prohibited use
  never does (Anthropic's Cyber Verification Program, support article 14604842);
- *trusted access*: an approval binds a person or service, project, model and surface; single sign-on, a second factor
  and a verified domain come first (OpenAI's Daybreak, developers.openai.com/api/docs/guides/daybreak).

Amounts are whole micro-dollars (1 USD is 1,000,000), times whole microseconds since the epoch, UTC.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes, Writing, sha256_of
from tiergate.errors import InputError, StateError

USD: Final = 1_000_000
"""One dollar in the unit of all amounts."""

_CODE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_MOST_MICRO_USD: Final = 2**62


class PurposeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A purpose that a programme allows. ``assets``: kinds of asset (`tiergate.admission.purposes.AssetKind`) one of
    which must be declared, with evidence of authorisation; none needed when empty."""

    code: str
    title: str
    assets: tuple[str, ...] = ()


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member must show before admission."""

    code: str
    text: str


class SponsorRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who vouches for an applicant. ``members_only``: somebody of another active member organisation, or of the
    operator (who alone can sponsor the first). ``most``: applications that one person may have sponsored and that are
    neither refused nor ended."""

    required: bool = True
    members_only: bool = True
    most: int | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of the terms. ``sha256`` is the document's; members of older versions have until ``accept_by_us``."""

    version: str
    sha256: str
    published_at_us: int
    accept_by_us: int


class Programme(msgspec.Struct, frozen=True, kw_only=True, tag="programme", forbid_unknown_fields=True):
    """A programme. ``terms`` are in order of publication; ``pool_micro_usd`` is what its credit lines are carved from;
    ``appeal_days`` is how long an appeal may take; ``grant_approvals`` how many people give a grant, 1 or 2: 2 for the
    classified tier where it is not said; ``source`` says what it is modelled on, with date."""

    programme_id: str
    name: str
    operator: str
    tier: str
    models: tuple[str, ...]
    purposes: tuple[PurposeRule, ...]
    requirements: tuple[Requirement, ...] = ()
    sponsor: SponsorRule = SponsorRule()
    terms: tuple[Terms, ...] = ()
    pool_micro_usd: int = 0
    appeal_days: int = 5
    grant_approvals: int | None = None
    source: str = ""

    @property
    def two_give_a_grant(self) -> bool:
        """Whether a grant waits for a second person."""
        return (self.grant_approvals or (2 if self.tier == "classified" else 1)) == 2

    def terms_at(self, now_us: int) -> Terms | None:
        """The terms that a new member accepts at ``now_us``."""
        published = [terms for terms in self.terms if terms.published_at_us <= now_us]
        return published[-1] if published else None

    def acceptance_due_us(self, version: str | None, now_us: int) -> int | None:
        """By when a member who accepted ``version`` must accept newer terms; None while there are none.

        The earliest date of all newer versions counts: a later version does not prolong an earlier one's.
        """
        versions = [terms.version for terms in self.terms]
        newer = self.terms[versions.index(version) + 1 if version in versions else 0 :]
        return min((terms.accept_by_us for terms in newer if terms.published_at_us <= now_us), default=None)

    def purpose(self, code: str) -> PurposeRule | None:
        """The rule of a purpose, None when the programme does not allow it."""
        return next((rule for rule in self.purposes if rule.code == code), None)


class Programmes:
    """Programmes in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def create(self, programme: Programme, *, author: str, now_us: int) -> None:
        """Found a programme. Raises `InputError` for one that cannot be, `StateError` for an id that is taken."""
        _check(programme)
        with self._changes.writing(author, now_us) as writing:
            if writing.current(Programme, programme.programme_id) is not None:
                raise StateError(f"a programme is called `{programme.programme_id}` already", code="programme_exists")
            writing.put(programme.programme_id, programme, "create")

    def get(self, programme_id: str) -> Programme:
        """A programme. Raises `InputError` for an unknown one."""
        return found(self._changes.current(Programme, programme_id), programme_id)

    def every(self) -> list[Programme]:
        """All programmes, in order of their ids."""
        return sorted(self._changes.every(Programme), key=lambda programme: programme.programme_id)

    def publish_terms(
        self, programme_id: str, version: str, sha256: str, *, accept_by_us: int, author: str, now_us: int
    ) -> Programme:
        """Publish terms: members must accept them by ``accept_by_us``, or pause then.

        Raises `StateError` for a version that is published already, `InputError` for a date in the past.
        """
        if accept_by_us < now_us:
            raise InputError("new terms need a date in the future by which members accept them")
        terms = Terms(version=version, sha256=sha256_of(sha256), published_at_us=now_us, accept_by_us=accept_by_us)
        with self._changes.writing(author, now_us) as writing:
            programme = programme_in(writing, programme_id)
            if version in {held.version for held in programme.terms}:
                raise StateError(f"the terms `{version}` are published already", code="terms_exist")
            programme = msgspec.structs.replace(programme, terms=(*programme.terms, terms))
            writing.put(programme_id, programme, "publish_terms", f"terms {version}")
        return programme

    def history(self, programme_id: str) -> list[Change]:
        """Every change of a programme, oldest first."""
        return self._changes.history(Programme, programme_id)

    def version(self) -> int:
        """The number of the last change to anything of admission."""
        return self._changes.version()


def programme_in(writing: Writing, programme_id: str) -> Programme:
    """A programme as it stands in an open change. Raises `InputError` for an unknown one."""
    return found(writing.current(Programme, programme_id), programme_id)


def found(programme: Programme | None, programme_id: str) -> Programme:
    """The programme, or an `InputError` that says where to look."""
    if programme is None:
        raise InputError(f"no programme is called `{programme_id}`: see `tiergate programme list`")
    return programme


def templates() -> list[str]:
    """Names of the bundled programmes."""
    folder = files("tiergate.admission").joinpath("templates")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_programme(where: str | Path) -> Programme:
    """A programme from a TOML file, or from a bundled one by its name. Raises `InputError` when it is not one."""
    if isinstance(where, str) and where in templates():
        content = files("tiergate.admission").joinpath("templates", f"{where}.toml").read_bytes()
    else:
        content = Path(where).read_bytes()
    try:
        programme = msgspec.toml.decode(content, type=Programme)
    except msgspec.MsgspecError as error:
        message = str(error)
        raise InputError(f"`{where}` is no programme: {message[:1].lower()}{message[1:]}") from error
    _check(programme)
    return programme


def _check(programme: Programme) -> None:
    codes = [programme.programme_id, *(rule.code for rule in programme.purposes)]
    codes += [requirement.code for requirement in programme.requirements]
    for code in codes:
        if not _CODE.fullmatch(code):
            raise InputError(f"`{code}` cannot be an id: use lower-case letters, digits, `_` and `-`, 63 at most")
    for what, names in (
        ("purpose", [rule.code for rule in programme.purposes]),
        ("requirement", [requirement.code for requirement in programme.requirements]),
        ("version of the terms", [terms.version for terms in programme.terms]),
    ):
        if len(set(names)) < len(names):
            raise InputError(f"the programme `{programme.programme_id}` names a {what} twice")
    if not programme.models or not programme.purposes:
        raise InputError(f"the programme `{programme.programme_id}` needs a model and a purpose at least")
    if not 0 <= programme.pool_micro_usd <= _MOST_MICRO_USD:
        raise InputError("the pool is a whole number of micro-dollars, 0 or more")
    if programme.grant_approvals not in (None, 1, 2):
        raise InputError("a grant is given by 1 or 2 people: `grant_approvals`")
    if programme.appeal_days < 1:
        raise InputError("an appeal needs a day at least")
    for terms in programme.terms:
        sha256_of(terms.sha256)
