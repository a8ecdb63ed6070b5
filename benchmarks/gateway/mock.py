"""An upstream that costs as little as Python can: one canned answer, or one canned stream.

    python -m benchmarks.gateway.mock --port 0

A stream has as many events as `max_tokens` says, `seed` milliseconds apart; a gateway passes both on. Each event
carries the time it was sent at, nanoseconds of `time.monotonic_ns`, which all processes of one machine share: a client
can tell how long each was on its way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from functools import cache
from typing import Final, cast

import uvloop

ANSWER: Final = {
    "id": "chatcmpl-0123456789abcdef01234567",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "model-small",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Tin is a soft and silvery metal. " * 10},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 210,
        "completion_tokens": 70,
        "total_tokens": 280,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}
HEAD: Final = {name: ANSWER[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
STAMP: Final = "@stamp@"
STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def whole_answer() -> bytes:
    """A whole answer of about 0.7 kB, as it goes over the wire."""
    body = json.dumps(ANSWER, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@cache
def events(count: int) -> list[tuple[bytes, bytes]]:
    """``count`` events of a stream, 4 or more, each in two halves that the time of sending stands between."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": STAMP}, None)]
    deltas += [({"content": STAMP}, None)] * (count - 4) + [({"content": STAMP}, "stop")]
    made = [HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    made.append(HEAD | {"choices": [], "usage": ANSWER["usage"], "sent": STAMP})
    halves = [json.dumps(one, separators=(",", ":")).encode().partition(STAMP.encode()) for one in made]
    return [(b"data: " + before, after + b"\n\n") for before, _, after in halves]


class Mock(asyncio.Protocol):
    """One connection. Requests on it come one after the other, as of any client that waits for its answer."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole
        self._events: list[tuple[bytes, bytes]] = []
        self._gap_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        head, ended, body = received.partition(b"\r\n\r\n")
        if not ended:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if b"100-continue" in head.lower() and not body:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(body) < int(length.partition(b"\r\n")[0] or b"0"):
            return
        self._received = b""
        if b'"stream":true' in body.replace(b" ", b""):
            asked = json.loads(body)
            self._events, self._gap_s = events(asked["max_tokens"]), asked["seed"] / 1000
            self._transport.write(STREAM_HEAD)
            self._send(0)
        else:
            self._transport.write(self._whole)

    def _send(self, number: int) -> None:
        before, after = self._events[number]
        event = before + str(time.monotonic_ns()).encode() + after
        last = number + 1 == len(self._events)
        if last:
            event += b"data: [DONE]\n\n"
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event) + (b"0\r\n\r\n" if last else b""))
        if not last:
            self._waiting = self._loop.call_later(self._gap_s, self._send, number + 1)


async def serve(listener: socket.socket) -> None:
    whole = whole_answer()
    server = await asyncio.get_running_loop().create_server(lambda: Mock(whole), sock=listener, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", options.port), backlog=4096) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvloop.run(serve(listener))


if __name__ == "__main__":
    main()
