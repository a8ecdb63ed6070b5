"""Forms: what a browser posts (`application/x-www-form-urlencoded`), within bounds, and only from our own pages."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from tiergate.api.problems import ProblemError
from tiergate.api.services import Services
from tiergate.api.sessions import Session

MOST_BYTES: Final = 1 << 20
MOST_FIELDS: Final = 10_100

Form = dict[str, list[str]]


async def read_form(request: Request, services: Services) -> Form:
    """The fields of a form and their values. Raises `ProblemError` for one that is too large, malformed, or comes from
    a page of another site."""
    if not _is_ours(request, services):
        raise ProblemError(
            403, "not_our_page", "this form was sent from another site", "open the page here and try again"
        )
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise ProblemError(
                413, "request_too_large", f"a form has {MOST_BYTES} bytes at most", "send less at a time"
            )
    try:
        pairs = parse_qsl(content.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise ProblemError(400, "unfit_form", "this form cannot be read", "open the page and try again") from None
    form: Form = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def one(form: Form, name: str) -> str:
    """The value of a field; empty where it is lacking."""
    return form.get(name, [""])[-1]


def check_token(form: Form, session: Session) -> None:
    """Raise `ProblemError` for a form without the token of this session's pages."""
    if not hmac.compare_digest(one(form, "csrf").encode(), session.csrf.encode()):
        raise ProblemError(
            403, "csrf_token_missing", "this form is not of a page of your session", "open the page again and try again"
        )


def local(target: str) -> str:
    """An address to go on to: one of our own pages, or the first one."""
    # Browsers read a backslash as a slash, and two slashes begin another host.
    fine = target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target
    return target if fine and target.isprintable() and len(target) <= 2048 else "/"


def _is_ours(request: Request, services: Services) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin == services.public_url
