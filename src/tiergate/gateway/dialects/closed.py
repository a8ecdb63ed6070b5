"""Requests that are said again in another dialect: every field is known, or the request is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.dialects.common import UNREADABLE

T = TypeVar("T")
LONGEST_REASON = 500


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    """Part of a request. A field that nobody reads is left out of what the upstream is asked, and changes nothing."""


def reader(kind: type[T], upstream: str) -> Callable[[bytes], T]:
    """Reads a request's body. It raises `InputError` for what cannot be carried to ``upstream``."""
    decode = msgspec.json.Decoder(kind).decode

    def read(body: bytes) -> T:
        try:
            return decode(body)
        except UNREADABLE as error:
            raise refused(upstream, str(error)) from error

    return read


def refused(upstream: str, what: str) -> InputError:
    """The error for ``what`` cannot be said there. Its words may be the caller's own: each candidate repeats them."""
    return InputError(
        f"the upstream speaks {upstream}'s API, to which this request cannot be carried over: {what[:LONGEST_REASON]}"
    )
