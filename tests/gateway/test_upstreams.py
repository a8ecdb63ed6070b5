"""The connections to an upstream that misbehaves: what each fault comes to, and what is never done twice."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.gateway.conftest import GIVE_UP_S
from tiergate.errors import UpstreamError
from tiergate.gateway.upstreams.answer import Answer
from tiergate.gateway.upstreams.pool import Limits
from tiergate.gateway.upstreams.upstream import Upstream

LIMITS = Limits(connect_s=GIVE_UP_S, read_s=GIVE_UP_S, answer_s=GIVE_UP_S, idle_s=GIVE_UP_S)
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Script = Callable[["Raw"], Awaitable[None]]


class Raw:
    """One connection of the server, to misbehave on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        _, measured, rest = head.lower().partition(b"content-length: ")
        return head + (await self.reader.readexactly(int(rest.partition(b"\r\n")[0])) if measured else b"")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        with suppress(OSError):
            while await self.reader.read(1 << 16):
                pass


class Server:
    """Connections it took, and requests that came over them."""

    def __init__(self) -> None:
        self.taken = 0
        self.asked: list[bytes] = []
        self.closed = 0


@asynccontextmanager
async def serving(
    script: Script, limits: Limits = LIMITS, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[Upstream, Server]]:
    """An upstream that follows ``script`` on every connection, and the pool that asks it."""
    server, tasks = Server(), set[asyncio.Task[None]]()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.taken += 1
        raw = Raw(reader, writer, server.taken)
        try:
            await script(raw)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            server.closed += 1
            writer.close()

    listening = await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    upstream = Upstream(f"{'https' if tls else 'http'}://{host}:{port}/v1", "key", limits)
    try:
        yield upstream, server
    finally:
        await upstream.close()
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


def run(test: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(test, 4 * GIVE_UP_S))


async def ask(
    upstream: Upstream, body: bytes | None = b"{}", headers: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    method = "GET" if body is None else "POST"
    async with upstream.call(method, "/x", headers or [], body) as answer:
        return await answer.read()


UNREACHED = ("in use", "could not be reached", "did not take the connection", "not accepted", "not asked")
"""What is said where no connection came about, so that nothing can have been done."""


async def fails(upstream: Upstream, status: int = 502, **more: Any) -> str:
    with pytest.raises(UpstreamError) as failed:
        await ask(upstream, **more)
    assert failed.value.status == status
    assert failed.value.reached is not any(said in str(failed.value) for said in UNREACHED)
    return str(failed.value)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(GIVE_UP_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def politely(raw: Raw) -> None:
    while True:
        await raw.request()
        await raw.send(HELLO)


def test_requests_share_a_connection_and_say_what_they_should() -> None:
    async def test() -> None:
        heard: list[bytes] = []

        async def script(raw: Raw) -> None:
            while True:
                heard.append(await raw.request())
                await raw.send(HELLO)

        async with serving(script) as (upstream, server):
            headers = [(b"content-type", b"a/b"), (b"authorization", b"Bearer callers"), (b"x-other", b"1")]
            assert await ask(upstream, b"{1}", headers) == b"hello"
            assert await ask(upstream, None) == b"hello"
            assert server.taken == 1
        first, second = heard
        assert first.startswith(b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:")
        assert first.endswith(b"\r\n\r\n{1}")
        assert b"content-type: application/json\r\n" in first
        assert b"Authorization: Bearer key\r\n" in first
        assert b"callers" not in first
        assert b"x-other" not in first
        assert second.startswith(b"GET /v1/x HTTP/1.1\r\n")
        assert b"ontent-" not in second

    run(test())


def test_many_at_once_get_their_own_answers() -> None:
    async def echo(raw: Raw) -> None:
        while True:
            body = (await raw.request()).partition(b"\r\n\r\n")[2]
            await asyncio.sleep(0)
            await raw.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def test() -> None:
        async with serving(echo, replace(LIMITS, connections=7)) as (upstream, server):
            asked = [b"%d" % number * (number % 50 + 1) for number in range(300)]
            assert await asyncio.gather(*(ask(upstream, body) for body in asked)) == asked
            assert server.taken <= 7

    run(test())


def test_who_waits_for_a_connection_in_vain_is_told() -> None:
    async def test() -> None:
        async with serving(politely, replace(LIMITS, connections=1, connect_s=0.2)) as (upstream, _):
            async with upstream.call("POST", "/x", [], b""):
                assert "in use" in await fails(upstream, 503)
            assert await ask(upstream) == b"hello"

    run(test())


def test_nobody_listens() -> None:
    async def test() -> None:
        async with serving(politely) as (upstream, _):
            await upstream.close()
        gone = Upstream(upstream_url(upstream), None, LIMITS)
        assert "could not be reached" in await fails(gone)
        await gone.close()

    run(test())


def upstream_url(upstream: Upstream) -> str:
    return f"{upstream._pool._address.origin}/v1"


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/v1", f"http://{'x' * 80}.example/v1", "http://a..b/v1"])
def test_a_name_that_leads_nowhere(url: str) -> None:
    async def test() -> None:
        upstream = Upstream(url, None, LIMITS)
        assert "could not be reached" in await fails(upstream)
        await upstream.close()

    run(test())


def test_a_name_for_a_metadata_service_is_not_asked() -> None:
    async def test() -> None:
        # 169.254.169.254 as one number, which only the resolver reads as an address.
        upstream = Upstream("http://2852039166/latest", None, LIMITS)
        assert "not asked" in await fails(upstream)
        await upstream.close()

    run(test())


async def hello_once(raw: Raw) -> None:
    await raw.request()
    await raw.send(HELLO.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))


def test_a_name_that_leads_inside_the_second_time_is_not_asked() -> None:
    """DNS rebinding: what was checked once is no reason to trust what the name leads to later."""
    found = ["127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254"]

    async def test() -> None:
        async with serving(hello_once, host="api.example.com") as (upstream, server):
            loop = asyncio.get_running_loop()

            async def look_up(host: str, port: int, **_: Any) -> list[Any]:
                assert host == "api.example.com"
                return [(0, 0, 0, "", (found.pop(0), port))]

            loop.getaddrinfo = look_up  # type: ignore[method-assign, assignment]
            assert await ask(upstream) == b"hello"
            for _ in range(2):
                assert "not asked" in await fails(upstream)
            assert (server.taken, found) == (1, [])

    asyncio.run(asyncio.wait_for(test(), 4 * GIVE_UP_S))


async def silent(raw: Raw) -> None:
    await raw.until_closed()


async def silent_in_the_middle(raw: Raw) -> None:
    await raw.request()
    await raw.send(CHUNKED + b"5\r\nhello\r\n")
    await raw.until_closed()


async def drop_by_drop(raw: Raw) -> None:
    await raw.request()
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000:
        await raw.send(bytes([byte]))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        (silent, replace(LIMITS, read_s=0.2)),
        (silent_in_the_middle, replace(LIMITS, read_s=0.2)),
        (drop_by_drop, replace(LIMITS, answer_s=0.3)),
    ],
)
def test_who_lets_us_wait_is_left(script: Script, limits: Limits) -> None:
    async def test() -> None:
        async with serving(script, limits) as (upstream, server):
            await fails(upstream, 504)
            await eventually(lambda: server.closed == 1)

    run(test())


async def half_a_chunk(raw: Raw) -> None:
    await raw.request()
    await raw.send(CHUNKED + b"5\r\nhello\r\n9\r\nhal")


async def reset_in_the_middle(raw: Raw) -> None:
    await half_a_chunk(raw)
    await asyncio.sleep(0.05)
    raw.reset()


async def garbage_in_the_middle(raw: Raw) -> None:
    await raw.request()
    await raw.send(CHUNKED + b"5\r\nhello\r\nzzz")
    await raw.until_closed()


@pytest.mark.parametrize("script", [half_a_chunk, reset_in_the_middle, garbage_in_the_middle])
def test_what_came_before_the_fault_is_handed_out(script: Script) -> None:
    async def test() -> None:
        async with serving(script) as (upstream, _):
            async with upstream.call("POST", "/x", [], b"{}") as answer:
                assert (await answer.readany()).startswith(b"hello")
                with pytest.raises(UpstreamError):
                    await answer.read()
            await fails(upstream)

    run(test())


async def garbage(raw: Raw) -> None:
    await raw.request()
    await raw.send(bytes(range(256)) * 50)
    await raw.until_closed()


async def at_once_closed(raw: Raw) -> None:
    pass


@pytest.mark.parametrize("script", [garbage, at_once_closed])
def test_no_answer_is_an_error(script: Script) -> None:
    async def test() -> None:
        async with serving(script) as (upstream, _):
            await fails(upstream)

    run(test())


def test_errors_of_the_upstream_are_answers_and_keep_the_connection() -> None:
    async def burst(raw: Raw) -> None:
        for number in range(100):
            await raw.request()
            status = b"500 Oh" if number % 5 else b"200 OK"
            await raw.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")

    async def test() -> None:
        async with serving(burst) as (upstream, server):
            statuses = []
            for _ in range(20):
                async with upstream.call("POST", "/x", [], b"{}") as answer:
                    statuses.append(answer.status)
                    assert await answer.read() == b"{}"
            assert statuses == [200, 500, 500, 500, 500] * 4
            assert server.taken == 1

    run(test())


async def redirecting(raw: Raw) -> None:
    await raw.request()
    await raw.send(b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")


def test_redirects_are_not_followed() -> None:
    async def test() -> None:
        async with serving(redirecting) as (upstream, server), upstream.call("POST", "/x", [], b"{}") as answer:
            assert answer.status == 307
            assert await answer.read() == b""
            assert server.taken == 1

    run(test())


MEGABYTE = b"x" * (1 << 20)


def sending(megabytes: int, sent: list[int]) -> Script:
    async def script(raw: Raw) -> None:
        await raw.request()
        await raw.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (megabytes << 20))
        for _ in range(megabytes):
            await raw.send(MEGABYTE)
            sent.append(len(MEGABYTE))
        await raw.until_closed()

    return script


def test_a_whole_answer_has_a_largest_size() -> None:
    async def test() -> None:
        async with serving(sending(50, []), replace(LIMITS, answer_bytes=4 << 20)) as (upstream, server):
            assert "larger than 4194304 bytes" in await fails(upstream)
            await eventually(lambda: server.closed == 1)
        async with serving(sending(50, [])) as (upstream, _):
            assert len(await ask(upstream)) == 50 << 20

    run(test())


def test_an_upstream_waits_for_a_slow_caller() -> None:
    async def test() -> None:
        sent: list[int] = []
        async with serving(sending(50, sent), replace(LIMITS, read_s=0.5)) as (upstream, _):
            async with upstream.call("POST", "/x", [], b"{}") as answer:
                before = -1
                while before != len(sent):
                    before = len(sent)
                    # Longer than the upstream may be silent: it is not, it waits for us.
                    await asyncio.sleep(1.0)
                # What the operating system buffers is on its way, and no more.
                assert len(sent) < 30
                size = 0
                while piece := await answer.readany():
                    size += len(piece)
            assert size == 50 << 20

    run(test())


def closing_after(answers: int, heard: list[bytes], closed: list[int]) -> Script:
    """Reads one more request than it answers, and closes on it: so does a server that restarts."""

    async def script(raw: Raw) -> None:
        for _ in range(answers):
            heard.append(await raw.request())
            await raw.send(HELLO)
        heard.append(await raw.request())
        closed.append(raw.number)

    return script


KEY = [(b"idempotency-key", b"k1")]


@pytest.mark.parametrize(("body", "headers"), [(None, []), (b"{}", KEY)])
def test_a_stale_connection_is_made_good_where_nothing_is_done_twice(
    body: bytes | None, headers: list[tuple[bytes, bytes]]
) -> None:
    async def test() -> None:
        heard: list[bytes] = []
        async with serving(closing_after(1, heard, [])) as (upstream, server):
            for _ in range(3):
                assert await ask(upstream, body, headers) == b"hello"
            assert (server.taken, len(heard)) == (3, 5)

    run(test())


def test_a_post_is_never_sent_twice() -> None:
    async def test() -> None:
        heard: list[bytes] = []
        async with serving(closing_after(1, heard, [])) as (upstream, server):
            assert await ask(upstream) == b"hello"
            assert "broke off" in await fails(upstream)
            assert (server.taken, len(heard)) == (1, 2)

    run(test())


def test_a_second_failure_is_the_last() -> None:
    async def test() -> None:
        heard: list[bytes] = []

        async def script(raw: Raw) -> None:
            heard.append(await raw.request())
            if raw.number == 1:
                await raw.send(HELLO)
                heard.append(await raw.request())

        async with serving(script) as (upstream, server):
            assert await ask(upstream, None) == b"hello"
            await fails(upstream, body=None)
            assert (server.taken, len(heard)) == (2, 3)

    run(test())


async def half_an_answer_the_second_time(raw: Raw) -> None:
    await raw.request()
    await raw.send(HELLO)
    await raw.request()
    await raw.send(HELLO[:-2])


def test_what_was_begun_is_not_asked_again() -> None:
    async def test() -> None:
        async with serving(half_an_answer_the_second_time) as (upstream, server):
            assert await ask(upstream, None) == b"hello"
            await fails(upstream, body=None)
            assert server.taken == 1

    run(test())


def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async def once(raw: Raw) -> None:
        await raw.request()
        await raw.send(HELLO)

    async def test() -> None:
        async with serving(once) as (upstream, server):
            for number in range(5):
                assert await ask(upstream) == b"hello"
                await eventually(lambda number=number: server.closed > number and not upstream._pool._all)
            assert server.taken == 5

    run(test())


def test_an_answer_nobody_asked_for_goes_to_nobody() -> None:
    async def script(raw: Raw) -> None:
        await raw.request()
        await raw.send(HELLO)
        await raw.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await raw.until_closed()

    async def test() -> None:
        async with serving(script) as (upstream, server):
            for _ in range(4):
                assert await ask(upstream) == b"hello"
                await eventually(lambda: not upstream._pool._all)
            assert server.taken == 4

    run(test())


def test_unused_connections_are_closed() -> None:
    async def test() -> None:
        async with serving(politely, replace(LIMITS, idle_s=0.2)) as (upstream, server):
            await asyncio.gather(*(ask(upstream) for _ in range(5)))
            await eventually(lambda: server.closed == server.taken)
            assert await ask(upstream) == b"hello"

    run(test())


@pytest.mark.parametrize("whole", [False, True])
def test_a_block_that_is_left_early_closes_the_connection(whole: bool) -> None:
    async def test() -> None:
        async with serving(politely if whole else silent_in_the_middle) as (upstream, server):
            with suppress(KeyError):
                async with upstream.call("POST", "/x", [], b"{}") as answer:
                    assert await answer.readany() == b"hello"
                    raise KeyError
            if whole:  # there is nothing more to come: it may go on
                assert await ask(upstream) == b"hello"
                assert server.taken == 1
            else:
                await eventually(lambda: server.closed == 1)

    run(test())


@pytest.mark.parametrize("script", [silent, silent_in_the_middle])
def test_a_call_that_is_called_off_ends_at_once(script: Script) -> None:
    async def test() -> None:
        async with serving(script) as (upstream, server):
            call = upstream.call("POST", "/x", [], b"{}")

            async def call_off_when_it_is_there() -> None:
                await eventually(lambda: server.taken == 1)
                call.call_off()

            calling_off = asyncio.ensure_future(call_off_when_it_is_there())
            with pytest.raises(UpstreamError, match="called off"):
                async with call as answer:
                    await answer.read()
            await calling_off
            await eventually(lambda: server.closed == 1)
            before = upstream.call("POST", "/x", [], b"{}")
            before.call_off()
            with pytest.raises(UpstreamError, match="called off"):
                await before.__aenter__()

    run(test())


def test_a_cancelled_caller_leaves_no_connection_behind() -> None:
    async def test() -> None:
        async with serving(silent, replace(LIMITS, connections=2)) as (upstream, server):
            tasks = [asyncio.ensure_future(ask(upstream)) for _ in range(6)]  # of which four wait for their turn
            await eventually(lambda: server.taken == 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await eventually(lambda: server.closed == server.taken and not upstream._pool._all)
            assert not upstream._pool._waiting

    run(test())


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate for ``names``, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    others = [x509.DNSName(one) for one in names if not one[0].isdigit()]
    others += [x509.IPAddress(ipaddress.ip_address(one)) for one in names if one[0].isdigit()]  # type: ignore[arg-type]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "public.pem", folder / "both.pem"
    pem = made.public_bytes(serialization.Encoding.PEM)
    public.write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, public


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[str | None] = []

    async def test(host: str, trusted: bool) -> None:
        async with serving(politely, tls=context, host=host) as (upstream, _):
            if trusted:
                assert await ask(upstream) == b"hello"
                assert await ask(upstream) == b"hello"
            else:
                assert "certificate" in await fails(upstream)

    context, public = certificate(tmp_path, "localhost")
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    run(test("localhost", trusted=False))
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    run(test("localhost", trusted=True))
    assert asked_for == ["localhost", "localhost"]
    # The certificate is trusted, and for another name than was asked.
    run(test("127.0.0.1", trusted=False))


def test_an_upstream_that_speaks_no_tls() -> None:
    async def script(raw: Raw) -> None:
        await raw.send(HELLO)
        await raw.until_closed()

    async def test() -> None:
        async with serving(script) as (upstream, _):
            wrong = Upstream(upstream_url(upstream).replace("http:", "https:"), None, LIMITS)
            await fails(wrong)
            await wrong.close()

    run(test())


def test_what_came_before_a_failure_is_dealt_with_before_it() -> None:
    """The last event of a stream waits for its record while the connection is lost: it was the last all the same."""

    async def relayed() -> list[bytes]:
        answer, taken = Answer(asyncio.get_running_loop(), asyncio.Transport(), 1), list[bytes]()

        def take(piece: bytes) -> bool:
            taken.append(piece)
            return piece != b"last"

        def come() -> None:
            answer.feed(b"first")
            answer.feed(b"last")
            answer.fail(UpstreamError("the upstream model broke off", status=502))

        asyncio.get_running_loop().call_soon(come)
        assert await answer.relay(take)
        with pytest.raises(UpstreamError, match="broke off"):
            await answer.relay(take)
        return taken

    assert asyncio.run(relayed()) == [b"first", b"last"]


def test_the_end_of_an_answer_whose_reader_failed_is_no_end() -> None:
    async def relayed() -> list[bytes]:
        loop, seen = asyncio.get_running_loop(), list[bytes]()
        answer = Answer(loop, asyncio.Transport(), 1)

        def take(piece: bytes) -> bool:
            seen.append(piece)
            raise ValueError(piece)

        def come() -> None:
            answer.feed(b"unfit")
            answer.feed(b"more")
            answer.end()

        loop.call_soon(come)
        assert await answer.relay(take)
        with pytest.raises(ValueError, match="unfit"):
            await answer.relay(take)
        return seen

    assert asyncio.run(relayed()) == [b"unfit"]
