"""The door's HTTP: what callers may send in whatever pieces, how long they may take, and what they never see."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.conftest import GIVE_UP_S
from tiergate.gateway.serving import connection as connection_module
from tiergate.gateway.serving.connection import HEAD_BYTES, HEADERS, PIPELINED, URL_BYTES, ClientConnection, Patience
from tiergate.gateway.serving.server import HttpServer

PATIENT = Patience(*[GIVE_UP_S] * 4)
Application = Callable[[Any, Any, Any], Awaitable[None]]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was asked, whole."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    told = {name: scope[name] for name in ("method", "path", "http_version")} | {"headers": headers}
    told |= {"query": scope["query_string"].decode(), "body": body.decode("latin-1")}
    said = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer; `100 Continue` is one."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = b""
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        return int(first.split()[1]), headers, body

    async def told(self) -> dict[str, Any]:
        status, _, body = await self.answer()
        assert status == 200, body
        return dict(json.loads(body))

    async def ended(self) -> bytes:
        """What comes until the connection is closed."""
        data = b""
        with suppress(ConnectionResetError):
            while piece := await self.reader.read(1 << 16):
                data += piece
        return data


@asynccontextmanager
async def serving(
    application: Application = echo, patience: Patience = PATIENT, most: int = 100
) -> AsyncIterator[tuple[HttpServer, Callable[[], Awaitable[Caller]]]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = HttpServer(application, listener, most=most, patience=patience)
        await server.start()
        callers: list[Caller] = []

        async def call() -> Caller:
            callers.append(Caller(*await asyncio.open_connection("127.0.0.1", port)))
            return callers[-1]

        try:
            yield server, call
        finally:
            await server.close(0.0)
            for caller in callers:
                caller.writer.close()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(GIVE_UP_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def run(test: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(test, 4 * GIVE_UP_S))


GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"
)
KEPT_10 = b"GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
GOOD = {"get": GET, "post": POST, "chunks": CHUNKS, "1.0": KEPT_10, "absolute": GET.replace(b"/a", b"http://y:1/a")}
CLOSING = {
    "told to close": POST.replace(b"Host", b"Connection: close\r\nHost"),
    "1.0": b"GET / HTTP/1.0\r\n\r\n",
    "an upgrade": GET.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost"),
}
REFUSED = {
    "a length and chunks": (400, CHUNKS.replace(b"Host", b"Content-Length: 5\r\nHost")),
    "two lengths": (400, POST.replace(b"Host", b"Content-Length: 6\r\nHost")),
    "a signed length": (400, POST.replace(b" 5", b" +5")),
    "a folded line": (400, POST.replace(b"Host: x", b"Host: x\r\n y")),
    "bare line feeds": (400, POST.replace(b"\r\n", b"\n")),
    "a bare carriage return": (400, POST.replace(b"x\r\n", b"x\rA: b\r\n")),
    "a space before the colon": (400, POST.replace(b"Length:", b"Length :")),
    "NUL": (400, POST.replace(b" x", b" x\0")),
    "no host": (400, POST.replace(b"Host: x\r\n", b"")),
    "two hosts": (400, POST.replace(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n")),
    "another coding": (501, CHUNKS.replace(b"chunked", b"gzip, chunked")),
    "an unknown coding": (501, CHUNKS.replace(b"chunked", b"xchunked")),
    "chunks in 1.0": (501, CHUNKS.replace(b"1.1", b"1.0")),
    "HTTP/2": (505, GET.replace(b"1.1", b"2.0")),
    "HTTP/2 from the start": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no version": (505, b"GET /\r\n\r\n"),
    "an unknown method": (400, GET.replace(b"GET", b"BREW")),
    "a tunnel": (400, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "another scheme": (400, GET.replace(b"/a", b"ftp://x/a")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "a long address": (414, GET.replace(b"/a", b"/" + b"a" * URL_BYTES)),
    "a long line": (431, GET.replace(b"Host", b"A: " + b"x" * HEAD_BYTES + b"\r\nHost")),
    "many lines": (431, GET.replace(b"Host", b"A: b\r\n" * HEADERS + b"Host")),
}


@pytest.mark.parametrize("name", GOOD)
def test_requests_follow_each_other_on_a_connection(name: str) -> None:
    async def test() -> None:
        async with serving() as (_, call):
            caller = await call()
            for _ in range(3):
                await caller.send(GOOD[name])
                told = await caller.told()
                assert told["path"] in ("/a b", "/p", "/c", "/k")
                assert told["body"] == ("hello" if told["method"] == "POST" else "")
                assert "x-t" not in told["headers"], "a trailer is no header"

    run(test())


@pytest.mark.parametrize("name", CLOSING)
def test_a_connection_is_closed_where_that_was_asked(name: str) -> None:
    async def test() -> None:
        async with serving() as (_, call):
            caller = await call()
            await caller.send(CLOSING[name])
            status, headers, _ = await caller.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await caller.ended() == b""

    run(test())


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("after", [b"", GET])
def test_what_could_be_read_in_two_ways_is_refused(name: str, after: bytes) -> None:
    async def test() -> None:
        status, request = REFUSED[name]
        async with serving() as (_, call):
            caller = await call()
            await caller.send(request + after)
            told, headers, body = await caller.answer()
            assert (told, headers["connection"]) == (status, "close")
            assert json.loads(body)["error"]["type"] == "invalid_request_error"
            assert await caller.ended() == b""

    run(test())


class Wire:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def get_extra_info(self, _: str) -> Any:
        return ("192.0.2.1", 1)

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = write_eof = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def answers(pieces: list[bytes]) -> tuple[bytes, bool]:
    """What is said to bytes that come in ``pieces``, and whether the connection is closed on them."""

    async def run() -> tuple[bytes, bool]:
        with socket.socket() as unused:
            house = HttpServer(echo, unused, most=10, patience=PATIENT)
            house.date = b"date: x\r\n\r\n"
            wire, connection = Wire(), ClientConnection(house)
            connection.connection_made(wire)  # type: ignore[arg-type]
            for piece in pieces:
                if not wire.closing:
                    connection.data_received(piece)
            for _ in range(60):
                await asyncio.sleep(0)
            closing = wire.closing
            connection.connection_lost(None)
            await asyncio.sleep(0)
            await house.close(0.0)
        return wire.written, closing

    return asyncio.run(run())


EXAMPLES = [*GOOD.values(), *CLOSING.values(), *(request for _, request in REFUSED.values() if len(request) < 500)]


@given(st.lists(st.sampled_from(EXAMPLES), min_size=1, max_size=3), st.lists(st.integers(0, 600), max_size=12))
def test_the_pieces_do_not_matter(requests: list[bytes], cuts: list[int]) -> None:
    data = b"".join(requests)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places) if end > start]
    assert answers(pieces) == answers([data])


@given(st.binary(max_size=300), st.sampled_from([b"", GET, CHUNKS[:-20]]))
def test_no_bytes_break_the_reader(noise: bytes, before: bytes) -> None:
    answers([before + noise])


def test_requests_that_come_at_once_are_answered_in_order() -> None:
    async def slower_first(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.1 if scope["path"] == "/p" else 0)
        await echo(scope, receive, send)

    async def test() -> None:
        async with serving(slower_first) as (_, call):
            caller = await call()
            await caller.send(POST + GET + CHUNKS + GET)
            assert [(await caller.told())["path"] for _ in range(4)] == ["/p", "/a b", "/c", "/a b"]
            await caller.send(GET * (PIPELINED + 5))
            with suppress(asyncio.IncompleteReadError):
                for _ in range(PIPELINED):
                    assert (await caller.told())["path"] == "/a b"
            assert await caller.ended() == b""

    run(test())


def test_garbage_behind_a_request_does_not_cut_its_answer() -> None:
    async def test() -> None:
        async with serving() as (_, call):
            caller = await call()
            await caller.send(POST + b"\0\0\0")
            assert (await caller.told())["body"] == "hello"
            assert await caller.ended() == b""

    run(test())


def test_continue_is_said_to_who_waits_for_it_and_only_when_the_body_is_wanted() -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    async def test() -> None:
        head, body = POST.replace(b"Host", b"Expect: 100-continue\r\nHost").split(b"hello")[0], b"hello"
        async with serving() as (_, call):
            caller = await call()
            await caller.send(head)
            assert (await caller.answer())[0] == 100
            await caller.send(body)
            assert (await caller.told())["body"] == "hello"
        async with serving(refuse) as (_, call):
            caller = await call()
            await caller.send(head)
            status, headers, _ = await caller.answer()
            assert (status, headers["connection"]) == (401, "close")

    run(test())


def test_an_answer_before_the_whole_body_reaches_who_is_still_sending() -> None:
    async def too_large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"big"})

    async def test() -> None:
        async with serving(too_large) as (_, call):
            caller = await call()
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
            await caller.send(head)
            # Were the connection closed at once, the reset that these bytes meet would destroy the answer.
            for _ in range(50):
                await caller.send(b"x" * 10_000)
            assert (await caller.answer())[2] == b"big"

    run(test())


async def streaming(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(3):
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def test_a_stream_is_chunked_and_ends_with_the_connection_for_old_callers() -> None:
    async def test() -> None:
        async with serving(streaming) as (_, call):
            caller = await call()
            await caller.send(GET + GET)
            for _ in range(2):
                assert (await caller.answer())[2] == b"012"
            await caller.send(KEPT_10)
            head, _, body = (await caller.ended()).partition(b"\r\n\r\n")
            assert b"connection: close" in head
            assert body == b"012"

    run(test())


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_answer_that_is_not_ended_does_not_look_whole(version: bytes) -> None:
    async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def test() -> None:
        async with serving(breaks_off) as (_, call):
            caller = await call()
            await caller.send(GET.replace(b"1.1", version))
            data = b""
            try:
                while piece := await caller.reader.read(1 << 16):
                    data += piece
                whole = version == b"1.0" or data.endswith(b"0\r\n\r\n")
            except ConnectionResetError:
                whole = False
            assert not whole

    run(test())


def test_a_fault_of_the_application_is_500_and_the_next_is_served() -> None:
    async def faulty(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/p":
            raise KeyError("secret")
        await echo(scope, receive, send)

    async def test() -> None:
        async with serving(faulty) as (_, call):
            caller, other = await call(), await call()
            await caller.send(POST)
            status, headers, body = await caller.answer()
            assert (status, headers["connection"], body) == (500, "close", b"")
            await other.send(GET)
            assert (await other.told())["path"] == "/a b"

    run(test())


def test_an_answer_is_as_long_as_it_says() -> None:
    async def lies(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"four"})

    async def test() -> None:
        async with serving(lies) as (_, call):
            caller = await call()
            await caller.send(GET + GET)
            assert b"four" not in await caller.ended()

    run(test())


def test_head_has_no_body() -> None:
    async def test() -> None:
        async with serving() as (_, call):
            caller = await call()
            await caller.send(GET.replace(b"GET", b"HEAD"))
            assert b"content-length: " in await caller.reader.readuntil(b"\r\n\r\n")
            await caller.send(POST)
            assert (await caller.told())["method"] == "POST"

    run(test())


@pytest.mark.parametrize("reset", [False, True])
def test_an_application_learns_that_its_caller_is_gone(reset: bool) -> None:
    async def test() -> None:
        learnt: list[str] = []
        ended = asyncio.Event()

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await asyncio.wait((scope["gone"],))
            learnt.append((await receive())["type"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            ended.set()

        async with serving(waiting) as (_, call):
            caller = await call()
            await caller.send(POST)
            await asyncio.sleep(0.1)
            if reset:
                caller.writer.transport.abort()
            else:
                caller.writer.close()
            await ended.wait()
            assert learnt == ["http.disconnect"]

    run(test())


@pytest.mark.parametrize(
    ("patience", "sent", "status"),
    [
        (PATIENT._replace(head_s=0.3), b"GET / HTTP/1.1\r\nHos", 408),
        (PATIENT._replace(body_s=0.3), POST[:-2], 408),
        (PATIENT._replace(keep_s=0.3), b"", 0),
        (PATIENT._replace(keep_s=0.3), GET, 200),
    ],
)
def test_who_lets_us_wait_is_left(patience: Patience, sent: bytes, status: int) -> None:
    async def test() -> None:
        async with serving(patience=patience) as (_, call):
            caller = await call()
            await caller.send(sent)
            if status:
                assert (await caller.answer())[0] == status
            assert await caller.ended() == b""

    run(test())


def test_a_head_that_comes_drop_by_drop_is_not_waited_for() -> None:
    async def test() -> None:
        async with serving(patience=PATIENT._replace(head_s=0.3)) as (_, call):
            caller = await call()
            answer = asyncio.ensure_future(caller.answer())
            drops = itertools.chain(b"GET / HTTP/1.1\r\n", itertools.cycle(b"A: b\r\n"))
            while not answer.done():
                await caller.send(bytes([next(drops)]))
                await asyncio.sleep(0.02)
            assert answer.result()[0] == 408

    run(test())


def test_a_caller_who_takes_nothing_makes_the_application_wait_and_is_left() -> None:
    async def test() -> None:
        sent: list[int] = []

        async def endless(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not scope["gone"].done():
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
                sent.append(1)

        async with serving(endless, PATIENT._replace(write_s=1.0)) as (server, call):
            caller = await call()
            caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await caller.send(GET)
            await eventually(lambda: bool(sent) and not server.connections)
            # What the operating system buffers, and no more.
            assert len(sent) < 30

    run(test())


def test_a_body_waits_for_the_application() -> None:
    async def test() -> None:
        taken = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await taken.wait()
            await echo(scope, receive, send)

        size = 20 << 20
        async with serving(slow) as (_, call):
            caller = await call()
            caller.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
            before = -1
            while before != (now := caller.writer.transport.get_write_buffer_size()):
                before = now
                await asyncio.sleep(0.3)
            assert before > size // 2
            taken.set()
            assert len((await caller.told())["body"]) == size

    run(test())


def test_too_many_connections_are_told_so() -> None:
    async def test() -> None:
        async with serving(most=3) as (server, call):
            inside = [await call() for _ in range(3)]
            for caller in inside:
                await caller.send(GET)
                await caller.told()
            late = await call()
            assert (await late.answer())[0] == 503
            assert await late.ended() == b""
            late.writer.close()
            inside[0].writer.close()
            await eventually(lambda: len(server.connections) == 2)
            again = await call()
            await again.send(GET)
            assert (await again.told())["path"] == "/a b"

    run(test())


def test_what_is_under_way_ends_and_what_is_idle_is_closed() -> None:
    async def test() -> None:
        go_on = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await go_on.wait()
            await echo(scope, receive, send)

        async with serving(slow) as (server, call):
            idle, busy = await call(), await call()
            await busy.send(POST)
            await eventually(lambda: any(connection.task for connection in server.connections))
            closing = asyncio.ensure_future(server.close(GIVE_UP_S))
            assert await idle.ended() == b""
            go_on.set()
            status, headers, _ = await busy.answer()
            assert (status, headers["connection"]) == (200, "close")
            await closing
            with pytest.raises(ConnectionRefusedError):
                await call()

    run(test())


def test_what_does_not_end_in_time_is_cut_off() -> None:
    async def test() -> None:
        learnt: list[bool] = []

        async def endless(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.wait((scope["gone"],))
            learnt.append(True)

        async with serving(endless) as (server, call):
            caller = await call()
            await caller.send(GET)
            await eventually(lambda: any(connection.task for connection in server.connections))
            await server.close(0.2)
            assert learnt == [True]
            assert await caller.ended() == b""

    run(test())


def test_refusals_say_what_is_wrong() -> None:
    assert {status for status, _ in REFUSED.values()} | {408, 503} == set(connection_module._TOLD)
