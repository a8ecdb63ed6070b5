"""Requests and answers as metering sees them, and what it says as headers of the caller's dialect."""

from __future__ import annotations

import re
from typing import Final

from tiergate.gateway.dialects.common import Asked, Usage
from tiergate.gateway.dialects.sse import EventStream
from tiergate.gateway.metering.limits import Payer
from tiergate.gateway.metering.meter import Ticket
from tiergate.gateway.metering.refusals import anthropic_headers, openai_headers
from tiergate.gateway.metering.usage import OUTPUT_TOKENS, Demand, Seen
from tiergate.gateway.replies import RawHeaders
from tiergate.records.schema import Exchange
from tiergate.settings import Dialect

_CALLED: Final = re.compile(rb'"(tool_calls|tool_use|function_call)"\s*[,}]')
"""What says in an answer's body that it calls a tool: as a value, in each API."""


def payer_of(exchange: Exchange) -> Payer:
    """Whom an exchange counts for."""
    return Payer(
        exchange.account_id, exchange.credential_id or "", exchange.organization_id, exchange.project_id,
        exchange.end_user_id,
    )  # fmt: skip


def demand_of(asked: Asked, body: bytes) -> Demand:
    """What a request may need.

    Of two limits the larger counts, and one below 1 is none: upstreams differ in what they make of either.
    """
    image_bytes = min(sum(asked.images), len(body))
    return Demand(
        input_bytes=len(body) - image_bytes,
        input_chars=0 if body.isascii() else len(body.decode("utf-8", "replace")) - image_bytes,
        images=len(asked.images),
        image_bytes=image_bytes,
        max_output_tokens=max((limit if limit > 0 else OUTPUT_TOKENS for limit in asked.limits), default=None),
        choices=asked.answers,
    )


def seen_whole(asked: Asked, usage: Usage | None, text: str | None, body: bytes) -> Seen:
    """What a whole answer tells. Where the upstream counted nothing, all that it said is estimated."""
    usage = usage or Usage()
    said = text or ""
    size, chars = len(said.encode("utf-8", "replace")), len(said)
    if usage.input_tokens is None or usage.output_tokens is None:
        # Only the first choice's text is read, and none of calls of tools: with those, the whole body counts as text.
        whole = not said or _CALLED.search(body) is not None
        size, chars = (len(body), 0) if whole else (size * asked.answers, chars * asked.answers)
    elif asked.answers > 1:
        size = chars = 0
    if asked.answers == 0:
        size = chars = 0
    return _seen(usage, size, chars, 0, complete=True)


def seen_in_stream(stream: EventStream, *, complete: bool) -> Seen:
    """What a stream told until its end, or until it was cut. What nobody can read counts as text."""
    unread = stream.unread if stream.usage is None else 0
    return _seen(
        stream.usage or Usage(), stream.text_bytes + unread, stream.text_chars, stream.pieces, complete=complete
    )


def limit_headers(dialect: Dialect, ticket: Ticket | None, now_us: int) -> RawHeaders:
    """How limits on requests and tokens stand; none where there are none."""
    allowances = ticket.allowances(now_us) if ticket is not None else []
    if not allowances:
        return []
    told = anthropic_headers(allowances) if dialect == "anthropic" else openai_headers(allowances, now_us)
    return as_raw(told)


def as_raw(headers: dict[str, str]) -> RawHeaders:
    """Headers as they are sent."""
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _seen(usage: Usage, size: int, chars: int, events: int, *, complete: bool) -> Seen:
    return Seen(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        text_bytes=size,
        text_chars=chars,
        events=events,
        complete=complete,
    )
