"""An upstream's answer reads alike in whatever pieces its bytes come, and what frames it badly is refused."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.errors import InputError, UpstreamError
from tiergate.gateway.routing.urls import address_fault
from tiergate.gateway.upstreams.addresses import Address, parse
from tiergate.gateway.upstreams.connection import HEAD_BYTES, HEADERS, Connection
from tiergate.gateway.upstreams.pool import Limits
from tiergate.gateway.upstreams.upstream import Upstream


class Wire:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.closing = False

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def read(pieces: Iterable[bytes], *, then: Exception | None = None) -> tuple[Any, ...]:
    """Status, headers, body, whether it came to an end, and whether the connection may be used again."""

    async def run() -> tuple[Any, ...]:
        wire = Wire()
        connection = Connection(lambda _: None, 1 << 20)
        connection.connection_made(wire)  # type: ignore[arg-type]
        answer = connection.send(b"", None)
        for piece in pieces:
            if not wire.closing:
                connection.data_received(piece)
        reusable = connection.reusable
        connection.connection_lost(then)
        try:
            body, whole = await answer.read(), True
        except UpstreamError:
            body, whole = b"", False
        return answer.status if whole else 0, list(answer.headers) if whole else [], body, whole, reusable

    return asyncio.run(run())


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
WHOLE = {
    "length": OK + b"Content-Length: 5\r\n\r\nhello",
    "chunks": CHUNKED + b"Content-Type: a/b\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    "chunks with a trailer": CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an empty body": OK + b"Content-Length: 0\r\n\r\n",
    "news before it": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    + OK
    + b"Content-Length: 5\r\n\r\nhello",
    "1.0, kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
}
LAST = {
    "1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "until the end": OK + b"Content-Type: text/event-stream\r\n\r\nhello",
    "1.0 until the end": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "told to close": OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    "another answer behind it": OK + b"Content-Length: 5\r\n\r\nhello" + OK + b"Content-Length: 2\r\n\r\nho",
    "rubbish behind it": OK + b"Content-Length: 5\r\n\r\nhello\x00\x01",
}
REFUSED = {
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks and a length": CHUNKED + b"Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "one length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "a space before the colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "a folded line": OK + b"X: a\r\n Content-Length: 9\r\nContent-Length: 5\r\n\r\nhello",
    "another coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\nhello",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nxyz\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
    "0x": CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk that is too long": CHUNKED + b"\r\n3\r\nhello\r\n0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a bare carriage return": OK + b"A: b\rContent-Length: 5\r\n\r\nhello",
    "NUL": OK + b"A: b\0\r\nContent-Length: 5\r\n\r\nhello",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "a long line": OK + b"A: " + b"x" * HEAD_BYTES + b"\r\nContent-Length: 5\r\n\r\nhello",
    "many lines": OK + b"A: b\r\n" * (HEADERS + 1) + b"Content-Length: 5\r\n\r\nhello",
    "half a head": OK + b"Content-Length: 5\r\n",
    "half a body": OK + b"Content-Length: 9\r\n\r\nhello",
    "half a chunk": CHUNKED + b"\r\n9\r\nhello",
    "no last chunk": CHUNKED + b"\r\n5\r\nhello\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", [*WHOLE, *LAST])
def test_an_answer_is_read_to_its_end(name: str) -> None:
    status, _, body, whole, reusable = read([(WHOLE | LAST)[name]])
    assert whole
    assert (status, body) in [(200, b"hello"), (204, b""), (200, b"")]
    assert reusable is (name in WHOLE)


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    *_, whole, reusable = read([REFUSED[name]])
    assert not whole
    assert not reusable


def test_an_answer_without_a_length_that_is_reset_is_no_whole_one() -> None:
    assert not read([LAST["until the end"]], then=ConnectionResetError())[3]


def test_endless_framing_is_refused() -> None:
    for more in (b"1;" + b"x" * 60_000 + b"\r\na\r\n", b"HTTP/1.1 102 Processing\r\n\r\n" * 2_000):
        start = CHUNKED + b"\r\n" if more[:1] == b"1" else b""
        assert not read([start, *[more] * 100])[3]


@given(st.sampled_from([*WHOLE.values(), *LAST.values(), *REFUSED.values()]), st.data())
def test_the_pieces_do_not_matter(answer: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=30))
    pieces = [answer[start:end] for start, end in itertools.pairwise([0, *sorted(cuts), len(answer)])]
    assert read(pieces) == read([answer])


@pytest.mark.parametrize("name", [*WHOLE, *LAST])
def test_byte_by_byte(name: str) -> None:
    answer = (WHOLE | LAST)[name]
    assert read(bytes([byte]) for byte in answer) == read([answer])


PARTS = [
    *(OK, CHUNKED, b"HTTP/1.1 100 \r\n", b"Content-Length: ", b"Content-Length: 5\r\n", b"Transfer-Encoding: "),
    *(b"\r\n", b"\n", b" ", b":", b"\0", b"5\r\n", b"0\r\n", b"f;", b"hello"),
]


@given(st.lists(st.sampled_from(PARTS), max_size=14), st.lists(st.integers(0, 120), max_size=12))
def test_no_mixture_breaks_the_reader_or_depends_on_its_pieces(parts: list[bytes], cuts: list[int]) -> None:
    answer = b"".join(parts)
    places = sorted(min(cut, len(answer)) for cut in cuts)
    pieces = [answer[start:end] for start, end in itertools.pairwise([0, *places, len(answer)])]
    assert read(pieces) == read([answer])


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(noise: bytes) -> None:
    read([noise])
    read([CHUNKED + b"\r\n", noise])


def test_addresses() -> None:
    assert parse("https://api.example.com/v1/") == Address(True, "api.example.com", 443, "api.example.com", "/v1")
    assert parse("http://[::1]:8000") == Address(False, "::1", 8000, "[::1]:8000", "")
    assert parse("http://10.0.0.7:1234/a/b").port == 1234


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x/v1", "http or https"),
        ("http:///v1", "http or https"),
        ("http://x/v1?a=b", "http or https"),
        ("http://x:99999/", "no address"),
        ("http://[::1/", "no address"),
        ("https://user:secret@x/v1", "leave user and password out"),
        ("http://x/ v1", "characters"),
        ("http://x/é", "characters"),
    ],
)
def test_an_unfit_address_is_a_sentence(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as wrong:
        parse(url)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
     "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "224.0.0.1", "0.0.0.0", "::"],
)  # fmt: skip
def test_metadata_services_are_no_upstreams(address: str) -> None:
    assert address_fault(address, private=True)

    async def start() -> None:
        host = f"[{address.partition('%')[0]}]" if ":" in address else address
        Upstream(f"http://{host}/latest", None, Limits())

    with pytest.raises(InputError, match="never an upstream"):
        asyncio.run(start())


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "8.8.8.8", "2606:4700::1", "fd00::1"]
)
def test_other_addresses_are(address: str) -> None:
    assert address_fault(address, private=True) is None
