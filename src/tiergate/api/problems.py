"""Refusals as problem details (RFC 9457): what went wrong, under which code, and what to do about it."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from tiergate.errors import InputError, LedgerError, ProofError, SettingsError, TiergateError, UpstreamError

KIND: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal. ``type`` is a URN made of ``code``; ``title`` is the same for every problem of a code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    what_to_do: str


class ProblemError(Exception):
    """Ends a request with a problem. ``what_to_do`` is a sentence without its full stop."""

    def __init__(self, status: int, code: str, detail: str, what_to_do: str, **headers: str) -> None:
        super().__init__(detail)
        title = code.replace("_", " ").capitalize()
        self.problem = Problem(
            type=f"urn:tiergate:problem:{code}",
            title=title,
            status=status,
            detail=detail,
            code=code,
            what_to_do=what_to_do,
        )
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def response(error: ProblemError) -> Response:
    """The answer that carries a problem."""
    headers = error.headers | {"cache-control": "no-store"}
    return Response(msgspec.json.encode(error.problem), error.problem.status, headers, KIND)


def not_found(what: str, name: str) -> ProblemError:
    """Nothing has this name, or nothing that the caller may see: the two look alike on purpose."""
    return ProblemError(404, "not_found", f"no {what} of yours is called `{name[:200]}`", "list what there is")


def from_error(error: TiergateError) -> ProblemError:
    """The problem of an error that the user can act on. One with a ``code`` of its own keeps it."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return ProblemError(409, code, str(error), "look how things stand now, and act on that")
    if isinstance(error, InputError):
        return ProblemError(422, "unfit_value", str(error), "mend the value and send it again")
    if isinstance(error, ProofError):
        return ProblemError(500, "does_not_hold", str(error), "tell the administrator of this deployment")
    if isinstance(error, LedgerError):
        return ProblemError(503, "storage_busy", str(error), "send it again shortly", retry_after="2")
    if isinstance(error, UpstreamError):
        return ProblemError(502, "identity_provider_unavailable", str(error), "try again shortly")
    if isinstance(error, SettingsError):
        return ProblemError(500, "misconfigured", str(error), "tell the administrator of this deployment")
    return ProblemError(400, "refused", str(error), "mend the request")
