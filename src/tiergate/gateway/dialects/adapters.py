"""How a call crosses to an upstream and its answer back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tiergate.gateway.dialects.common import UNREADABLE, Answered, Asked
from tiergate.gateway.dialects.sse import EventStream


@dataclass(frozen=True, slots=True)
class Adapter:
    """One surface over one dialect of upstreams.

    ``path``: where the upstream is asked, after `/v1`.
    ``request``: what it is asked, from the caller's body. Raises `InputError` for what its dialect cannot say.
    ``answer``: from the status, body and time (microseconds since the epoch) of a whole answer, the body that the
    caller gets, and what it says. Raises `UpstreamError` for a body that cannot be put into the caller's dialect.
    ``stream``: what a streamed answer goes through; whether its text is kept, and the time.
    """

    path: str
    request: Callable[[bytes, Asked], bytes]
    answer: Callable[[int, bytes, int], tuple[bytes, Answered]]
    stream: Callable[[Asked, bool, int], EventStream]


def through(
    path: str,
    read_answer: Callable[[bytes], Answered],
    stream: Callable[[Asked, bool, int], EventStream],
    request: Callable[[bytes, Asked], bytes] = lambda body, _: body,
) -> Adapter:
    """To an upstream of the caller's own dialect: bytes go through, and are read as they pass."""

    def answer(_status: int, body: bytes, _now_us: int) -> tuple[bytes, Answered]:
        try:
            return body, read_answer(body)
        except UNREADABLE:
            return body, Answered()

    return Adapter(path, request, answer, stream)
