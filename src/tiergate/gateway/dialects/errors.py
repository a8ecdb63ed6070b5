"""Saying no in the caller's own dialect; what only we know stands under `tiergate` in the error."""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.admission.decision import Decision
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR
from tiergate.settings import Dialect

_OPENAI: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "access_denied",
    413: "invalid_request_error",
    429: "access_denied",
}
_ANTHROPIC: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_body(dialect: Dialect, status: int, code: str, message: str, **details: object) -> bytes:
    """An error as OpenAI's or Anthropic's API gives it. Anthropic's has no code: ours is the first of the details."""
    error: dict[str, object]
    if dialect == "anthropic":
        kind = "overloaded_error" if code == "overloaded" else _ANTHROPIC.get(status, "api_error")
        error = {"type": kind, "message": message, "tiergate": {"code": code} | details}
        return msgspec.json.encode({"type": "error", "error": error})
    error = {"message": message, "type": _OPENAI.get(status, "api_error"), "param": None, "code": code}
    if details:
        error["tiergate"] = details
    return msgspec.json.encode({"error": error})


class _Said(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Error(msgspec.Struct):
    error: _Said


_decode_error = msgspec.json.Decoder(_Error).decode


def translated_error(dialect: Dialect, status: int, body: bytes) -> bytes:
    """An upstream's error of the other dialect, with its message and its code or kind."""
    try:
        said = _decode_error(body).error
    except UNREADABLE:
        said = _Said()
    code = str(said.code or said.type or UPSTREAM_ERROR)
    return error_body(dialect, status, code, said.message or f"the upstream answered with status {status}")


def message_of(body: bytes) -> str | None:
    """The message of an error of either dialect."""
    try:
        return _decode_error(body).error.message
    except UNREADABLE:
        return None


def refusal_body(dialect: Dialect, decision: Decision, link: str | None) -> bytes:
    """The error that a decision calls for, with a link to the notice where a verdict is behind it."""
    verdict = decision.verdict
    if verdict is None:
        return error_body(dialect, decision.status, decision.code, decision.message)
    details: dict[str, object] = {
        "verdict_id": verdict.verdict_id,
        "case_id": verdict.case_id,
        "action": verdict.action.value,
        "link": link,
    }
    if decision.retry_after_s is not None:
        details["retry_after_seconds"] = round(decision.retry_after_s, 1)
    return error_body(dialect, decision.status, decision.code, decision.message, **details)
