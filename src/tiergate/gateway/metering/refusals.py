"""What a limit says when it is met, and the headers in which clients expect it.

| code | when |
| --- | --- |
| `model_not_priced` | nobody said what the model costs |
| `request_too_large` | the request alone may need more than the whole limit |
| `budget_exhausted` | what is left of the window's money is less than the request may cost |
| `budget_reserved` | enough is left, but set aside for requests under way |
| `requests_limited`, `tokens_limited` | the requests or tokens of a minute are used |
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from tiergate.admission.credit_rows import usd
from tiergate.clock import SECOND
from tiergate.gateway.metering.limits import Limit

Code = Literal[
    "model_not_priced",
    "request_too_large",
    "budget_exhausted",
    "budget_reserved",
    "requests_limited",
    "tokens_limited",
]
LONGEST_RETRY_S: Final = 60
"""Official clients wait for no longer than this; beyond it they are told not to try again by themselves."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """How a limit stands. ``remaining``: in its unit, as far as this worker knows; ``resets_us``: when it is whole."""

    limit: Limit
    remaining: int
    resets_us: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is not let through. ``retry_after_s``: when the same request may pass, None when it never will."""

    code: Code
    message: str
    allowance: Allowance | None = None
    retry_after_s: int | None = None

    @property
    def status(self) -> int:
        """HTTP status: 403 where no waiting helps, else 429."""
        return 403 if self.code == "model_not_priced" else 429

    def details(self) -> dict[str, object]:
        """What programs want to know beside the message."""
        if self.allowance is None:
            return {}
        limit = self.allowance.limit
        return {
            "scope": limit.scope,
            "measure": limit.measure,
            "limit": limit.amount,
            "remaining": self.allowance.remaining,
            "resets_at": _rfc3339(self.allowance.resets_us),
        }

    def headers(self) -> dict[str, str]:
        """`retry-after`, and `x-should-retry` where the official clients must not wait or try again."""
        retry_s = self.retry_after_s
        headers = {} if retry_s is None else {"retry-after": str(retry_s)}
        if retry_s is None or retry_s > LONGEST_RETRY_S:
            headers["x-should-retry"] = "false"
        return headers


def not_priced(model: str) -> Refusal:
    """The refusal of a model without a price."""
    message = f"the model `{model}` has no price, so that its use could not be accounted for: ask whoever runs this"
    return Refusal(code="model_not_priced", message=message)


def too_large(limit: Limit, need: int) -> Refusal:
    """The refusal of a request that is larger than a limit."""
    said = f"this request may need {_amount(limit, need)}, more than {_named(limit)} altogether: make it smaller"
    return Refusal(code="request_too_large", message=said)


def over(limit: Limit, need: int, remaining: int, resets_us: int, wait_us: int, *, reserved: bool) -> Refusal:
    """The refusal of a request that needs more than remains.

    :param wait_us: until there may be enough.
    :param reserved: enough is left, and set aside.
    """
    remaining = max(0, remaining)
    allowance = Allowance(limit=limit, remaining=remaining, resets_us=resets_us)
    retry_s = max(1, -(-wait_us // SECOND))
    least = f"{_named(limit)} has {_amount(limit, remaining)} left, and this request may need {_amount(limit, need)}"
    code: Code
    if not limit.measure.startswith("usd/"):
        code = "requests_limited" if limit.measure == "requests/minute" else "tokens_limited"
        message = f"{least}: try again in {retry_s} s"
    elif reserved:
        code, message = "budget_reserved", f"{least}; more is set aside for requests under way: try again shortly"
    else:
        code, message = "budget_exhausted", f"{least}; it begins anew at {_rfc3339(resets_us)}"
    return Refusal(code=code, message=message, allowance=allowance, retry_after_s=retry_s)


def openai_headers(allowances: list[Allowance], now_us: int) -> dict[str, str]:
    """`x-ratelimit-*` of requests and tokens, as OpenAI names them; durations as Go writes them."""
    headers = {}
    for one in allowances:
        what = one.limit.measure.split("/")[0]
        headers[f"x-ratelimit-limit-{what}"] = str(one.limit.amount)
        headers[f"x-ratelimit-remaining-{what}"] = str(one.remaining)
        headers[f"x-ratelimit-reset-{what}"] = _duration(one.resets_us - now_us)
    return headers


def anthropic_headers(allowances: list[Allowance]) -> dict[str, str]:
    """`anthropic-ratelimit-*` of requests and tokens; times in RFC 3339."""
    headers = {}
    for one in allowances:
        what = f"anthropic-ratelimit-{one.limit.measure.split('/')[0]}"
        headers[f"{what}-limit"] = str(one.limit.amount)
        headers[f"{what}-remaining"] = str(one.remaining)
        headers[f"{what}-reset"] = _rfc3339(one.resets_us)
    return headers


def _named(limit: Limit) -> str:
    what, window = limit.measure.split("/")
    whose = limit.scope.replace("_", " ")
    if what == "usd":
        return f"the {whose}'s budget of {usd(limit.amount or 0)} a {window}"
    return f"the {whose}'s limit of {limit.amount:,} {what} a {window}"


def _amount(limit: Limit, amount: int) -> str:
    what = limit.measure.split("/")[0]
    return usd(amount) if what == "usd" else f"{amount:,} {what[:-1] if amount == 1 else what}"


def _rfc3339(at_us: int) -> str:
    return f"{datetime.fromtimestamp(-(-at_us // SECOND), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _duration(time_us: int) -> str:
    ms = max(0, time_us) // 1_000
    return f"{ms}ms" if ms < 1_000 else f"{ms / 1_000:g}s" if ms < 60_000 else f"{ms // 60_000}m{ms % 60_000 // 1_000}s"
