"""What is done with every exchange when it has ended: counted, and left for those who follow them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tiergate.gateway.telemetry.batches import Batches
from tiergate.gateway.telemetry.counters import Counters
from tiergate.gateway.telemetry.trace_context import TraceContext
from tiergate.records.schema import Exchange

LONGEST_TEXT: Final = 64 << 10
"""Characters of each text that goes out, where any does."""


class Finished(NamedTuple):
    """An exchange with what its record does not hold: seconds to a stream's first content, and its trace."""

    exchange: Exchange
    first_token_s: float | None
    trace: TraceContext | None


class Watch:
    """Sees every exchange end.

    :param followers: get each finished exchange.
    :param tracing: whether exchanges belong to traces; ``text``: whether followers may see what was said.
    """

    def __init__(
        self, followers: Sequence[Batches[Finished]] = (), *, tracing: bool = False, text: bool = False
    ) -> None:
        self.counters = Counters()
        self.followers = followers
        self.tracing = tracing
        self._text = text

    def finished(self, exchange: Exchange, first_token_s: float | None, trace: TraceContext | None) -> None:
        """An exchange is on record. It is nobody else's any more."""
        self.counters.add(exchange, first_token_s)
        if not self.followers:
            return
        most = LONGEST_TEXT if self._text else 0
        # Now rather than later: what waits must not hold all prompts in memory.
        exchange.system_text = (exchange.system_text or "")[:most] or None
        exchange.prompt_text = (exchange.prompt_text or "")[:most] or None
        exchange.response_text = (exchange.response_text or "")[:most] or None
        seen = Finished(exchange, first_token_s, trace)
        for follower in self.followers:
            follower.put(seen)

    def close(self) -> None:
        """Hand over what the followers have not had yet."""
        for follower in self.followers:
            follower.close()
