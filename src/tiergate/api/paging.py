"""Long lists, a page at a time. A cursor names the last item given, so nothing is lost or doubled between pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, Generic, TypeVar

import msgspec

from tiergate.api.problems import ProblemError

T = TypeVar("T")


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page is wanted. ``cursor`` is `next` of the page before."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=1024)] | None = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Items in order of their key; ``next`` asks for those after them, None at the end."""

    items: list[T]
    next: str | None = None


def page(items: Iterable[T], key: Callable[[T], str], query: PageQuery) -> Page[T]:
    """One page of ``items``, whose keys must be unique. Raises `ProblemError` for a cursor that is none of ours."""
    after = None if query.cursor is None else _read(query.cursor)
    rest = sorted((item for item in items if after is None or key(item) > after), key=key)
    taken = rest[: query.limit]
    following = _write(key(taken[-1])) if len(rest) > len(taken) else None
    return Page(items=taken, next=following)


def _write(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ProblemError(400, "bad_cursor", "the cursor is none of ours", "begin without a cursor") from None
