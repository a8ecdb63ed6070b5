"""Limits on what an organisation, account, project, key or end user may use, and which of them a request meets.

A limit is a change like any other (`tiergate.admission.changes`): appended with author, time and reason. One for the
subject `*` holds for each subject of its scope that has none of its own of the same measure; `acme/*` for each end user
or project of acme.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes
from tiergate.errors import InputError, StateError

Scope = Literal["organisation", "account", "project", "key", "end_user"]
Measure = Literal["usd/day", "usd/week", "usd/month", "requests/minute", "tokens/minute"]
"""Money is in micro-dollars, by calendar windows in UTC; requests and tokens refill evenly over a minute."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
EACH: Final = "*"
MOST: Final = 10**15
LONGEST_SUBJECT: Final = 256


class Limit(msgspec.Struct, frozen=True, kw_only=True, tag="limit", forbid_unknown_fields=True):
    """``amount``: micro-dollars, requests or tokens; None once the limit is removed."""

    scope: Scope
    subject: str
    measure: Measure
    amount: int | None

    @property
    def limit_id(self) -> str:
        return f"limit_{hashlib.sha256(self.counter.encode()).hexdigest()[:32]}"

    @property
    def counter(self) -> str:
        """The name that it is counted under. Only the subject may have blanks in it."""
        return counter(self.measure, self.scope, self.subject)


class Payer(NamedTuple):
    """Whom a request counts for; what is None meets no limit of that scope."""

    account_id: str
    credential_id: str
    organization_id: str | None = None
    project_id: str | None = None
    end_user_id: str | None = None

    def subjects(self) -> list[tuple[Scope, str]]:
        """The subject of each scope. Projects and end users are their owner's: two owners may use one name."""
        owner = self.organization_id or self.account_id
        named: list[tuple[Scope, str | None]] = [
            ("organisation", self.organization_id),
            ("account", self.account_id),
            ("project", None if self.project_id is None else owned(owner, self.project_id)),
            ("key", self.credential_id),
            ("end_user", None if self.end_user_id is None else owned(owner, self.end_user_id)),
        ]
        return [(scope, subject) for scope, subject in named if subject is not None]


class Limits:
    """The limits in force, by what they hold for."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._amounts = {one.counter: one.amount for one in limits if one.amount is not None}
        scopes = {name.split(" ")[1] for name in self._amounts}
        self.by_project, self.by_end_user = "project" in scopes, "end_user" in scopes
        self.on_money = any(name.startswith("usd/") for name in self._amounts)

    def of(self, payer: Payer) -> list[Limit]:
        """Limits that a request of ``payer`` meets, each with the subject that it is counted for."""
        met = []
        for scope, subject in payer.subjects():
            owner, slash, _ = subject.partition("/")
            for measure in MEASURES:
                for named in (subject, f"{owner}{slash}{EACH}", EACH):
                    amount = self._amounts.get(counter(measure, scope, named))
                    if amount is not None:
                        met.append(Limit(scope=scope, subject=subject, measure=measure, amount=amount))
                        break
        return met


class LimitStore:
    """Limits in the control database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def put(self, limit: Limit, *, author: str, now_us: int, reason: str = "") -> None:
        """Set a limit, or another amount for it. Raises `InputError` for one that cannot be."""
        if limit.amount is not None and not 0 <= limit.amount <= MOST:
            raise InputError(f"a limit is 0 to {MOST:,}, not {limit.amount:,}")
        if not limit.subject or len(limit.subject) > LONGEST_SUBJECT or not limit.subject.isprintable():
            raise InputError(f"a limit needs a subject of 1 to {LONGEST_SUBJECT} printable characters, or `{EACH}`")
        with self._changes.writing(author, now_us) as writing:
            writing.put(limit.limit_id, limit, "set", reason)

    def remove(self, limit: Limit, *, author: str, now_us: int, reason: str = "") -> None:
        """Remove a limit, whatever its amount. Raises `StateError` `no_such_limit` when there is none."""
        with self._changes.writing(author, now_us) as writing:
            held = writing.current(Limit, limit.limit_id)
            if held is None or held.amount is None:
                message = f"there is no limit on `{limit.counter}`: see `tiergate budgets list`"
                raise StateError(message, code="no_such_limit")
            writing.put(limit.limit_id, msgspec.structs.replace(held, amount=None), "remove", reason)

    def all(self) -> list[Limit]:
        """The limits in force, by scope, subject and measure."""
        held = [one for one in self._changes.every(Limit) if one.amount is not None]
        return sorted(held, key=lambda one: (SCOPES.index(one.scope), one.subject, MEASURES.index(one.measure)))

    def version(self) -> int:
        """A number that grows with every change of the control database: cheap to ask."""
        return self._changes.version()

    def history(self, limit: Limit) -> list[Change]:
        """Every change of a limit, oldest first."""
        return self._changes.history(Limit, limit.limit_id)


def counter(measure: Measure, scope: Scope, subject: str) -> str:
    """The name of what a limit counts, see `Limit.counter`."""
    return f"{measure} {scope} {subject}"


def owned(owner: str, name: str) -> str:
    """The subject of a project or end user: unmistakable whatever the two are called, and no longer than it may be."""
    subject = f"{quote(owner, safe='*')}/{name}"
    if len(subject) <= LONGEST_SUBJECT:
        return subject
    return f"{quote(owner, safe='*')[:64]}/{hashlib.sha256(subject.encode()).hexdigest()}"
