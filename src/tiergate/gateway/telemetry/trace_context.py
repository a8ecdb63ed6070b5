"""The caller's trace, continued: `traceparent` and `tracestate` (W3C Trace Context, level 1)."""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple

RawHeaders = list[tuple[bytes, bytes]]

LONGEST_STATE: Final = 512
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class TraceContext(NamedTuple):
    """Ids in small hexadecimal digits. ``parent_id``: the caller's span, None where this gateway begins the trace."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    state: bytes = b""

    def headers(self) -> RawHeaders:
        """What the upstream is told: its spans belong below ours."""
        parent = (b"traceparent", f"00-{self.trace_id}-{self.span_id}-01".encode("ascii"))
        return [parent, (b"tracestate", self.state)] if self.state else [parent]


def continued(headers: RawHeaders) -> TraceContext:
    """The trace that a request belongs to: the caller's, or a new one where it names none that can be read.

    Whether the caller samples is passed over: every exchange has a span here, and a collector can choose among them.
    """
    parents = [value for name, value in headers if name == b"traceparent"]
    found = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None or not _is_right(*found.groups()):
        return TraceContext(secrets.token_hex(16), secrets.token_hex(8))
    state = b",".join(value.strip() for name, value in headers if name == b"tracestate")
    state = state if len(state) <= LONGEST_STATE else b""
    return TraceContext(found[2].decode("ascii"), secrets.token_hex(8), found[3].decode("ascii"), state)


def _is_right(version: bytes, trace_id: bytes, parent_id: bytes, _flags: bytes, more: bytes | None) -> bool:
    """A later version may say more at its end; ids of zeros are none."""
    known = version != b"ff" and (version != b"00" or more is None)
    return known and trace_id.strip(b"0") != b"" and parent_id.strip(b"0") != b""
