"""What went wrong with an attempt, and whether another may follow.

Another attempt may follow only where the caller got nothing and the upstream did nothing that it bills: it was never
reached, or it said that it did not serve the request. After a time-out or a broken connection nobody knows what it did,
so that is not tried again.
"""

from __future__ import annotations

import enum
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec


class Kind(enum.StrEnum):
    """`UNREACHED`: no connection came about. `UNANSWERED`: the request went out and no answer came back whole enough to
    have a status. `STATUS`: an answer of 400 or above."""

    UNREACHED = "unreached"
    UNANSWERED = "unanswered"
    STATUS = "status"


_ASK_ANOTHER: Final = frozenset({429, 502, 503, 504, 529})
"""Too many requests, bad gateway, unavailable, gateway time-out, and Anthropic's `overloaded_error`."""


class Failure(msgspec.Struct, frozen=True):
    """One failed attempt. ``retry_after_s``: what the upstream asked for, None where it did not."""

    kind: Kind
    status: int | None = None
    retry_after_s: float | None = None

    def may_retry(self, *, retry_500: bool) -> bool:
        if self.kind is Kind.STATUS:
            return self.status in _ASK_ANOTHER or (retry_500 and self.status == 500)
        return self.kind is Kind.UNREACHED

    @property
    def upstream_failed(self) -> bool | None:
        """For the breaker: True for a failure of the upstream's, None for what says nothing about it.

        An error that the request itself brought about shows that the upstream works. One that limits rates is neither
        sound nor broken, and has said itself for how long.
        """
        if self.kind is not Kind.STATUS:
            return True
        return None if self.status == 429 else (self.status or 0) >= 500

    @property
    def may_be_billed(self) -> bool:
        """Whether the upstream may bill for it, so that its invoice and our log can differ."""
        return self.kind is Kind.UNANSWERED


def retry_after_s(value: bytes | None, now_us: int) -> float | None:
    """Seconds of a `Retry-After` header: a number, or a date (RFC 9110, section 10.2.3). None for anything else."""
    if value is None or len(value) > 64:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        # A date in the obsolete form without a zone means UTC.
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_us / 1_000_000
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)
