"""The client of the comparison: raw HTTP/1.1 over kept-alive connections, on an event loop of its own.

It reads no more of an answer than its end and the times that the mock put into events, so that what is measured is
the server's work and not the client's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from tiergate.simulation import grammar

PROMPT_BYTES: Final = 850
F64 = npt.NDArray[np.float64]


class Door(NamedTuple):
    """Where to ask, with which headers, for which model. ``checks``: it answers whether one may, and not the model."""

    address: str
    headers: tuple[str, ...]
    model: str
    path: str = "/v1/chat/completions"
    checks: bool = False


def prompts(count: int, seed: int) -> list[str]:
    """``count`` different messages of about ``PROMPT_BYTES``, several questions on one subject each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        subject, text = int(rng.integers(grammar.FOCI * len(grammar.SUBJECTS))), ""
        while len(text.encode()) < PROMPT_BYTES:
            text += grammar.asking(rng, subject) + " "
        made.append(text.strip())
    return made


def requests(door: Door, *, events: int = 0, gap_ms: int = 0, count: int = 512, seed: int = 1) -> list[bytes]:
    """``count`` different requests of about 1.2 kB with their heads; for streams where ``events`` are wanted."""
    host = door.address.removeprefix("http://")
    head = f"POST {door.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    head += "".join(f"{line}\r\n" for line in door.headers)
    made = []
    for text in prompts(count, seed):
        messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": text}]
        asked: dict[str, object] = {"model": door.model, "messages": messages}
        if events:
            asked |= {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": events, "seed": gap_ms}
        body = json.dumps(asked, ensure_ascii=False).encode()
        made.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


class Asker(asyncio.Protocol):
    """One connection that asks one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] | None = None
        self._received = b""
        self._missing: int | None = None
        self.first_s = 0.0
        self.delays_ns: list[int] = []
        """How long each event of a stream was on its way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the connection was lost: {self._received[:300]!r}"))

    async def ask(self, request: bytes) -> None:
        """Send ``request`` and wait for the end of its answer. Raises `ConnectionError` unless it is 200."""
        self._received, self._missing, self.first_s = b"", None, 0.0
        self._answered = self._loop.create_future()
        self.transport.write(request)
        await self._answered

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        assert self._answered is not None
        if self._answered.done():
            return
        if self._missing is None:
            self._received += data
            head, ended, data = self._received.partition(b"\r\n\r\n")
            if not ended:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._answered.set_exception(ConnectionError(self._received[:500].decode("utf-8", "replace")))
                return
            _, measured, length = head.lower().partition(b"content-length:")
            self._missing = int(length.partition(b"\r\n")[0]) if measured else -1
        if self._missing >= 0:
            self._missing -= len(data)
            if self._missing <= 0:
                self._missing = None
                self._answered.set_result(None)
            return
        if data and not self.first_s:
            self.first_s = now_ns / 1e9
        for part in data.split(b'"content":"')[1:]:
            sent = part.partition(b'"')[0]
            if sent.isdigit():
                self.delays_ns.append(now_ns - int(sent))
        self._received = self._received[-4:] + data
        if self._received.endswith(b"0\r\n\r\n"):
            self._answered.set_result(None)


async def connect(door: Door, count: int) -> list[Asker]:
    host, _, port = door.address.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Asker, host, int(port)))[1] for _ in range(count)]


async def one_by_one(door: Door, asked: Sequence[bytes], count: int) -> F64:
    """Seconds of each of ``count`` requests on one connection."""
    (asker,) = await connect(door, 1)
    waits = np.empty(count)
    for number in range(count):
        began = time.perf_counter()
        await asker.ask(asked[number % len(asked)])
        waits[number] = time.perf_counter() - began
    asker.transport.close()
    return waits


async def at_once(door: Door, asked: Sequence[bytes], connections: int, seconds: float) -> tuple[int, float]:
    """Requests answered on ``connections`` that ask without pause, and the seconds that it took."""
    askers = await connect(door, connections)
    began, answered = time.perf_counter(), 0

    async def keep_asking(asker: Asker, number: int) -> None:
        nonlocal answered
        while time.perf_counter() - began < seconds:
            await asker.ask(asked[number % len(asked)])
            number += connections
            answered += 1

    await asyncio.gather(*(keep_asking(asker, number) for number, asker in enumerate(askers)))
    took = time.perf_counter() - began
    for asker in askers:
        asker.transport.close()
    return answered, took


class Streamed(NamedTuple):
    """Streams that were read: how many, seconds to the first event of each, and of each event on its way."""

    streams: int
    firsts_s: F64
    delays_s: F64


async def streams(
    door: Door, asked: Sequence[bytes], connections: int, each: int, *, spread_s: float = 0.0
) -> Streamed:
    """``each`` streams on each of ``connections``, which begin over ``spread_s`` seconds."""
    askers = await connect(door, connections)
    firsts: list[float] = []

    async def keep_reading(asker: Asker, number: int) -> None:
        await asyncio.sleep(spread_s * number / connections)
        for turn in range(each):
            began = time.monotonic()
            await asker.ask(asked[(number + turn * connections) % len(asked)])
            firsts.append(asker.first_s - began)

    await asyncio.gather(*(keep_reading(asker, number) for number, asker in enumerate(askers)))
    delays = np.concatenate([np.array(asker.delays_ns, float) for asker in askers]) / 1e9
    for asker in askers:
        asker.transport.close()
    return Streamed(len(firsts), np.array(firsts), delays)
